//! What one person's screen shows, and another's camera reads, to compare what they see of each other.

use crate::{IdentityId, ParseIdError, RootKey, safety};
use core::{fmt, str::FromStr};
use subtle::{Choice, ConstantTimeEq};

/// What every code of every version begins with.
const PREFIX: &str = "TIM:VERIFY:";
/// The version of these codes.
const VERSION: u8 = 1;
/// Bytes of a fingerprint that a code shows.
const FINGERPRINT_BYTES: usize = 32;

/// The text of a QR code that shows who two people are to each other: both names, and of both the fingerprint that
/// binds name and root key. It has only characters of the alphanumeric set of QR codes (ISO/IEC 18004, 7.3.4), 268 of
/// them, and fits version 10 at level M.
///
/// ```text
/// TIM:VERIFY:1: identity : identity : fingerprint : fingerprint
///               62 chars   62 chars   64 digits     64 digits        without the blanks
/// ```
///
/// Identities are their bech32m in capitals, fingerprints the first 32 bytes of those that safety numbers are made of,
/// in hexadecimal capitals. The person whose name has the smaller bytes comes first in both pairs, so two people who
/// see the same show the same text, and it does not matter who scans whom.
///
/// Whoever scans it parses it and [compares](Self::compare) it with the code made from what their own client sees:
///
/// ```
/// use tokenim_identity::{Comparison, Phrase, VerificationCode};
/// # let [ada, ben] = [[1; 32], [2; 32]].map(|entropy| {
/// #     let phrase = Phrase::from_entropy(&entropy);
/// #     (phrase.genesis().id(), phrase.root_key(0).verifying_key())
/// # });
/// let on_bens_screen = VerificationCode::between(&ben, &ada).to_string();
/// let scanned: VerificationCode = on_bens_screen.parse()?;
/// assert_eq!(VerificationCode::between(&ada, &ben).compare(&scanned), Comparison::Match);
/// # Ok::<(), tokenim_identity::VerificationCodeError>(())
/// ```
///
/// A match says something only about a code that came from the other person's screen or paper itself: whoever stands
/// between two people can make this text as well as they can.
#[derive(Clone, Copy)]
pub struct VerificationCode {
    /// In ascending order of the ids, and of the fingerprints where somebody is compared with themselves.
    people: [Person; 2],
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Person {
    id: IdentityId,
    fingerprint: [u8; FINGERPRINT_BYTES],
}

/// What a scanned code says about the one that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Comparison {
    /// Both people see the same root keys of each other: nobody stands between them.
    Match,
    /// The same two people, but at least one root key is not the one that the other sees: somebody stands between
    /// them, or one of them has not yet seen that a root changed.
    Mismatch,
    /// A code between other people: perhaps that of another contact.
    OtherPeople,
}

/// Why a text is not a verification code that can be compared here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerificationCodeError {
    /// Not a verification code of any version.
    #[error("this is not a verification code: those begin with TIM:VERIFY:")]
    NotACode,
    /// A code of another version: one of the two clients is too old.
    #[error("this is a verification code of version {version}, which is not known here")]
    Version {
        /// The version met.
        version: u8,
    },
    /// Another number of fields than four.
    #[error("a verification code has two names and two fingerprints")]
    Fields,
    /// A name that is none.
    #[error("a name in the verification code is damaged: {0}")]
    Identity(#[from] ParseIdError),
    /// A name or a fingerprint with small letters.
    #[error("a verification code has no small letters")]
    SmallLetters,
    /// A fingerprint that has not 64 hexadecimal digits.
    #[error("a fingerprint in the verification code is damaged")]
    Fingerprint,
    /// The two people are not in their order.
    #[error("the two people in the verification code are not in their order")]
    Order,
}

impl VerificationCode {
    /// The length of its text in characters, all of one byte.
    pub const LENGTH: usize = 268;

    /// The code between two people, each with the root key that the asker sees as theirs now. The order does not
    /// matter. It takes about as long as ten signatures.
    #[must_use]
    pub fn between(one: &(IdentityId, RootKey), other: &(IdentityId, RootKey)) -> Self {
        let [one, other] = [one, other].map(|(id, root)| {
            let mut fingerprint = [0; FINGERPRINT_BYTES];
            for (slot, byte) in fingerprint.iter_mut().zip(safety::fingerprint(id, root)) {
                *slot = byte;
            }
            Person { id: *id, fingerprint }
        });
        Self {
            people: [one.min(other), one.max(other)],
        }
    }

    /// The two people, in the order of their ids.
    #[must_use]
    pub fn identities(&self) -> [IdentityId; 2] {
        self.people.map(|person| person.id)
    }

    /// What a scanned code says, where `self` is made from what one's own client sees. Fingerprints are compared in
    /// constant time.
    pub fn compare(&self, scanned: &Self) -> Comparison {
        if self.identities() != scanned.identities() {
            Comparison::OtherPeople
        } else if bool::from(self.same_fingerprints(scanned)) {
            Comparison::Match
        } else {
            Comparison::Mismatch
        }
    }

    /// Whether both fingerprints are the same.
    fn same_fingerprints(&self, other: &Self) -> Choice {
        self.people
            .iter()
            .zip(&other.people)
            .map(|(one, other)| one.fingerprint.ct_eq(&other.fingerprint))
            .fold(Choice::from(1), |all, same| all & same)
    }
}

impl PartialEq for VerificationCode {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Comparison::Match
    }
}

impl Eq for VerificationCode {}

impl fmt::Display for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{VERSION}")?;
        for person in &self.people {
            f.write_str(":")?;
            person.id.write_capitals(f)?;
        }
        for person in &self.people {
            f.write_str(":")?;
            person.fingerprint.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationCode({self})")
    }
}

impl FromStr for VerificationCode {
    type Err = VerificationCodeError;

    fn from_str(text: &str) -> Result<Self, VerificationCodeError> {
        let rest = text.strip_prefix(PREFIX).ok_or(VerificationCodeError::NotACode)?;
        let (version, rest) = rest.split_once(':').ok_or(VerificationCodeError::NotACode)?;
        match parse_version(version).ok_or(VerificationCodeError::NotACode)? {
            VERSION => {}
            version => return Err(VerificationCodeError::Version { version }),
        }
        let mut fields = rest.split(':');
        let (Some(first), Some(second), Some(third), Some(fourth), None) = (
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
        ) else {
            return Err(VerificationCodeError::Fields);
        };
        if rest.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(VerificationCodeError::SmallLetters);
        }
        let person = |id: &str, fingerprint: &str| {
            Ok::<_, VerificationCodeError>(Person {
                id: id.parse()?,
                fingerprint: parse_fingerprint(fingerprint).ok_or(VerificationCodeError::Fingerprint)?,
            })
        };
        let people = [person(first, third)?, person(second, fourth)?];
        if people.is_sorted() {
            Ok(Self { people })
        } else {
            Err(VerificationCodeError::Order)
        }
    }
}

/// A number from 0 to 255 in its shortest form.
fn parse_version(text: &str) -> Option<u8> {
    let shortest = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (shortest && digits).then(|| text.parse().ok()).flatten()
}

/// Hexadecimal capitals of exactly the bytes of a fingerprint.
fn parse_fingerprint(text: &str) -> Option<[u8; FINGERPRINT_BYTES]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != FINGERPRINT_BYTES {
        return None;
    }
    let mut out = [0; FINGERPRINT_BYTES];
    for (slot, [high, low]) in out.iter_mut().zip(pairs) {
        *slot = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(out)
}

/// The value of a hexadecimal digit, letters in capitals.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
