//! Histories and lists of contacts that take more than one page.

use std::time::Duration;

use tokenim_client::IdentityId;
use tokenim_client::step::contact::{KeyChange, Relation};
use tokenim_envelope::Suite;
use tokenim_testkit::{Lie, until};

use super::world::{ByHand, World, caught_with_proofs};

/// Records of the one whose history is asked for.
const RECORDS: usize = 5;
/// Contacts that are read at a time, and a few.
const CONTACTS: u16 = 256 + 4;

async fn carl(world: &World, number: u8) -> ByHand {
    let mut carl = ByHand::new(world, number).await;
    for _ in 2..RECORDS {
        carl.add_device(Suite::XWing).await;
    }
    let first = carl.devices[0].device_id();
    carl.revoke_device(first).await;
    carl
}

/// Asks until the liar was the first to be asked, each time with the right answer; how often it lied in one of them at most.
async fn histories(world: &World, identity: &IdentityId, lie: Lie) -> (tokenim_client::Network, u64) {
    let network = world.stranger().await;
    let whole = async || {
        for _ in &world.network.layout.nodes {
            let history = network.history(identity).await.ok()?;
            (history.entries().len() == RECORDS).then_some(())?;
        }
        Some(())
    };
    until("each node has all records", Duration::from_secs(30), whole)
        .await
        .unwrap();
    world.liar.tell(Some(lie));
    let mut most = 0;
    for _ in 0..8 {
        let before = world.liar.told();
        let history = network.history(identity).await.unwrap();
        assert_eq!(history.entries().len(), RECORDS);
        most = most.max(world.liar.told() - before);
    }
    (network, most)
}

#[test]
fn a_history_is_read_page_by_page() {
    World::run(async |world| {
        let carl = carl(world, 31).await;
        let (network, pages) = histories(world, &carl.state.id, Lie::PagesOfOne).await;
        assert_eq!(pages, RECORDS as u64);
        assert_eq!(network.take_caught(), [], "a page may be as small as a node likes");
    });
}

#[test]
fn a_history_with_a_page_twice_is_refused_and_ends() {
    World::run(async |world| {
        let carl = carl(world, 32).await;
        let (network, pages) = histories(world, &carl.state.id, Lie::RepeatedPage).await;
        assert_eq!(pages, RECORDS as u64, "no more pages are read than there are records");
        caught_with_proofs(&network, &world.liar);
    });
}

#[test]
fn a_history_of_which_pages_are_kept_back_is_refused() {
    World::run(async |world| {
        let carl = carl(world, 33).await;
        let (network, pages) = histories(world, &carl.state.id, Lie::FirstPageOnly).await;
        assert_eq!(pages, 1);
        caught_with_proofs(&network, &world.liar);
    });
}

#[test]
fn contacts_beyond_the_first_page_are_watched_too() {
    World::run(async |world| {
        let anna = &world.anna;
        // Before Carl, in the order in which they are kept.
        for number in 0..CONTACTS {
            let mut id = [0; 32];
            id[30..].copy_from_slice(&number.to_be_bytes());
            let contact = IdentityId::from_bytes(id);
            anna.set_relation(&contact, Relation::Blocked).await.unwrap();
        }
        let mut carl = ByHand::new(world, 34).await;
        let id = carl.state.id;
        anna.set_relation(&id, Relation::Allowed).await.unwrap();
        carl.is_seen_by(anna).await;
        let device = carl.add_device(Suite::XWing).await;
        until("Anna is told", Duration::from_secs(40), || async {
            let notices = anna.monitor(Duration::ZERO).await.unwrap();
            let is_it =
                |change: &KeyChange| matches!(change, KeyChange::DeviceAdded { device: added, .. } if *added == device);
            notices
                .iter()
                .any(|(_, notice)| notice.identity == id && is_it(&notice.change))
                .then_some(())
        })
        .await
        .unwrap();
    });
}
