//! What is read long after it was said.

use super::{Change, Mark, PATIENCE, Person, Standing};
use std::time::Duration;
use tempfile::TempDir;
use tokenim_client::Client;
use tokenim_client::chat::{ChatEvent, ChatEvents, Content, Event};
use tokenim_testkit::{Lie, LocalNetwork, LyingNode, until};
use tokenim_wire::Height;
use tokenim_wire::limits::{SESSION_GRACE_HEIGHTS, SESSION_WAITING_MAX};

/// Somebody in front of each node, for those who are sent there.
struct Between(Vec<LyingNode>);

impl Between {
    fn new(network: &LocalNetwork) -> Self {
        let nodes = 0..network.layout.nodes.len();
        Self(
            nodes
                .map(|node| LyingNode::start(&network.layout, node).unwrap())
                .collect(),
        )
    }

    /// Says this from now on, to this client among others; what it has asked before stays without an answer.
    async fn tell(&self, client: &Client, lie: Option<Lie>) {
        for liar in &self.0 {
            liar.tell(lie);
            client.network().prefer_address(&liar.node(), &liar.address()).await;
        }
    }
}

async fn height(person: &Person) -> Height {
    let network = person.client.network();
    let asked = network.lookup(&person.client.identity(), Duration::from_secs(1)).await;
    asked.map(|found| found.height).unwrap_or_default()
}

/// Waits until a message of somebody is refused.
async fn refused(events: &mut ChatEvents, person: &Person) {
    let author = person.client.identity();
    let refused = async {
        while let Some(event) = events.next().await {
            if matches!(&event, ChatEvent::Session(Event::Refused { author: named, .. }) if *named == author) {
                return;
            }
        }
        panic!("the client was closed");
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("it is refused");
}

#[test]
#[ignore = "six hundred blocks are made"]
fn what_was_accepted_in_time_is_heard_late_and_nothing_is_lost_for_want_of_room() {
    let folder = TempDir::new().unwrap();
    // As many blocks as the nodes can make.
    let network = LocalNetwork::start(4, 61, |_, config| config.timing.heartbeat_ms = 10).unwrap();
    let config = network.layout.network.clone();
    network.block_on(async {
        let dir = folder.path();
        let anna = Person::new(dir, "anna", &config).await;
        let bert = Person::new(dir, "bert", &config).await;
        let cleo = Person::new(dir, "cleo", &config).await;
        let between = Between::new(&network);
        let invited = vec![bert.client.identity(), cleo.client.identity()];
        let group = anna.chat.create_group("the three", invited, None).await.unwrap();
        for person in [&anna, &bert, &cleo] {
            person.sees(group, "all are in", |info| info.members.len() == 3).await;
        }
        bert.say(group, "hello").await;
        for person in [&anna, &cleo] {
            person.reads(group, &["hello"]).await;
        }

        // While Cleo is away, more is said than may wait for look-ups.
        let Person {
            folder: cleos, client, ..
        } = cleo;
        client.close().await;
        drop(client);
        bert.say(group, "in time").await;
        anna.reads(group, &["hello", "in time"]).await;
        bert.marked(group, "in time", Mark::Stored).await;
        let said = bert.said(group).pop().unwrap();
        let proof = bert.chat.proof_of(group, &said.order, PATIENCE).await.unwrap();
        assert!(proof.is_some(), "the ledger has it");
        let many: Vec<String> = (0..SESSION_WAITING_MAX + 20).map(|number| number.to_string()).collect();
        for text in &many {
            anna.say(group, text).await;
        }
        let last = many.last().unwrap();
        anna.marked(group, last, Mark::Stored).await;

        // What Bert says last reaches nobody before he is removed, which he does not learn of.
        between.tell(&bert.client, Some(Lie::Silence)).await;
        bert.say(group, "too late").await;
        let removed = Change::Remove(bert.client.identity());
        anna.chat.change(group, removed).await.unwrap();
        anna.sees(group, "he is removed", |info| info.members.len() == 2).await;
        let over = height(&anna).await.saturating_add(SESSION_GRACE_HEIGHTS + 1);
        let is_over = async || (height(&anna).await > over).then_some(());
        until("the grace is over", 3 * PATIENCE, is_over).await.unwrap();
        let mut events = anna.chat.events();
        between.tell(&bert.client, Some(Lie::NoLookups)).await;
        bert.marked(group, "too late", Mark::Stored).await;
        assert_eq!(bert.chat.conversation(group).unwrap().standing, Standing::Active);
        refused(&mut events, &bert).await;

        // Nobody whom Cleo asks at first says who the authors are, or what became of the group.
        let client = Client::open(&cleos, Some(super::PASSPHRASE)).unwrap();
        between.tell(&client, Some(Lie::NoLookups)).await;
        let mut events = client.chat().unwrap().events();
        let cleo = Person::work(cleos, client);
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(cleo.texts(group), ["hello"], "nothing else can be judged");
        between.tell(&cleo.client, None).await;
        let mut wanted: Vec<&str> = many.iter().map(String::as_str).collect();
        wanted.extend(["hello", "in time"]);
        cleo.reads(group, &wanted).await;
        refused(&mut events, &bert).await;
        cleo.say(group, "so he is gone").await;
        wanted.push("so he is gone");
        anna.reads(group, &wanted).await;
        for person in [&anna, &cleo] {
            let late = Content::text("too late").unwrap();
            assert!(
                person
                    .said(group)
                    .iter()
                    .all(|message| message.content.as_ref() != Some(&late))
            );
            assert_eq!(person.texts(group), anna.texts(group), "the same order for all");
        }
    });
}
