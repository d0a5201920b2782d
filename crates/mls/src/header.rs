//! The part of an MLS message that is readable without keys (RFC 9420, section 6).

use crate::SessionError;
use tokenim_wire::limits::SESSION_MLS_BYTES_MAX;

/// What kind of message it is. The numbers are those of RFC 9420, sections 6 and 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A member's, in the clear, or anybody's.
    Public,
    /// A member's, encrypted: an application message.
    Application,
    /// A member's, encrypted: a proposal by itself.
    Proposal,
    /// A member's, encrypted: a commit.
    Commit,
    /// A Welcome.
    Welcome,
    /// A key package.
    KeyPackage,
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) kind: Kind,
    /// Group and epoch, of messages between members.
    pub(crate) group: &'a [u8],
    pub(crate) epoch: u64,
}

const MLS_10: u64 = 1;

impl<'a> Header<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, SessionError> {
        if bytes.len() > SESSION_MLS_BYTES_MAX {
            return Err(SessionError::Malformed);
        }
        Self::parse(bytes).ok_or(SessionError::Malformed)
    }

    fn parse(mut rest: &'a [u8]) -> Option<Self> {
        if number(&mut rest, 2)? != MLS_10 {
            return None;
        }
        let bare = |kind| {
            Some(Self {
                kind,
                group: &[],
                epoch: 0,
            })
        };
        let format = number(&mut rest, 2)?;
        match format {
            1 | 2 => {
                let length = length(&mut rest)?;
                let (group, after) = rest.split_at_checked(length)?;
                rest = after;
                let epoch = number(&mut rest, 8)?;
                let kind = match (format, number(&mut rest, 1)?) {
                    (1, _) => Kind::Public,
                    (_, 1) => Kind::Application,
                    (_, 2) => Kind::Proposal,
                    (_, 3) => Kind::Commit,
                    _ => return None,
                };
                Some(Self { kind, group, epoch })
            }
            3 => bare(Kind::Welcome),
            5 => bare(Kind::KeyPackage),
            _ => None,
        }
    }
}

/// A big-endian number of so many bytes.
pub(crate) fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (head, tail) = rest.split_at_checked(bytes)?;
    *rest = tail;
    Some(head.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A length of one, two or four bytes, in the shortest form (RFC 9420, section 2.1.2).
pub(crate) fn length(rest: &mut &[u8]) -> Option<usize> {
    let prefix = rest.first()? >> 6;
    let bytes = 1_usize.checked_shl(u32::from(prefix)).filter(|_| prefix < 3)?;
    let value = number(rest, bytes)? & ((1_u64 << (8 * bytes - 2)) - 1);
    let shortest = match value {
        0..64 => 1,
        64..16_384 => 2,
        _ => 4,
    };
    (bytes == shortest).then_some(usize::try_from(value).ok()?)
}
