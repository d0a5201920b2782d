//! Whatever f nodes of a swarm do, the merge of Q complete answers holds every accepted envelope, once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tokenim_client::step::{Coverage, LogWalk};
use tokenim_rpc::Page;
use tokenim_wire::{BoundedBytes, EnvelopeId, UnixMillis};

use crate::world::{Log, NETWORK, NOW, TAG, World, envelope};

/// What a lying node does to a page.
#[derive(Debug, Clone, Copy)]
enum Lie {
    None,
    FlipByte,
    WithholdBodies,
    LeaveOut,
    Silent,
}

fn lie(page: &mut Page, lie: Lie) {
    let mut items = page.items.clone().into_inner();
    match lie {
        Lie::None | Lie::Silent => {}
        Lie::FlipByte => {
            for item in &mut items {
                let mut bytes = item.envelope.take().map(BoundedBytes::into_inner).unwrap_or_default();
                if let Some(byte) = bytes.last_mut() {
                    *byte ^= 0x80;
                }
                item.envelope = BoundedBytes::try_from(bytes).ok();
            }
        }
        Lie::WithholdBodies => items.iter_mut().for_each(|item| item.envelope = None),
        Lie::LeaveOut => {
            items.pop();
        }
    }
    page.items = items.try_into().unwrap();
}

fn lies() -> impl Strategy<Value = Lie> {
    prop_oneof![
        Just(Lie::None),
        Just(Lie::FlipByte),
        Just(Lie::WithholdBodies),
        Just(Lie::LeaveOut),
        Just(Lie::Silent),
    ]
}

#[derive(Debug, Clone)]
struct Plan {
    nodes: usize,
    /// For each envelope, in which order nodes get it and how many beyond W do.
    puts: Vec<(Vec<usize>, usize)>,
    /// Envelopes that reach one node alone and are never accepted.
    strays: Vec<usize>,
    lie: Lie,
    liar: usize,
    /// Honest nodes that are down while the reader reads; at most f of all are faulty.
    page: usize,
    /// The order in which nodes are read, page by page.
    turns: Vec<usize>,
}

fn plans() -> impl Strategy<Value = Plan> {
    (4_usize..=5)
        .prop_flat_map(|nodes| {
            let order = Just((0..nodes).collect::<Vec<_>>()).prop_shuffle();
            (
                Just(nodes),
                proptest::collection::vec((order, 0_usize..=2), 0..20),
                proptest::collection::vec(0..nodes, 0..4),
                lies(),
                0..nodes,
                1_usize..=7,
                proptest::collection::vec(0..nodes, 0..200),
            )
        })
        .prop_map(|(nodes, puts, strays, lie, liar, page, turns)| Plan {
            nodes,
            puts,
            strays,
            lie,
            liar,
            page,
            turns,
        })
}

fn cases() -> u32 {
    std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_merge_of_q_answers_holds_all_that_was_accepted_once(plan in plans()) {
        let world = World::new(plan.nodes, 11);
        let quorum = world.set.quorum();
        let mut logs: Vec<Log> = world.swarm().iter().map(Log::new).collect();
        let mut accepted = BTreeSet::new();
        for (number, (order, extra)) in plan.puts.iter().enumerate() {
            let put = envelope(number as u64);
            accepted.insert(put.0);
            for node in order.iter().take(usize::from(quorum.write) + extra) {
                logs[*node].put(put.clone());
            }
        }
        for (number, node) in plan.strays.iter().enumerate() {
            logs[*node].put(envelope(1_000 + number as u64));
        }

        let mut coverage = Coverage::new(&world.set, &TAG);
        let mut walks: Vec<LogWalk> = logs.iter().map(|log| LogWalk::new(log.node(), TAG, None)).collect();
        let mut got: BTreeMap<EnvelopeId, Vec<u8>> = BTreeMap::new();
        let mut delivered: Vec<EnvelopeId> = Vec::new();
        let mut failed = vec![false; logs.len()];
        let at = UnixMillis::new(1);
        let everyone = (0..plan.nodes).cycle().take(plan.nodes * 30);
        for node in plan.turns.iter().copied().chain(everyone) {
            if failed[node] || walks[node].is_complete() {
                continue;
            }
            let does = if node == plan.liar { plan.lie } else { Lie::None };
            if matches!(does, Lie::Silent) {
                failed[node] = true;
                coverage.failed(&logs[node].node(), at);
                continue;
            }
            let nonce = [node as u8; 16];
            let mut page = logs[node].page(walks[node].from(), plan.page, nonce);
            lie(&mut page, does);
            match walks[node].page(&NETWORK, &nonce, page) {
                Err(_) => {
                    prop_assert_eq!(node, plan.liar, "an honest node is never blamed");
                    failed[node] = true;
                    coverage.failed(&logs[node].node(), at);
                }
                Ok(copies) => {
                    for copy in copies {
                        if got.insert(copy.envelope, copy.bytes).is_none() {
                            delivered.push(copy.envelope);
                        }
                    }
                    if walks[node].is_complete() {
                        coverage.complete(&logs[node].node(), at);
                    }
                }
            }
        }
        for walk in &mut walks {
            walk.settle(NOW, |envelope| got.contains_key(envelope));
        }
        for (walk, log) in walks.iter().zip(&logs) {
            coverage.lacks(&log.node(), walk.unsettled().filter(|envelope| !got.contains_key(envelope)));
        }

        prop_assert!(coverage.is_settled(at));
        prop_assert!(coverage.answers(at) >= usize::from(quorum.read));
        prop_assert!(coverage.is_complete(at), "missing {:?}", coverage.missing());
        for envelope in &accepted {
            prop_assert!(got.contains_key(envelope), "an accepted envelope is lost");
        }
        for (envelope, bytes) in &got {
            prop_assert_eq!(EnvelopeId::of(bytes), *envelope);
        }
        let once: BTreeSet<_> = delivered.iter().collect();
        prop_assert_eq!(once.len(), delivered.len());
    }
}

#[test]
fn fewer_than_q_answers_are_possibly_incomplete() {
    let world = World::new(4, 12);
    let mut coverage = Coverage::new(&world.set, &TAG);
    let nodes = coverage.nodes();
    let at = UnixMillis::new(10);
    assert_eq!((nodes.len(), coverage.needed()), (4, 3));
    for (count, node) in nodes.iter().take(3).enumerate() {
        assert!(!coverage.is_complete(at), "{count} answers");
        coverage.complete(node, at);
    }
    assert!(coverage.is_complete(at));
    assert!(!coverage.is_settled(at));
    assert!(
        !coverage.is_complete(UnixMillis::new(11)),
        "an old answer does not count"
    );
    coverage.failed(&nodes[3], at);
    assert!(coverage.is_settled(at) && coverage.is_complete(at));
    coverage.failed(&nodes[0], at);
    assert!(!coverage.is_complete(at));
}

#[test]
fn what_more_than_f_nodes_list_and_nobody_gives_is_missing() {
    let world = World::new(4, 13);
    let mut coverage = Coverage::new(&world.set, &TAG);
    let nodes = coverage.nodes();
    let at = UnixMillis::new(10);
    nodes.iter().for_each(|node| coverage.complete(node, at));
    let lost = envelope(1).0;
    coverage.lacks(&nodes[0], [lost]);
    assert!(coverage.is_complete(at), "one may have invented it");
    coverage.lacks(&nodes[1], [lost, envelope(2).0]);
    assert_eq!(coverage.missing(), [lost]);
    assert!(!coverage.is_complete(at));
    coverage.lacks(&nodes[1], []);
    assert!(coverage.is_complete(at));
}
