//! The history of an identity as a node gives it, checked against a look-up.

use crate::{
    chain::{Chain, chain, chain_with, quick},
    common::person,
    identities::identity,
};
use tokenim_identity::{HistoryEntry, IdentityState};
use tokenim_ledger::{HistoryPage, IdentityUpdate, LightClient, LookupProof, ProofError, StateKey};
use tokenim_wire::{Height, Object, limits::HISTORY_ENTRIES_MAX};

/// The page as another party gets it.
fn page(chain: &Chain, state: &IdentityState, from: u64, limit: usize) -> HistoryPage {
    let page = chain
        .executor
        .reader()
        .history(&state.id, from, limit)
        .unwrap()
        .unwrap();
    HistoryPage::from_bytes(&page.to_bytes().unwrap()).unwrap()
}

fn lookup(chain: &Chain, state: &IdentityState) -> LookupProof {
    chain.executor.lookup(&StateKey::identity(&state.id)).unwrap().unwrap()
}

fn window(chain: &Chain) -> u64 {
    chain.net.config.limits().recovery_window_ms
}

fn apply(chain: &mut Chain, updates: Vec<IdentityUpdate>) {
    let transactions = updates.into_iter().map(|update| chain.update(update)).collect();
    chain.apply(transactions);
}

#[test]
fn a_history_is_proved_by_a_look_up() {
    let mut chain = chain_with(quick());
    let network = chain.net.id;
    let mut ann = person(1);
    let (at, mut updates) = (chain.next(), Vec::new());
    updates.push(ann.add_device(&network, 1, at));
    updates.push(ann.add_device(&network, 2, at));
    apply(&mut chain, updates);
    let known = ann.state.clone();
    chain.pass(2);
    let rotate = ann.rotate_root(&network, chain.next());
    apply(&mut chain, vec![rotate]);
    chain.pass(3);
    let (at, mut updates) = (chain.next(), Vec::new());
    updates.push(ann.complete(&network, at));
    updates.push(ann.revoke_device(&network, 1, at));
    updates.push(ann.toggle_link(&network, 5, at));
    apply(&mut chain, updates);

    let client = LightClient::new(&chain.net.config).unwrap();
    let proof = lookup(&chain, &ann.state);
    let all = page(&chain, &ann.state, 0, usize::MAX);
    assert_eq!((all.genesis, all.more), (ann.genesis, false));
    assert_eq!(all, page(&chain, &ann.state, 1, 6));
    let start = IdentityState::new(&all.genesis);
    let verify = |before: &IdentityState, entries: &[HistoryEntry]| {
        client.verify_history(&ann.state.id, before, entries.to_vec(), window(&chain), &proof, None)
    };
    let (header, shown) = verify(&start, &all.entries).unwrap();
    assert_eq!((header.height, shown.state()), (chain.height(), &ann.state));
    assert_eq!(shown.entries(), all.entries.as_slice());
    let heights: Vec<u64> = shown.entries().iter().map(|entry| entry.height.get()).collect();
    assert_eq!(heights, [1, 1, 4, 8, 8, 8]);
    for entry in shown.entries() {
        let header = chain.executor.reader().header(entry.height).unwrap().unwrap();
        assert_eq!(entry.time, header.time);
    }
    // What is new since a state that is known.
    let news = page(&chain, &ann.state, known.seq + 1, usize::MAX);
    let (_, shown) = verify(&known, &news.entries).unwrap();
    assert_eq!(shown.into_parts(), (ann.state.clone(), all.entries[2..].to_vec()));
    let (_, shown) = verify(&ann.state, &[]).unwrap();
    assert!(shown.entries().is_empty());
    assert_eq!(page(&chain, &ann.state, 7, usize::MAX).entries.len(), 0);

    // A look-up that is older shows what it can, and nothing of the rest.
    let update = ann.add_device(&network, 9, chain.next());
    let transaction = chain.update(update);
    let block = chain.propose(vec![transaction]).block;
    chain.executor.commit(&block, None).unwrap();
    chain.head = block;
    let newer = page(&chain, &ann.state, 0, usize::MAX);
    assert_eq!(newer.entries.len(), 7);
    let older = client
        .verify_history(
            &ann.state.id,
            &start,
            newer.entries.clone(),
            window(&chain),
            &proof,
            None,
        )
        .unwrap();
    assert_eq!(older.1.entries(), all.entries.as_slice());
    assert_eq!(
        client.verify_history(&ann.state.id, &ann.state, [], window(&chain), &proof, None),
        Err(ProofError::HistoryBehind { shown: 6, known: 7 })
    );
    // And on every node it is the same.
    let twin = chain.replayed();
    assert_eq!(
        twin.reader().history(&ann.state.id, 0, usize::MAX).unwrap(),
        Some(newer)
    );
}

#[test]
fn a_history_comes_in_pages() {
    let mut chain = chain();
    let network = chain.net.id;
    let mut ann = person(1);
    for _ in 0..9 {
        let at = chain.next();
        let updates = (0..8).map(|link| ann.toggle_link(&network, link, at)).collect();
        apply(&mut chain, updates);
    }
    assert_eq!(ann.state.seq, 72);
    let whole = page(&chain, &ann.state, 0, usize::MAX);
    assert_eq!((whole.entries.len(), whole.more), (HISTORY_ENTRIES_MAX, true));
    let mut entries = Vec::new();
    loop {
        let next = page(&chain, &ann.state, entries.len() as u64 + 1, 7);
        entries.extend(next.entries);
        if !next.more {
            break;
        }
    }
    assert_eq!(entries[..HISTORY_ENTRIES_MAX], *whole.entries);
    let client = LightClient::new(&chain.net.config).unwrap();
    let proof = lookup(&chain, &ann.state);
    let start = IdentityState::new(&whole.genesis);
    let (_, shown) = client
        .verify_history(&ann.state.id, &start, entries, window(&chain), &proof, None)
        .unwrap();
    assert_eq!(shown.entries().len(), 72);
    assert!(
        chain
            .executor
            .reader()
            .history(&person(2).state.id, 0, 1)
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_is_not_final_is_not_history() {
    let mut chain = chain();
    let mut ann = person(1);
    let update = ann.add_device(&chain.net.id, 1, chain.next());
    let transaction = chain.update(update);
    let block = chain.propose(vec![transaction]).block;
    let history = |chain: &Chain| chain.executor.reader().history(&ann.state.id, 0, 9).unwrap();
    assert!(history(&chain).is_none());
    // Another block becomes final instead.
    let other = chain.propose(vec![]).block;
    chain.commit(other);
    assert!(!chain.executor.is_executed(&block.digest()).unwrap());
    assert!(history(&chain).is_none());
    assert_eq!(identity(&chain, &ann.state), None);
    assert_eq!(chain.height(), Height::new(1));
}
