//! A connection.

use crate::{
    error,
    stream::{QuicRecvStream, QuicSendStream},
    table::{Place, Table},
};
use quinn::VarInt;
use std::{net::SocketAddr, sync::Arc};
use tokenim_transport::{Connection, Limits, PeerId, TransportError, code};
use tokio::runtime::Handle;

/// What the handles of a connection and of its streams share; when the last of them goes, so does the connection.
#[derive(Debug)]
pub(crate) struct Live {
    connection: quinn::Connection,
    peer: PeerId,
    table: Arc<Table>,
}

impl Live {
    pub(crate) fn limits(&self) -> &Limits {
        self.table.limits()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(code::NONE), b"");
    }
}

/// A QUIC connection with a peer that has proved its key.
#[derive(Clone, Debug)]
pub struct QuicConnection {
    live: Arc<Live>,
}

impl QuicConnection {
    /// Takes in a connection after its handshake, and has it leave the table when it ends.
    pub(crate) fn new(
        connection: quinn::Connection,
        peer: PeerId,
        table: Arc<Table>,
        place: Place,
        home: &Handle,
    ) -> Self {
        let number = table.insert(place, connection.clone(), peer);
        let watched = connection.clone();
        let watching = Arc::clone(&table);
        home.spawn(async move {
            watched.closed().await;
            watching.remove(number);
        });
        Self {
            live: Arc::new(Live {
                connection,
                peer,
                table,
            }),
        }
    }

    fn streams(&self, (send, recv): (quinn::SendStream, quinn::RecvStream)) -> (QuicSendStream, QuicRecvStream) {
        (
            QuicSendStream::new(send, Arc::clone(&self.live)),
            QuicRecvStream::new(recv, Arc::clone(&self.live)),
        )
    }
}

impl Connection for QuicConnection {
    type Send = QuicSendStream;
    type Recv = QuicRecvStream;

    fn peer(&self) -> PeerId {
        self.live.peer
    }

    fn remote(&self) -> Option<SocketAddr> {
        Some(self.live.connection.remote_address())
    }

    async fn open(&self) -> Result<(QuicSendStream, QuicRecvStream), TransportError> {
        match self.live.connection.open_bi().await {
            Ok(streams) => Ok(self.streams(streams)),
            Err(failed) => Err(error::connection(&failed)),
        }
    }

    async fn accept(&self) -> Result<(QuicSendStream, QuicRecvStream), TransportError> {
        match self.live.connection.accept_bi().await {
            Ok(streams) => Ok(self.streams(streams)),
            Err(failed) => Err(error::connection(&failed)),
        }
    }

    fn close(&self, code: u32) {
        self.live.connection.close(VarInt::from_u32(code), b"");
    }

    fn close_reason(&self) -> Option<TransportError> {
        self.live
            .connection
            .close_reason()
            .map(|reason| error::connection(&reason))
    }

    async fn closed(&self) -> TransportError {
        error::connection(&self.live.connection.closed().await)
    }
}
