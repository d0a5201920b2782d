//! What those leave behind at a recipient who are nobody, or somebody else.

use std::time::Duration;

use redb::ReadableTable as _;
use tokenim_client::{IdentityId, Refusal};
use tokenim_testkit::until;

use crate::world::{ByHand, World};

/// Whether something of an identity is kept in Bert's folder, in a table.
fn is_kept(world: &World, table: &str, identity: &IdentityId) -> bool {
    let store = redb::Builder::new()
        .set_concurrency_mode(redb::ConcurrencyMode::MultiWriter)
        .open(world.folders[1].path().join("client.redb"))
        .unwrap();
    let rows = redb::TableDefinition::<&[u8], &[u8]>::new(table);
    // A table into which nothing was ever put is made.
    let change = store.begin_write().unwrap();
    let kept = change
        .open_table(rows)
        .unwrap()
        .get(identity.as_bytes().as_slice())
        .unwrap()
        .is_some();
    change.abort().unwrap();
    kept
}

#[test]
fn nothing_is_kept_of_whom_somebody_only_claims_to_be() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 21).await;
        let mut dora = ByHand::new(world, 22).await;
        let (claimed, device) = (dora.state.id, dora.devices[0].device_id());
        let refused = async || {
            until("it is refused", Duration::from_secs(20), || async {
                world.bert.receive().await.unwrap().refused.pop()
            })
            .await
            .unwrap()
            .why
        };
        // With a device of the claimed identity, which Carl can't sign for, and with one that it does not have.
        carl.claims = Some((claimed, device));
        carl.send(world, &world.bert, 1, None).await;
        assert_eq!(refused().await, Refusal::Forged);
        carl.claims = Some((claimed, carl.devices[0].device_id()));
        carl.send(world, &world.bert, 2, None).await;
        assert_eq!(refused().await, Refusal::DeviceNotLive);
        for table in ["pin", "contact"] {
            assert!(!is_kept(world, table, &claimed), "{table}");
            assert!(!is_kept(world, table, &carl.state.id), "{table}");
        }

        // Whoever is really there is.
        dora.send(world, &world.bert, 3, None).await;
        let reading = until("it arrives", Duration::from_secs(20), || async {
            let reading = world.bert.receive().await.unwrap();
            (!reading.received.is_empty()).then_some(reading)
        })
        .await
        .unwrap();
        assert_eq!(reading.received[0].message.sender, claimed);
        for table in ["pin", "contact"] {
            assert!(is_kept(world, table, &claimed), "{table}");
        }
    });
}
