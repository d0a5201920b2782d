//! What a device keeps of a group.

use crate::{
    Group, SessionError, SessionSuite,
    store::{Packages, Past, Store},
    tools::Tools,
};
use core::time::Duration;
use mls_rs_core::crypto::SignatureSecretKey;
use tokenim_wire::{
    NetworkId,
    limits::{SESSION_PAST_EPOCHS_MAX, SESSION_STATE_BYTES_MAX},
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;

impl Group {
    /// All of it: what a device keeps between two steps. Past epochs that messages no longer open for are left out.
    ///
    /// ```text
    /// version 1 │ suite 2 │ leaf seed 32 │ length 4, state of the library │ { epoch 8 │ length 4, its secrets } …
    /// ```
    ///
    /// Numbers are big-endian. The same state has the same bytes.
    ///
    /// # Errors
    /// [`SessionError::State`] if it is too large to be kept.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let mut copy = self.inner.clone();
        let (state, past) = self
            .tools
            .run(|| {
                copy.write_to_storage()?;
                Ok(self.store.take_written())
            })?
            .ok_or(SessionError::State)?;
        let window = u64::try_from(SESSION_PAST_EPOCHS_MAX).map_err(|_| SessionError::State)?;
        let oldest = self.epoch().saturating_sub(window);

        let suite = self.suite().number().to_be_bytes();
        let length = length(&state)?;
        let mut parts: Vec<&[u8]> = vec![&[VERSION], &suite, self.seed.as_slice(), &length, &state];
        let mut heads = Vec::new();
        for (epoch, secrets) in past.range(oldest..) {
            heads.push((epoch.to_be_bytes(), self::length(secrets)?, secrets));
        }
        for (epoch, length, secrets) in &heads {
            parts.extend([epoch.as_slice(), length, secrets.as_slice()]);
        }
        // Allocated once: nothing is left behind where it grew.
        let total = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        if total > SESSION_STATE_BYTES_MAX {
            return Err(SessionError::State);
        }
        let mut out = Zeroizing::new(Vec::with_capacity(total));
        for part in parts {
            out.extend_from_slice(part);
        }
        Ok(out)
    }

    /// Takes up a group again.
    ///
    /// # Errors
    /// [`SessionError::State`] if the bytes are not those of a group.
    pub fn from_bytes(network: NetworkId, bytes: &[u8]) -> Result<Self, SessionError> {
        let Kept {
            suite,
            seed,
            state,
            past,
        } = Kept::read(bytes).ok_or(SessionError::State)?;
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
        })
    }
}

fn length(bytes: &[u8]) -> Result<[u8; 4], SessionError> {
    let length = u32::try_from(bytes.len()).map_err(|_| SessionError::State)?;
    Ok(length.to_be_bytes())
}

struct Kept {
    suite: SessionSuite,
    seed: Zeroizing<[u8; 32]>,
    state: Zeroizing<Vec<u8>>,
    past: Past,
}

impl Kept {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SESSION_STATE_BYTES_MAX {
            return None;
        }
        let (&[VERSION], rest) = bytes.split_first_chunk::<1>()? else {
            return None;
        };
        let (suite, rest) = rest.split_first_chunk::<2>()?;
        let (seed, mut rest) = rest.split_first_chunk::<32>()?;
        let state = counted(&mut rest)?;
        let mut past = Past::new();
        while !rest.is_empty() {
            let (epoch, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            let epoch = u64::from_be_bytes(*epoch);
            if past.last_key_value().is_some_and(|(last, _)| *last >= epoch) {
                return None;
            }
            past.insert(epoch, counted(&mut rest)?);
        }
        Some(Self {
            suite: SessionSuite::from_number(u16::from_be_bytes(*suite))?,
            seed: Zeroizing::new(*seed),
            state,
            past,
        })
    }
}

fn counted(rest: &mut &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (head, tail) = after.split_at_checked(length)?;
    *rest = tail;
    Some(Zeroizing::new(head.to_vec()))
}
