//! The engine's types as this crate uses them, and the way between them and ours.

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_consensus::{
    marshal::{core::Mailbox, standard::Standard},
    simplex::{scheme::ed25519, types},
};
use commonware_cryptography::{ed25519 as keys, sha256};
use tokenim_consensus::{BlockDigest, Certificate, CertificateError};
use tokenim_identity::{NodeKey, NodeSigningKey};

use crate::block::EngineBlock;

pub(crate) type Scheme = ed25519::Scheme;
pub(crate) type EngineDigest = sha256::Digest;
pub(crate) type PublicKey = keys::PublicKey;
pub(crate) type PrivateKey = keys::PrivateKey;
pub(crate) type Context = types::Context<EngineDigest, PublicKey>;
pub(crate) type Activity = types::Activity<Scheme, EngineDigest>;
pub(crate) type Finalization = types::Finalization<Scheme, EngineDigest>;
pub(crate) type Marshal = Mailbox<Scheme, Standard<EngineBlock>>;

pub(crate) fn engine_digest(digest: &BlockDigest) -> EngineDigest {
    sha256::Digest(digest.to_bytes())
}

pub(crate) fn block_digest(digest: &EngineDigest) -> BlockDigest {
    BlockDigest::from_bytes(digest.0)
}

/// `None` for a key that the engine cannot decompress; every `NodeKey` is one that it can.
pub(crate) fn public_key(key: &NodeKey) -> Option<PublicKey> {
    PublicKey::decode(Copying(key.as_bytes())).ok()
}

/// `None` for a key that is no `NodeKey`, such as one of small order.
pub(crate) fn node_key(key: &PublicKey) -> Option<NodeKey> {
    let bytes: &[u8] = key.as_ref();
    NodeKey::from_bytes(bytes.try_into().ok()?).ok()
}

pub(crate) fn private_key(key: &NodeSigningKey) -> Option<PrivateKey> {
    PrivateKey::decode(Copying(key.expose_seed().as_slice())).ok()
}

pub(crate) fn certificate(finalization: &Finalization) -> Result<Certificate, CertificateError> {
    Certificate::new(finalization.encode().to_vec())
}
