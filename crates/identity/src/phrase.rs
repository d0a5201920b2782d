//! The words that an identity is made of.

use crate::{Genesis, RootKey, RootSigningKey, slip10::Node};
use alloc::string::String;
use bip39::{Language, Mnemonic};
use core::{
    fmt::{self, Write as _},
    str::FromStr,
};
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The first index of the path, the letters `TIMM`.
const PURPOSE: u32 = 0x5449_4d4d;

/// 24 words (BIP-39, English), of which root keys are made (SLIP-0010). Whoever holds them holds the identity. They are
/// wiped when dropped and don't print themselves.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Phrase(Mnemonic);

/// Why a text is not a phrase. It does not repeat any word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Another number of words than 24.
    #[error("a phrase has 24 words, this one has {actual}")]
    WordCount {
        /// How many there are.
        actual: usize,
    },
    /// A word that is not in the list.
    #[error("word {position} is not in the word list")]
    UnknownWord {
        /// Its place, the first word being 1.
        position: usize,
    },
    /// All words are in the list, but they don't belong together.
    #[error("the words don't fit each other: one is wrong, or they are in the wrong order")]
    Checksum,
}

impl Phrase {
    /// How many words a phrase has.
    pub const WORDS: usize = 24;
    /// How many root keys [`Phrase::find_root`] tries.
    const ROOTS_SEARCHED: u32 = 256;

    /// A fresh random phrase.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        rng.fill_bytes(entropy.as_mut_slice());
        Self::from_entropy(&entropy)
    }

    /// The phrase of 256 bits of entropy.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; 32]) -> Self {
        match Mnemonic::from_entropy_in(Language::English, entropy) {
            Ok(mnemonic) => Self(mnemonic),
            Err(_) => unreachable!("256 bits are among the lengths of BIP-39, and their length is all it checks"),
        }
    }

    /// Its 256 bits of entropy, which is what a keystore keeps.
    #[must_use]
    pub fn expose_entropy(&self) -> Zeroizing<[u8; 32]> {
        let (padded, _) = self.0.to_entropy_array();
        let padded = Zeroizing::new(padded);
        let mut out = Zeroizing::new([0; 32]);
        for (slot, byte) in out.iter_mut().zip(padded.iter()) {
            *slot = *byte;
        }
        out
    }

    /// Reads 24 words with any white space between them, in lower, upper or mixed case.
    ///
    /// # Errors
    /// [`PhraseError`] for what is wrong first: number, word, checksum.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let actual = text.split_whitespace().count();
        if actual != Self::WORDS {
            return Err(PhraseError::WordCount { actual });
        }
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        match Mnemonic::parse_in_normalized(Language::English, &lower) {
            Ok(mnemonic) => Ok(Self(mnemonic)),
            Err(bip39::Error::UnknownWord(index)) => Err(PhraseError::UnknownWord {
                position: index.saturating_add(1),
            }),
            Err(bip39::Error::BadWordCount(actual)) => Err(PhraseError::WordCount { actual }),
            Err(_) => Err(PhraseError::Checksum),
        }
    }

    /// The words, lower-case, with one space between them.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        // 24 words of at most 8 letters: it never grows, so it leaves no copy behind.
        let mut out = Zeroizing::new(String::with_capacity(256));
        // Writing to a String cannot fail.
        let _ = write!(out, "{}", self.0);
        out
    }

    /// The root key with an index: SLIP-0010, path `m/1414090061'/0'/index'`, from the BIP-39 seed with no passphrase.
    #[must_use]
    pub fn root_key(&self, index: u32) -> RootSigningKey {
        RootSigningKey::from_seed(*self.account().child(index).seed())
    }

    /// The genesis record: root key 0, with root key 1 as the next. These words alone give the name of the identity.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        Genesis::new(self.root_key(0).verifying_key(), &self.root_key(1).verifying_key())
    }

    /// The genesis record with a next root that is made elsewhere: root key 0 of a second phrase, kept in another
    /// place. Whoever steals one of the two does not have the other. The name of the identity then takes both: these
    /// words and that public key.
    #[must_use]
    pub fn genesis_with_next(&self, next: &RootKey) -> Genesis {
        Genesis::new(self.root_key(0).verifying_key(), next)
    }

    /// Which of the first 256 root keys of this phrase a key is.
    #[must_use]
    pub fn find_root(&self, key: &RootKey) -> Option<u32> {
        let account = self.account();
        (0..Self::ROOTS_SEARCHED)
            .find(|index| RootSigningKey::from_seed(*account.child(*index).seed()).verifying_key() == *key)
    }

    /// The node above the root keys.
    fn account(&self) -> Node {
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        Node::master(seed.as_slice()).child(PURPOSE).child(0)
    }
}

impl FromStr for Phrase {
    type Err = PhraseError;

    fn from_str(text: &str) -> Result<Self, PhraseError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use tokenim_wire::hex;
    use zeroize::Zeroize as _;

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Words>,
    }

    #[derive(Deserialize)]
    struct Words {
        words: String,
        seed_with_passphrase_trezor: String,
    }

    /// The published seeds are under a passphrase, which phrases here don't have.
    #[test]
    fn seeds_are_those_of_the_published_vectors() {
        let vectors: Vectors = serde_json::from_str(include_str!("../tests/vectors/bip39.json")).unwrap();
        for case in vectors.vectors {
            let seed = Phrase::parse(&case.words).unwrap().0.to_seed_normalized("TREZOR");
            assert_eq!(hex::encode(&seed), case.seed_with_passphrase_trezor);
        }
    }

    #[test]
    fn words_are_wiped_to_the_first_of_the_list() {
        let mut phrase = Phrase::from_entropy(&[0x55; 32]);
        phrase.0.zeroize();
        assert_eq!(*phrase.expose_entropy(), [0; 32]);
    }
}
