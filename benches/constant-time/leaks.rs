//! Code that leaks: what shows that the check can fail.

use std::hint::black_box;

use crate::memcheck::make_secret;

/// Each must be reported.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("leak: a branch on a secret", branch),
    ("leak: a table read at a secret place", address),
    ("leak: a comparison that stops at the first difference", comparison),
];

fn secret() -> [u8; 32] {
    let mut bytes = black_box([7; 32]);
    make_secret(&mut bytes);
    bytes
}

fn branch() {
    if secret().first().is_some_and(|byte| byte & 1 == 1) {
        black_box(());
    }
}

fn address() {
    let table: [u8; 256] = black_box([3; 256]);
    let place = secret().first().copied().map_or(0, usize::from);
    black_box(table.get(place).copied());
}

fn comparison() {
    let guess: [u8; 32] = black_box([8; 32]);
    if secret() == guess {
        black_box(());
    }
}
