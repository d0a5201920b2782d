//! Conversations of real clients over real nodes.
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
use tokenim_client::chat::{Change, Chat, Content, ConversationId, Info, Mark, Message, Running, Standing};
use tokenim_client::{Argon2Cost, Client, NetworkConfig};
use tokenim_testkit::{LocalNetwork, until};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSPHRASE: &[u8] = b"secret";

struct Person {
    folder: PathBuf,
    client: Client,
    chat: Chat,
    _running: Running,
}

impl Person {
    async fn new(dir: &Path, name: &str, network: &NetworkConfig) -> Self {
        let folder = dir.join(name);
        let (client, _) = Client::create(&folder, network.clone(), PASSPHRASE, Argon2Cost::MINIMUM).unwrap();
        client.register().await.unwrap();
        let person = Self::work(folder, client);
        // So that the others can invite at once.
        assert!(person.chat.settle(PATIENCE).await);
        person
    }

    fn work(folder: PathBuf, client: Client) -> Self {
        let chat = client.chat().unwrap();
        Self {
            _running: chat.run().unwrap(),
            folder,
            client,
            chat,
        }
    }

    /// The program ends at once, and begins again.
    async fn restart(self) -> Self {
        let Self { folder, client, .. } = self;
        client.close().await;
        drop(client);
        Self::open(folder)
    }

    fn open(folder: PathBuf) -> Self {
        let client = Client::open(&folder, Some(PASSPHRASE)).unwrap();
        Self::work(folder, client)
    }

    async fn say(&self, conversation: ConversationId, text: &str) {
        self.chat
            .send(conversation, Content::text(text).unwrap())
            .await
            .unwrap();
    }

    fn said(&self, conversation: ConversationId) -> Vec<Message> {
        self.chat.messages(conversation, None, 10_000).unwrap()
    }

    fn texts(&self, conversation: ConversationId) -> Vec<String> {
        let text = |message: Message| match message.content {
            Some(Content::Text(text)) => text.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        self.said(conversation).into_iter().map(text).collect()
    }

    async fn reads(&self, conversation: ConversationId, wanted: &[&str]) {
        let all = async || {
            let mut texts = self.texts(conversation);
            let mut wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
            texts.sort();
            wanted.sort();
            (texts == wanted).then_some(())
        };
        if until("everything arrives", PATIENCE, all).await.is_err() {
            panic!("{:?} is not {wanted:?}", self.texts(conversation));
        }
    }

    async fn sees(&self, conversation: ConversationId, what: &str, is: impl Fn(&Info) -> bool) -> Info {
        let seen = async || self.chat.conversation(conversation).ok().filter(|info| is(info));
        match until(what, PATIENCE, seen).await {
            Ok(info) => info,
            Err(error) => panic!("{error}: {:?}", self.chat.conversation(conversation)),
        }
    }

    async fn marked(&self, conversation: ConversationId, text: &str, mark: Mark) {
        let marked = async || {
            let found = self
                .said(conversation)
                .into_iter()
                .find(|message| matches!(&message.content, Some(Content::Text(said)) if said.as_str() == text))?;
            (found.mark >= Some(mark)).then_some(())
        };
        until(&format!("{text} is {mark:?}"), PATIENCE, marked).await.unwrap();
    }
}

fn run<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(PathBuf, NetworkConfig) -> F) {
    let folder = TempDir::new().unwrap();
    let network = LocalNetwork::start(4, seed, |_, _| {}).unwrap();
    let config = network.layout.network.clone();
    network.block_on(test(folder.path().to_owned(), config));
}

#[test]
fn two_people_talk_and_one_of_them_restarts() {
    run(11, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let bert = Person::new(&dir, "bert", &config).await;
        let between = ConversationId::between(&anna.client.identity(), &bert.client.identity());
        // Both begin at once, and both say something before they know of each other.
        assert_eq!(anna.chat.start(bert.client.identity()).await.unwrap(), between);
        assert_eq!(bert.chat.start(anna.client.identity()).await.unwrap(), between);
        anna.say(between, "good morning").await;
        bert.say(between, "доброе утро").await;
        let first = ["good morning", "доброе утро"];
        anna.reads(between, &first).await;
        bert.reads(between, &first).await;
        assert_eq!(anna.texts(between), bert.texts(between), "the same order for both");

        anna.marked(between, "good morning", Mark::Delivered).await;
        let last = bert.said(between).last().unwrap().order;
        bert.chat.mark_read(between, last).await.unwrap();
        anna.marked(between, "good morning", Mark::Read).await;

        // Whoever has the message can show that it was accepted.
        for person in [&anna, &bert] {
            let message = person
                .said(between)
                .into_iter()
                .find(|message| message.author == anna.client.identity())
                .unwrap();
            let proof = person
                .chat
                .proof_of(between, &message.order, PATIENCE)
                .await
                .unwrap()
                .unwrap();
            let light = person.client.network().light_client();
            assert_eq!(
                light.verify_acceptance(&proof).unwrap().envelope,
                message.stored.unwrap().1
            );
        }

        let bert = bert.restart().await;
        anna.say(between, "still there?").await;
        bert.reads(between, &["good morning", "доброе утро", "still there?"])
            .await;
        bert.say(between, "yes").await;
        anna.reads(between, &["good morning", "доброе утро", "still there?", "yes"])
            .await;
        for person in [&anna, &bert] {
            assert_eq!(person.client.notes().unwrap(), [], "no node lies here");
        }
    });
}

#[test]
fn what_is_said_without_a_network_waits_for_it() {
    let folder = TempDir::new().unwrap();
    let network = LocalNetwork::start(4, 12, |_, _| {}).unwrap();
    let config = network.layout.network.clone();
    let (anna, bert, between) = network.block_on(async {
        let anna = Person::new(folder.path(), "anna", &config).await;
        let bert = Person::new(folder.path(), "bert", &config).await;
        let between = anna.chat.start(bert.client.identity()).await.unwrap();
        anna.say(between, "hello").await;
        bert.reads(between, &["hello"]).await;
        (anna, bert, between)
    });
    for node in 0..4 {
        network.stop_node(node).unwrap();
    }
    let (anna, bert) = network.block_on(async {
        for text in ["one", "two", "three"] {
            anna.say(between, text).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let waiting = |message: &Message| message.mark == Some(Mark::Queued);
        assert_eq!(anna.said(between).iter().filter(|message| waiting(message)).count(), 3);
        // Not even the end of the program loses them.
        (anna.restart().await, bert)
    });
    for node in 0..4 {
        network.start_node(node, |_| {}).unwrap();
    }
    network.block_on(async {
        bert.reads(between, &["hello", "one", "two", "three"]).await;
        assert_eq!(bert.texts(between), ["hello", "one", "two", "three"]);
        for text in ["one", "two", "three"] {
            anna.marked(between, text, Mark::Delivered).await;
        }
    });
    network.block_on(async { drop((anna, bert)) });
}

#[test]
fn five_people_agree_while_two_of_them_change_the_group_at_once() {
    run(13, |dir, config| async move {
        let mut people = Vec::new();
        for name in ["anna", "bert", "cleo", "dora", "emil"] {
            people.push(Person::new(&dir, name, &config).await);
        }
        let [anna, bert, cleo, dora, emil] = people.try_into().ok().unwrap();
        let invited = [&bert, &cleo, &dora, &emil].map(|person| person.client.identity());
        let group = anna
            .chat
            .create_group("the five", invited.to_vec(), None)
            .await
            .unwrap();
        let all = [&anna, &bert, &cleo, &dora, &emil];
        for person in all {
            person
                .sees(group, "all are in", |info| {
                    info.members.len() == 5 && info.name == "the five"
                })
                .await;
        }
        let mut said = Vec::new();
        for (number, person) in all.iter().enumerate() {
            let text = format!("I am number {number}");
            person.say(group, &text).await;
            said.push(text);
        }
        let wanted: Vec<&str> = said.iter().map(String::as_str).collect();
        for person in all {
            person.reads(group, &wanted).await;
        }

        // Two changes at once: one of them is first, and the other is made anew by itself.
        let (one, other) = tokio::join!(
            anna.chat.change(group, Change::Rename("the four".to_owned())),
            bert.chat.change(group, Change::Refresh),
        );
        one.unwrap();
        other.unwrap();
        anna.chat
            .change(group, Change::Remove(emil.client.identity()))
            .await
            .unwrap();
        let four = [&anna, &bert, &cleo, &dora];
        let is = |info: &Info| info.members.len() == 4 && info.name == "the four";
        let mut epoch = 0;
        for person in four {
            epoch = person.sees(group, "four are left", is).await.epoch.max(epoch);
        }
        let mut seen = Vec::new();
        for person in four {
            let info = person.sees(group, "the same epoch", |info| info.epoch >= epoch).await;
            if info.epoch == epoch {
                seen.push(info.authenticator);
            }
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "they differ");
        emil.sees(group, "he is out", |info| info.standing == Standing::Removed)
            .await;

        cleo.say(group, "among us").await;
        let mut wanted = wanted;
        wanted.push("among us");
        for person in four {
            person.reads(group, &wanted).await;
        }
        assert!(!emil.texts(group).contains(&"among us".to_owned()));
        assert!(emil.chat.send(group, Content::text("hello?").unwrap()).await.is_err());
        let order = anna.texts(group);
        for person in four {
            assert_eq!(person.texts(group), order, "the same order for all");
            assert_eq!(person.client.notes().unwrap(), [], "no node lies here");
        }
    });
}
