//! Compact proofs over hashes: Merkle paths, several leaves at once, and the state tree.

mod merkle;
mod state;

pub use merkle::{MULTI_PROOF_SIBLINGS_MAX, MerklePath, MerkleTree, MultiProof, PATH_SIBLINGS_MAX, empty_root};
pub use state::{
    EMPTY_STATE_ROOT, STATE_DEPTH_MAX, StateProof, Terminal, state_leaf_hash, state_node_hash, state_value_hash,
};

/// Why a path of hashes proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The number of siblings is not the one that the position and the size of the tree ask for.
    #[error("the number of hashes does not fit the position and the size of the tree")]
    Shape,
    /// A position outside of the tree, or positions that don't ascend.
    #[error("a position is outside of the tree, or positions do not ascend")]
    Position,
    /// The proof is one of presence where absence was to be proved, or the other way round.
    #[error("the proof shows presence where absence was asked for, or the other way round")]
    Kind,
    /// The leaf shown in place of the absent key would not be in that key's way.
    #[error("the leaf shown does not stand in the way of the absent key")]
    OtherLeaf,
    /// The hashes lead to another root.
    #[error("the hashes lead to another root")]
    Root,
}
