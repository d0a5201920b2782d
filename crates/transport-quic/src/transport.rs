//! The endpoint.

use crate::{
    connection::QuicConnection,
    error,
    key::TransportKey,
    socket::{HomeRuntime, Socket},
    table::{Admission, Place, Table},
    tls,
};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, Incoming, NoneTokenStore, ServerConfig, TransportConfig,
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use quinn_proto::HashedConnectionIdGenerator;
use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokenim_transport::{Connection, Limits, PeerId, Transport, TransportError, code};
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, mpsc},
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

/// How long closing waits until the peers have been told.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes kept of one connection attempt until it is decided upon: a client sends no more before it hears from us.
const ATTEMPT_BYTES_MAX: u64 = 16 * 1024;

/// An endpoint on QUIC. A clone is a handle of the same endpoint.
///
/// All methods must be called within a tokio runtime with time enabled; the endpoint itself runs on the one where it
/// was bound.
#[derive(Clone)]
pub struct QuicTransport {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    socket: Arc<Socket>,
    peer: PeerId,
    table: Arc<Table>,
    home: Handle,
    arrived: Mutex<mpsc::Receiver<QuicConnection>>,
    closed: AtomicBool,
    closing: Notify,
    acceptor: Option<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Connections live on; newcomers are refused.
        self.endpoint.set_server_config(None);
        if let Some(acceptor) = &self.acceptor {
            acceptor.abort();
        }
    }
}

impl fmt::Debug for QuicTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicTransport")
            .field("peer", &self.inner.peer)
            .field("address", &self.inner.socket.local())
            .field("connections", &self.inner.table.len())
            .finish_non_exhaustive()
    }
}

impl QuicTransport {
    /// Listens on `address` (port 0: any free one) and proves to be `key` to whoever connects and is dialled.
    ///
    /// # Errors
    /// [`AddressInUse`](TransportError::AddressInUse), [`Io`](TransportError::Io) for another refusal of the operating
    /// system or a call outside of a tokio runtime, [`BadLimits`](TransportError::BadLimits).
    pub fn bind<K>(key: K, address: SocketAddr, limits: Limits) -> Result<Self, TransportError>
    where
        K: TryInto<TransportKey>,
        TransportError: From<K::Error>,
    {
        Self::start(&key.try_into()?, open_socket(address)?, limits, true)
    }

    /// Begins an endpoint that only dials, from any free port. It accepts nobody.
    ///
    /// # Errors
    /// Those of [`bind`](QuicTransport::bind).
    pub fn dial_only<K>(key: K, limits: Limits) -> Result<Self, TransportError>
    where
        K: TryInto<TransportKey>,
        TransportError: From<K::Error>,
    {
        // Machines without IPv6 have only the second.
        let socket = open_socket((Ipv6Addr::UNSPECIFIED, 0).into())
            .or_else(|_| open_socket((Ipv4Addr::UNSPECIFIED, 0).into()))?;
        Self::start(&key.try_into()?, socket, limits, false)
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.inner.socket.local()
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.table.len()
    }

    fn start(key: &TransportKey, socket: UdpSocket, limits: Limits, listen: bool) -> Result<Self, TransportError> {
        limits.check()?;
        let home = Handle::try_current().map_err(|error| TransportError::Io(error.to_string()))?;
        let runtime = Arc::new(HomeRuntime(home.clone()));
        let socket = quinn::Runtime::wrap_udp_socket(&*runtime, socket)
            .and_then(Socket::new)
            .map_err(|error| TransportError::Io(error.to_string()))?;
        let socket = Arc::new(socket);

        let (client, server) = tls::configs(key.seed())?;
        let keys = tls::quic_keys(key.seed())?;
        let transport = Arc::new(transport_config(&limits)?);
        let connection_ids = keys.connection_ids;
        let mut config = EndpointConfig::new(Arc::new(keys.reset));
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(connection_ids)));
        let listening = if listen {
            let crypto = QuicServerConfig::try_from(server).map_err(|error| TransportError::Io(error.to_string()))?;
            let mut server = ServerConfig::new(Arc::new(crypto), Arc::new(keys.tokens));
            server
                .transport_config(Arc::clone(&transport))
                .max_incoming(usize::try_from(limits.handshakes_max).unwrap_or(usize::MAX))
                .incoming_buffer_size(ATTEMPT_BYTES_MAX)
                .incoming_buffer_size_total(ATTEMPT_BYTES_MAX.saturating_mul(u64::from(limits.handshakes_max)));
            Some(server)
        } else {
            None
        };
        let crypto = QuicClientConfig::try_from(client).map_err(|error| TransportError::Io(error.to_string()))?;
        let mut client = ClientConfig::new(Arc::new(crypto));
        client.transport_config(transport).token_store(Arc::new(NoneTokenStore));

        let mut endpoint = Endpoint::new_with_abstract_socket(
            config,
            listening,
            Arc::clone(&socket) as Arc<dyn quinn::AsyncUdpSocket>,
            runtime,
        )
        .map_err(|error| TransportError::Io(error.to_string()))?;
        endpoint.set_default_client_config(client);

        let table = Table::new(limits);
        let queue = usize::try_from(table.limits().handshakes_max).unwrap_or(usize::MAX);
        let (arrive, arrived) = mpsc::channel(queue.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        let acceptor = listen.then(|| {
            let acceptor = Acceptor {
                endpoint: endpoint.clone(),
                table: Arc::clone(&table),
                home: home.clone(),
                arrive,
            };
            home.spawn(acceptor.run()).abort_handle()
        });
        Ok(Self {
            inner: Arc::new(Inner {
                endpoint,
                socket,
                peer: key.peer(),
                table,
                home,
                arrived: Mutex::new(arrived),
                closed: AtomicBool::new(false),
                closing: Notify::new(),
                acceptor,
            }),
        })
    }

    /// One handshake with `peer` at one of the addresses that its name resolved to.
    async fn dial_one(&self, peer: PeerId, address: SocketAddr, given: &str) -> Result<QuicConnection, TransportError> {
        let inner = &self.inner;
        let place = inner.table.dial().ok_or(TransportError::TooManyConnections {
            limit: inner.table.limits().connections_max,
        })?;
        let connecting = inner
            .endpoint
            .connect(address, &tls::name_of(&peer))
            .map_err(|failed| error::connect(&failed, given))?;
        let connection = connecting.await.map_err(|failed| error::handshake(&failed))?;
        // The verifier has seen to it, but a resumed session takes the peer's key from memory: look again.
        if tls::peer_of(&connection) != Some(peer) {
            connection.close(VarInt::from_u32(code::MISBEHAVED), b"");
            return Err(TransportError::WrongPeer);
        }
        Ok(QuicConnection::new(
            connection,
            peer,
            Arc::clone(&inner.table),
            place,
            &inner.home,
        ))
    }
}

impl Transport for QuicTransport {
    type Connection = QuicConnection;

    fn local(&self) -> PeerId {
        self.inner.peer
    }

    fn limits(&self) -> &Limits {
        self.inner.table.limits()
    }

    /// Takes `host:port` where the host is a name or an IP address. All addresses of a name are tried in turn, within
    /// one handshake timeout.
    async fn dial(&self, peer: PeerId, address: &str) -> Result<QuicConnection, TransportError> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(TransportError::Closed);
        }
        let deadline = Instant::now()
            .checked_add(self.limits().handshake_timeout)
            .unwrap_or_else(Instant::now);
        let bad_address = || TransportError::BadAddress {
            address: address.into(),
        };
        let addresses: Vec<SocketAddr> = match address.parse() {
            Ok(address) => vec![address],
            Err(_) => match timeout_at(deadline, tokio::net::lookup_host(address)).await {
                Ok(Ok(addresses)) => addresses.collect(),
                Ok(Err(_)) => return Err(bad_address()),
                Err(_) => return Err(TransportError::Unreachable),
            },
        };
        let mut failure = bad_address();
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for candidate in addresses {
            let share = deadline
                .saturating_duration_since(Instant::now())
                .checked_div(left)
                .unwrap_or_default();
            left = left.saturating_sub(1);
            failure = match timeout(share, self.dial_one(peer, candidate, address)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(failure)) => failure,
                Err(_) => TransportError::Unreachable,
            };
        }
        Err(failure)
    }

    async fn accept(&self) -> Option<QuicConnection> {
        let inner = &self.inner;
        let closing = inner.closing.notified();
        tokio::pin!(closing);
        closing.as_mut().enable();
        if inner.closed.load(Ordering::Acquire) {
            return None;
        }
        let arrival = async {
            let mut arrived = inner.arrived.lock().await;
            loop {
                let connection = arrived.recv().await?;
                // It may have ended while it waited here.
                if connection.close_reason().is_none() {
                    return Some(connection);
                }
            }
        };
        tokio::select! {
            biased;
            () = closing => None,
            arrived = arrival => arrived,
        }
    }

    async fn close(&self) {
        /// Frees the address even if closing is not awaited to its end.
        struct Release<'a>(&'a Socket);
        impl Drop for Release<'_> {
            fn drop(&mut self) {
                self.0.release();
            }
        }
        let inner = &self.inner;
        let _release = Release(&inner.socket);
        inner.closed.store(true, Ordering::Release);
        inner.closing.notify_waiters();
        inner.endpoint.close(VarInt::from_u32(code::SHUTDOWN), b"");
        if let Some(acceptor) = &inner.acceptor {
            acceptor.abort();
        }
        // Beyond that, peers notice by themselves.
        let _ = timeout(CLOSE_TIMEOUT, inner.endpoint.wait_idle()).await;
    }
}

/// Decides who gets in, and sees them through the handshake.
struct Acceptor {
    endpoint: Endpoint,
    table: Arc<Table>,
    home: Handle,
    arrive: mpsc::Sender<QuicConnection>,
}

impl Acceptor {
    async fn run(self) {
        while let Some(attempt) = self.endpoint.accept().await {
            match self
                .table
                .admit(attempt.remote_address(), attempt.remote_address_validated())
            {
                Admission::Welcome(place) => {
                    let table = Arc::clone(&self.table);
                    let home = self.home.clone();
                    let arrive = self.arrive.clone();
                    self.home.spawn(welcome(attempt, place, table, home, arrive));
                }
                // Fails only for those who have proved their address already.
                Admission::Prove => drop(attempt.retry()),
                Admission::Refuse => attempt.refuse(),
            }
        }
    }
}

/// Sees one newcomer through the handshake and into the queue of the host, all within the handshake timeout.
async fn welcome(
    attempt: Incoming,
    place: Place,
    table: Arc<Table>,
    home: Handle,
    arrive: mpsc::Sender<QuicConnection>,
) {
    let remote = attempt.remote_address();
    let deadline = Instant::now()
        .checked_add(table.limits().handshake_timeout)
        .unwrap_or_else(Instant::now);
    let connection = match timeout_at(deadline, attempt).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(failed)) => {
            tracing::debug!(%remote, reason = %error::handshake(&failed), "a handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%remote, "a handshake took too long");
            return;
        }
    };
    let Some(peer) = tls::peer_of(&connection) else {
        connection.close(VarInt::from_u32(code::MISBEHAVED), b"");
        return;
    };
    match timeout_at(deadline, arrive.reserve()).await {
        Ok(Ok(seat)) => seat.send(QuicConnection::new(connection, peer, table, place, &home)),
        Ok(Err(_)) => connection.close(VarInt::from_u32(code::SHUTDOWN), b""),
        Err(_) => {
            tracing::debug!(%remote, "the host takes no connections");
            connection.close(VarInt::from_u32(code::BUSY), b"");
        }
    }
}

fn open_socket(address: SocketAddr) -> Result<UdpSocket, TransportError> {
    UdpSocket::bind(address).map_err(|failed| match failed.kind() {
        io::ErrorKind::AddrInUse => TransportError::AddressInUse {
            address: address.to_string(),
        },
        _ => TransportError::Io(format!("{address}: {failed}")),
    })
}

/// The limits as QUIC has them.
fn transport_config(limits: &Limits) -> Result<TransportConfig, TransportError> {
    let idle = IdleTimeout::try_from(limits.idle_timeout)
        .map_err(|_| TransportError::BadLimits("idle_timeout is too long for QUIC"))?;
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_per_connection_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(limits.stream_window_bytes))
        .receive_window(VarInt::from_u32(limits.connection_window_bytes))
        .send_window(u64::from(limits.send_window_bytes))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits.keep_alive))
        .allow_spin(false);
    Ok(config)
}
