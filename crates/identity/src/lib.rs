#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod apply;
mod builder;
mod code;
mod device;
mod genesis;
mod history;
mod id;
mod key;
mod keystore;
mod phrase;
mod record;
mod recovery;
mod safety;
mod slip10;
mod state;
mod statement;
pub mod verify;

pub use builder::RecordSigner;
pub use code::{Comparison, VerificationCode, VerificationCodeError};
pub use device::{DeviceConsent, DeviceKeys, DeviceSecrets, EnvelopeKey, SecretsError, SuiteId};
pub use genesis::{Genesis, next_root_digest};
pub use history::{HistoryEntry, HistoryError, replay};
pub use id::{DeviceId, IdentityId, ParseIdError};
pub use key::{
    Device, DeviceKey, DeviceSigningKey, Epoch, EpochKey, EpochSigningKey, KeyError, Mailbox, MailboxKey,
    MailboxSigningKey, Node, NodeKey, NodeSigningKey, Recovery, RecoveryKey, RecoverySigningKey, Role, Root, RootKey,
    RootSigningKey, Signature, SigningKey, VerifyingKey,
};
pub use keystore::{Argon2Cost, Keystore, KeystoreError, KeystoreKind};
pub use phrase::{Phrase, PhraseError};
pub use rand_core::{self, CryptoRng};
pub use record::{
    Authorization, DeviceRecord, NextRootRecord, Operation, Record, RecordError, RootRecord, SignedRecord,
};
pub use recovery::{
    RecoveryCommitment, RecoveryError, RecoveryProof, RecoveryRecord, RecoveryShare, RecoverySignature,
};
pub use safety::{SafetyNumber, SafetyNumberError};
pub use state::{DeviceEntry, IdentityState, Pending, PendingOperation, Place, Rank, Standing};
pub use statement::{Statement, signed_bytes};
pub use verify::SignatureError;
