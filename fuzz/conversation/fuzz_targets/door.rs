#![no_main]
#[path = "../targets.rs"]
#[allow(dead_door)]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::door(data));
