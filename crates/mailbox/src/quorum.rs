//! How many nodes keep a mailbox, how many must say so, and how many a reader asks.

use tokenim_wire::limits::REPLICAS_MAX;

/// The four numbers that follow from the number of nodes that keep a tag.
///
/// | nodes | R replicas | f faulty | W write | Q read |
/// |------:|-----------:|---------:|--------:|-------:|
/// |     1 |          1 |        0 |       1 |      1 |
/// |     2 |          2 |        0 |       2 |      2 |
/// |     3 |          3 |        0 |       2 |      3 |
/// |     4 |          4 |        1 |       3 |      3 |
/// |   ≥ 5 |          5 |        1 |       3 |      4 |
///
/// `f = ⌊(R−1)/3⌋`, `W = max(⌊R/2⌋+1, 2f+1)`, `Q = R−f`. Any W writers and any Q readers have a node in common that is
/// not faulty, and W answers come in although f nodes are silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Quorum {
    /// R: nodes that keep a tag.
    pub replicas: u8,
    /// f: of them, so many may fail or lie.
    pub faulty: u8,
    /// W: storage receipts that make an envelope accepted.
    pub write: u8,
    /// Q: answers that a reader merges; fewer are "possibly incomplete".
    pub read: u8,
}

impl Quorum {
    /// The numbers of a network of `nodes` registered nodes: R is the smaller of it and [`REPLICAS_MAX`].
    #[must_use]
    pub const fn for_nodes(nodes: usize) -> Self {
        let replicas = if nodes < REPLICAS_MAX { nodes } else { REPLICAS_MAX };
        // At most REPLICAS_MAX.
        Self::for_replicas(replicas.to_le_bytes()[0])
    }

    /// The numbers for `replicas` nodes that keep a tag. With none, one receipt and one answer are asked for, which
    /// cannot come: nothing is ever accepted.
    #[must_use]
    pub const fn for_replicas(replicas: u8) -> Self {
        let faulty = replicas.saturating_sub(1) / 3;
        let majority = (replicas / 2).saturating_add(1);
        let honest_majority = faulty.saturating_mul(2).saturating_add(1);
        let write = if majority > honest_majority {
            majority
        } else {
            honest_majority
        };
        let read = if replicas == 0 {
            1
        } else {
            replicas.saturating_sub(faulty)
        };
        Self {
            replicas,
            faulty,
            write,
            read,
        }
    }

    /// Whether a lying node is tolerated at all, which takes four replicas.
    #[must_use]
    pub const fn tolerates_faults(&self) -> bool {
        self.faulty > 0
    }
}
