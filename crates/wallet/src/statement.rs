//! What a wallet is asked to sign.

use crate::{Account, account::Inner, chains::antelope};
use alloc::{format, string::String};
use core::fmt;
use serde::{Deserialize, Serialize};
use tokenim_identity::{CryptoRng, IdentityId};
use tokenim_wire::{NetworkId, UnixSeconds, hex};

/// Length of the nonce in a statement, in bytes.
pub const NONCE_BYTES: usize = 16;

/// The last second of the year 9999, beyond which RFC 3339 has no times.
const ISSUED_MAX: UnixSeconds = UnixSeconds::new(253_402_300_799);

/// The statement that an account and an identity belong together, which the account's wallet signs.
///
/// It names the network, the identity and the account, so that a signature serves no other; the nonce makes two
/// statements of the same three differ.
///
/// ```text
/// ┌────────────┬─────────────┬───────────────────────┬──────────┬─────────┐
/// │ network id │ identity id │ account               │ nonce    │ issued  │
/// │ 32 bytes   │ 32 bytes    │ length, varint; text  │ 16 bytes │ varint  │
/// └────────────┴─────────────┴───────────────────────┴──────────┴─────────┘
/// ```
///
/// The wallet doesn't sign these bytes but [`LinkStatement::text`], which shows all of them to its owner.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct LinkStatement {
    network: NetworkId,
    identity: IdentityId,
    account: Account,
    nonce: [u8; NONCE_BYTES],
    issued: UnixSeconds,
}

/// A statement whose time was not checked.
#[derive(Deserialize)]
struct Parts {
    network: NetworkId,
    identity: IdentityId,
    account: Account,
    nonce: [u8; NONCE_BYTES],
    issued: UnixSeconds,
}

impl TryFrom<Parts> for LinkStatement {
    type Error = StatementError;

    fn try_from(parts: Parts) -> Result<Self, StatementError> {
        Self::from_parts(parts.network, parts.identity, parts.account, parts.nonce, parts.issued)
    }
}

/// Why there is no such statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// A time that no text can show.
    #[error("the time is after the year 9999")]
    Time,
}

impl LinkStatement {
    /// A statement with a fresh nonce.
    ///
    /// # Errors
    /// [`StatementError::Time`] after the year 9999.
    pub fn new(
        network: NetworkId,
        identity: IdentityId,
        account: Account,
        issued: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, StatementError> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        Self::from_parts(network, identity, account, nonce, issued)
    }

    /// The statement of these parts.
    ///
    /// # Errors
    /// [`StatementError::Time`] after the year 9999.
    pub fn from_parts(
        network: NetworkId,
        identity: IdentityId,
        account: Account,
        nonce: [u8; NONCE_BYTES],
        issued: UnixSeconds,
    ) -> Result<Self, StatementError> {
        if issued > ISSUED_MAX {
            return Err(StatementError::Time);
        }
        Ok(Self {
            network,
            identity,
            account,
            nonce,
            issued,
        })
    }

    /// The network in which it holds.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The identity.
    #[must_use]
    pub const fn identity(&self) -> &IdentityId {
        &self.identity
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Its nonce.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce
    }

    /// When it was made, by the word of who made it.
    #[must_use]
    pub const fn issued(&self) -> UnixSeconds {
        self.issued
    }

    /// The nonce as texts show it: 32 hexadecimal digits.
    pub(crate) fn nonce_text(&self) -> String {
        hex::encode(&self.nonce)
    }

    /// The text that is given to the wallet to be signed. For EVM accounts it is a message of EIP-4361, for the others
    /// the same with the name of their chain (CAIP-122); for Antelope it stands on one line, in words of at most
    /// twelve characters, for these wallets sign no longer ones.
    #[must_use]
    pub fn text(&self) -> String {
        let account = self.account.named();
        let text = format!(
            "tokenim wants you to sign in with your {} account:\n\
             {}\n\
             \n\
             Link this account to the TokenIM identity below. Sign only if that identity is yours.\n\
             \n\
             URI: tokenim:{}?network={}\n\
             Version: 1\n\
             Chain ID: {}\n\
             Nonce: {}\n\
             Issued At: {}",
            account.ecosystem(),
            account.address(),
            self.identity,
            self.network,
            account.reference(),
            self.nonce_text(),
            Rfc3339(self.issued),
        );
        match self.account.inner() {
            Inner::Antelope(_) => antelope::reflow(&text),
            _ => text,
        }
    }
}

impl fmt::Debug for LinkStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkStatement(..)")
    }
}

/// A time, not after the year 9999, as RFC 3339 writes it in UTC.
struct Rfc3339(UnixSeconds);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: u64 = 86_400;
        let seconds = self.0.get();
        let (mut days, time) = (seconds / DAY, seconds % DAY);
        let mut year = 1970_u64;
        while let Some(rest) = days.checked_sub(year_days(year)) {
            days = rest;
            year = year.saturating_add(1);
        }
        let leap = u64::from(year_days(year) == 366);
        let lengths = [31, 28_u64.saturating_add(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1_u64;
        for length in lengths {
            let Some(rest) = days.checked_sub(length) else { break };
            days = rest;
            month = month.saturating_add(1);
        }
        let day = days.saturating_add(1);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The days of a year of the Gregorian calendar.
const fn year_days(year: u64) -> u64 {
    if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) {
        366
    } else {
        365
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn times_are_written_as_rfc3339_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Rfc3339(UnixSeconds::new(seconds)).to_string(), text);
        }
    }
}
