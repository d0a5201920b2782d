//! The number that two people compare to know that nobody stands between them.

use crate::{IdentityId, RootKey};
use core::{
    fmt::{self, Write as _},
    str::FromStr,
};
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;
use tokenim_wire::Label;

/// The label under which fingerprints begin.
const FINGERPRINT: Label = Label::new("tokenim/fingerprint/v1");
/// Hashes that one fingerprint takes: about 12 bits of work more for whoever looks for a second key with the same
/// digits.
const ITERATIONS: u32 = 5_200;
/// Digits of one person.
const HALF: usize = 30;
/// Digits that are written together.
const GROUP: usize = 5;

/// The fingerprint of a person: what safety numbers and verification codes show a part of.
///
/// ```text
/// h₁ = SHA-512( length of label, 1 byte ‖ label ‖ root key ‖ identity id )
/// hₙ = SHA-512( hₙ₋₁ ‖ root key )
/// fingerprint = h₅₂₀₀
/// ```
pub(crate) fn fingerprint(id: &IdentityId, root: &RootKey) -> [u8; 64] {
    let first = Sha512::new()
        .chain_update([FINGERPRINT.length_byte()])
        .chain_update(FINGERPRINT.as_str())
        .chain_update(root.as_bytes())
        .chain_update(id.as_bytes())
        .finalize();
    (1..ITERATIONS)
        .fold(first, |hash, _| {
            Sha512::new()
                .chain_update(hash)
                .chain_update(root.as_bytes())
                .finalize()
        })
        .into()
}

/// Sixty digits, the same for two people if and only if each sees the identity and the root key of the other as they
/// are: compared by voice or side by side, they show that no node or network put itself between. They follow from both
/// names and both root keys, so a change of either root changes them, and a new device does not.
///
/// The design is that of Signal's numeric fingerprint: thirty digits of each person, the smaller thirty first, from
/// 5,200 rounds of SHA-512 (<https://signal.org/blog/safety-number-updates/>, and `NumericFingerprintGenerator` of its
/// library). What is hashed is ours: see `docs/spec/identity.md`.
///
/// `Display` writes twelve groups of five with a blank between them, and with `{:#}` three lines of four. `FromStr`
/// reads the digits with any white space before, between and after them. Numbers are compared in constant time.
///
/// ```
/// use tokenim_identity::{Phrase, SafetyNumber};
/// let [ada, ben] = [[1; 32], [2; 32]].map(|entropy| {
///     let phrase = Phrase::from_entropy(&entropy);
///     (phrase.genesis().id(), phrase.root_key(0).verifying_key())
/// });
/// let shown = SafetyNumber::between(&ada, &ben);
/// let heard: SafetyNumber = shown.to_string().replace(' ', "\n").parse()?;
/// assert!(heard == SafetyNumber::between(&ben, &ada));
/// # Ok::<(), tokenim_identity::SafetyNumberError>(())
/// ```
#[derive(Clone, Copy)]
pub struct SafetyNumber {
    /// ASCII digits.
    digits: [u8; SafetyNumber::DIGITS],
}

/// Why a text is not a safety number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SafetyNumberError {
    /// Something that is neither a digit from 0 to 9 nor white space.
    #[error("character {position} is neither a digit nor a blank")]
    Character {
        /// Its place in the text, the first character being 1.
        position: usize,
    },
    /// Another number of digits than sixty.
    #[error("a safety number has 60 digits, this one has {actual}")]
    Length {
        /// How many there are.
        actual: usize,
    },
}

impl SafetyNumber {
    /// How many digits a safety number has.
    pub const DIGITS: usize = 2 * HALF;

    /// The number between two people, each with the root key that the asker sees as theirs now. The order does not
    /// matter. It takes about as long as ten signatures.
    #[must_use]
    pub fn between(one: &(IdentityId, RootKey), other: &(IdentityId, RootKey)) -> Self {
        let (one, other) = (half(&one.0, &one.1), half(&other.0, &other.1));
        let mut digits = [0; Self::DIGITS];
        for (slot, digit) in digits.iter_mut().zip(one.min(other).into_iter().chain(one.max(other))) {
            *slot = digit;
        }
        Self { digits }
    }
}

/// The thirty digits of one person: six times five bytes of the fingerprint, each as a number, of which the last five
/// decimal digits are taken.
fn half(id: &IdentityId, root: &RootKey) -> [u8; HALF] {
    let fingerprint = fingerprint(id, root);
    let mut digits = [0; HALF];
    for (group, bytes) in digits
        .as_chunks_mut::<GROUP>()
        .0
        .iter_mut()
        .zip(fingerprint.as_chunks::<5>().0)
    {
        let mut number = bytes
            .iter()
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        for digit in group.iter_mut().rev() {
            *digit = b'0'.saturating_add((number % 10).to_le_bytes()[0]);
            number /= 10;
        }
    }
    digits
}

impl PartialEq for SafetyNumber {
    fn eq(&self, other: &Self) -> bool {
        self.digits.ct_eq(&other.digits).into()
    }
}

impl Eq for SafetyNumber {}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, group) in self.digits.as_chunks::<GROUP>().0.iter().enumerate() {
            match position {
                0 => {}
                4 | 8 if f.alternate() => f.write_char('\n')?,
                _ => f.write_char(' ')?,
            }
            group.iter().try_for_each(|digit| f.write_char(char::from(*digit)))?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetyNumber({self})")
    }
}

impl FromStr for SafetyNumber {
    type Err = SafetyNumberError;

    fn from_str(text: &str) -> Result<Self, SafetyNumberError> {
        let mut digits = [0; Self::DIGITS];
        let mut slots = digits.iter_mut();
        let mut actual = 0_usize;
        for (before, character) in text.chars().enumerate() {
            if character.is_whitespace() {
                continue;
            }
            if !character.is_ascii_digit() {
                return Err(SafetyNumberError::Character {
                    position: before.saturating_add(1),
                });
            }
            actual = actual.saturating_add(1);
            if let (Some(slot), Ok(digit)) = (slots.next(), u8::try_from(character)) {
                *slot = digit;
            }
        }
        if actual == Self::DIGITS {
            Ok(Self { digits })
        } else {
            Err(SafetyNumberError::Length { actual })
        }
    }
}
