//! A network that stands still for a while.

use super::{PASSPHRASE, PATIENCE};
use std::time::Duration;
use tempfile::TempDir;
use tokenim_client::{Argon2Cost, Client};
use tokenim_identity::SignedRecord;
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
