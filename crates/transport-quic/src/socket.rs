//! The UDP socket of an endpoint, which can be given back while handles of old connections still exist.

use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use std::{
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};
use tokio::runtime::Handle;

/// Runs everything of an endpoint on the runtime where it was bound, wherever its handles are used.
#[derive(Debug)]
pub(crate) struct HomeRuntime(pub(crate) Handle);

impl Runtime for HomeRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _entered = self.0.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _entered = self.0.enter();
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// A UDP socket until [`Socket::release`], and then one that loses everything, so that the address is free although the
/// QUIC library keeps its socket as long as anyone keeps a connection.
pub(crate) struct Socket {
    inner: RwLock<Option<Arc<dyn AsyncUdpSocket>>>,
    /// The last send found the socket full.
    full: AtomicBool,
    local: SocketAddr,
    segments_sent_max: usize,
    segments_received_max: usize,
    may_fragment: bool,
}

impl Socket {
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>) -> io::Result<Self> {
        Ok(Self {
            full: AtomicBool::new(false),
            local: inner.local_addr()?,
            segments_sent_max: inner.max_transmit_segments(),
            segments_received_max: inner.max_receive_segments(),
            may_fragment: inner.may_fragment(),
            inner: RwLock::new(Some(inner)),
        })
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Gives the socket back to the operating system.
    pub(crate) fn release(&self) {
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn inner(&self) -> Option<Arc<dyn AsyncUdpSocket>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.local).finish()
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller {
            socket: self,
            waiting: None,
        })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let sent = inner.try_send(transmit);
        if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.full.store(true, Ordering::Release);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // Nothing will ever arrive after the release; the endpoint is woken by other means when it may end.
        self.inner()
            .map_or(Poll::Pending, |inner| inner.poll_recv(cx, buffers, meta))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        self.segments_sent_max
    }

    fn max_receive_segments(&self) -> usize {
        self.segments_received_max
    }

    fn may_fragment(&self) -> bool {
        self.may_fragment
    }
}

/// Waits for room in the socket. Holds on to it only while it waits.
struct Poller {
    socket: Arc<Socket>,
    waiting: Option<Pin<Box<dyn UdpPoller>>>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Poller").field(&self.socket).finish()
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            if !this.socket.full.load(Ordering::Acquire) {
                return Poll::Ready(Ok(()));
            }
            this.waiting = this.socket.inner().map(AsyncUdpSocket::create_io_poller);
        }
        let ready = match &mut this.waiting {
            Some(waiting) => waiting.as_mut().poll_writable(cx),
            None => Poll::Ready(Ok(())),
        };
        if ready.is_ready() {
            this.waiting = None;
            this.socket.full.store(false, Ordering::Release);
        }
        ready
    }
}
