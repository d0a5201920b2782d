//! A commit that is too large for one envelope.

use super::{Change, Person, run};
use std::time::Duration;
use tokenim_client::chat::ConversationId;
use tokenim_client::{IdentityId, NetworkConfig};
use tokenim_mailbox::group::GroupNode;
use tokenim_rpc::Request;
use tokenim_testkit::Caller;
use tokenim_wire::Object as _;
use tokio::task::JoinSet;

/// So many key packages of the suite for two take more room than one envelope has.
const MANY: usize = 28;
/// Those that are made at a time.
const AT_ONCE: usize = 7;

/// In how many envelopes each commit of a group is, in order, as the ledger names them.
async fn parts(config: &NetworkConfig, person: &Person, group: ConversationId) -> Vec<usize> {
    let caller = Caller::new(*person.client.network().id(), [5; 32]).unwrap();
    let set = config.node_set().unwrap();
    let node = set.members().iter().next().unwrap();
    let handle = person.chat.conversation(group).unwrap().handle.unwrap();
    let (mut entry, mut parts) = (handle.root(), Vec::new());
    loop {
        let request = Request::GroupNode {
            handle,
            entry,
            after: 0,
            wait_ms: 0,
        };
        let asked = caller.ask(&node.key, node.address.as_str(), &request, Duration::from_secs(5));
        let proof = asked.await.unwrap().into_group_node().unwrap();
        let found = GroupNode::from_bytes(&proof.value.unwrap()).unwrap();
        let Some(first) = found.children.iter().next() else {
            return parts;
        };
        parts.push(first.child.envelopes.iter().count());
        entry = first.child.id().unwrap();
    }
}

#[test]
#[ignore = "thirty people are made"]
fn a_commit_in_more_than_one_envelope_is_read_by_those_who_are_in() {
    run(63, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let bert = Person::new(&dir, "bert", &config).await;
        let mut many: Vec<IdentityId> = Vec::new();
        let mut cleo = None;
        for first in (0..MANY).step_by(AT_ONCE) {
            let mut made = JoinSet::new();
            for number in first..first + AT_ONCE {
                let (dir, config) = (dir.clone(), config.clone());
                made.spawn(async move { Person::new(&dir, &number.to_string(), &config).await });
            }
            for person in made.join_all().await {
                many.push(person.client.identity());
                // One of them is there; the others only have to be let in.
                match cleo {
                    None => cleo = Some(person),
                    Some(_) => person.client.close().await,
                }
            }
        }
        let cleo = cleo.unwrap();
        let invited = vec![bert.client.identity()];
        let group = anna.chat.create_group("the many", invited, None).await.unwrap();
        bert.sees(group, "both are in", |info| info.members.len() == 2).await;
        for identity in many {
            anna.chat.change(group, Change::Invite(identity)).await.unwrap();
        }
        for person in [&anna, &bert, &cleo] {
            person
                .sees(group, "all are in", |info| info.members.len() == MANY + 2)
                .await;
        }
        let parts = parts(&config, &anna, group).await;
        assert!(parts.iter().any(|parts| *parts > 1), "{parts:?}");
        bert.say(group, "so many").await;
        for person in [&anna, &cleo] {
            person.reads(group, &["so many"]).await;
        }
        let [one, other] = [&anna, &bert].map(|person| person.chat.conversation(group).unwrap());
        assert_eq!((one.epoch, one.authenticator), (other.epoch, other.authenticator));
        assert_eq!(bert.client.notes().unwrap(), [], "no node lies here");
    });
}
