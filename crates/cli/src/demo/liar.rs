//! A lying node: it has the stolen key of a real one, stands between that node and a reader, and on command alters
//! what passes. Everything else is real: the bytes, the signatures over them, the transport.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokenim_identity::{Keystore, KeystoreKind, NodeKey};
use tokenim_rpc::{Item, Response, encode_answer};
use tokenim_transport::{
    Bytes, Connection, Limits, PeerId, RecvStream, SendStream, Transport, TransportError, recv_frame, send_frame,
};
use tokenim_transport_quic::{QuicConnection, QuicTransport};
use tokenim_wire::limits::FRAME_BYTES_MAX;
use tokenim_wire::{BoundedBytes, Object as _};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::error::CliError;

/// How long a stream may be quiet: longer than any answer is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// The most that a call has: header and request.
const CALL_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// The lying node. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Liar {
    address: SocketAddr,
    orders: Arc<Orders>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Orders {
    /// Answers that are still to be altered.
    left: AtomicU32,
    /// Answers that were altered.
    done: AtomicU32,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    /// Stands in for `node`, whose folder it has got hold of and which really runs at `real`.
    pub(crate) fn begin(folder: &Path, node: NodeKey, real: SocketAddr) -> Result<Self, CliError> {
        let failed =
            |what: &dyn std::fmt::Display| CliError::local(format!("the lying node did not start: {what}; try again"));
        let limits = Limits {
            stream_idle_timeout: PATIENCE,
            ..Limits::reference()
        };
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let transport =
            QuicTransport::bind(stolen_seed(folder)?, here, limits.clone()).map_err(|error| failed(&error))?;
        if transport.local() != PeerId::from(node) {
            return Err(failed(&"the key is another node's"));
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| failed(&error))?;
        let outbound = QuicTransport::dial_only(seed, limits).map_err(|error| failed(&error))?;
        let orders = Arc::new(Orders::default());
        let address = transport.local_address();
        let at_work = Arc::clone(&orders);
        let task = tokio::spawn(async move {
            while let Some(victim) = transport.accept().await {
                let (outbound, orders) = (outbound.clone(), Arc::clone(&at_work));
                tokio::spawn(async move {
                    // The node may be gone; then the reader sees a broken connection, as it would anyway.
                    if let Ok(real) = outbound.dial(PeerId::from(node), &real.to_string()).await {
                        relay(victim, real, orders).await;
                    }
                });
            }
        });
        Ok(Self { address, orders, task })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it alter the next answer that brings the reader an envelope.
    pub(crate) fn lie_once(&self) {
        self.orders.left.fetch_add(1, Ordering::SeqCst);
    }

    /// How many answers it altered.
    pub(crate) fn lies(&self) -> u32 {
        self.orders.done.load(Ordering::SeqCst)
    }
}

/// Reads a node's key from its folder, as someone could who broke into the machine.
fn stolen_seed(folder: &Path) -> Result<Zeroizing<[u8; 32]>, CliError> {
    let path = folder.join(tokenim_node::folder::KEY_FILE);
    let sealed = std::fs::read(&path).map_err(|error| CliError::file(&path, &error))?;
    let secret = Keystore::open(b"", KeystoreKind::Node, &sealed)
        .map_err(|error| CliError::local(format!("{}: {error}; try again", path.display())))?;
    // Install id, 16 bytes ‖ seed, 32 bytes.
    secret
        .last_chunk::<32>()
        .map(|seed| Zeroizing::new(*seed))
        .ok_or_else(|| CliError::local(format!("{} holds no key; try again", path.display())))
}

async fn relay(victim: QuicConnection, real: QuicConnection, orders: Arc<Orders>) {
    while let Ok((send, recv)) = victim.accept().await {
        let (real, orders) = (real.clone(), Arc::clone(&orders));
        tokio::spawn(async move {
            // A stream that breaks is dropped, which the reader sees.
            let _ = pass(send, recv, real, orders).await;
        });
    }
    real.close(tokenim_transport::code::NONE);
}

/// Passes one call on, and its answer back, altered if so ordered.
async fn pass<S: SendStream, R: RecvStream>(
    mut answer_to: S,
    mut call_from: R,
    real: QuicConnection,
    orders: Arc<Orders>,
) -> Result<(), TransportError> {
    let call: Bytes = call_from.read_to_end(CALL_BYTES_MAX).await?;
    let (mut send, mut recv) = real.open().await?;
    recv.set_idle_timeout(Some(PATIENCE));
    send.write(call).await?;
    send.finish()?;
    let Some(answer) = recv_frame(&mut recv, FRAME_BYTES_MAX).await? else {
        return Ok(());
    };
    match alter(&answer).filter(|_| take_order(&orders)) {
        Some(lie) => {
            orders.done.fetch_add(1, Ordering::SeqCst);
            answer_to.write(Bytes::from(lie)).await?;
        }
        None => send_frame(&mut answer_to, &answer).await?,
    }
    answer_to.finish()
}

fn take_order(orders: &Orders) -> bool {
    orders
        .left
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// The same answer with one byte of one envelope changed, as a frame; none if it brings no envelope.
fn alter(answer: &[u8]) -> Option<Vec<u8>> {
    let mut page = Response::from_bytes(answer).ok()?.into_read().ok()?;
    let mut items = page.items.into_inner();
    let item: &mut Item = items.iter_mut().find(|item| item.envelope.is_some())?;
    let mut bytes = item.envelope.take()?.into_inner();
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle)?;
    *byte ^= 1;
    item.envelope = Some(BoundedBytes::try_from(bytes).ok()?);
    page.items = items.try_into().ok()?;
    encode_answer(&Response::Read(Box::new(page))).ok()
}
