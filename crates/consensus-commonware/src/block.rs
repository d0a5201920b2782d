//! Our block as the engine carries it.

use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error as CodecError, RangeCfg, Read, Write};
use commonware_consensus::{Block as EngineBlockTrait, Heightable, types::Height};
use commonware_cryptography::{Digested, Digestible};
use tokenim_consensus::{Block, BlockDigest};
use tokenim_wire::{EncodeError, Object as _, limits::BLOCK_BYTES_MAX};

use crate::types::{EngineDigest, engine_digest};

/// A checked block together with its one encoding. The engine names it by the digest of its
/// header, which commits to the payload, so the name covers every byte.
///
/// In the engine's messages and files: LEB128 length ‖ the block as a top-level object.
#[derive(Clone, Debug)]
pub(crate) struct EngineBlock {
    block: Block,
    bytes: Bytes,
    name: BlockDigest,
}

impl EngineBlock {
    /// The block must have passed [`Block::check`].
    pub(crate) fn new(block: Block) -> Result<Self, EncodeError> {
        let bytes = block.to_bytes()?.into();
        let name = block.digest();
        Ok(Self { block, bytes, name })
    }

    pub(crate) fn block(&self) -> &Block {
        &self.block
    }

    pub(crate) fn name(&self) -> &BlockDigest {
        &self.name
    }

    pub(crate) fn digested(self) -> Digested<Self> {
        let digest = self.digest();
        Digested::precomputed(self, digest)
    }
}

impl Write for EngineBlock {
    fn write(&self, out: &mut impl BufMut) {
        self.bytes.write(out);
    }
}

impl EncodeSize for EngineBlock {
    fn encode_size(&self) -> usize {
        self.bytes.encode_size()
    }
}

impl Read for EngineBlock {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let bytes = Bytes::read_cfg(input, &RangeCfg::from(..=BLOCK_BYTES_MAX))?;
        let block = Block::from_bytes(&bytes).map_err(|error| CodecError::Wrapped("tokenim block", error.into()))?;
        let name = block.digest();
        Ok(Self { block, bytes, name })
    }
}

impl Digestible for EngineBlock {
    type Digest = EngineDigest;

    fn digest(&self) -> EngineDigest {
        engine_digest(&self.name)
    }
}

impl Heightable for EngineBlock {
    fn height(&self) -> Height {
        Height::new(self.block.header.height.get())
    }
}

impl EngineBlockTrait for EngineBlock {
    fn parent(&self) -> EngineDigest {
        engine_digest(&self.block.header.parent)
    }
}

#[cfg(test)]
mod tests {
    use commonware_codec::{Decode as _, DecodeExt as _, Encode as _};
    use tokenim_consensus::{Header, payload_root};
    use tokenim_wire::{Digest, Epoch, Height, NetworkId, UnixMillis};

    use super::*;

    fn block(payload: &[u8]) -> Block {
        let none = Digest::from_bytes([0; 32]);
        let header = Header {
            chain: NetworkId::from_bytes([1; 32]),
            epoch: Epoch::ZERO,
            height: Height::new(7),
            time: UnixMillis::new(8),
            parent: BlockDigest::from_bytes([2; 32]),
            payload_root: payload_root(payload),
            state_root: none,
            receipts_root: none,
            node_set_root: none,
            header_mmr_root: none,
            next_validators: none,
        };
        Block::new(header, payload.to_vec()).unwrap()
    }

    #[test]
    fn round_trip_keeps_the_bytes_and_the_name() {
        let block = EngineBlock::new(block(b"payload")).unwrap();
        let bytes = block.encode();
        let again = EngineBlock::decode(bytes.clone()).unwrap();
        assert_eq!(again.block(), block.block());
        assert_eq!(again.encode(), bytes);
        assert_eq!(again.digest().as_ref(), block.block().digest().as_bytes());
        assert_eq!(again.height().get(), 7);
    }

    #[test]
    fn the_name_covers_the_payload() {
        let mut bytes = EngineBlock::new(block(b"payload")).unwrap().encode().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(EngineBlock::decode_cfg(Bytes::from(bytes), &()).is_err());
    }
}
