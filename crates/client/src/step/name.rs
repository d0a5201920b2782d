//! What the owner calls people. It stays on this device, and nobody else gives it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tokenim_identity::IdentityId;
use tokenim_wire::limits::{CONTACT_NAME_BYTES_MAX, CONTACT_NAMES_MAX};

use super::state::{StateError, Step};
use super::{Batch, Table, View};

/// What the keys of these rows begin with, in [`Table::Meta`]; the identity's id follows. The value is the name.
const ROW: &[u8] = b"contact name ";
/// What every identity begins with when it is written down.
const IDENTITY: &str = "tim1";

/// Why a name is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing of it can be seen.
    #[error("a name has letters")]
    Empty,
    /// It has more than [`CONTACT_NAME_BYTES_MAX`] bytes.
    #[error("a name has at most {} bytes", CONTACT_NAME_BYTES_MAX)]
    TooLong,
    /// It has characters that control the terminal, reorder other text or can't be seen.
    #[error("a name has no characters that control, reorder or hide text")]
    Unseen,
    /// It could be taken for an identity, or for the owner.
    #[error("this name could be mistaken: one that begins with tim1 looks like an identity, and you are you")]
    Mistaken,
    /// Somebody else is called so, or in a way that looks the same but for case.
    #[error("{0} is called so: two people need two names")]
    Taken(IdentityId),
    /// So many have names already.
    #[error(
        "{} people have names, which is as many as are kept: take one away first",
        CONTACT_NAMES_MAX
    )]
    TooMany,
}

/// What the owner calls somebody: one line without anything that controls, reorders or hides text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContactName(String);

impl ContactName {
    /// A name, spaces around and between its words made one.
    ///
    /// # Errors
    /// All of [`NameError`] but those about other names.
    pub fn new(text: &str) -> Result<Self, NameError> {
        // Before it is copied.
        let text = text.trim();
        if text.len() > CONTACT_NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        let mut name = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(word);
        }
        if name.chars().any(is_unseen) {
            return Err(NameError::Unseen);
        }
        let name = Self(name);
        match name.compared().as_str() {
            "" => Err(NameError::Empty),
            "you" => Err(NameError::Mistaken),
            compared if compared.starts_with(IDENTITY) => Err(NameError::Mistaken),
            _ => Ok(name),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is this name, whatever its case and what joins its letters.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        Self::new(text).is_ok_and(|other| other.compared() == self.compared())
    }

    /// The name as it is compared with others.
    fn compared(&self) -> String {
        let letters = self.0.chars().filter(|letter| !is_joiner(*letter));
        letters.flat_map(char::to_lowercase).collect()
    }
}

impl fmt::Display for ContactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Joiners and variation selectors: needed to write some scripts and faces, and not seen by themselves.
const fn is_joiner(letter: char) -> bool {
    matches!(letter, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Control characters, and those that Unicode says are not shown (`Default_Ignorable_Code_Point`) but for the joiners,
/// those that reorder text among them.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn row(identity: &IdentityId) -> Vec<u8> {
    [ROW, identity.as_bytes()].concat()
}

fn decoded(value: &[u8]) -> Option<ContactName> {
    ContactName::new(core::str::from_utf8(value).ok()?).ok()
}

/// What the owner calls an identity.
///
/// # Errors
/// The store's, or a damaged value.
pub fn of<V: View>(view: &V, identity: &IdentityId) -> Step<Option<ContactName>, V> {
    let Some(kept) = view.get(Table::Meta, &row(identity)).map_err(StateError::Store)? else {
        return Ok(None);
    };
    decoded(&kept).map(Some).ok_or(StateError::Damaged(Table::Meta))
}

/// Everybody who has a name.
///
/// # Errors
/// The store's, or a damaged value.
pub fn all<V: View>(view: &V) -> Step<Vec<(IdentityId, ContactName)>, V> {
    let damaged = || StateError::Damaged(Table::Meta);
    view.scan(Table::Meta, ROW, CONTACT_NAMES_MAX)
        .map_err(StateError::Store)?
        .into_iter()
        .map_while(|(key, value)| key.strip_prefix(ROW).map(|of| (of.to_vec(), value)))
        .map(|(of, value)| {
            let of = <[u8; 32]>::try_from(of.as_slice()).map_err(|_| damaged())?;
            Ok((IdentityId::from_bytes(of), decoded(&value).ok_or_else(damaged)?))
        })
        .collect()
}

/// Calls an identity something, or nothing any more. Nothing changes if the name can't be given.
///
/// # Errors
/// The store's, or a damaged value.
pub fn set<V: View>(
    view: &V,
    identity: &IdentityId,
    name: Option<&ContactName>,
) -> Step<(Result<(), NameError>, Batch), V> {
    let mut batch = Batch::new();
    let Some(name) = name else {
        batch.delete(Table::Meta, row(identity));
        return Ok((Ok(()), batch));
    };
    let mut others = all(view)?;
    others.retain(|(of, _)| of != identity);
    let compared = name.compared();
    let refused = match others.iter().find(|(_, other)| other.compared() == compared) {
        Some((of, _)) => Some(NameError::Taken(*of)),
        None => (others.len() >= CONTACT_NAMES_MAX).then_some(NameError::TooMany),
    };
    if let Some(refused) = refused {
        return Ok((Err(refused), batch));
    }
    batch.put(Table::Meta, row(identity), name.as_str().as_bytes());
    Ok((Ok(()), batch))
}
