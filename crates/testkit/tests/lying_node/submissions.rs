//! What one gateway got onto the ledger, another one refuses.

use std::time::Duration;

use super::{World, child_of};
use tokenim_identity::EpochSigningKey;
use tokenim_mailbox::group::{GroupStart, GroupUpdate};
use tokenim_rpc::{AnswerError, Request};
use tokenim_testkit::{Caller, Lie};

const PATIENCE: Duration = Duration::from_secs(5);

/// The liar is the first gateway: it says late or never what it did, and the others have the thing by then.
const GATEWAYS: [Lie; 2] = [Lie::LateGateway, Lie::DeniedSubmission];

#[test]
fn a_record_that_the_second_gateway_refuses_is_there_by_way_of_the_first() {
    World::run(async |world| {
        for (told, lie) in (1..).zip(GATEWAYS) {
            world.liar.tell(Some(lie));
            let (_folder, carl) = world.carl().await;
            assert!(carl.register().await.unwrap().state.is_some(), "{lie:?}");
            assert_eq!(
                world.liar.told(),
                told,
                "it is the first to be handed a record, and once"
            );
            carl.close().await;
        }
    });
}

#[test]
fn a_group_child_that_the_second_gateway_refuses_is_there_by_way_of_the_first() {
    World::run(async |world| {
        let key = EpochSigningKey::from_seed([21; 32]);
        for (told, lie) in (0_u8..).zip(GATEWAYS) {
            let mut nonce = [0; 32];
            nonce[..8].copy_from_slice(&world.anna.identity().as_bytes()[..8]);
            nonce[8] = told;
            let start = GroupStart {
                nonce,
                key: key.verifying_key(),
            };
            let network = world.anna.network();
            network.submit_group(GroupUpdate::Start(start)).await.unwrap();
            let child = child_of(world, &start, &key, 1).await;
            world.liar.tell(Some(lie));
            let before = world.liar.told();
            network.submit_group(child.clone()).await.unwrap();
            assert_eq!(world.liar.told(), before + 1, "{lie:?}");
            world.liar.tell(None);
            // All the others refuse it now.
            let caller = Caller::new(world.network.layout.id, [9; 32]).unwrap();
            let again = Request::SubmitGroup(Box::new(child));
            for node in &world.network.layout.nodes {
                if node.key == world.liar.node() {
                    continue;
                }
                let answer = caller.ask(&node.key, &node.listen.to_string(), &again, PATIENCE).await;
                let refused = answer.unwrap().into_submitted_group();
                assert!(matches!(refused, Err(AnswerError::Refused(_))), "{refused:?}");
            }
        }
    });
}
