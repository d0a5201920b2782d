//! The same four traits behind one concrete type each, for hosts that choose the network at run time.
//!
//! `DynTransport::new(transport)` is itself a [`Transport`], so that code written against the traits takes it as it
//! is. Each call costs one allocation.

use crate::{Connection, Limits, MaybeSend, MaybeSync, PeerId, RecvStream, SendStream, Transport, TransportError};
use alloc::{boxed::Box, sync::Arc};
use bytes::Bytes;
use core::{fmt, future::Future, net::SocketAddr, pin::Pin, time::Duration};

#[cfg(not(target_family = "wasm"))]
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
#[cfg(target_family = "wasm")]
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

type Streams = (DynSendStream, DynRecvStream);

trait ErasedTransport: MaybeSend + MaybeSync {
    fn local(&self) -> PeerId;
    fn limits(&self) -> &Limits;
    fn dial<'a>(&'a self, peer: PeerId, address: &'a str) -> Boxed<'a, Result<DynConnection, TransportError>>;
    fn accept(&self) -> Boxed<'_, Option<DynConnection>>;
    fn close(&self) -> Boxed<'_, ()>;
}

trait ErasedConnection: MaybeSend + MaybeSync {
    fn peer(&self) -> PeerId;
    fn remote(&self) -> Option<SocketAddr>;
    fn open(&self) -> Boxed<'_, Result<Streams, TransportError>>;
    fn accept(&self) -> Boxed<'_, Result<Streams, TransportError>>;
    fn close(&self, code: u32);
    fn close_reason(&self) -> Option<TransportError>;
    fn closed(&self) -> Boxed<'_, TransportError>;
}

trait ErasedSendStream: MaybeSend {
    fn write(&mut self, bytes: Bytes) -> Boxed<'_, Result<(), TransportError>>;
    fn finish(&mut self) -> Result<(), TransportError>;
    fn acknowledged(&mut self) -> Boxed<'_, Result<(), TransportError>>;
    fn stopped(&mut self) -> Boxed<'_, ()>;
    fn reset(&mut self, code: u32);
    fn set_idle_timeout(&mut self, timeout: Option<Duration>);
    fn set_priority(&mut self, priority: i32);
}

trait ErasedRecvStream: MaybeSend {
    fn read(&mut self, bytes_max: usize) -> Boxed<'_, Result<Option<Bytes>, TransportError>>;
    fn stop(&mut self, code: u32);
    fn set_idle_timeout(&mut self, timeout: Option<Duration>);
}

/// Hides the type of a network; so that its methods can't be confused with those of the traits.
struct Hidden<T>(T);

impl<T: Transport> ErasedTransport for Hidden<T> {
    fn local(&self) -> PeerId {
        self.0.local()
    }
    fn limits(&self) -> &Limits {
        self.0.limits()
    }
    fn dial<'a>(&'a self, peer: PeerId, address: &'a str) -> Boxed<'a, Result<DynConnection, TransportError>> {
        Box::pin(async move { self.0.dial(peer, address).await.map(DynConnection::new) })
    }
    fn accept(&self) -> Boxed<'_, Option<DynConnection>> {
        Box::pin(async move { self.0.accept().await.map(DynConnection::new) })
    }
    fn close(&self) -> Boxed<'_, ()> {
        Box::pin(self.0.close())
    }
}

impl<C: Connection> ErasedConnection for Hidden<C> {
    fn peer(&self) -> PeerId {
        self.0.peer()
    }
    fn remote(&self) -> Option<SocketAddr> {
        self.0.remote()
    }
    fn open(&self) -> Boxed<'_, Result<Streams, TransportError>> {
        Box::pin(async move { self.0.open().await.map(erase) })
    }
    fn accept(&self) -> Boxed<'_, Result<Streams, TransportError>> {
        Box::pin(async move { self.0.accept().await.map(erase) })
    }
    fn close(&self, code: u32) {
        self.0.close(code);
    }
    fn close_reason(&self) -> Option<TransportError> {
        self.0.close_reason()
    }
    fn closed(&self) -> Boxed<'_, TransportError> {
        Box::pin(self.0.closed())
    }
}

fn erase<S: SendStream, R: RecvStream>((send, recv): (S, R)) -> Streams {
    (DynSendStream::new(send), DynRecvStream::new(recv))
}

impl<S: SendStream> ErasedSendStream for Hidden<S> {
    fn write(&mut self, bytes: Bytes) -> Boxed<'_, Result<(), TransportError>> {
        Box::pin(self.0.write(bytes))
    }
    fn finish(&mut self) -> Result<(), TransportError> {
        self.0.finish()
    }
    fn acknowledged(&mut self) -> Boxed<'_, Result<(), TransportError>> {
        Box::pin(self.0.acknowledged())
    }
    fn stopped(&mut self) -> Boxed<'_, ()> {
        Box::pin(self.0.stopped())
    }
    fn reset(&mut self, code: u32) {
        self.0.reset(code);
    }
    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_idle_timeout(timeout);
    }
    fn set_priority(&mut self, priority: i32) {
        self.0.set_priority(priority);
    }
}

impl<R: RecvStream> ErasedRecvStream for Hidden<R> {
    fn read(&mut self, bytes_max: usize) -> Boxed<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(self.0.read(bytes_max))
    }
    fn stop(&mut self, code: u32) {
        self.0.stop(code);
    }
    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_idle_timeout(timeout);
    }
}

/// Any [`Transport`].
#[derive(Clone)]
pub struct DynTransport(Arc<dyn ErasedTransport>);

/// Any [`Connection`].
#[derive(Clone)]
pub struct DynConnection(Arc<dyn ErasedConnection>);

/// Any [`SendStream`].
pub struct DynSendStream(Box<dyn ErasedSendStream>);

/// Any [`RecvStream`].
pub struct DynRecvStream(Box<dyn ErasedRecvStream>);

impl DynTransport {
    /// Hides the type of `transport`.
    pub fn new<T: Transport>(transport: T) -> Self {
        Self(Arc::new(Hidden(transport)))
    }
}

impl DynConnection {
    /// Hides the type of `connection`.
    pub fn new<C: Connection>(connection: C) -> Self {
        Self(Arc::new(Hidden(connection)))
    }
}

impl DynSendStream {
    /// Hides the type of `stream`.
    pub fn new<S: SendStream>(stream: S) -> Self {
        Self(Box::new(Hidden(stream)))
    }
}

impl DynRecvStream {
    /// Hides the type of `stream`.
    pub fn new<R: RecvStream>(stream: R) -> Self {
        Self(Box::new(Hidden(stream)))
    }
}

impl fmt::Debug for DynTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynTransport").field(&self.0.local()).finish()
    }
}

impl fmt::Debug for DynConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynConnection").field(&self.0.peer()).finish()
    }
}

impl fmt::Debug for DynSendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynSendStream").finish_non_exhaustive()
    }
}

impl fmt::Debug for DynRecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynRecvStream").finish_non_exhaustive()
    }
}

impl Transport for DynTransport {
    type Connection = DynConnection;

    fn local(&self) -> PeerId {
        self.0.local()
    }
    fn limits(&self) -> &Limits {
        self.0.limits()
    }
    async fn dial(&self, peer: PeerId, address: &str) -> Result<DynConnection, TransportError> {
        self.0.dial(peer, address).await
    }
    async fn accept(&self) -> Option<DynConnection> {
        self.0.accept().await
    }
    async fn close(&self) {
        self.0.close().await;
    }
}

impl Connection for DynConnection {
    type Send = DynSendStream;
    type Recv = DynRecvStream;

    fn peer(&self) -> PeerId {
        self.0.peer()
    }
    fn remote(&self) -> Option<SocketAddr> {
        self.0.remote()
    }
    async fn open(&self) -> Result<Streams, TransportError> {
        self.0.open().await
    }
    async fn accept(&self) -> Result<Streams, TransportError> {
        self.0.accept().await
    }
    fn close(&self, code: u32) {
        self.0.close(code);
    }
    fn close_reason(&self) -> Option<TransportError> {
        self.0.close_reason()
    }
    async fn closed(&self) -> TransportError {
        self.0.closed().await
    }
}

impl SendStream for DynSendStream {
    async fn write(&mut self, bytes: Bytes) -> Result<(), TransportError> {
        self.0.write(bytes).await
    }
    fn finish(&mut self) -> Result<(), TransportError> {
        self.0.finish()
    }
    async fn acknowledged(&mut self) -> Result<(), TransportError> {
        self.0.acknowledged().await
    }
    async fn stopped(&mut self) {
        self.0.stopped().await;
    }
    fn reset(&mut self, code: u32) {
        self.0.reset(code);
    }
    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_idle_timeout(timeout);
    }
    fn set_priority(&mut self, priority: i32) {
        self.0.set_priority(priority);
    }
}

impl RecvStream for DynRecvStream {
    async fn read(&mut self, bytes_max: usize) -> Result<Option<Bytes>, TransportError> {
        self.0.read(bytes_max).await
    }
    fn stop(&mut self, code: u32) {
        self.0.stop(code);
    }
    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.0.set_idle_timeout(timeout);
    }
}
