//! Devices that are linked over real nodes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokenim_client::chat::{Content, ConversationId};
use tokenim_client::link::{self, Approving, Joining, LinkCode, LinkError, Offer};
use tokenim_client::{Argon2Cost, Client, ClientError, NetworkConfig, Phrase, STORE_FILE};
use tokenim_testkit::{LocalNetwork, until};
use tokenim_wire::UnixSeconds;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSPHRASE: &[u8] = b"secret";

struct Owner {
    client: Client,
    words: Phrase,
}

impl Owner {
    async fn new(dir: &Path, name: &str, config: &NetworkConfig) -> Self {
        let made = Client::create(&dir.join(name), config.clone(), PASSPHRASE, Argon2Cost::MINIMUM);
        let (client, words) = made.unwrap();
        client.register().await.unwrap();
        Self { client, words }
    }

    async fn devices(&self) -> usize {
        self.client.state().await.unwrap().devices.iter().count()
    }

    /// Both devices up to the number.
    async fn meet(&self, offer: Offer) -> (Joining, Approving) {
        // What is read from a screen.
        let code: LinkCode = offer.code().to_string().parse().unwrap();
        let answering = async {
            let responding = link::respond(&self.client, &code, &self.words).await?;
            responding.revealed().await
        };
        let (joining, approving) = tokio::join!(offer.answered(), answering);
        (joining.unwrap(), approving.unwrap())
    }
}

async fn offer(folder: &Path, config: &NetworkConfig) -> Result<Offer, ClientError> {
    link::offer(folder, config.clone(), PASSPHRASE, Argon2Cost::MINIMUM).await
}

fn run<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(PathBuf, NetworkConfig) -> F) {
    let folder = TempDir::new().unwrap();
    let network = LocalNetwork::start(4, seed, |_, _| {}).unwrap();
    let config = network.layout.network.clone();
    network.block_on(test(folder.path().to_owned(), config));
}

async fn reads(client: &Client, conversation: ConversationId, wanted: &str) {
    let chat = client.chat().unwrap();
    let is_there = async || {
        let said = chat.messages(conversation, None, 100).ok()?;
        let text = |content: &Option<Content>| matches!(content, Some(Content::Text(text)) if text.as_str() == wanted);
        said.iter().any(|message| text(&message.content)).then_some(())
    };
    until(wanted, PATIENCE, is_there).await.unwrap();
}

#[test]
fn a_device_is_linked_without_the_words_on_it() {
    run(21, |dir, config| async move {
        let anna = Owner::new(&dir, "anna", &config).await;
        let bert = Owner::new(&dir, "bert", &config).await;
        let chats = [&anna, &bert].map(|owner| owner.client.chat().unwrap());
        let _running = [chats[0].run().unwrap(), chats[1].run().unwrap()];
        for chat in &chats {
            assert!(chat.settle(PATIENCE).await);
        }
        let between = chats[0].start(bert.client.identity()).await.unwrap();
        chats[0]
            .send(between, Content::text("good morning").unwrap())
            .await
            .unwrap();
        reads(&bert.client, between, "good morning").await;

        let folder = dir.join("phone");
        let offered = offer(&folder, &config).await.unwrap();
        let code = offered.code().clone();
        let (joining, approving) = anna.meet(offered).await;
        assert_eq!(joining.number(), approving.number());
        assert_eq!(joining.identity(), anna.client.identity());
        assert_eq!(joining.answerer(), anna.client.device());
        assert_eq!(joining.device(), approving.device());
        assert!(!folder.exists(), "nobody has agreed to anything");
        assert_eq!(anna.devices().await, 1);
        let (linked, approved) = tokio::join!(joining.confirm(), approving.confirm());
        let (phone, found) = (linked.unwrap(), approved.unwrap());
        assert!(found.state.unwrap().device(&phone.device()).is_some());
        assert_eq!((phone.identity(), anna.devices().await), (anna.client.identity(), 2));

        // The code is used up, and the folder is like any other.
        let again = link::respond(&anna.client, &code, &anna.words).await;
        assert!(matches!(again, Err(ClientError::LinkTaken)), "{again:?}");
        let again = offer(&folder, &config).await;
        assert!(matches!(again, Err(ClientError::ClientExists(_))), "{again:?}");
        phone.close().await;
        drop(phone);
        assert!(!link::is_unfinished(&folder).unwrap());
        let phone = Client::open(&folder, Some(PASSPHRASE)).unwrap();
        phone.register().await.unwrap();

        let chat = phone.chat().unwrap();
        let _running = chat.run().unwrap();
        let is_in = async || chat.conversation(between).ok().map(|_| ());
        until("the phone is let in", PATIENCE, is_in).await.unwrap();
        let is_active = async || chat.send(between, Content::text("from the phone").unwrap()).await.ok();
        until("it can write", PATIENCE, is_active).await.unwrap();
        reads(&bert.client, between, "from the phone").await;
        reads(&anna.client, between, "from the phone").await;
        chats[1].send(between, Content::text("to both").unwrap()).await.unwrap();
        reads(&anna.client, between, "to both").await;
        reads(&phone, between, "to both").await;
    });
}

#[test]
fn nothing_is_on_the_ledger_unless_both_sides_say_yes() {
    run(22, |dir, config| async move {
        let anna = Owner::new(&dir, "anna", &config).await;
        let mallory = Owner::new(&dir, "mallory", &config).await;
        let phone = dir.join("phone");
        let unchanged = async || {
            assert_eq!((anna.devices().await, mallory.devices().await), (1, 1));
            assert!(!phone.exists());
        };

        let (joining, approving) = anna.meet(offer(&phone, &config).await.unwrap()).await;
        let (refused, ()) = tokio::join!(joining.confirm(), approving.refuse());
        assert!(matches!(refused, Err(ClientError::LinkRefused)), "{refused:?}");
        unchanged().await;

        let (joining, approving) = anna.meet(offer(&phone, &config).await.unwrap()).await;
        let ((), refused) = tokio::join!(joining.refuse(), approving.confirm());
        assert!(matches!(refused, Err(ClientError::LinkRefused)), "{refused:?}");
        unchanged().await;

        // Mallory has seen the code and answers first: the owner is told at once, the new device shows her name.
        let offered = offer(&phone, &config).await.unwrap();
        let code = offered.code().clone();
        let (joining, approving) = mallory.meet(offered).await;
        let late = link::respond(&anna.client, &code, &anna.words).await;
        assert!(matches!(late, Err(ClientError::LinkTaken)), "{late:?}");
        assert_eq!(joining.identity(), mallory.client.identity());
        let ((), refused) = tokio::join!(joining.refuse(), approving.confirm());
        assert!(matches!(refused, Err(ClientError::LinkRefused)), "{refused:?}");
        unchanged().await;

        // Mallory stands between: she shows the owner a code of her own, and answers that of the new device.
        let (offered, hers) = (offer(&phone, &config).await.unwrap(), dir.join("hers"));
        let (joining, answered) = mallory.meet(offered).await;
        let (between, approving) = anna.meet(offer(&hers, &config).await.unwrap()).await;
        assert_eq!(joining.number(), answered.number());
        assert_eq!(between.number(), approving.number());
        assert_ne!(joining.number(), approving.number(), "what the two people compare");
        tokio::join!(joining.refuse(), approving.refuse());
        let refused = tokio::join!(between.confirm(), answered.confirm());
        assert!(
            matches!(refused, (Err(ClientError::LinkRefused), Err(ClientError::LinkRefused))),
            "{refused:?}"
        );
        unchanged().await;

        what_is_no_code_is_answered_by_nobody(&anna, &mallory, &code).await;
        unchanged().await;
    });
}

async fn what_is_no_code_is_answered_by_nobody(anna: &Owner, mallory: &Owner, code: &LinkCode) {
    let mut old = code.clone();
    old.expires = UnixSeconds::new(1_700_000_000);
    let refused = link::respond(&anna.client, &old, &anna.words).await;
    assert!(
        matches!(refused, Err(ClientError::Link(LinkError::Expired))),
        "{refused:?}"
    );
    let mut eternal = code.clone();
    eternal.expires = UnixSeconds::new(u64::MAX);
    let refused = link::respond(&anna.client, &eternal, &anna.words).await;
    assert!(
        matches!(refused, Err(ClientError::Link(LinkError::LifetimeTooLong))),
        "{refused:?}"
    );
    let mut elsewhere = code.clone();
    elsewhere.network = tokenim_wire::NetworkId::from_bytes([1; 32]);
    let refused = link::respond(&anna.client, &elsewhere, &anna.words).await;
    assert!(
        matches!(refused, Err(ClientError::Link(LinkError::Network))),
        "{refused:?}"
    );
    let refused = link::respond(&anna.client, code, &mallory.words).await;
    assert!(matches!(refused, Err(ClientError::OtherWords(_))), "{refused:?}");
    let changed = code.to_string().replacen("TIM:LINK", "TIM:INVITE", 1);
    assert_eq!(changed.parse::<LinkCode>(), Err(LinkError::IsInvitation));
}

#[test]
fn a_link_that_was_interrupted_goes_on_with_the_same_device() {
    run(23, |dir, config| async move {
        let anna = Owner::new(&dir, "anna", &config).await;
        let bert = Owner::new(&dir, "bert", &config).await;
        let folder = dir.join("phone");
        let (joining, approving) = anna.meet(offer(&folder, &config).await.unwrap()).await;
        let device = joining.device();
        // Both end at the moment at which the new device has agreed.
        let new = tokio::spawn(joining.confirm());
        let owner = tokio::spawn(approving.confirm());
        let store = folder.join(STORE_FILE);
        let is_kept = async || store.exists().then_some(());
        until("the new device agrees", PATIENCE, is_kept).await.unwrap();
        new.abort();
        owner.abort();
        let ended = (new.await, owner.await);
        assert!(ended.0.is_err() || ended.1.is_ok(), "{ended:?}");
        drop(ended);

        let phone = if link::is_unfinished(&folder).unwrap() {
            let opened = Client::open(&folder, Some(PASSPHRASE));
            assert!(matches!(opened, Err(ClientError::NotLinked(_))), "{opened:?}");
            let wrong = link::resume(&folder, b"wrong").await;
            assert!(matches!(wrong, Err(ClientError::WrongPassphrase)), "{wrong:?}");
            match link::resume(&folder, PASSPHRASE).await.unwrap() {
                Some(phone) => phone,
                None => {
                    // It has agreed to join this identity, and joins no other.
                    let offered = offer(&folder, &config).await.unwrap();
                    let code = offered.code().clone();
                    let answering = link::respond(&bert.client, &code, &bert.words);
                    let (elsewhere, _responding) = tokio::join!(offered.answered(), answering);
                    assert!(
                        matches!(elsewhere, Err(ClientError::LinkedElsewhere { .. })),
                        "{elsewhere:?}"
                    );
                    drop(elsewhere);
                    let (joining, approving) = anna.meet(offer(&folder, &config).await.unwrap()).await;
                    assert_eq!((joining.device(), joining.number()), (device, approving.number()));
                    let (linked, approved) = tokio::join!(joining.confirm(), approving.confirm());
                    approved.unwrap();
                    linked.unwrap()
                }
            }
        } else {
            Client::open(&folder, Some(PASSPHRASE)).unwrap()
        };
        assert_eq!((phone.device(), anna.devices().await), (device, 2));
        assert_eq!(bert.devices().await, 1);
    });
}
