//! People, and what they write to each other without a pause.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenim_client::{Argon2Cost, Client, ClientError, Content, Event, MessageId, SendOptions, SendReport};
use tokenim_ledger::LightClient;
use tokenim_testkit::{Processes, until};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::PATIENCE;

/// Messages that are being sent at a time.
const IN_FLIGHT: usize = 12;
/// Between two of them.
const PACE: Duration = Duration::from_millis(40);

/// A person who is on the ledger.
pub(crate) async fn person(processes: &Processes, name: &str) -> Client {
    let folder = processes.folder().join(name);
    let (client, _) = Client::create(
        &folder,
        processes.layout.network.clone(),
        b"secret",
        Argon2Cost::MINIMUM,
    )
    .unwrap();
    client.register().await.unwrap();
    client
}

/// A text of its own for each number, of a length of its own.
fn text(number: usize) -> String {
    format!("message {number} {}", "ы".repeat(number * 97 % 3_000))
}

/// What was written.
#[derive(Default)]
struct Written {
    /// Every message that was begun.
    texts: BTreeMap<MessageId, String>,
    accepted: Vec<SendReport>,
    /// Those for which too few nodes signed at first.
    kept: usize,
}

/// Messages from one person to another, sent and followed at the same time.
pub(crate) struct Traffic {
    ada: Client,
    ben: Client,
    written: Arc<Mutex<Written>>,
    received: Arc<Mutex<BTreeMap<MessageId, Vec<Vec<u8>>>>>,
    stop: watch::Sender<bool>,
    sending: JoinHandle<()>,
    following: JoinHandle<()>,
}

impl Traffic {
    pub(crate) fn begin(ada: &Client, ben: &Client) -> Self {
        let (stop, stopping) = watch::channel(false);
        let written = Arc::new(Mutex::new(Written::default()));
        let received = Arc::new(Mutex::new(BTreeMap::new()));
        Self {
            sending: tokio::spawn(send(ada.clone(), ben.clone(), written.clone(), stopping)),
            following: tokio::spawn(follow(ben.clone(), received.clone())),
            ada: ada.clone(),
            ben: ben.clone(),
            written,
            received,
            stop,
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.written.lock().unwrap().accepted.len()
    }

    pub(crate) fn kept(&self) -> usize {
        self.written.lock().unwrap().kept
    }

    /// What was accepted so far.
    pub(crate) fn reports(&self) -> Vec<SendReport> {
        self.written.lock().unwrap().accepted.clone()
    }

    /// Waits until `more` further messages are accepted.
    pub(crate) async fn goes_on(&self, more: usize) {
        let wanted = self.accepted() + more;
        let reached = async || (self.accepted() >= wanted).then_some(());
        until("messages are accepted", PATIENCE, reached).await.unwrap();
    }

    /// Stops sending, finishes what was begun, and checks all of it: everything is accepted, arrived once and as it was
    /// written, and is proved. Returns how many messages there were.
    pub(crate) async fn end(self, processes: &Processes) -> usize {
        self.stop.send_replace(true);
        self.sending.await.unwrap();
        let finish = async || {
            let done = self.ada.maintain(Duration::from_secs(5)).await.unwrap();
            (done.unaccepted == 0).then_some(())
        };
        until("what was kept is accepted", PATIENCE, finish).await.unwrap();

        let texts = self.written.lock().unwrap().texts.clone();
        let all = async || (self.received.lock().unwrap().len() >= texts.len()).then_some(());
        if let Err(error) = until("everything arrives", PATIENCE, all).await {
            let received = self.received.lock().unwrap();
            let lost: Vec<_> = texts.keys().filter(|id| !received.contains_key(id)).collect();
            panic!("{error}: {lost:?}");
        }
        // Another look at all the nodes brings nothing new.
        let reading = self.ben.receive().await.unwrap();
        assert!(
            reading.complete && reading.received.is_empty() && reading.caught.is_empty(),
            "{reading:?}"
        );
        self.following.abort();
        let received = self.received.lock().unwrap().clone();
        assert_eq!(received.len(), texts.len(), "something came that nobody wrote");
        for (id, text) in &texts {
            let copies = &received[id];
            assert_eq!(copies.len(), 1, "message {id} came {} times", copies.len());
            assert_eq!(copies[0], text.as_bytes(), "message {id}");
        }
        assert_eq!(self.ben.messages(0, 100_000).unwrap().len(), texts.len());

        let light = LightClient::new(&processes.layout.network).unwrap();
        let mut proving = JoinSet::new();
        let mut ids: Vec<MessageId> = texts.into_keys().collect();
        let count = ids.len();
        while !ids.is_empty() || !proving.is_empty() {
            while proving.len() < 8
                && let Some(id) = ids.pop()
            {
                let ada = self.ada.clone();
                proving.spawn(async move { ada.proofs(&id, PATIENCE).await });
            }
            let proofs = proving.join_next().await.unwrap().unwrap().unwrap();
            assert_eq!(proofs.len(), 1, "one device, one proof");
            light.verify_acceptance(&proofs[0]).unwrap();
        }
        for client in [&self.ada, &self.ben] {
            assert_eq!(client.notes().unwrap(), [], "no node lies here");
        }
        count
    }
}

async fn send(ada: Client, ben: Client, written: Arc<Mutex<Written>>, stopping: watch::Receiver<bool>) {
    let mut options = SendOptions::default();
    options.patience = Duration::from_secs(2);
    // Ben stays who he is while the ledger stands still.
    options.max_age = Duration::from_secs(600);
    let mut sending: JoinSet<(String, Result<SendReport, ClientError>)> = JoinSet::new();
    let mut number = 0;
    loop {
        let stop = *stopping.borrow();
        if !stop && sending.len() < IN_FLIGHT {
            number += 1;
            let (ada, to, options, text) = (ada.clone(), ben.identity(), options.clone(), text(number));
            sending.spawn(async move {
                let sent = ada.send_with(&to, Content::text(&text), &options).await;
                (text, sent)
            });
            tokio::time::sleep(PACE).await;
        }
        let full = stop || sending.len() >= IN_FLIGHT;
        let done = if full {
            sending.join_next().await
        } else {
            sending.try_join_next()
        };
        match done {
            None if stop => return,
            None => {}
            Some(done) => {
                let (text, sent) = done.unwrap();
                let mut written = written.lock().unwrap();
                match sent {
                    Ok(report) => {
                        written.texts.insert(report.message, text);
                        written.accepted.push(report);
                    }
                    Err(ClientError::NotAccepted { message, .. }) => {
                        written.texts.insert(message, text);
                        written.kept += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

async fn follow(ben: Client, received: Arc<Mutex<BTreeMap<MessageId, Vec<Vec<u8>>>>>) {
    let mut events = ben.follow().unwrap();
    while let Some(event) = events.next().await {
        match event {
            Event::Message(got) => {
                let mut received = received.lock().unwrap();
                received
                    .entry(got.message.id)
                    .or_default()
                    .push(got.message.body.to_vec());
            }
            Event::Refused(_) | Event::Caught(_) | Event::Failed(_) => panic!("{event:?}"),
            _ => {}
        }
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}
