//! Headers and blocks.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};
use tokenim_wire::{
    BoundedBytes, Digest, Epoch, Height, Label, NetworkId, Object, UnixMillis, hash, limits::BLOCK_BYTES_MAX,
};

use crate::varint;

tokenim_wire::bytes_newtype! {
    /// The name of a block: the hash of its header (see [`Header::digest`]).
    ///
    /// This is the value that the engine's votes and certificates carry.
    pub struct BlockDigest([u8; 32]);
}

const HEADER: Label = Label::new("tokenim/header/v1");
const PAYLOAD: Label = Label::new("tokenim/payload/v1");

/// The hash that a header commits its payload with: `H("tokenim/payload/v1", payload)`.
#[must_use]
pub fn payload_root(payload: &[u8]) -> Digest {
    hash(PAYLOAD, &[payload])
}

/// What a block says about itself and its ancestors, and what a finality certificate makes final.
///
/// Layout as a top-level object, 260 to 287 bytes; integers are minimal LEB128, hashes 32 bytes:
///
/// ```text
/// 0x01 ‖ chain ‖ epoch ‖ height ‖ time ‖ parent ‖ payload_root ‖ state_root
///      ‖ receipts_root ‖ node_set_root ‖ header_mmr_root ‖ next_validators
/// ```
///
/// The certificate signs epoch, view and the digest of these bytes; the height is bound through
/// the digest alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Header {
    /// The network that the block belongs to.
    pub chain: NetworkId,
    /// The epoch of the validator set that agrees on the block.
    pub epoch: Epoch,
    /// Distance from the genesis block, which has height 0.
    pub height: Height,
    /// Block time in milliseconds since 1970; greater than the parent's.
    pub time: UnixMillis,
    /// Digest of the parent's header.
    pub parent: BlockDigest,
    /// [`payload_root`] of the block's payload.
    pub payload_root: Digest,
    /// Root of the state after this block.
    pub state_root: Digest,
    /// Root of the tree over the receipts that this block anchors.
    pub receipts_root: Digest,
    /// Commitment to the current and the previous node set.
    pub node_set_root: Digest,
    /// Root of the Merkle mountain range over all headers below this one.
    pub header_mmr_root: Digest,
    /// [`crate::ValidatorSet::digest`] of the set that agrees on the next height.
    pub next_validators: Digest,
}

impl Header {
    /// The block's name: `H("tokenim/header/v1", the header as a top-level object)`.
    #[must_use]
    pub fn digest(&self) -> BlockDigest {
        BlockDigest::from_bytes(hash(HEADER, &[&self.object_bytes()]).to_bytes())
    }

    /// The bytes of [`Object::to_bytes`], written by hand so that naming a block cannot fail.
    fn object_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES_MAX);
        out.push(Self::VERSION);
        out.extend_from_slice(self.chain.as_bytes());
        varint::write(self.epoch.get(), &mut out);
        varint::write(self.height.get(), &mut out);
        varint::write(self.time.get(), &mut out);
        out.extend_from_slice(self.parent.as_bytes());
        for root in [
            &self.payload_root,
            &self.state_root,
            &self.receipts_root,
            &self.node_set_root,
            &self.header_mmr_root,
            &self.next_validators,
        ] {
            out.extend_from_slice(root.as_bytes());
        }
        out
    }

    /// Whether `self` can follow `parent`: same chain, named parent, next height, later time, and
    /// an epoch that is the same or the next one.
    #[must_use]
    pub fn follows(&self, parent: &Header) -> bool {
        self.chain == parent.chain
            && parent.height.next() == Some(self.height)
            && self.time > parent.time
            && (self.epoch == parent.epoch || parent.epoch.next() == Some(self.epoch))
            && self.parent == parent.digest()
    }
}

impl Object for Header {
    const NAME: &'static str = "header";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 8 * 32 + 3 * 10;
}

/// A header with the payload that it commits to.
///
/// Decoding and [`Block::new`] refuse a payload that the header does not commit to, so that the
/// digest of the header names the whole block. Layout as a top-level object:
///
/// ```text
/// 0x01 ‖ header (without its version byte) ‖ LEB128 payload length ‖ payload
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Opaque bytes of the application, for the whole block at most
    /// [`BLOCK_BYTES_MAX`](tokenim_wire::limits::BLOCK_BYTES_MAX).
    pub payload: Vec<u8>,
}

impl Block {
    /// Most bytes that a payload may have, so that every block fits its limit.
    pub const PAYLOAD_BYTES_MAX: usize = BLOCK_BYTES_MAX - Header::BYTES_MAX - 10;

    /// Joins a header and its payload.
    ///
    /// # Errors
    ///
    /// [`BlockError`] if the payload is too long or not the one that the header commits to.
    pub fn new(header: Header, payload: Vec<u8>) -> Result<Self, BlockError> {
        let block = Self { header, payload };
        block.check()?;
        Ok(block)
    }

    /// Checks what [`Block::new`] and decoding check, for a block made field by field.
    ///
    /// # Errors
    ///
    /// [`BlockError`] if the payload is too long or not the one that the header commits to.
    pub fn check(&self) -> Result<(), BlockError> {
        if self.payload.len() > Self::PAYLOAD_BYTES_MAX {
            return Err(BlockError::PayloadTooLong {
                limit: Self::PAYLOAD_BYTES_MAX,
                actual: self.payload.len(),
            });
        }
        if payload_root(&self.payload) != self.header.payload_root {
            return Err(BlockError::PayloadRoot);
        }
        Ok(())
    }

    /// The block's name, [`Header::digest`].
    #[must_use]
    pub fn digest(&self) -> BlockDigest {
        self.header.digest()
    }
}

impl Object for Block {
    const NAME: &'static str = "block";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BLOCK_BYTES_MAX;
}

/// Why a header and a payload are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The payload is longer than a block may carry.
    #[error("payload of {actual} bytes, at most {limit} allowed")]
    PayloadTooLong {
        /// Most bytes allowed.
        limit: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The header commits to another payload.
    #[error("the header commits to another payload")]
    PayloadRoot,
}

/// Serialises a slice as bytes, without the copy that an owned buffer would need.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Block", 2)?;
        fields.serialize_field("header", &self.header)?;
        fields.serialize_field("payload", &Bytes(&self.payload))?;
        fields.end()
    }
}

#[derive(Deserialize)]
#[serde(rename = "Block")]
struct Unchecked {
    header: Header,
    payload: BoundedBytes<BLOCK_BYTES_MAX>,
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unchecked { header, payload } = Unchecked::deserialize(deserializer)?;
        Self::new(header, payload.into_inner()).map_err(serde::de::Error::custom)
    }
}
