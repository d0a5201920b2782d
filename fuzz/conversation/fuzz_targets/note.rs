#![no_main]
#[path = "../targets.rs"]
#[allow(dead_note)]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::note(data));
