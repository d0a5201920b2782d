//! The set of validators of an epoch.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};
use tokenim_identity::NodeKey;
use tokenim_wire::{BoundedVec, Digest, Label, Object, hash, limits::VALIDATORS_MAX};

use crate::varint;

const VALIDATOR_SET: Label = Label::new("tokenim/validator-set/v1");

/// One validator: the key that signs its votes, and its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Validator {
    /// The node's key, which signs its votes.
    pub key: NodeKey,
    /// Votes that the key has; version 1 knows equal votes only, so this is 1.
    pub weight: u64,
}

impl Validator {
    /// A validator with one vote.
    #[must_use]
    pub const fn new(key: NodeKey) -> Self {
        Self { key, weight: 1 }
    }
}

/// The validators of an epoch in ascending order of their keys: the order that the signer bitmap
/// of a certificate counts in.
///
/// Layout as a top-level object: `0x01 ‖ LEB128 count ‖ count × (32-byte key ‖ LEB128 weight)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValidatorSet {
    validators: BoundedVec<Validator, VALIDATORS_MAX>,
}

impl ValidatorSet {
    /// Sorts and checks a set.
    ///
    /// # Errors
    ///
    /// [`ValidatorSetError`] if it is empty, too large, has one key twice or a weight other than 1.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        validators.sort_unstable_by_key(|validator| validator.key);
        Self::from_sorted(validators)
    }

    fn from_sorted(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if validators.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if validators.iter().any(|validator| validator.weight != 1) {
            return Err(ValidatorSetError::Weight);
        }
        let mut pairs = validators.iter().zip(validators.iter().skip(1));
        if pairs.clone().any(|(a, b)| a.key == b.key) {
            return Err(ValidatorSetError::Duplicate);
        }
        if pairs.any(|(a, b)| a.key > b.key) {
            return Err(ValidatorSetError::Order);
        }
        let actual = validators.len();
        let validators = BoundedVec::try_from(validators).map_err(|_| ValidatorSetError::TooMany {
            limit: VALIDATORS_MAX,
            actual,
        })?;
        Ok(Self { validators })
    }

    /// How many validators there are, 1 to [`VALIDATORS_MAX`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.validators.len()
    }

    /// Never true; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.validators.is_empty()
    }

    /// Votes that make a certificate: n − ⌊(n − 1) / 3⌋.
    #[must_use]
    pub fn quorum(&self) -> usize {
        quorum(self.len())
    }

    /// The validators in ascending order of their keys.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        self.validators.as_slice()
    }

    /// The validator that a certificate calls `index`.
    #[must_use]
    pub fn get(&self, index: u16) -> Option<&Validator> {
        self.validators().get(usize::from(index))
    }

    /// What a certificate calls the validator with this key.
    #[must_use]
    pub fn index_of(&self, key: &NodeKey) -> Option<u16> {
        let index = self
            .validators()
            .binary_search_by_key(key, |validator| validator.key)
            .ok()?;
        u16::try_from(index).ok()
    }

    /// Whether the key is a validator's.
    #[must_use]
    pub fn contains(&self, key: &NodeKey) -> bool {
        self.index_of(key).is_some()
    }

    /// `H("tokenim/validator-set/v1", the set as a top-level object)`, the value of
    /// [`Header::next_validators`](crate::Header::next_validators).
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash(VALIDATOR_SET, &[&self.object_bytes()])
    }

    /// The bytes of [`Object::to_bytes`], written by hand so that naming a set cannot fail.
    fn object_bytes(&self) -> Vec<u8> {
        let mut out = alloc::vec![Self::VERSION];
        varint::write(self.len() as u64, &mut out);
        for validator in self.validators() {
            out.extend_from_slice(validator.key.as_bytes());
            varint::write(validator.weight, &mut out);
        }
        out
    }
}

/// n − ⌊(n − 1) / 3⌋.
pub(crate) const fn quorum(validators: usize) -> usize {
    validators.saturating_sub(validators.saturating_sub(1) / 3)
}

impl Object for ValidatorSet {
    const NAME: &'static str = "validator set";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 2 + VALIDATORS_MAX * 33;
}

impl<'de> Deserialize<'de> for ValidatorSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "ValidatorSet")]
        struct Unchecked {
            validators: BoundedVec<Validator, VALIDATORS_MAX>,
        }
        let unchecked = Unchecked::deserialize(deserializer)?;
        Self::from_sorted(unchecked.validators.into_inner()).map_err(serde::de::Error::custom)
    }
}

/// Why a list of validators is no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidatorSetError {
    /// There is nobody in it.
    #[error("a validator set needs a validator")]
    Empty,
    /// There are more than the protocol allows.
    #[error("{actual} validators, at most {limit} allowed")]
    TooMany {
        /// Most validators allowed.
        limit: usize,
        /// Validators found.
        actual: usize,
    },
    /// One key appears twice.
    #[error("a validator appears twice")]
    Duplicate,
    /// Encoded out of order.
    #[error("validators are not in ascending order of their keys")]
    Order,
    /// A weight other than 1, which this version does not know.
    #[error("version 1 knows validators of weight 1 only")]
    Weight,
}
