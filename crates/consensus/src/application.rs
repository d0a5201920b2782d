//! The state machine that an engine drives.

use core::future::Future;

use tokenim_wire::{Epoch, Height};

use crate::{Block, BlockDigest, Certificate, Misbehaviour};

/// What an application makes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Executed; the header is what executing the payload on the parent gives.
    Valid,
    /// Can never be valid, for this reason. Every honest node has to come to the same verdict.
    Invalid(&'static str),
    /// Not decidable yet, as when the block's time lies in the future: the engine asks again and
    /// abstains meanwhile.
    Pending,
}

/// A deterministic state machine over opaque payloads, as seen by a consensus engine.
///
/// The engine calls from its own runtime and concurrently; clones share one state. Blocks form a
/// tree rooted in the last committed one: [`execute`](Self::execute) grows it,
/// [`on_finalized`](Self::on_finalized) moves the root. Every future may be dropped half-way but
/// those of `on_finalized` and [`on_certificate`](Self::on_certificate), which the engine always
/// awaits.
pub trait Application: Clone + Send + Sync + 'static {
    /// A local fault, such as a full disk; it stops the engine.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The last block that [`on_finalized`](Self::on_finalized) made durable; the genesis block at
    /// first.
    fn committed(&self) -> impl Future<Output = (Height, BlockDigest)> + Send;

    /// Whether the block was found valid by [`execute`](Self::execute), or is committed, so that
    /// its children can be executed now.
    fn is_executed(&self, digest: &BlockDigest) -> impl Future<Output = bool> + Send;

    /// Builds a block on `parent`, which [`is_executed`](Self::is_executed). Waits for transactions
    /// or a heartbeat, whichever comes first; the engine drops the future when its time to propose
    /// has passed. `None` gives the turn up.
    fn propose(&self, parent: &Block, epoch: Epoch) -> impl Future<Output = Option<Block>> + Send;

    /// Executes a block, whose parent [`is_executed`](Self::is_executed), without making anything
    /// durable. Idempotent. The engine has checked that the header
    /// [`follows`](crate::Header::follows) the parent's, carries the network and the epoch, and
    /// commits to the payload.
    fn execute(&self, block: &Block) -> impl Future<Output = Verdict> + Send;

    /// Commits a final block, the child of the last committed one. Idempotent: after a crash the
    /// engine repeats blocks. Block, height and state are durable, in one batch, when it returns.
    ///
    /// The block may never have been passed to [`execute`](Self::execute), as when catching up: it
    /// is executed now, and the local clock is no reason to refuse it. With the block comes its
    /// certificate, if the engine has it already: a height can be final through a descendant alone.
    ///
    /// # Errors
    ///
    /// A local fault: the engine stops with it, and repeats the block after a restart.
    fn on_finalized(
        &self,
        block: &Block,
        certificate: Option<&Certificate>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes a certificate that came after its block was passed to
    /// [`on_finalized`](Self::on_finalized) without one. Idempotent.
    ///
    /// # Errors
    ///
    /// A local fault: the engine stops with it.
    fn on_certificate(
        &self,
        height: Height,
        digest: &BlockDigest,
        certificate: &Certificate,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes verified evidence that a validator voted twice. Does nothing unless implemented.
    fn on_misbehaviour(&self, evidence: &Misbehaviour) -> impl Future<Output = ()> + Send {
        let _ = evidence;
        async {}
    }
}
