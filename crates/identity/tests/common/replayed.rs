//! Chosen bytes in place of random ones, for the tests of `wallet` too.

use std::convert::Infallible;
use tokenim_identity::rand_core::{TryCryptoRng, TryRng};

/// Gives the bytes that it was made with, then zeros.
pub struct Replayed(pub Vec<u8>);

impl TryRng for Replayed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        let length = out.len().min(self.0.len());
        out[..length].copy_from_slice(&self.0[..length]);
        self.0.drain(..length);
        Ok(())
    }
}

impl TryCryptoRng for Replayed {}
