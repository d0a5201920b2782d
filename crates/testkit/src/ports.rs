//! Ports that nobody else takes meanwhile.

use crate::HarnessError;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// The lowest port handed out. All are below the range from which operating systems take ports for outgoing sockets,
/// so that a port stays free while the node that it belongs to is down.
const FIRST: u32 = 17_000;
/// How many there are.
const COUNT: u32 = 14_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of the loopback interface that is free for UDP and TCP, and not handed out before by this process. Other
/// processes that ask begin elsewhere.
///
/// # Errors
/// [`HarnessError::NoPort`]
pub fn free_port() -> Result<u16, HarnessError> {
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = start.wrapping_add(step).checked_rem(COUNT).unwrap_or_default();
        let Ok(port) = u16::try_from(FIRST.saturating_add(offset)) else {
            continue;
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return Ok(port);
        }
    }
    Err(HarnessError::NoPort)
}
