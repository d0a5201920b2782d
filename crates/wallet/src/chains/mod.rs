//! One module per family of chains: how its chains and addresses are written, and what its wallets sign.

pub(crate) mod antelope;
pub(crate) mod aptos;
pub(crate) mod bip322;
pub(crate) mod bitcoin;
pub(crate) mod evm;
pub(crate) mod polkadot;
pub(crate) mod secp256k1;
pub(crate) mod solana;
pub(crate) mod tron;

use alloc::string::String;

/// An account of one family, as names and texts show it.
pub(crate) trait Named {
    /// The reference of its chain (CAIP-2, after the colon), canonical.
    fn reference(&self) -> String;
    /// Its address, canonical.
    fn address(&self) -> String;
    /// What people call its chains.
    fn ecosystem(&self) -> &'static str;
}
