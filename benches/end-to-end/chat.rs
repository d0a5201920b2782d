//! Conversations through four nodes: from [`Chat::send`] to the message decrypted at the other side and kept by a write
//! quorum, in turns with the plain envelope path; how long a group takes; and what an idle client says and hears.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokenim_client::{
    Argon2Cost, Client, Content as Plain, Event, Follow,
    chat::{Chat, ChatEvent, ChatEvents, Content, ConversationId, Event as Said, Mark, Running, Standing},
};
use tokenim_testkit::{LocalNetwork, until};
use tokio::{net::UdpSocket, sync::Mutex};

const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that are not counted, so that whoever is to be known is known.
const WARM_UP: usize = 20;
/// Between two messages.
const PAUSE: Duration = Duration::from_millis(40);
/// Until nothing is going on any more that an idle client does not do.
const CALM: Duration = Duration::from_secs(15);

fn main() {
    let (messages, groups) = (argument("--messages", 300), argument("--groups", 5));
    let idle = argument("--idle", 300);
    let network = LocalNetwork::start(4, 1, |_, _| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("four nodes and eight people in this process; {}", load());
    network.block_on(async {
        let mut people = Vec::new();
        for name in ["ada", "ben", "cleo", "dora", "emil"] {
            people.push(Person::new(&network, folder.path(), name, None).await);
        }
        if messages > 0 {
            latency(&network, folder.path(), &people, messages).await;
        }
        if groups > 0 {
            let mut times = Vec::new();
            for _ in 0..groups {
                times.push(group(&people).await);
            }
            println!(
                "groups of five, from the call until all are in: {}; until a message in it is read by all: {}",
                list(times.iter().map(|(all_in, _)| *all_in)),
                list(times.iter().map(|(_, read)| *read)),
            );
        }
        if idle > 0 {
            quiet(&network, folder.path(), &people, Duration::from_secs(idle as u64)).await;
        }
    });
    println!("{}", load());
}

fn argument(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments
        .nth(1)
        .map_or(default, |value| value.parse().expect("a number"))
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", load.split(' ').next().unwrap_or("unknown"))
}

/// Percentiles, in milliseconds.
fn show(times: Vec<Duration>) -> String {
    format!(
        "p50 {:.1} ms, p99 {:.1} ms",
        percentile(&times, 0.5),
        percentile(&times, 0.99)
    )
}

fn list(times: impl Iterator<Item = Duration>) -> String {
    let each: Vec<_> = times.map(|time| format!("{:.2}", time.as_secs_f64())).collect();
    format!("{} s", each.join(", "))
}

fn percentile(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
    sorted[place - 1].as_secs_f64() * 1000.0
}

struct Person {
    client: Client,
    chat: Chat,
    events: Mutex<ChatEvents>,
    _running: Running,
}

impl Person {
    async fn new(network: &LocalNetwork, folder: &Path, name: &str, relays: Option<&Relays>) -> Self {
        let client = client(network, folder, name, relays).await;
        let chat = client.chat().unwrap();
        let events = Mutex::new(chat.events());
        let running = chat.run().unwrap();
        assert!(chat.settle(PATIENCE).await);
        Self {
            client,
            chat,
            events,
            _running: running,
        }
    }

    /// Waits for one of the events.
    async fn sees(&self, is: impl Fn(&Said) -> bool) {
        let mut events = self.events.lock().await;
        loop {
            if let ChatEvent::Session(event) = events.next().await.unwrap()
                && is(&event)
            {
                return;
            }
        }
    }

    async fn has(&self, what: &str, is: impl Fn(&Chat) -> bool) {
        if let Err(error) = until(what, PATIENCE, async || is(&self.chat).then_some(())).await {
            panic!("{error}: {:?} {:?}", self.chat.status(), self.chat.conversations());
        }
    }
}

async fn client(network: &LocalNetwork, folder: &Path, name: &str, relays: Option<&Relays>) -> Client {
    let config = network.layout.network.clone();
    let (client, _words) = Client::create(&folder.join(name), config, b"secret", Argon2Cost::MINIMUM).unwrap();
    for (node, front) in network
        .layout
        .nodes
        .iter()
        .zip(relays.iter().flat_map(|relays| &relays.fronts))
    {
        client.network().prefer_address(&node.key, &front.to_string()).await;
    }
    client.register().await.unwrap();
    client
}

/// Messages of 1 KiB both ways, in turns, one at a time.
async fn latency(network: &LocalNetwork, folder: &Path, people: &[Person], messages: usize) {
    let (ada, ben) = (&people[0], &people[1]);
    let [fritz, gina] = [
        client(network, folder, "fritz", None).await,
        client(network, folder, "gina", None).await,
    ];
    let mut inbox = gina.follow().unwrap();
    let between = ada.chat.start(ben.client.identity()).await.unwrap();
    let active = |chat: &Chat| {
        chat.conversation(between)
            .is_ok_and(|info| info.standing == Standing::Active && info.members.len() == 2)
    };
    ada.has("both are in", active).await;
    ben.has("both are in", active).await;
    let (mut plain, mut said, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..WARM_UP + messages {
        tokio::time::sleep(PAUSE).await;
        let one = envelope(&fritz, &gina, &mut inbox, number).await;
        tokio::time::sleep(PAUSE).await;
        let (other, decrypted) = message(ada, ben, between, number).await;
        if number >= WARM_UP {
            plain.push(one);
            said.push(other);
            read.push(decrypted);
        }
    }
    println!(
        "{messages} messages of 1 KiB each way, in turns, decrypted at the other side and kept by a write quorum:"
    );
    println!("  plain envelope: {}", show(plain.clone()));
    println!("  conversation of two: {}", show(said.clone()));
    println!("    of it until decrypted: {}", show(read));
    println!(
        "  ratio: p50 {:.2}, p99 {:.2}",
        percentile(&said, 0.5) / percentile(&plain, 0.5),
        percentile(&said, 0.99) / percentile(&plain, 0.99)
    );
    for client in [fritz, gina] {
        client.close().await;
    }
}

fn body(number: usize) -> String {
    format!("{number:1024}")
}

async fn envelope(from: &Client, to: &Client, inbox: &mut Follow, number: usize) -> Duration {
    let body = body(number);
    let identity = to.identity();
    let began = Instant::now();
    let arrives = async {
        loop {
            if let Event::Message(received) = inbox.next().await.unwrap()
                && received.message.body.as_slice() == body.as_bytes()
            {
                return began.elapsed();
            }
        }
    };
    let (sent, arrived) = tokio::join!(from.send(&identity, Plain::text(&body)), arrives);
    // What comes after the quorum, the handing over of the receipt, does not count here or there.
    arrived.max(sent.unwrap().accepted_after)
}

async fn message(from: &Person, to: &Person, between: ConversationId, number: usize) -> (Duration, Duration) {
    let text = Content::text(body(number)).unwrap();
    let began = Instant::now();
    let id = from.chat.send(between, text).await.unwrap().unwrap();
    let arrives = async {
        to.sees(|event| matches!(event, Said::Message(of, order) if *of == between && order.id == id))
            .await;
        began.elapsed()
    };
    let stored = from.sees(|event| matches!(event, Said::Mark(_, of, mark) if *of == id && *mark >= Mark::Stored));
    let (arrived, ()) = tokio::join!(arrives, stored);
    (began.elapsed(), arrived)
}

/// Makes a group of all; how long it takes until all are in, and until a message in it is read by all.
async fn group(people: &[Person]) -> (Duration, Duration) {
    let invited = people[1..].iter().map(|person| person.client.identity()).collect();
    let began = Instant::now();
    let group = people[0].chat.create_group("all", invited, None).await.unwrap();
    for person in people {
        let all_in = |chat: &Chat| {
            chat.conversation(group)
                .is_ok_and(|info| info.standing == Standing::Active && info.members.len() == people.len())
        };
        person.has("all are in", all_in).await;
    }
    let all_in = began.elapsed();
    // Whoever was given a key package that somebody else had taken is added a second time, and reads what is said from then on.
    people[0]
        .chat
        .send(group, Content::text("hello").unwrap())
        .await
        .unwrap();
    for person in people {
        person
            .has("the message", |chat| chat.messages(group, None, 2).unwrap().len() == 1)
            .await;
    }
    (all_in, began.elapsed())
}

/// What a client says and hears that has one contact and one group and nothing to say, through relays that count.
async fn quiet(network: &LocalNetwork, folder: &Path, people: &[Person], time: Duration) {
    let nodes = network.layout.nodes.iter().map(|node| node.listen);
    let relays = Relays::new(nodes).await;
    let hanna = Person::new(network, folder, "hanna", Some(&relays)).await;
    let (ada, identity) = (&people[0], hanna.client.identity());
    let between = ada.chat.start(identity).await.unwrap();
    let invited = vec![identity, people[1].client.identity()];
    let group = ada.chat.create_group("quiet", invited, None).await.unwrap();
    for conversation in [between, group] {
        ada.chat
            .send(conversation, Content::text("hello").unwrap())
            .await
            .unwrap();
        hanna
            .has("the message", |chat| {
                chat.messages(conversation, None, 2).is_ok_and(|all| all.len() == 1)
            })
            .await;
    }
    tokio::time::sleep(CALM).await;
    let before = relays.counted();
    tokio::time::sleep(time).await;
    let after = relays.counted();
    let hour = |counter: usize| (after[counter] - before[counter]) as f64 * 3600.0 / time.as_secs_f64();
    println!(
        "idle for {} s with one contact and one group, UDP payload in an hour: {:.0} KB sent in {:.0} packets, {:.0} KB \
         received in {:.0} packets",
        time.as_secs(),
        hour(0) / 1000.0,
        hour(1),
        hour(2) / 1000.0,
        hour(3)
    );
}

/// Relays for one client, one in front of each node.
struct Relays {
    fronts: Vec<SocketAddr>,
    /// Bytes and packets to the nodes, bytes and packets from them.
    counters: Arc<[AtomicU64; 4]>,
}

impl Relays {
    async fn new(nodes: impl Iterator<Item = SocketAddr>) -> Self {
        let counters: Arc<[AtomicU64; 4]> = Arc::default();
        let mut fronts = Vec::new();
        for node in nodes {
            let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            fronts.push(front.local_addr().unwrap());
            let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            back.connect(node).await.unwrap();
            tokio::spawn(relay(front, back, Arc::clone(&counters)));
        }
        Self { fronts, counters }
    }

    fn counted(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|counter: usize| self.counters[counter].load(Ordering::Relaxed))
    }
}

async fn relay(front: Arc<UdpSocket>, back: Arc<UdpSocket>, counters: Arc<[AtomicU64; 4]>) {
    let count = |first: usize, bytes: usize| {
        counters[first].fetch_add(bytes as u64, Ordering::Relaxed);
        counters[first + 1].fetch_add(1, Ordering::Relaxed);
    };
    let mut client = None;
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok((bytes, from)) = front.recv_from(&mut up) => {
                client = Some(from);
                count(0, bytes);
                let _ = back.send(&up[..bytes]).await;
            }
            Ok(bytes) = back.recv(&mut down) => {
                if let Some(client) = client {
                    count(2, bytes);
                    let _ = front.send_to(&down[..bytes], client).await;
                }
            }
        }
    }
}
