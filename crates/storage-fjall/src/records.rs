//! Keys and values of the table `mailbox`. All numbers are big-endian, so that keys are ordered by them.
//!
//! ```text
//! key                                                        value
//! 0                                                          envelopes 8 ‖ bytes 8, of all mailboxes
//! 1 ‖ tag 32                                                 lines 8 ‖ envelopes 8 ‖ bytes 8 ‖ newest log 16
//! 2 ‖ tag 32 ‖ log 16                                        height 8 ‖ accumulator
//! 3 ‖ tag 32 ‖ arrival number 8                              log 16 ‖ index 8 ‖ envelope 32 ‖ expiry 8 ‖ height 8 ‖ root 32
//! 4 ‖ tag 32 ‖ envelope 32                                   expiry 8 ‖ length 4, while the envelope is held
//! 4 ‖ tag 32 ‖ envelope 32 ‖ log 16                          arrival number 8
//! 5 ‖ expiry 8 ‖ tag 32 ‖ envelope 32                        nothing, while the envelope is held
//!
//! log = set epoch 8 ‖ incarnation 8
//! accumulator = its object: version 1 ‖ canonical encoding
//! ```

use crate::error::damaged;
use tokenim_mailbox::{Incarnation, LogEntry, LogId, MailboxTag, mmr::Accumulator};
use tokenim_storage::{MailboxStats, PutOutcome, StoreError};
use tokenim_wire::{Digest, EnvelopeId, Height, Object as _, SetEpoch, UnixSeconds};

/// The key of the counters of all mailboxes.
pub(crate) const STATS_KEY: [u8; 1] = [0];
/// The first byte of the keys of mailboxes.
const MAILBOX: u8 = 1;
/// The first byte of the keys of logs.
const LOG: u8 = 2;
/// The first byte of the keys of lines.
const LINE: u8 = 3;
/// The first byte of the keys of envelopes.
const ENVELOPE: u8 = 4;
/// The first byte of the keys of expiries.
const EXPIRY: u8 = 5;

/// The start of the keys of mailboxes.
pub(crate) const MAILBOXES_START: [u8; 1] = [MAILBOX];
/// The end of the keys of mailboxes.
pub(crate) const MAILBOXES_END: [u8; 1] = [LOG];
/// The start of the keys of expiries.
pub(crate) const EXPIRIES_START: [u8; 1] = [EXPIRY];
/// The end of the keys of expiries.
pub(crate) const EXPIRIES_END: [u8; 1] = [EXPIRY + 1];

/// A log as bytes.
fn log_bytes(log: LogId) -> [u8; 16] {
    let mut out = [0; 16];
    let (epoch, incarnation) = out.split_at_mut(8);
    epoch.copy_from_slice(&log.set_epoch.get().to_be_bytes());
    incarnation.copy_from_slice(&log.incarnation.get().to_be_bytes());
    out
}

/// The key of a mailbox.
pub(crate) fn mailbox_key(tag: &MailboxTag) -> Vec<u8> {
    [[MAILBOX].as_slice(), tag.as_bytes()].concat()
}

/// The key of a log.
pub(crate) fn log_key(tag: &MailboxTag, log: LogId) -> Vec<u8> {
    [[LOG].as_slice(), tag.as_bytes(), &log_bytes(log)].concat()
}

/// The key of a line.
pub(crate) fn line_key(tag: &MailboxTag, sequence: u64) -> Vec<u8> {
    [[LINE].as_slice(), tag.as_bytes(), &sequence.to_be_bytes()].concat()
}

/// The key of an envelope, and the beginning of those of its lines.
pub(crate) fn envelope_key(tag: &MailboxTag, envelope: &EnvelopeId) -> Vec<u8> {
    [[ENVELOPE].as_slice(), tag.as_bytes(), envelope.as_bytes()].concat()
}

/// The key of an envelope's line in a log.
pub(crate) fn envelope_line_key(tag: &MailboxTag, envelope: &EnvelopeId, log: LogId) -> Vec<u8> {
    [
        [ENVELOPE].as_slice(),
        tag.as_bytes(),
        envelope.as_bytes(),
        &log_bytes(log),
    ]
    .concat()
}

/// The key of an expiry.
pub(crate) fn expiry_key(expiry: UnixSeconds, tag: &MailboxTag, envelope: &EnvelopeId) -> Vec<u8> {
    [
        [EXPIRY].as_slice(),
        &expiry.get().to_be_bytes(),
        tag.as_bytes(),
        envelope.as_bytes(),
    ]
    .concat()
}

/// The key of an envelope in the table `body`.
pub(crate) fn body_key(tag: &MailboxTag, envelope: &EnvelopeId) -> Vec<u8> {
    [tag.as_bytes().as_slice(), envelope.as_bytes()].concat()
}

/// Reads fixed-length fields off a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// The next `N` bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (first, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| damaged("a record is too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next 8 bytes, as a number.
    fn number(&mut self) -> Result<u64, StoreError> {
        self.take().map(u64::from_be_bytes)
    }

    /// The next 16 bytes, as a log.
    fn log(&mut self) -> Result<LogId, StoreError> {
        Ok(LogId {
            set_epoch: SetEpoch::new(self.number()?),
            incarnation: Incarnation::new(self.number()?),
        })
    }

    /// That nothing is left.
    fn end(&self) -> Result<(), StoreError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(damaged("a record is too long"))
        }
    }
}

/// Counters as a record.
pub(crate) fn encode_stats(stats: &MailboxStats) -> Vec<u8> {
    [stats.envelopes.to_be_bytes(), stats.bytes.to_be_bytes()].concat()
}

/// Counters from a record.
pub(crate) fn decode_stats(bytes: &[u8]) -> Result<MailboxStats, StoreError> {
    let mut fields = Fields(bytes);
    let stats = MailboxStats {
        envelopes: fields.number()?,
        bytes: fields.number()?,
    };
    fields.end()?;
    Ok(stats)
}

/// Counts an envelope in.
pub(crate) const fn count_in(stats: &mut MailboxStats, bytes: u64) {
    stats.envelopes = stats.envelopes.saturating_add(1);
    stats.bytes = stats.bytes.saturating_add(bytes);
}

/// Counts an envelope out.
pub(crate) const fn count_out(stats: &mut MailboxStats, bytes: u64) {
    stats.envelopes = stats.envelopes.saturating_sub(1);
    stats.bytes = stats.bytes.saturating_sub(bytes);
}

/// What is known of a mailbox as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MailboxRecord {
    /// Lines in all its logs; the next arrival number.
    pub(crate) lines: u64,
    /// The envelopes that it holds.
    pub(crate) stats: MailboxStats,
    /// Its newest log.
    pub(crate) newest: LogId,
}

impl MailboxRecord {
    /// A mailbox without lines, whose first log will be this one.
    pub(crate) fn empty(newest: LogId) -> Self {
        Self {
            lines: 0,
            stats: MailboxStats::default(),
            newest,
        }
    }

    /// The record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [
            self.lines.to_be_bytes().as_slice(),
            &encode_stats(&self.stats),
            &log_bytes(self.newest),
        ]
        .concat()
    }

    /// From the record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let record = Self {
            lines: fields.number()?,
            stats: MailboxStats {
                envelopes: fields.number()?,
                bytes: fields.number()?,
            },
            newest: fields.log()?,
        };
        fields.end()?;
        Ok(record)
    }
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct LogRecord {
    /// The height of its last line.
    pub(crate) height: Height,
    /// Its lines.
    pub(crate) accumulator: Accumulator,
}

impl LogRecord {
    /// The record.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let accumulator = self
            .accumulator
            .to_bytes()
            .map_err(|error| damaged(format!("a log: {error}")))?;
        Ok([self.height.get().to_be_bytes().as_slice(), &accumulator].concat())
    }

    /// From the record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let height = Height::new(fields.number()?);
        let accumulator = Accumulator::from_bytes(fields.0).map_err(|error| damaged(format!("a log: {error}")))?;
        Ok(Self { height, accumulator })
    }
}

/// A line as a record.
pub(crate) fn encode_line(line: &PutOutcome) -> Vec<u8> {
    [
        log_bytes(line.log).as_slice(),
        &line.entry.index.to_be_bytes(),
        line.entry.envelope.as_bytes(),
        &line.entry.expiry.get().to_be_bytes(),
        &line.height.get().to_be_bytes(),
        line.root.as_bytes(),
    ]
    .concat()
}

/// A line from its record, as the outcome of a repeated put.
pub(crate) fn decode_line(bytes: &[u8]) -> Result<PutOutcome, StoreError> {
    let mut fields = Fields(bytes);
    let log = fields.log()?;
    let entry = LogEntry {
        index: fields.number()?,
        envelope: EnvelopeId::from_bytes(fields.take()?),
        expiry: UnixSeconds::new(fields.number()?),
    };
    let height = Height::new(fields.number()?);
    let root = Digest::from_bytes(fields.take()?);
    fields.end()?;
    Ok(PutOutcome {
        log,
        entry,
        size: entry.index.saturating_add(1),
        root,
        height,
        fresh: false,
    })
}

/// What is known of an envelope that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldRecord {
    /// Its expiry.
    pub(crate) expiry: UnixSeconds,
    /// Its length in bytes.
    pub(crate) length: u32,
}

impl HeldRecord {
    /// The record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [self.expiry.get().to_be_bytes().as_slice(), &self.length.to_be_bytes()].concat()
    }

    /// From the record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let record = Self {
            expiry: UnixSeconds::new(fields.number()?),
            length: u32::from_be_bytes(fields.take()?),
        };
        fields.end()?;
        Ok(record)
    }
}

/// An arrival number from its record.
pub(crate) fn decode_sequence(bytes: &[u8]) -> Result<u64, StoreError> {
    let mut fields = Fields(bytes);
    let sequence = fields.number()?;
    fields.end()?;
    Ok(sequence)
}

/// The tag in the key of a mailbox.
pub(crate) fn tag_of_mailbox_key(key: &[u8]) -> Result<MailboxTag, StoreError> {
    let mut fields = Fields(key);
    let [_] = fields.take()?;
    let tag = MailboxTag::from_bytes(fields.take()?);
    fields.end()?;
    Ok(tag)
}

/// Tag and envelope in the key of an expiry.
pub(crate) fn parse_expiry_key(key: &[u8]) -> Result<(MailboxTag, EnvelopeId), StoreError> {
    let mut fields = Fields(key);
    let [_] = fields.take()?;
    fields.number()?;
    let tag = MailboxTag::from_bytes(fields.take()?);
    let envelope = EnvelopeId::from_bytes(fields.take()?);
    fields.end()?;
    Ok((tag, envelope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_no_other_length_is() {
        let log = LogId {
            set_epoch: SetEpoch::new(3),
            incarnation: Incarnation::new(4),
        };
        let mut accumulator = Accumulator::new();
        let entry = LogEntry {
            index: 7,
            envelope: EnvelopeId::from_bytes([5; 32]),
            expiry: UnixSeconds::new(6),
        };
        accumulator.push(entry.leaf()).unwrap();
        let line = PutOutcome {
            log,
            entry,
            size: 8,
            root: accumulator.root(),
            height: Height::new(9),
            fresh: false,
        };
        assert_eq!(decode_line(&encode_line(&line)), Ok(line));
        let mailbox = MailboxRecord {
            lines: 1,
            stats: MailboxStats { envelopes: 2, bytes: 3 },
            newest: log,
        };
        assert_eq!(MailboxRecord::decode(&mailbox.encode()), Ok(mailbox));
        assert_eq!(decode_stats(&encode_stats(&mailbox.stats)), Ok(mailbox.stats));
        let record = LogRecord {
            height: Height::new(1),
            accumulator,
        };
        assert_eq!(LogRecord::decode(&record.encode().unwrap()), Ok(record.clone()));
        let held = HeldRecord {
            expiry: UnixSeconds::new(1),
            length: 2,
        };
        assert_eq!(HeldRecord::decode(&held.encode()), Ok(held));
        assert_eq!(decode_sequence(&5_u64.to_be_bytes()), Ok(5));

        let wrong = |bytes: Vec<u8>, decode: &dyn Fn(&[u8]) -> bool| {
            assert!(!decode(&bytes[1..]));
            assert!(!decode(&[bytes.as_slice(), &[0]].concat()));
        };
        wrong(encode_line(&line), &|bytes| decode_line(bytes).is_ok());
        wrong(mailbox.encode(), &|bytes| MailboxRecord::decode(bytes).is_ok());
        wrong(record.encode().unwrap(), &|bytes| LogRecord::decode(bytes).is_ok());
        wrong(held.encode(), &|bytes| HeldRecord::decode(bytes).is_ok());
        wrong(vec![0; 8], &|bytes| decode_sequence(bytes).is_ok());
    }
}
