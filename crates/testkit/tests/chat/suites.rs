//! A device with weaker encryption than its owner had before.

use super::{PASSPHRASE, PATIENCE, Person, run};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokenim_client::chat::Standing;
use tokenim_client::{Argon2Cost, Client, Network};
use tokenim_envelope::{EnvelopeSecretKey, Suite};
use tokenim_identity::{DeviceKeys, DeviceSecrets, SignedRecord};
use tokenim_mailbox::{Descriptor, ReadRequest};
use tokenim_rpc::{Read, Request};
use tokenim_testkit::{Caller, until};
use tokenim_wire::UnixSeconds;

/// How many envelopes are in the inbox of a device, at all nodes together.
async fn letters(network: &Network, secrets: &DeviceSecrets, keys: &DeviceKeys) -> usize {
    let (config, network) = (network.config(), *network.id());
    let caller = Caller::new(network, [7; 32]).unwrap();
    let descriptor = Descriptor::inbox(keys);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut found = 0;
    for member in config.node_set().unwrap().members() {
        let request = ReadRequest {
            node: member.key,
            tag: descriptor.tag(),
            from: 0,
            expiry: UnixSeconds::new(now + 60),
            nonce: [4; 16],
        };
        let read = Read {
            descriptor,
            request,
            signature: secrets.inbox.sign(&network, &request).unwrap(),
            wait_ms: 0,
        };
        let request = Request::Read(Box::new(read));
        let asked = caller.ask(&member.key, member.address.as_str(), &request, Duration::from_secs(5));
        found += asked.await.unwrap().into_read().unwrap().items.len();
    }
    found
}

#[test]
fn what_a_conversation_has_sealed_goes_to_no_device_of_a_weaker_suite() {
    run(64, |dir, config| async move {
        let folder = dir.join("anna");
        let made = Client::create(&folder, config.clone(), PASSPHRASE, Argon2Cost::MINIMUM);
        let (client, words) = made.unwrap();
        client.register().await.unwrap();
        let anna = Person::work(folder, client);
        assert!(anna.chat.settle(PATIENCE).await);
        let cleo = Person::new(&dir, "cleo", &config).await;
        let group = anna.chat.create_group("open", Vec::new(), None).await.unwrap();
        anna.sees(group, "the group", |info| info.standing == Standing::Active)
            .await;

        // Two more devices of Anna's, which only differ in their suites; nobody reads what they get.
        let mut rng = ChaCha20Rng::seed_from_u64(64);
        let [strong, weak] = [(); 2].map(|()| DeviceSecrets::generate(&mut rng));
        let mut keys = Vec::new();
        for (secrets, suite) in [(&strong, Suite::XWing), (&weak, Suite::X25519)] {
            let state = anna.client.state().await.unwrap();
            let public = EnvelopeSecretKey::from_seed(suite, &secrets.envelope_seed)
                .public()
                .clone();
            let (id, root) = (anna.client.network().id(), words.root_key(0));
            let record = SignedRecord::add_device(id, &state, &root, secrets, public.clone()).unwrap();
            anna.client.publish_record(record).await.unwrap();
            keys.push(secrets.keys(public));
        }
        let none = [
            letters(anna.client.network(), &strong, &keys[0]).await,
            letters(anna.client.network(), &weak, &keys[1]).await,
        ];
        assert_eq!(none, [0, 0]);

        // Whoever has her link asks all devices of hers.
        let link = anna.chat.make_link(group, Duration::from_secs(3_600)).await.unwrap();
        assert_eq!(cleo.chat.join(link).await.unwrap(), group);
        let asker = cleo.client.identity();
        let asking = async || {
            let asking = anna.chat.requests(group).ok()?;
            asking.iter().any(|request| request.asker == asker).then_some(())
        };
        until("the request", PATIENCE, asking).await.unwrap();
        anna.chat.admit(group, asker).await.unwrap();
        cleo.sees(group, "it is in", |info| info.standing == Standing::Active)
            .await;
        let settled = [anna.chat.settle(PATIENCE).await, cleo.chat.settle(PATIENCE).await];
        assert_eq!(settled, [true, true], "nothing is due any more");
        assert!(letters(anna.client.network(), &strong, &keys[0]).await > 0);
        assert_eq!(letters(anna.client.network(), &weak, &keys[1]).await, 0);
    });
}
