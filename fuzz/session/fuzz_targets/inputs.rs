#![no_main]
#[path = "../../../crates/session/tests/simulation/model.rs"]
#[allow(dead_code)]
mod model;
#[path = "../../../crates/session/tests/simulation/store.rs"]
#[allow(dead_code)]
mod store;
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;
#[path = "../../../crates/session/tests/simulation/villain.rs"]
#[allow(dead_code)]
mod villain;
#[path = "../../../crates/session/tests/simulation/world.rs"]
#[allow(dead_code)]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::inputs(data));
