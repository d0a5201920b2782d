//! What a running engine is doing, for health checks and metrics.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokenim_consensus::View;
use tokenim_wire::Height;

/// A snapshot of an engine's progress since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// The last block that the application committed.
    pub committed: Height,
    /// The highest block known to be final, committed or not.
    pub finalized: Height,
    /// The highest view with a certificate of any kind.
    pub view: View,
    /// Views that ended with a block notarized.
    pub notarized_views: u64,
    /// Views that ended without a block.
    pub skipped_views: u64,
    /// Blocks committed.
    pub committed_blocks: u64,
    /// Certificates handed to the application.
    pub certificates: u64,
    /// Verified pieces of evidence handed to the application.
    pub misbehaviour: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StatusCells {
    cells: Arc<Cells>,
}

#[derive(Debug, Default)]
struct Cells {
    committed: AtomicU64,
    finalized: AtomicU64,
    view: AtomicU64,
    notarized_views: AtomicU64,
    skipped_views: AtomicU64,
    committed_blocks: AtomicU64,
    certificates: AtomicU64,
    misbehaviour: AtomicU64,
}

impl StatusCells {
    pub(crate) fn snapshot(&self) -> Status {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Status {
            committed: Height::new(read(&self.cells.committed)),
            finalized: Height::new(read(&self.cells.finalized)),
            view: View::new(read(&self.cells.view)),
            notarized_views: read(&self.cells.notarized_views),
            skipped_views: read(&self.cells.skipped_views),
            committed_blocks: read(&self.cells.committed_blocks),
            certificates: read(&self.cells.certificates),
            misbehaviour: read(&self.cells.misbehaviour),
        }
    }

    pub(crate) fn view(&self, view: u64) {
        self.cells.view.fetch_max(view, Ordering::Relaxed);
    }

    pub(crate) fn notarized(&self) {
        self.cells.notarized_views.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self) {
        self.cells.skipped_views.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn finalized(&self, height: u64) {
        self.cells.finalized.fetch_max(height, Ordering::Relaxed);
    }

    /// Where the application starts from.
    pub(crate) fn starts_at(&self, height: Height) {
        self.cells.committed.fetch_max(height.get(), Ordering::Relaxed);
        self.finalized(height.get());
    }

    pub(crate) fn committed(&self, height: Height) {
        self.starts_at(height);
        self.cells.committed_blocks.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn certificate(&self) {
        self.cells.certificates.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn misbehaviour(&self) {
        self.cells.misbehaviour.fetch_add(1, Ordering::Relaxed);
    }
}
