//! The suites.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The cryptography of a session, from its creation to its end. The weaker one comes first in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SessionSuite {
    /// `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519` (RFC 9420, section 17.1). A quantum computer that comes later
    /// opens what was recorded.
    Classical,
    /// X-Wing, HKDF-SHA256, AES-256-GCM, SHA-256, Ed25519, with a number for private use. Secrecy is post-quantum,
    /// signatures are not.
    PostQuantum,
}

impl SessionSuite {
    /// All of them, the weaker one first.
    pub const ALL: [Self; 2] = [Self::Classical, Self::PostQuantum];

    /// The suite with this number, if it is one of these.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            0x0001 => Some(Self::Classical),
            0xf0a1 => Some(Self::PostQuantum),
            _ => None,
        }
    }

    /// Its number in MLS.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Classical => 0x0001,
            Self::PostQuantum => 0xf0a1,
        }
    }
}

impl Serialize for SessionSuite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<'de> Deserialize<'de> for SessionSuite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_number(u16::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("unknown suite"))
    }
}
