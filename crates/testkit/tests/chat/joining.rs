//! Links into groups, and history for a new device, over real nodes.

use super::{ChatEvent, PASSPHRASE, PATIENCE, Person, run};
use std::time::Duration;
use tokenim_client::chat::{ChatError, ChatEvents, Event, InviteLink, InviteName, LinkError, Standing};
use tokenim_client::step::contact::Relation;
use tokenim_client::{Argon2Cost, Client, ClientError, IdentityId};
use tokenim_testkit::until;

const HOUR: Duration = Duration::from_secs(3_600);

/// Waits for an event.
async fn told(events: &mut ChatEvents, is: impl Fn(&Event) -> bool) {
    let told = async {
        while let Some(event) = events.next().await {
            if matches!(&event, ChatEvent::Session(event) if is(event)) {
                return;
            }
        }
        panic!("the client was closed");
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}

#[test]
fn a_link_lets_in_whom_its_maker_lets_in() {
    run(31, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let bert = Person::new(&dir, "bert", &config).await;
        let cleo = Person::new(&dir, "cleo", &config).await;
        let dora = Person::new(&dir, "dora", &config).await;
        let group = anna
            .chat
            .create_group("open", vec![bert.client.identity()], None)
            .await
            .unwrap();
        anna.sees(group, "both are in", |info| info.members.len() == 2).await;
        bert.sees(group, "the group", |info| info.standing == Standing::Active)
            .await;
        let made = anna.chat.make_link(group, HOUR).await.unwrap();
        assert_eq!(anna.chat.links(group).unwrap(), std::slice::from_ref(&made));
        let link: InviteLink = made.to_string().parse().unwrap();

        // Who is no admin makes none; a link is of no use to its maker, nor after it was damaged.
        let refused = bert.chat.make_link(group, HOUR).await.unwrap_err();
        assert!(matches!(refused, ClientError::Chat(ChatError::NotAllowed)));
        assert!(anna.chat.join(link.clone()).await.is_err());
        assert_eq!(
            made.to_string().to_lowercase().parse::<InviteLink>(),
            Err(LinkError::NotACode)
        );

        // Two ask, one of whom is blocked.
        let blocked = dora.client.identity();
        anna.client.set_relation(&blocked, Relation::Blocked).await.unwrap();
        assert_eq!(dora.chat.join(link.clone()).await.unwrap(), group);
        assert!(dora.chat.settle(PATIENCE).await);
        let mut events = anna.chat.events();
        assert_eq!(cleo.chat.join(link.clone()).await.unwrap(), group);
        cleo.sees(group, "it is asked for", |info| {
            info.standing == Standing::Joining && info.handle.is_none()
        })
        .await;
        let asker = cleo.client.identity();
        let asking = async || {
            let asking = anna.chat.requests(group).ok()?;
            let asking: Vec<IdentityId> = asking.iter().map(|request| request.asker).collect();
            (asking == [asker]).then_some(())
        };
        until("the request", PATIENCE, asking).await.unwrap();
        told(&mut events, |event| *event == Event::JoinRequest(group, asker)).await;
        anna.chat.admit(group, asker).await.unwrap();
        cleo.sees(group, "it is in", |info| {
            info.standing == Standing::Active && info.members.len() == 3
        })
        .await;
        cleo.say(group, "thank you").await;
        bert.reads(group, &["thank you"]).await;
        assert!(anna.chat.requests(group).unwrap().is_empty());

        // A link that was revoked is worth nothing, and who was not let in is not.
        let name = InviteName::of(&link.secret);
        anna.chat.revoke_link(group, Some(name)).await.unwrap();
        assert!(anna.chat.links(group).unwrap().is_empty());
        let again = anna.chat.revoke_link(group, Some(name)).await.unwrap_err();
        assert!(matches!(again, ClientError::Chat(ChatError::UnknownLink)));
        let none = anna.chat.admit(group, blocked).await.unwrap_err();
        assert!(matches!(none, ClientError::Chat(ChatError::UnknownRequest)));
        assert_eq!(dora.chat.conversation(group).unwrap().standing, Standing::Joining);
        // Nobody asks whom they block.
        dora.client.set_relation(&link.ask, Relation::Blocked).await.unwrap();
        assert!(matches!(dora.chat.join(link).await, Err(ClientError::Blocked(_))));
    });
}

#[test]
fn what_was_said_is_handed_to_a_new_device_if_its_owner_says_so() {
    run(32, |dir, config| async move {
        let folder = dir.join("anna");
        let (client, words) = Client::create(&folder, config.clone(), PASSPHRASE, Argon2Cost::MINIMUM).unwrap();
        client.register().await.unwrap();
        let anna = Person::work(folder, client);
        assert!(anna.chat.settle(PATIENCE).await);
        let bert = Person::new(&dir, "bert", &config).await;
        let talk = anna.chat.start(bert.client.identity()).await.unwrap();
        anna.say(talk, "long ago").await;
        bert.reads(talk, &["long ago"]).await;
        bert.say(talk, "so it is").await;
        anna.reads(talk, &["long ago", "so it is"]).await;

        let phone = dir.join("phone");
        let made = Client::restore(&phone, config, &words, None, PASSPHRASE, Argon2Cost::MINIMUM);
        let client = made.await.unwrap();
        client.register().await.unwrap();
        let phone = Person::work(phone, client);
        phone
            .sees(talk, "it is let in", |info| info.standing == Standing::Active)
            .await;
        assert!(phone.texts(talk).is_empty(), "nothing is handed over by itself");
        let device = phone.client.device();
        let mut events = anna.chat.events();
        anna.chat.give_history(device, None).await.unwrap();
        phone.reads(talk, &["long ago", "so it is"]).await;
        assert!(
            phone
                .said(talk)
                .iter()
                .all(|message| message.given == Some(anna.client.device()))
        );
        told(&mut events, |event| *event == Event::HistoryGiven(device)).await;
        bert.say(talk, "and goes on").await;
        phone.reads(talk, &["long ago", "so it is", "and goes on"]).await;
        // To nobody else's device, and not to itself.
        let refused = anna.chat.give_history(anna.client.device(), None).await.unwrap_err();
        assert!(matches!(refused, ClientError::Chat(ChatError::NotAllowed)));
        anna.chat.give_history(bert.client.device(), None).await.unwrap();
        assert!(anna.chat.settle(PATIENCE).await);
        assert!(bert.said(talk).iter().all(|message| message.given.is_none()));
    });
}

#[test]
fn a_device_hears_of_a_link_that_a_newer_one_has_made_while_it_was_away() {
    run(33, |dir, config| async move {
        let folder = dir.join("anna");
        let (client, words) = Client::create(&folder, config.clone(), PASSPHRASE, Argon2Cost::MINIMUM).unwrap();
        client.register().await.unwrap();
        let anna = Person::work(folder, client);
        assert!(anna.chat.settle(PATIENCE).await);
        let group = anna.chat.create_group("open", Vec::new(), None).await.unwrap();
        let more = async |name: &str| {
            let folder = dir.join(name);
            let made = Client::restore(&folder, config.clone(), &words, None, PASSPHRASE, Argon2Cost::MINIMUM);
            let client = made.await.unwrap();
            client.register().await.unwrap();
            let device = Person::work(folder, client);
            device
                .sees(group, "it is let in", |info| info.standing == Standing::Active)
                .await;
            device
        };
        let _phone = more("phone").await;
        let Person { folder, client, .. } = anna;
        client.close().await;
        drop(client);
        let tablet = more("tablet").await;
        let made = tablet.chat.make_link(group, HOUR).await.unwrap();
        assert!(tablet.chat.settle(PATIENCE).await);
        let anna = Person::open(folder);
        let known = async || {
            let links = anna.chat.links(group).ok()?;
            (links == std::slice::from_ref(&made)).then_some(())
        };
        until("the link", PATIENCE, known).await.unwrap();
    });
}
