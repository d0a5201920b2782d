//! The key packages of a device at the nodes of its inbox.

use super::{PATIENCE, Person, run};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokenim_client::NetworkConfig;
use tokenim_identity::NodeKey;
use tokenim_mailbox::{Descriptor, KeyPackage, MailboxTag};
use tokenim_rpc::{FetchedContact, Request};
use tokenim_testkit::Caller;
use tokio::task::JoinSet;

/// The cipher suites of which a device leaves packages.
const SUITES: [u16; 2] = [0x0001, 0xf0a1];

/// Asks nodes as a stranger would.
struct Asker {
    caller: Caller,
    nodes: Vec<(NodeKey, String)>,
    tag: MailboxTag,
}

impl Asker {
    async fn of(config: &NetworkConfig, person: &Person) -> Arc<Self> {
        let state = person.client.state().await.unwrap();
        let device = &state.active_devices().next().unwrap().keys;
        let set = config.node_set().unwrap();
        let nodes = set
            .members()
            .iter()
            .map(|member| (member.key, member.address.as_str().to_owned()));
        Arc::new(Self {
            caller: Caller::new(*person.client.network().id(), [6; 32]).unwrap(),
            nodes: nodes.collect(),
            tag: Descriptor::inbox(device).tag(),
        })
    }

    async fn fetch(&self, node: usize, suite: Option<u16>) -> FetchedContact {
        let request = Request::FetchContact { tag: self.tag, suite };
        let (key, address) = &self.nodes[node];
        let answer = self.caller.ask(key, address, &request, Duration::from_secs(5)).await;
        answer.unwrap().into_fetched_contact().unwrap().unwrap()
    }

    /// Asks every node for more packages of each suite than it has, all at once: those that nobody had got before, with the
    /// node that gave them.
    async fn drain(self: &Arc<Self>) -> HashMap<KeyPackage, usize> {
        let each = (0..self.nodes.len()).flat_map(|node| SUITES.map(|suite| (node, suite)));
        let mut asked = JoinSet::new();
        for (node, suite) in each.flat_map(|one| [one; 3]) {
            let asker = self.clone();
            asked.spawn(async move { (node, asker.fetch(node, Some(suite)).await) });
        }
        let mut seen = HashMap::new();
        for (node, fetched) in asked.join_all().await {
            // A node whose part of a suite is used up gives none.
            if let Some(package) = fetched.package.filter(|_| !fetched.reused) {
                let before = seen.insert(package, node);
                assert_eq!(before, None, "two askers got the same");
            }
        }
        seen
    }
}

#[test]
fn askers_at_once_get_different_packages_through_different_nodes() {
    run(51, |dir, config| async move {
        let bert = Person::new(&dir, "bert", &config).await;
        let asker = Asker::of(&config, &bert).await;
        // Who only seals to the device takes no package.
        for node in (0..4).cycle().take(12) {
            assert_eq!(asker.fetch(node, None).await.package, None);
        }
        // Two of each suite at each of four nodes.
        let first = asker.drain().await;
        assert_eq!(first.len(), 16);
        // All were handed out, which the nodes know of the next stock as well.
        bert.client
            .set_postage(tokenim_mailbox::PostageBits::new(20).unwrap())
            .await
            .unwrap();
        assert!(bert.client.is_published().unwrap());
        for (node, suite) in (0..4).zip(SUITES.into_iter().cycle()) {
            let fetched = asker.fetch(node, Some(suite)).await;
            assert!(fetched.reused);
            assert_eq!(first.get(&fetched.package.unwrap()), Some(&node), "each has its own");
        }
    });
}

#[test]
fn what_was_used_is_not_handed_out_with_the_next_keys() {
    run(52, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let bert = Person::new(&dir, "bert", &config).await;
        let asker = Asker::of(&config, &bert).await;
        for name in ["one", "two", "three"] {
            let group = anna.chat.create_group(name, vec![bert.client.identity()], None);
            let group = group.await.unwrap();
            bert.sees(group, "the group", |info| info.members.len() == 2).await;
        }
        assert!(bert.chat.settle(PATIENCE).await);
        bert.client
            .set_postage(tokenim_mailbox::PostageBits::new(20).unwrap())
            .await
            .unwrap();
        // Three are gone for good, the others are there for whoever comes next.
        assert_eq!(asker.drain().await.len(), 13);
    });
}

#[test]
fn many_groups_of_the_same_people_add_nobody_twice() {
    run(53, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let bert = Person::new(&dir, "bert", &config).await;
        let cleo = Person::new(&dir, "cleo", &config).await;
        let started = std::time::Instant::now();
        // More than a device leaves key packages of a suite, before it leaves others.
        for _ in 0..20 {
            let people = vec![bert.client.identity(), cleo.client.identity()];
            let group = anna.chat.create_group("one more", people, None).await.unwrap();
            for person in [&bert, &cleo] {
                person.sees(group, "the group", |info| info.members.len() == 3).await;
                let info = person.chat.conversation(group).unwrap();
                assert_eq!(info.epoch, 1, "after {:?}", started.elapsed());
            }
        }
    });
}
