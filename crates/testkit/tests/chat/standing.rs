//! A network that stands still for a while, and people who can't be written to.

use super::{PASSPHRASE, PATIENCE, Person, run};
use std::time::Duration;
use tempfile::TempDir;
use tokenim_client::{Argon2Cost, Client};
use tokenim_identity::SignedRecord;
use tokenim_mailbox::PostageBits;
use tokenim_rpc::NodeState;
use tokenim_testkit::{LocalNetwork, until};

#[test]
fn a_record_that_no_node_takes_because_the_network_stands_still_is_there_when_it_goes_on() {
    let folder = TempDir::new().unwrap();
    let network = LocalNetwork::start(4, 62, |_, config| config.timing.stalled_after_ms = 1_200).unwrap();
    let config = network.layout.network.clone();
    let (client, record) = network.block_on(async {
        let made = Client::create(folder.path(), config, PASSPHRASE, Argon2Cost::MINIMUM);
        let (client, words) = made.unwrap();
        client.register().await.unwrap();
        let state = client.state().await.unwrap();
        let record = SignedRecord::deactivate(client.network().id(), &state, &words.root_key(0));
        (client, record.unwrap())
    });
    for node in [2, 3] {
        network.stop_node(node).unwrap();
    }
    let mut publishing = None;
    network.block_on(async {
        let stalled = async || {
            let reports = client.network().status().await;
            let states = reports.iter().filter_map(|report| report.status.as_ref().ok());
            let stalled = states.filter(|status| status.state == NodeState::NotProgressing);
            (stalled.count() == 2).then_some(())
        };
        until("no node takes anything", PATIENCE, stalled).await.unwrap();
        let client = client.clone();
        publishing = Some(tokio::spawn(async move { client.publish_record(record).await }));
    });
    let publishing = publishing.unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(!publishing.is_finished(), "it waits");
    for node in [2, 3] {
        network.start_node(node, |_| {}).unwrap();
    }
    network.block_on(async {
        let found = publishing.await.unwrap().unwrap();
        assert!(found.state.unwrap().pending().is_some());
        client.close().await;
    });
}

#[test]
fn who_asks_for_more_than_is_paid_is_written_to_later_and_holds_nobody_up() {
    run(63, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let carl = Person::new(&dir, "carl", &config).await;
        let mut dear = Vec::new();
        for name in ["bert", "dora", "emil", "fay"] {
            let person = Person::new(&dir, name, &config).await;
            // Minutes of work for each envelope.
            let bits = PostageBits::new(32).unwrap();
            person.client.set_postage(bits).await.unwrap();
            dear.push(person);
        }
        let invited: Vec<_> = dear.iter().map(|person| person.client.identity()).collect();
        for number in 0..9 {
            let name = number.to_string();
            anna.chat.create_group(&name, invited.clone(), None).await.unwrap();
        }
        let made = async || {
            let infos = anna.chat.conversations().unwrap();
            infos.iter().all(|info| info.members.len() == 5).then_some(())
        };
        until("anna has made them all", 3 * PATIENCE, made).await.unwrap();
        // More than are carried out at a time.
        assert!(anna.chat.status().due > 32, "{:?}", anna.chat.status());
        let between = anna.chat.start(carl.client.identity()).await.unwrap();
        anna.say(between, "good morning").await;
        carl.reads(between, &["good morning"]).await;
        for person in &dear {
            assert_eq!(person.chat.conversations().unwrap(), []);
            person.client.set_postage(PostageBits::DEFAULT).await.unwrap();
        }
        for person in &dear {
            let all = async || (person.chat.conversations().unwrap().len() == 9).then_some(());
            until("all are in all groups", 3 * PATIENCE, all).await.unwrap();
        }
    });
}
