//! Names of identities and devices.

use crate::DeviceKey;
use bech32::{Bech32m, Hrp, primitives::decode::CheckedHrpstring};
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokenim_wire::{Label, bytes_newtype, hash, macros};

/// The text before the `1` of an id.
const PREFIX: Hrp = Hrp::parse_unchecked("tim");

/// The name of an identity: the hash of its genesis record.
///
/// Its text is bech32m (BIP-350) with prefix `tim`: 62 characters, of which the last six find every typing error in up
/// to four of them. `Display` writes it, `FromStr` reads it, in lower or upper case but not mixed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId([u8; 32]);

impl IdentityId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, by value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its text in capitals, as codes for cameras have it.
    pub(crate) fn write_capitals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_upper_to_fmt::<Bech32m, _>(f, PREFIX, &self.0).map_err(|_| fmt::Error)
    }
}

impl AsRef<[u8]> for IdentityId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, PREFIX, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not the name of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// Not bech32m: a wrong character, mixed case, or a checksum that says that something was mistyped.
    #[error("the name is mistyped: its checksum does not fit")]
    Checksum,
    /// Well-formed, but not the name of an identity: those begin with `tim1`.
    #[error("the name of an identity begins with tim1")]
    Prefix,
    /// Well-formed, but too short or too long.
    #[error("the name of an identity has 62 characters")]
    Length,
}

impl FromStr for IdentityId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| ParseIdError::Checksum)?;
        if checked.hrp() != PREFIX {
            return Err(ParseIdError::Prefix);
        }
        // 32 bytes are 256 bits, 52 characters of five bits, of which the last four bits are padding and zero.
        if checked.data_part_ascii_no_checksum().len() != 52 {
            return Err(ParseIdError::Length);
        }
        if checked.fe32_iter().last().is_none_or(|last| last.to_u8() & 0b1111 != 0) {
            return Err(ParseIdError::Checksum);
        }
        let mut bytes = [0; 32];
        for (slot, byte) in bytes.iter_mut().zip(checked.byte_iter()) {
            *slot = byte;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for IdentityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            macros::serialize_bytes(&self.0, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for IdentityId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            alloc::string::String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            macros::deserialize_bytes(deserializer).map(Self)
        }
    }
}

bytes_newtype! {
    /// The name of a device within its identity: the hash of its signing key.
    pub struct DeviceId([u8; 32]);
}

impl DeviceId {
    /// The label under which device keys are hashed.
    pub const LABEL: Label = Label::new("tokenim/device-id/v1");

    /// The id of the device with this signing key.
    #[must_use]
    pub fn of(key: &DeviceKey) -> Self {
        Self::from_bytes(hash(Self::LABEL, &[key.as_bytes()]).to_bytes())
    }
}
