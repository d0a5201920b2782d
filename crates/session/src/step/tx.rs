//! What a step has read and changed so far.

use super::View;
pub(crate) use super::record::key;
use crate::SessionError;
use tokenim_conversation::step as with;

/// Why a step was not made. Nothing has changed.
pub type StepError<E> = with::StepError<E, SessionError>;

/// The result of a part of a step.
pub(crate) type Step<T, V> = Result<T, StepError<<V as View>::Error>>;

/// A view with changes on top of it: reads see them.
pub(crate) type Tx<'a, V> = with::Tx<'a, V, SessionError>;

#[cfg(test)]
#[path = "../../tests/unit/tx.rs"]
mod tests;
