//! Conversations of real clients over real nodes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "chat/joining.rs"]
mod joining;
#[path = "chat/large.rs"]
mod large;
#[path = "chat/late.rs"]
mod late;
#[path = "chat/standing.rs"]
mod standing;
#[path = "chat/stock.rs"]
mod stock;
#[path = "chat/suites.rs"]
mod suites;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use tokenim_client::chat::{
    Change, Chat, ChatEvent, Content, ConversationId, Event, Info, Mark, Message, Running, Standing,
};
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
            // Of what came for the machine by the contact inbox nothing but the last one is kept.
            let kept = person.client.messages(0, 1_000).unwrap();
            assert!(kept.len() < 2, "{kept:?}");
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

#[test]
#[ignore = "it is silent for more than a minute"]
fn what_is_said_after_a_long_silence_goes_out_at_once() {
    run(15, |dir, config| async move {
        let anna = Person::new(&dir, "anna", &config).await;
        let bert = Person::new(&dir, "bert", &config).await;
        let between = anna.chat.start(bert.client.identity()).await.unwrap();
        anna.say(between, "hello").await;
        bert.reads(between, &["hello"]).await;
        anna.marked(between, "hello", Mark::Delivered).await;
        // Longer than a look at the ledger is good for, and shorter than nodes hold the next one back.
        tokio::time::sleep(Duration::from_secs(75)).await;
        let began = std::time::Instant::now();
        anna.say(between, "still there?").await;
        bert.reads(between, &["hello", "still there?"]).await;
        anna.marked(between, "still there?", Mark::Delivered).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

/// Where the life that is killed finds its folder.
const LIFE: &str = "TOKENIM_LIFE";
/// Whom it invites.
const LIFE_INVITES: &str = "TOKENIM_LIFE_INVITES";

/// It begins a group if there is none, and talks until it is killed. What it was told is kept, it writes to its output.
#[test]
#[ignore = "only a life of the next test, which begins it and kills it"]
fn a_life_that_is_killed() {
    let Some(folder) = std::env::var_os(LIFE) else { return };
    let invited = std::env::var(LIFE_INVITES).unwrap();
    let invited: Vec<_> = invited.split(' ').map(|identity| identity.parse().unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let anna = Person::open(folder.into());
        println!("\nlives");
        let known = anna.chat.conversations().unwrap();
        let group = match known.first() {
            Some(info) => info.conversation,
            None => anna.chat.create_group("the three", invited, None).await.unwrap(),
        };
        for number in 0.. {
            let text = format!("{}-{number}", std::process::id());
            anna.say(group, &text).await;
            println!("\nkept {text}");
            if number == 7 {
                anna.chat.change(group, Change::Rename(text)).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(number * 7 % 40)).await;
        }
    });
}

/// Begins a life and kills it some time after it began; gives what it was told is kept.
fn live(folder: &Path, invited: &str, time: Duration) -> Vec<String> {
    let mut life = Command::new(std::env::current_exe().unwrap())
        .args(["a_life_that_is_killed", "--ignored", "--nocapture"])
        .env(LIFE, folder)
        .env(LIFE_INVITES, invited)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(life.stdout.take().unwrap());
    let (begins, begun) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut kept = Vec::new();
        for line in output.lines().map(Result::unwrap) {
            if line == "lives" {
                begins.send(()).unwrap();
            }
            kept.extend(line.strip_prefix("kept ").map(str::to_owned));
        }
        kept
    });
    begun.recv_timeout(PATIENCE).unwrap();
    std::thread::sleep(time);
    life.kill().unwrap();
    assert!(!life.wait().unwrap().success(), "it was killed");
    reading.join().unwrap()
}

#[test]
#[ignore = "it takes six lives: run it alone, with --ignored"]
fn whoever_is_killed_at_any_moment_loses_nothing_and_shows_nothing_twice() {
    let seed = std::env::var("TOKENIM_SEED").map_or(17, |seed| seed.parse().unwrap());
    let lives: u16 = std::env::var("TOKENIM_LIVES").map_or(6, |lives| lives.parse().unwrap());
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = TempDir::new().unwrap();
    let network = LocalNetwork::start(4, 14, |_, _| {}).unwrap();
    let config = network.layout.network.clone();
    let [anna, bert, cleo] = network.block_on(async {
        let anna = Person::new(folder.path(), "anna", &config).await;
        let bert = Person::new(folder.path(), "bert", &config).await;
        let cleo = Person::new(folder.path(), "cleo", &config).await;
        [anna, bert, cleo]
    });
    // What bert is told of the messages of others, as long as all this takes.
    let mut events = bert.chat.events();
    let (own, told) = (bert.client.device(), Arc::new(Mutex::new(Vec::new())));
    let telling = Arc::clone(&told);
    network.block_on(async {
        // If it ends early, what it was told is too little.
        drop(tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    ChatEvent::Session(Event::Message(_, order)) if order.device != own => {
                        telling.lock().unwrap().push(order.id);
                    }
                    ChatEvent::Missed(missed) => panic!("{missed} events were missed"),
                    _ => {}
                }
            }
        }));
    });
    let invited = format!("{} {}", bert.client.identity(), cleo.client.identity());
    let folder = anna.folder.clone();
    network.block_on(async {
        anna.client.close().await;
        drop(anna);
    });
    let mut kept = Vec::new();
    for life in 0..lives {
        let time = Duration::from_millis(u64::from(rng.next_u32() % 1_200));
        println!("seed {seed}, life {life}: {time:?}");
        kept.extend(live(&folder, &invited, time));
        // While nobody reads it.
        network.block_on(async {
            if let Some(info) = bert.chat.conversations().unwrap().first() {
                let text = format!("bert-{life}");
                bert.say(info.conversation, &text).await;
                kept.push(text);
            }
        });
    }
    network.block_on(async {
        let anna = Person::open(folder);
        let all = [&anna, &bert, &cleo];
        let group = anna.chat.conversations().unwrap()[0].conversation;
        let agree = async || {
            let said = anna.said(group);
            let stored = said.iter().all(|message| message.mark != Some(Mark::Queued));
            let texts = anna.texts(group);
            (stored && all.iter().all(|person| person.texts(group) == texts)).then_some(texts)
        };
        let texts = until("all have the same in the same order", PATIENCE, agree)
            .await
            .unwrap();
        let once: HashSet<&String> = texts.iter().collect();
        assert_eq!(once.len(), texts.len(), "something is shown twice");
        for text in &kept {
            assert!(once.contains(text), "{text} was kept and is lost");
        }
        assert!(kept.len() > usize::from(lives), "it was killed too soon to say much");
        for person in all {
            assert_eq!(person.chat.conversations().unwrap().len(), 1, "one group was made");
            assert_eq!(person.client.notes().unwrap(), [], "no node lies here");
        }
        let told = told.lock().unwrap();
        let once: HashSet<_> = told.iter().collect();
        assert_eq!(once.len(), told.len(), "a message is told twice");
        println!("{} messages in {lives} lives", texts.len());
    });
    network.block_on(async { drop((bert, cleo)) });
}
