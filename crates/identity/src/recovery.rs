//! Keys that recover an identity whose root was lost or stolen: `threshold` of those that were chosen before.

use crate::{Operation, Record, RecordError, Recovery, RecoveryKey, RecoverySigningKey, Signature, Statement};
use alloc::{string::String, vec::Vec};
use bech32::{Bech32m, ByteIterExt as _, Fe32IterExt as _, Hrp, primitives::decode::CheckedHrpstring};
use core::{fmt, str::FromStr};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokenim_wire::{BoundedVec, Digest, EncodeError, Hasher, Label, hash, limits::RECOVERY_KEYS_MAX};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The label under which one key is committed to.
const LEAF: Label = Label::new("tokenim/recovery-leaf/v1");
/// The label under which all of them are.
const COMMITMENT: Label = Label::new("tokenim/recovery/v1");
/// The text before the `1` of a share.
const PREFIX: Hrp = Hrp::parse_unchecked("timrecovery");

/// Why recovery keys can't be made or used. It repeats nothing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// No key, more than there may be, the same one twice, or a threshold that they can't meet.
    #[error("there are 1 to 16 different recovery keys, and the threshold is at most their number")]
    Threshold,
    /// Fewer signatures than the threshold, or two of the same key.
    #[error("there are {actual} signatures of different recovery keys, {threshold} are needed")]
    TooFew {
        /// How many different keys have signed.
        actual: usize,
        /// How many must.
        threshold: u8,
    },
    /// A share or a signature belongs to other recovery keys.
    #[error("the share belongs to other recovery keys")]
    Foreign,
    /// The record is not one that recovers.
    #[error("a recovery key signs nothing but a recovery")]
    NotARecovery,
    /// The checksum of a text is wrong: it is mistyped or cut, or none of ours.
    #[error("the recovery share is mistyped or cut: compare it letter by letter")]
    Checksum,
    /// The checksum is right, but the text is another than that of a share.
    #[error("this is another text than a recovery share: it does not begin with timrecovery1")]
    Prefix,
    /// The text is as it was made, but what it holds is no share, or one of a later version.
    #[error("the recovery share holds what this version can't use")]
    Content,
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The keys that may recover an identity, each as the hash of itself and a salt, and how many of them it takes. The
/// ledger keeps only its [digest](RecoveryCommitment::digest) until they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCommitment {
    threshold: u8,
    leaves: BoundedVec<Digest, RECOVERY_KEYS_MAX>,
}

impl RecoveryCommitment {
    /// The commitment to these leaves, of which `threshold` are needed.
    ///
    /// # Errors
    /// [`RecoveryError::Threshold`] unless there are 1 to 16 different leaves and 1 ≤ `threshold` ≤ their number.
    pub fn new(threshold: u8, leaves: &[Digest]) -> Result<Self, RecoveryError> {
        let leaves = BoundedVec::try_from(leaves.to_vec()).map_err(|_| RecoveryError::Threshold)?;
        let repeated = leaves
            .iter()
            .enumerate()
            .any(|(at, leaf)| leaves.iter().skip(at.saturating_add(1)).any(|other| other == leaf));
        if repeated || !(1..=leaves.len()).contains(&usize::from(threshold)) {
            return Err(RecoveryError::Threshold);
        }
        Ok(Self { threshold, leaves })
    }

    /// How many signatures it takes.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// The hash of each key and its salt, in their order.
    #[must_use]
    pub const fn leaves(&self) -> &[Digest] {
        self.leaves.as_slice()
    }

    /// What a record commits to: a hash of the threshold and the leaves.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.leaves
            .iter()
            .fold(Hasher::new(COMMITMENT).update(&[self.threshold]), |hasher, leaf| {
                hasher.update(leaf.as_bytes())
            })
            .finish()
    }
}

/// A [`Record`] as a recovery key signs it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RecoveryRecord<'a>(pub &'a Record);

impl Statement for RecoveryRecord<'_> {
    type Signer = Recovery;
    const LABEL: Label = Label::new("tokenim/record-by-recovery/v1");
}

/// The signature of one recovery key, which shows itself with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverySignature {
    /// Its place among the leaves, from 0.
    pub index: u8,
    /// The key.
    pub key: RecoveryKey,
    /// Its salt.
    pub salt: [u8; 16],
    /// The signature over a [`RecoveryRecord`].
    pub signature: Signature,
}

/// What shows that enough recovery keys have signed a record: all leaves, and as many signatures as the threshold says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryProof {
    /// How many signatures it takes.
    pub threshold: u8,
    /// The leaves of the commitment.
    pub leaves: BoundedVec<Digest, RECOVERY_KEYS_MAX>,
    /// As many as `threshold`, by strictly ascending index, of different keys.
    pub signatures: BoundedVec<RecoverySignature, RECOVERY_KEYS_MAX>,
}

impl RecoveryProof {
    /// The proof that these signatures make, in any order; one more than are needed is left out.
    ///
    /// # Errors
    /// [`RecoveryError::TooFew`], [`RecoveryError::Foreign`].
    pub fn new(
        commitment: &RecoveryCommitment,
        signatures: impl IntoIterator<Item = RecoverySignature>,
    ) -> Result<Self, RecoveryError> {
        let mut all: Vec<RecoverySignature> = signatures.into_iter().collect();
        all.sort_by_key(|signature| signature.index);
        all.dedup_by_key(|signature| signature.index);
        let (actual, threshold) = (all.len(), commitment.threshold);
        all.truncate(usize::from(threshold));
        let signatures = BoundedVec::try_from(all).map_err(|_| RecoveryError::Foreign)?;
        if signatures.len() < usize::from(threshold) {
            return Err(RecoveryError::TooFew { actual, threshold });
        }
        let proof = Self {
            threshold,
            leaves: commitment.leaves.clone(),
            signatures,
        };
        proof.check_keys().map_err(|_| RecoveryError::Foreign)?;
        Ok(proof)
    }

    /// The proof that these shares make for a record.
    ///
    /// # Errors
    /// Those of [`RecoveryShare::sign`] and [`RecoveryProof::new`].
    pub fn sign(record: &Record, shares: &[RecoveryShare]) -> Result<Self, RecoveryError> {
        let first = shares.first().ok_or(RecoveryError::TooFew {
            actual: 0,
            threshold: 1,
        })?;
        if shares.iter().any(|share| share.commitment != first.commitment) {
            return Err(RecoveryError::Foreign);
        }
        let signatures: Result<Vec<_>, _> = shares.iter().map(|share| share.sign(record)).collect();
        Self::new(&first.commitment, signatures?)
    }

    /// Checks all but the signatures against the commitment of an identity.
    pub(crate) fn check_against(&self, commitment: &Digest) -> Result<(), RecordError> {
        let opened = RecoveryCommitment::new(self.threshold, &self.leaves).map_err(|_| RecordError::RecoveryProof)?;
        if opened.digest() != *commitment {
            return Err(RecordError::RecoveryProof);
        }
        if self.signatures.len() != usize::from(self.threshold) {
            return Err(RecordError::RecoveryThreshold);
        }
        self.check_keys()
    }

    /// Checks that the signatures are of different keys, in order, and each of the key of its leaf.
    fn check_keys(&self) -> Result<(), RecordError> {
        let ascending = self.signatures.is_sorted_by(|before, after| before.index < after.index);
        let repeated = self.signatures.iter().enumerate().any(|(at, one)| {
            let mut others = self.signatures.iter().skip(at.saturating_add(1));
            others.any(|other| other.key == one.key)
        });
        let known = self.signatures.iter().all(|one| {
            let leaf = self.leaves.get(usize::from(one.index));
            leaf == Some(&leaf_of(&one.salt, &one.key))
        });
        if ascending && known && !repeated {
            Ok(())
        } else {
            Err(RecordError::RecoveryProof)
        }
    }

    /// Checks the signatures.
    pub(crate) fn verify(&self, record: &Record) -> Result<(), RecordError> {
        self.signatures
            .iter()
            .try_for_each(|one| {
                one.key
                    .verify_zip215(&record.network, &RecoveryRecord(record), &one.signature)
            })
            .map_err(|_| RecordError::Signature)
    }
}

/// The hash by which one recovery key is committed to before it is shown.
fn leaf_of(salt: &[u8; 16], key: &RecoveryKey) -> Digest {
    hash(LEAF, &[salt, key.as_bytes()])
}

/// One recovery key with all that is needed to use it together with the others. Each is given to somebody else, or kept
/// in another place. It is wiped when dropped and doesn't print itself.
///
/// Its text is bech32m (BIP-350) with prefix `timrecovery` of these bytes, at most 920 characters:
///
/// ```text
/// ┌─────────┬───────────┬────────┬──────────┬──────────┬───────────────────────┐
/// │ version │ threshold │ index  │ seed     │ salt     │ leaves of all keys    │
/// │ 1 byte  │ 1 byte    │ 1 byte │ 32 bytes │ 16 bytes │ 32 bytes each, 1 – 16 │
/// └─────────┴───────────┴────────┴──────────┴──────────┴───────────────────────┘
/// ```
#[derive(Clone, ZeroizeOnDrop)]
pub struct RecoveryShare {
    #[zeroize(skip)]
    commitment: RecoveryCommitment,
    index: u8,
    salt: Zeroizing<[u8; 16]>,
    signing: RecoverySigningKey,
}

impl RecoveryShare {
    /// The version byte of their encoding.
    const VERSION: u8 = 1;
    /// Bytes before the leaves.
    const HEAD_BYTES: usize = 51;

    /// Fresh random shares, `count` of them, of which `threshold` recover.
    ///
    /// # Errors
    /// [`RecoveryError::Threshold`] unless 1 ≤ `threshold` ≤ `count` ≤ 16.
    pub fn generate(threshold: u8, count: u8, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Vec<Self>, RecoveryError> {
        if usize::from(count) > RECOVERY_KEYS_MAX {
            return Err(RecoveryError::Threshold);
        }
        let keys: Vec<(RecoverySigningKey, Zeroizing<[u8; 16]>)> = (0..count)
            .map(|_| {
                let signing = RecoverySigningKey::generate(rng);
                let mut salt = Zeroizing::new([0; 16]);
                rng.fill_bytes(salt.as_mut_slice());
                (signing, salt)
            })
            .collect();
        let leaves: Vec<Digest> = keys
            .iter()
            .map(|(signing, salt)| leaf_of(salt, &signing.verifying_key()))
            .collect();
        let commitment = RecoveryCommitment::new(threshold, &leaves)?;
        Ok((0..)
            .zip(keys)
            .map(|(index, (signing, salt))| Self {
                commitment: commitment.clone(),
                index,
                salt,
                signing,
            })
            .collect())
    }

    /// All keys and the threshold; the same for every share of one generation.
    #[must_use]
    pub const fn commitment(&self) -> &RecoveryCommitment {
        &self.commitment
    }

    /// Its place among them, from 0.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// Its public key.
    #[must_use]
    pub fn key(&self) -> RecoveryKey {
        self.signing.verifying_key()
    }

    /// The hash of its public key and its salt.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        leaf_of(&self.salt, &self.key())
    }

    /// Signs a record that recovers an identity, and shows the key with its salt.
    ///
    /// # Errors
    /// [`RecoveryError::NotARecovery`] for any other record.
    pub fn sign(&self, record: &Record) -> Result<RecoverySignature, RecoveryError> {
        if !matches!(record.op, Operation::Recover { .. }) {
            return Err(RecoveryError::NotARecovery);
        }
        Ok(RecoverySignature {
            index: self.index,
            key: self.key(),
            salt: *self.salt,
            signature: self.signing.sign(&record.network, &RecoveryRecord(record))?,
        })
    }

    /// Its text, to be written down or handed over.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::bytes_of(self.commitment.leaves.len())));
        bytes.extend_from_slice(&[Self::VERSION, self.commitment.threshold, self.index]);
        bytes.extend_from_slice(self.signing.expose_seed().as_slice());
        bytes.extend_from_slice(self.salt.as_slice());
        for leaf in &self.commitment.leaves {
            bytes.extend_from_slice(leaf.as_bytes());
        }
        // The longest has 920 characters: it never grows, so it leaves no copy behind.
        let mut out = Zeroizing::new(String::with_capacity(1024));
        out.extend(
            bytes
                .iter()
                .copied()
                .bytes_to_fes()
                .with_checksum::<Bech32m>(&PREFIX)
                .chars(),
        );
        out
    }

    /// Reads what [`RecoveryShare::to_text`] wrote, in lower or upper case, with any white space in and around it.
    ///
    /// # Errors
    /// [`RecoveryError::Checksum`], [`RecoveryError::Prefix`], [`RecoveryError::Content`], whichever is found first.
    pub fn from_text(text: &str) -> Result<Self, RecoveryError> {
        let length = text.chars().filter(|letter| !letter.is_whitespace()).count();
        if length > 1023 {
            return Err(RecoveryError::Checksum);
        }
        let mut dense = Zeroizing::new(String::with_capacity(length.saturating_mul(4)));
        dense.extend(text.chars().filter(|letter| !letter.is_whitespace()));
        let checked = CheckedHrpstring::new::<Bech32m>(&dense).map_err(|_| RecoveryError::Checksum)?;
        if checked.hrp() != PREFIX {
            return Err(RecoveryError::Prefix);
        }
        let digits = checked.data_part_ascii_no_checksum().len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        bytes.extend(checked.byte_iter());
        // The last digit is filled up with zero bits, fewer than five of them.
        let unused = digits.saturating_mul(5).saturating_sub(bytes.len().saturating_mul(8));
        let last = checked.fe32_iter().last().map_or(0, |last| last.to_u8());
        let padded = unused < 5 && last.trailing_zeros() >= u32::try_from(unused).unwrap_or(u32::MAX);
        if !padded {
            return Err(RecoveryError::Content);
        }
        Self::from_bytes(&bytes).ok_or(RecoveryError::Content)
    }

    /// Reads the bytes of a text.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([version, threshold, index], rest) = bytes.split_first_chunk::<3>()?;
        let (seed, rest) = rest.split_first_chunk::<32>()?;
        let (salt, rest) = rest.split_first_chunk::<16>()?;
        let (leaves, []) = rest.as_chunks::<32>() else {
            return None;
        };
        let leaves: Vec<Digest> = leaves.iter().map(|leaf| Digest::from_bytes(*leaf)).collect();
        let share = Self {
            commitment: RecoveryCommitment::new(*threshold, &leaves).ok()?,
            index: *index,
            salt: Zeroizing::new(*salt),
            signing: RecoverySigningKey::from_seed(*seed),
        };
        let own = leaves.get(usize::from(*index)) == Some(&share.leaf());
        (*version == Self::VERSION && own).then_some(share)
    }

    /// How long the bytes of a text are.
    const fn bytes_of(count: usize) -> usize {
        Self::HEAD_BYTES.saturating_add(count.saturating_mul(Digest::LENGTH))
    }
}

impl FromStr for RecoveryShare {
    type Err = RecoveryError;

    fn from_str(text: &str) -> Result<Self, RecoveryError> {
        Self::from_text(text)
    }
}

/// Equal if the secrets are, compared in constant time.
impl PartialEq for RecoveryShare {
    fn eq(&self, other: &Self) -> bool {
        let seeds = self.signing.expose_seed().ct_eq(&*other.signing.expose_seed());
        let salts = self.salt.ct_eq(&*other.salt);
        bool::from(seeds & salts) && self.index == other.index && self.commitment == other.commitment
    }
}

impl Eq for RecoveryShare {}

impl fmt::Debug for RecoveryShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryShare(redacted)")
    }
}
