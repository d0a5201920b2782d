//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use core::convert::Infallible;
use tokenim_identity::{
    Comparison, DeviceSecrets, Genesis, HistoryEntry, IdentityId, IdentityState, Keystore, KeystoreKind, NodeKey,
    Phrase, Place, RecoveryShare, SafetyNumber, SignedRecord, VerificationCode,
    rand_core::{TryCryptoRng, TryRng},
    replay,
    verify::{self, Zip215Batch},
};
use tokenim_wire::{Height, Object};

/// A generator that repeats itself; good enough to check batches of one.
struct Counter(u8);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            self.0 = self.0.wrapping_mul(5).wrapping_add(77);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

/// Two bytes of length, that many bytes of a state, then a record: what is accepted moves the state on by one and comes
/// back from the wire.
pub fn record(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (state, record) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes(*length))));
    if let Ok(genesis) = Genesis::from_bytes(record) {
        assert_eq!(genesis.to_bytes().as_deref(), Ok(record));
    }
    let decoded = SignedRecord::from_bytes(record);
    if let Ok(decoded) = &decoded {
        assert_eq!(decoded.to_bytes().as_deref(), Ok(record));
    }
    let Ok(before) = IdentityState::from_bytes(state) else {
        return;
    };
    assert_eq!(before.to_bytes().as_deref(), Ok(state));
    let Ok(decoded) = decoded else { return };
    let network = decoded.record.network;
    for number in [0, 400, 1_000_000_000, u64::MAX] {
        let place = Place {
            network: &network,
            height: number.into(),
            time: number.into(),
            window_ms: 1_000,
        };
        if let Ok(after) = before.apply(&place, &decoded) {
            assert_eq!(after.seq, before.seq + 1);
            assert!(after.devices.len() >= before.devices.len());
            let bytes = after.to_bytes().expect("a state fits");
            assert_eq!(IdentityState::from_bytes(&bytes), Ok(after.clone()));
            assert!(after.apply(&place, &decoded).is_err());
        }
    }
}

/// A state that is read is written the same, and every question about it has an answer.
pub fn state(data: &[u8]) {
    let Ok(state) = IdentityState::from_bytes(data) else {
        return;
    };
    assert_eq!(state.to_bytes().as_deref(), Ok(data));
    assert!(state.pending().is_none() || state.deactivated().is_none());
    assert!(state.active_devices().count() <= state.devices.len());
    for entry in &state.devices {
        let id = entry.keys.device_id();
        assert!(state.device(&id).is_some());
        for height in [Height::ZERO, entry.added, Height::MAX] {
            let live = state.device_live_at(&id, height);
            assert!(live.is_none_or(|live| live.added <= height));
        }
    }
}

/// A genesis record, then entries with two bytes of length each: what is followed has as many records as it says.
pub fn history(data: &[u8]) {
    let Some((genesis, mut rest)) = data.split_first_chunk::<65>() else {
        return;
    };
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes(*length))));
        let Ok(decoded) = HistoryEntry::from_bytes(entry) else {
            break;
        };
        assert_eq!(decoded.to_bytes().as_deref(), Ok(entry));
        entries.push(decoded);
        rest = after;
    }
    let (Ok(genesis), Some(first)) = (Genesis::from_bytes(genesis), entries.first()) else {
        return;
    };
    let (network, count) = (first.record.record.network, entries.len() as u64);
    match replay(&network, 1_000, &genesis, entries) {
        Ok(state) => assert_eq!(state.seq, count),
        Err(error) => assert!((1..=count).contains(&error.at)),
    }
}

/// A share that is read is written the same, but for white space and capitals.
pub fn share(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(share) = RecoveryShare::from_text(text) {
        let dense: String = text.split_whitespace().collect();
        assert_eq!(*share.to_text(), dense.to_ascii_lowercase());
        let leaf = share.commitment().leaves().get(usize::from(share.index()));
        assert_eq!(leaf, Some(&share.leaf()));
    }
}

/// Names, keys and words that are read are written the same.
pub fn text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(id) = text.parse::<IdentityId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(key) = text.parse::<NodeKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(phrase) = Phrase::parse(text) {
        let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
        assert_eq!(*phrase.expose(), words.join(" "));
    }
}

/// Key, signature, message: what is valid strictly is valid by ZIP-215, and batches agree with the latter.
pub fn signature(data: &[u8]) {
    let Some((key, rest)) = data.split_first_chunk::<32>() else {
        return;
    };
    let Some((signature, message)) = rest.split_first_chunk::<64>() else {
        return;
    };
    let strict = verify::strict(key, message, signature).is_ok();
    let zip215 = verify::zip215(key, message, signature).is_ok();
    assert!(zip215 || !strict);
    assert!(NodeKey::from_bytes(*key).is_ok() || !strict);
    let mut batch = Zip215Batch::new();
    batch.push(key, message, signature);
    assert_eq!(batch.verify(&mut Counter(1)).is_ok(), zip215);
}

/// Sealed and plain secrets. Only cheap keystores: the cost of the others is their purpose.
pub fn keystore(data: &[u8]) {
    if let Ok(secrets) = DeviceSecrets::from_bytes(data) {
        assert_eq!(secrets.expose_bytes().as_slice(), data);
    }
    if let [_, _, memory @ 0..64, passes @ 0..4, lanes @ 0..4, ..] = data {
        for kind in [KeystoreKind::Phrase, KeystoreKind::Device, KeystoreKind::Node] {
            if Keystore::open(b"passphrase", kind, data).is_ok() {
                assert!(*memory >= 8 && *passes >= 1 && *lanes >= 1);
            }
        }
    }
}

/// Safety numbers are read from their sixty digits, whatever blanks are between them.
pub fn safety_number(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(number) = text.parse::<SafetyNumber>() else {
        return;
    };
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let written = number.to_string();
    assert_eq!(dense(&written), dense(text));
    assert_eq!((written.len(), dense(text).len()), (71, SafetyNumber::DIGITS));
    assert_eq!(written.parse(), Ok(number));
    assert_eq!(format!("{number:#}").parse(), Ok(number));
}

/// A verification code has one text, and matches itself alone.
pub fn verification_code(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(code) = text.parse::<VerificationCode>() else {
        return;
    };
    assert_eq!(code.to_string(), text);
    assert_eq!(text.len(), VerificationCode::LENGTH);
    assert!(code.identities().is_sorted());
    assert_eq!(code.compare(&code), Comparison::Match);
    // The last digit of a fingerprint is free, but for the order of two with one name.
    let Some((rest, last)) = text.split_at_checked(text.len() - 1) else {
        return;
    };
    let other = if last == "F" { "E" } else { "F" };
    if let Ok(other) = format!("{rest}{other}").parse::<VerificationCode>() {
        assert_eq!(code.compare(&other), Comparison::Mismatch);
    }
}
