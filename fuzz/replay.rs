//! The committed corpora for the tests: `crates/X/tests/corpus.rs` includes this beside the targets of `fuzz/X`.

use std::{fs, path::PathBuf};

/// The folder with the inputs of a target of the crate under test.
pub fn corpus(target: &str) -> PathBuf {
    let name = env!("CARGO_PKG_NAME").trim_start_matches("tokenim-");
    [env!("CARGO_MANIFEST_DIR"), "../../fuzz", name, "corpus", target]
        .iter()
        .collect()
}

/// Runs a target on all its inputs; there must be some.
pub fn replay(target: &str, run: fn(&[u8])) {
    let files = fs::read_dir(corpus(target)).unwrap_or_else(|error| panic!("no corpus for {target}: {error}"));
    let mut count = 0;
    for file in files {
        run(&fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}

/// Writes an input.
pub fn write(target: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(corpus(target)).unwrap();
    fs::write(corpus(target).join(name), bytes).unwrap();
}

/// A test for each of these targets, with its name.
macro_rules! tests {
    ($($target:ident),+ $(,)?) => {
        $(
            #[test]
            fn $target() {
                crate::replay::replay(stringify!($target), crate::targets::$target);
            }
        )+
    };
}
pub(crate) use tests;
