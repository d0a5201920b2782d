//! The value that the vectors encode: one field of each kind that the format has.

use serde::{Deserialize, Serialize};
use tokenim_wire::{BoundedBytes, BoundedString, BoundedVec, Digest, Object};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub flag: bool,
    pub small: u8,
    pub medium: u16,
    pub wide: u32,
    pub long: u64,
    pub signed: i32,
    pub id: Digest,
    pub maybe: Option<u16>,
    pub choice: Choice,
    pub list: BoundedVec<u16, 4>,
    pub blob: BoundedBytes<8>,
    pub text: BoundedString<8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Choice {
    Nothing,
    Number(u32),
    Pair { left: u8, right: u16 },
}

impl Object for Sample {
    const NAME: &'static str = "sample";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 128;
}

impl Sample {
    /// All zero, all empty.
    pub fn zero() -> Self {
        Self {
            flag: false,
            small: 0,
            medium: 0,
            wide: 0,
            long: 0,
            signed: 0,
            id: Digest::from_bytes([0; 32]),
            maybe: None,
            choice: Choice::Nothing,
            list: BoundedVec::empty(),
            blob: BoundedBytes::empty(),
            text: BoundedString::default(),
        }
    }
}
