//! What a device keeps of a group.

use crate::{
    Group, SessionError, SessionSuite,
    header::{length, number},
    store::{Packages, Past, Store},
    tools::Tools,
};
use core::{fmt, ops::Range, time::Duration};
use mls_rs_core::crypto::SignatureSecretKey;
use tokenim_wire::{
    NetworkId,
    limits::{SESSION_PAST_EPOCHS_MAX, SESSION_STATE_BYTES_MAX},
};
use zeroize::Zeroizing;

const VERSION: u8 = 2;

/// All that a device keeps of a group between two steps, in two strings: so that a message writes little, however large
/// the group. They belong together: where both change, both are written at once. Either is secret.
///
/// Numbers are big-endian. The same state has the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Parts {
    /// What each message changes.
    ///
    /// ```text
    /// version 2 │ suite 2 │ leaf seed 32 │ keys passed over 4 │ length 4, state of the library before the tree │ behind
    /// ```
    pub message: Zeroizing<Vec<u8>>,
    /// What only commits change, and messages that come after their epoch. Past epochs that messages no longer open for
    /// are left out.
    ///
    /// ```text
    /// version 2 │ length 4, the tree in the state of the library │ { epoch 8 │ length 4, its secrets } …
    /// ```
    pub epoch: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("message_bytes", &self.message.len())
            .field("epoch_bytes", &self.epoch.len())
            .finish()
    }
}

impl Group {
    /// What a device keeps, in two strings.
    ///
    /// # Errors
    /// [`SessionError::State`] if it is too large to be kept.
    pub fn into_parts(self) -> Result<Parts, SessionError> {
        let window = u64::try_from(SESSION_PAST_EPOCHS_MAX).map_err(|_| SessionError::State)?;
        let oldest = self.epoch().saturating_sub(window);
        let suite = self.suite().number().to_be_bytes();
        let Self {
            mut inner,
            store,
            tools,
            seed,
            skipped,
        } = self;
        let (state, past) = tools
            .run(|| {
                inner.write_to_storage()?;
                Ok(store.take_written())
            })?
            .ok_or(SessionError::State)?;
        let place = tree(&state).ok_or(SessionError::State)?;
        let (before, rest) = state.split_at_checked(place.start).ok_or(SessionError::State)?;
        let (tree, behind) = rest.split_at_checked(place.len()).ok_or(SessionError::State)?;

        let (skipped, length) = (skipped.to_be_bytes(), counter(before)?);
        let message: [&[u8]; 7] = [&[VERSION], &suite, seed.as_slice(), &skipped, &length, before, behind];
        let mut heads = Vec::new();
        for (epoch, secrets) in past.range(oldest..) {
            heads.push((epoch.to_be_bytes(), counter(secrets)?, secrets));
        }
        let length = counter(tree)?;
        let mut epoch: Vec<&[u8]> = vec![&[VERSION], &length, tree];
        for (number, length, secrets) in &heads {
            epoch.extend([number.as_slice(), length, secrets.as_slice()]);
        }
        let parts = Parts {
            message: joined(&message),
            epoch: joined(&epoch),
        };
        if parts.message.len().saturating_add(parts.epoch.len()) > SESSION_STATE_BYTES_MAX {
            return Err(SessionError::State);
        }
        Ok(parts)
    }

    /// Takes up a group again.
    ///
    /// # Errors
    /// [`SessionError::State`] if the bytes are not those of a group.
    pub fn from_parts(network: NetworkId, message: &[u8], epoch: &[u8]) -> Result<Self, SessionError> {
        let Kept {
            suite,
            seed,
            skipped,
            state,
            past,
        } = Kept::read(message, epoch).ok_or(SessionError::State)?;
        let tools = Tools::new(network, suite);
        let store = Store::new(state, past);
        let client = tools.client(
            SignatureSecretKey::new_slice(seed.as_slice()),
            None,
            Duration::ZERO,
            store.clone(),
            Packages::default(),
        );
        let inner = tools.run(|| client.load_group(&[])).map_err(|_| SessionError::State)?;
        if inner.cipher_suite() != tools.cipher_suite() {
            return Err(SessionError::State);
        }
        Ok(Self {
            inner,
            store,
            tools,
            seed,
            skipped,
        })
    }

    /// What a device keeps, in one string: the length of [`Parts::message`] in 4 bytes, both parts.
    ///
    /// # Errors
    /// [`SessionError::State`] if it is too large to be kept.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let Parts { message, epoch } = self.clone().into_parts()?;
        Ok(joined(&[&counter(&message)?, &message, &epoch]))
    }

    /// Takes up a group again from one string.
    ///
    /// # Errors
    /// [`SessionError::State`] if the bytes are not those of a group.
    pub fn from_bytes(network: NetworkId, bytes: &[u8]) -> Result<Self, SessionError> {
        let mut epoch = bytes;
        let message = counted(&mut epoch).ok_or(SessionError::State)?;
        Self::from_parts(network, message, epoch)
    }
}

/// Where the tree is in the library's state, with the library's index of it: behind its version and the group's context
/// (RFC 9420, section 8.1). Parts that were cut elsewhere would still make the same whole.
fn tree(state: &[u8]) -> Option<Range<usize>> {
    let mut rest = state;
    // The version, those of the protocol and the suite; group id; epoch; tree hash, transcript hash, extensions.
    number(&mut rest, 6)?;
    skip(&mut rest, 1)?;
    number(&mut rest, 8)?;
    skip(&mut rest, 3)?;
    let start = state.len().checked_sub(rest.len())?;
    // The leaves by signature key, by HPKE key, by name, and counted by credential; the nodes; their hashes.
    skip(&mut rest, 6)?;
    Some(start..state.len().checked_sub(rest.len())?)
}

/// Passes vectors (RFC 9420, section 2.1.2).
fn skip(rest: &mut &[u8], vectors: usize) -> Option<()> {
    for _ in 0..vectors {
        let length = length(rest)?;
        *rest = rest.split_at_checked(length)?.1;
    }
    Some(())
}

/// Allocated once: nothing is left behind where it grew.
fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let total = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut out = Zeroizing::new(Vec::with_capacity(total));
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

fn counter(bytes: &[u8]) -> Result<[u8; 4], SessionError> {
    let length = u32::try_from(bytes.len()).map_err(|_| SessionError::State)?;
    Ok(length.to_be_bytes())
}

fn counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest, 4)?).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

struct Kept {
    suite: SessionSuite,
    seed: Zeroizing<[u8; 32]>,
    skipped: u32,
    state: Zeroizing<Vec<u8>>,
    past: Past,
}

impl Kept {
    fn read(message: &[u8], epoch: &[u8]) -> Option<Self> {
        if message.len().checked_add(epoch.len())? > SESSION_STATE_BYTES_MAX {
            return None;
        }
        let (&[VERSION], rest) = message.split_first_chunk::<1>()? else {
            return None;
        };
        let (suite, rest) = rest.split_first_chunk::<2>()?;
        let (seed, rest) = rest.split_first_chunk::<32>()?;
        let (skipped, mut behind) = rest.split_first_chunk::<4>()?;
        let before = counted(&mut behind)?;

        let (&[VERSION], mut rest) = epoch.split_first_chunk::<1>()? else {
            return None;
        };
        let tree = counted(&mut rest)?;
        let mut past = Past::new();
        while !rest.is_empty() {
            let epoch = number(&mut rest, 8)?;
            if past.last_key_value().is_some_and(|(last, _)| *last >= epoch) {
                return None;
            }
            past.insert(epoch, Zeroizing::new(counted(&mut rest)?.to_vec()));
        }
        Some(Self {
            suite: SessionSuite::from_number(u16::from_be_bytes(*suite))?,
            seed: Zeroizing::new(*seed),
            skipped: u32::from_be_bytes(*skipped),
            state: joined(&[before, tree, behind]),
            past,
        })
    }
}
