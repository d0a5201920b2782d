#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod code;
mod device;
mod genesis;
mod id;
mod key;
mod keystore;
mod phrase;
mod record;
mod safety;
mod slip10;
mod state;
mod statement;
pub mod verify;

pub use code::{Comparison, VerificationCode, VerificationCodeError};
pub use device::{DeviceConsent, DeviceKeys, DeviceSecrets, EnvelopeKey, SecretsError, SuiteId};
pub use genesis::{Genesis, next_root_digest};
pub use id::{DeviceId, IdentityId, ParseIdError};
pub use key::{
    Device, DeviceKey, DeviceSigningKey, KeyError, Mailbox, MailboxKey, MailboxSigningKey, Node, NodeKey,
    NodeSigningKey, Role, Root, RootKey, RootSigningKey, Signature, SigningKey, VerifyingKey,
};
pub use keystore::{Argon2Cost, Keystore, KeystoreError, KeystoreKind};
pub use phrase::{Phrase, PhraseError};
pub use rand_core::{self, CryptoRng};
pub use record::{DeviceRecord, Operation, Record, RecordError, RecordSigner, RootRecord, SignedRecord};
pub use safety::{SafetyNumber, SafetyNumberError};
pub use state::{DeviceEntry, IdentityState};
pub use statement::{Statement, signed_bytes};
pub use verify::SignatureError;
