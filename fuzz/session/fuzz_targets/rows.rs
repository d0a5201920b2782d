#![no_main]
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;
#[path = "../../../crates/session/tests/simulation/world/mod.rs"]
#[allow(dead_code)]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::rows(data));
