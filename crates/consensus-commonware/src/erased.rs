//! An application whose type is hidden, so that the engine, most of which is generic code, is compiled once: here, and
//! not again in every crate that starts one. Each call costs one allocation.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use tokenim_consensus::{Application, Block, BlockDigest, Certificate, Misbehaviour, Verdict};
use tokenim_wire::{Epoch, Height};

/// A future whose type is hidden.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Done<'a> = Boxed<'a, Result<(), ErasedError>>;

/// [`Application`] with boxed futures.
trait Hidden: Send + Sync {
    fn committed(&self) -> Boxed<'_, (Height, BlockDigest)>;
    fn is_executed<'a>(&'a self, digest: &'a BlockDigest) -> Boxed<'a, bool>;
    fn propose<'a>(&'a self, parent: &'a Block, epoch: Epoch) -> Boxed<'a, Option<Block>>;
    fn execute<'a>(&'a self, block: &'a Block) -> Boxed<'a, Verdict>;
    fn on_finalized<'a>(&'a self, block: &'a Block, certificate: Option<&'a Certificate>) -> Done<'a>;
    fn on_certificate<'a>(&'a self, height: Height, digest: &'a BlockDigest, certificate: &'a Certificate) -> Done<'a>;
    fn on_misbehaviour<'a>(&'a self, evidence: &'a Misbehaviour) -> Boxed<'a, ()>;
}

/// An application; so that its methods can't be confused with those of [`Hidden`].
struct Shown<A>(A);

impl<A: Application> Hidden for Shown<A> {
    fn committed(&self) -> Boxed<'_, (Height, BlockDigest)> {
        Box::pin(self.0.committed())
    }

    fn is_executed<'a>(&'a self, digest: &'a BlockDigest) -> Boxed<'a, bool> {
        Box::pin(self.0.is_executed(digest))
    }

    fn propose<'a>(&'a self, parent: &'a Block, epoch: Epoch) -> Boxed<'a, Option<Block>> {
        Box::pin(self.0.propose(parent, epoch))
    }

    fn execute<'a>(&'a self, block: &'a Block) -> Boxed<'a, Verdict> {
        Box::pin(self.0.execute(block))
    }

    fn on_finalized<'a>(&'a self, block: &'a Block, certificate: Option<&'a Certificate>) -> Done<'a> {
        Box::pin(async move { self.0.on_finalized(block, certificate).await.map_err(ErasedError::new) })
    }

    fn on_certificate<'a>(&'a self, height: Height, digest: &'a BlockDigest, certificate: &'a Certificate) -> Done<'a> {
        Box::pin(async move {
            let done = self.0.on_certificate(height, digest, certificate).await;
            done.map_err(ErasedError::new)
        })
    }

    fn on_misbehaviour<'a>(&'a self, evidence: &'a Misbehaviour) -> Boxed<'a, ()> {
        Box::pin(self.0.on_misbehaviour(evidence))
    }
}

/// Any application.
#[derive(Clone)]
pub(crate) struct Erased(Arc<dyn Hidden>);

impl Erased {
    pub(crate) fn new<A: Application>(application: A) -> Self {
        Self(Arc::new(Shown(application)))
    }
}

impl Application for Erased {
    type Error = ErasedError;

    async fn committed(&self) -> (Height, BlockDigest) {
        self.0.committed().await
    }

    async fn is_executed(&self, digest: &BlockDigest) -> bool {
        self.0.is_executed(digest).await
    }

    async fn propose(&self, parent: &Block, epoch: Epoch) -> Option<Block> {
        self.0.propose(parent, epoch).await
    }

    async fn execute(&self, block: &Block) -> Verdict {
        self.0.execute(block).await
    }

    async fn on_finalized(&self, block: &Block, certificate: Option<&Certificate>) -> Result<(), ErasedError> {
        self.0.on_finalized(block, certificate).await
    }

    async fn on_certificate(
        &self,
        height: Height,
        digest: &BlockDigest,
        certificate: &Certificate,
    ) -> Result<(), ErasedError> {
        self.0.on_certificate(height, digest, certificate).await
    }

    async fn on_misbehaviour(&self, evidence: &Misbehaviour) {
        self.0.on_misbehaviour(evidence).await;
    }
}

/// The error of any application: it shows itself as that one does.
#[derive(Debug)]
pub(crate) struct ErasedError(Box<dyn Error + Send + Sync>);

impl ErasedError {
    fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for ErasedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ErasedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
