//! Folders that are refused, each with one line that says why, and left as they were.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tokenim_mailbox::{Incarnation, MailboxTag};
use tokenim_storage::{
    Batch, MailboxStore, Put, StateStore, Table,
    test_suite::{block_on, check_log},
};
use tokenim_storage_fjall::{FjallOptions, FjallStore, InstallId, OpenError};
use tokenim_wire::{EnvelopeId, Height, Label, SetEpoch, UnixSeconds, hash};

const TABLE: Table = Table::new("table");

fn options() -> FjallOptions {
    FjallOptions {
        free_bytes_min: 0,
        ..FjallOptions::default()
    }
}

fn put(number: u64) -> Put {
    Put {
        tag: MailboxTag::from_bytes([1; 32]),
        envelope: EnvelopeId::of(&number.to_be_bytes()),
        expiry: UnixSeconds::new(100),
        bytes: vec![7; 2000],
        set_epoch: SetEpoch::new(1),
        incarnation: Incarnation::new(1),
        height: Height::new(1),
    }
}

/// A folder with a store that has something in it.
fn filled(folder: &Path) {
    let store = FjallStore::open(folder, options()).unwrap();
    let mut batch = Batch::new();
    batch.put(TABLE, b"key", b"value");
    store.commit(batch).unwrap();
    block_on(MailboxStore::put(&store, put(1))).unwrap();
}

/// All files below a folder, with their content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.append(&mut files(&path));
        } else {
            out.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    out
}

fn refused(folder: &Path, options: FjallOptions) -> OpenError {
    let error = FjallStore::open(folder, options).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    assert!(text.contains(folder.to_str().unwrap()), "says which folder: {text}");
    error
}

/// As [`refused`], and all files are what they were.
fn refused_untouched(folder: &Path, options: FjallOptions) -> OpenError {
    let before = files(folder);
    let error = refused(folder, options);
    assert!(files(folder) == before, "a refused folder is left as it was");
    error
}

#[test]
fn an_empty_folder_becomes_a_store_and_is_one_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("not/there/yet");
    let install = InstallId::from_bytes([3; 16]);
    let ours = FjallOptions {
        install: Some(install),
        ..options()
    };
    assert_eq!(FjallStore::open(&folder, ours.clone()).unwrap().install_id(), install);
    assert_eq!(FjallStore::open(&folder, ours).unwrap().install_id(), install);
    assert_eq!(FjallStore::open(&folder, options()).unwrap().install_id(), install);
    let other = FjallStore::open(root.path().join("other"), options()).unwrap();
    assert_ne!(other.install_id(), install);
}

#[test]
fn foreign() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("letter.txt"), "dear").unwrap();
    assert!(matches!(
        refused_untouched(root.path(), options()),
        OpenError::Foreign { .. }
    ));
    let root = tempfile::tempdir().unwrap();
    fs::write(
        root.path().join("install"),
        "of another program, and longer than sixty-four bytes altogether",
    )
    .unwrap();
    assert!(matches!(refused(root.path(), options()), OpenError::Foreign { .. }));
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refused(&file, options()), OpenError::Io { .. }));
}

#[test]
fn other_install() {
    let root = tempfile::tempdir().unwrap();
    filled(root.path());
    let expected = InstallId::from_bytes([3; 16]);
    let error = refused_untouched(
        root.path(),
        FjallOptions {
            install: Some(expected),
            ..options()
        },
    );
    assert!(matches!(error, OpenError::OtherInstall { expected: named, .. } if named == expected));
}

#[test]
fn newer() {
    let root = tempfile::tempdir().unwrap();
    filled(root.path());
    let mut install = fs::read(root.path().join("install")).unwrap();
    install[11] = 2;
    let check = hash(Label::new("tokenim/store-install/v1"), &[&install[..32]]);
    install[32..].copy_from_slice(check.as_bytes());
    fs::write(root.path().join("install"), install).unwrap();
    let error = refused_untouched(root.path(), options());
    assert!(matches!(
        error,
        OpenError::Newer {
            version: 2,
            supported: 1,
            ..
        }
    ));
}

#[test]
fn locked() {
    let root = tempfile::tempdir().unwrap();
    let store = FjallStore::open(root.path(), options()).unwrap();
    assert!(matches!(refused(root.path(), options()), OpenError::Locked { .. }));
    let clone = store.clone();
    drop(store);
    assert!(matches!(refused(root.path(), options()), OpenError::Locked { .. }));
    drop(clone);
    FjallStore::open(root.path(), options()).unwrap();
}

#[test]
fn damaged_install_file() {
    let root = tempfile::tempdir().unwrap();
    filled(root.path());
    let install = fs::read(root.path().join("install")).unwrap();
    let mut changed = install.clone();
    changed[20] ^= 1;
    for damaged in [changed, install[..40].to_vec(), [install, vec![0]].concat()] {
        fs::write(root.path().join("install"), damaged).unwrap();
        assert!(matches!(
            refused_untouched(root.path(), options()),
            OpenError::Damaged { .. }
        ));
    }
    fs::remove_file(root.path().join("install")).unwrap();
    assert!(matches!(
        refused_untouched(root.path(), options()),
        OpenError::Foreign { .. }
    ));
}

#[test]
fn damaged_engine() {
    // What the engine cannot do without. A version file that is gone must not look like a new store.
    for name in ["version", "keyspaces/0/current", "keyspaces"] {
        let root = tempfile::tempdir().unwrap();
        filled(root.path());
        let path = root.path().join("db").join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        let error = refused(root.path(), options());
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}: {error}");
        // And not only the first time.
        let error = refused(root.path(), options());
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}: {error}");
    }
}

#[test]
fn a_start_that_was_interrupted_begins_again() {
    let root = tempfile::tempdir().unwrap();
    drop(FjallStore::open(root.path(), options()).unwrap());
    // As after a crash before the engine had made all its files: not ready, and half of them there.
    let mut install = fs::read(root.path().join("install")).unwrap();
    install[12] = 0;
    let check = hash(Label::new("tokenim/store-install/v1"), &[&install[..32]]);
    install[32..].copy_from_slice(check.as_bytes());
    fs::write(root.path().join("install"), install).unwrap();
    fs::remove_file(root.path().join("db/version")).unwrap();
    fs::write(root.path().join("install.new"), "half").unwrap();
    filled(root.path());
    let store = FjallStore::open(root.path(), options()).unwrap();
    assert_eq!(
        StateStore::get(&store, TABLE, b"key").unwrap().as_deref(),
        Some(b"value".as_slice())
    );
}

/// A journal that ends anywhere, as a power cut may leave it, gives a store that ends with a whole put.
#[test]
fn a_torn_journal_ends_with_a_whole_put() {
    let root = tempfile::tempdir().unwrap();
    filled(root.path());
    // Opened again, the journal is cut to what is in it, and grows with each put.
    let store = FjallStore::open(root.path(), options()).unwrap();
    for number in 2..8 {
        block_on(MailboxStore::put(&store, put(number))).unwrap();
    }
    drop(store);
    let journal = fs::read_dir(root.path().join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .unwrap();
    let whole = fs::read(&journal).unwrap();
    let mut sizes = Vec::new();
    for cut in (1..whole.len().min(9000)).step_by(613) {
        let copy = tempfile::tempdir().unwrap();
        for (path, bytes) in files(root.path()) {
            let target = copy.path().join(path.strip_prefix(root.path()).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            let bytes = if path == journal {
                &whole[..whole.len() - cut]
            } else {
                &bytes
            };
            fs::write(target, bytes).unwrap();
        }
        let store = FjallStore::open(copy.path(), options()).unwrap();
        let tag = put(0).tag;
        check_log(&store, &tag, &[]);
        let page = block_on(store.read(&tag, 0, 99, usize::MAX, Height::ZERO)).unwrap();
        assert!(page.entries.iter().all(|stored| stored.bytes == Some(put(0).bytes)));
        let stats = block_on(store.stats()).unwrap();
        assert_eq!(stats.envelopes, page.next);
        assert_eq!(stats.bytes, page.next * 2000);
        sizes.push(page.next);
        // And it goes on from there.
        assert_eq!(
            block_on(MailboxStore::put(&store, put(50))).unwrap().entry.index,
            page.next
        );
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(
        sizes.iter().any(|size| *size < 6),
        "cuts went through several puts: {sizes:?}"
    );
}
