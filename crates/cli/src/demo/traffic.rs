//! Messages both ways, several in flight, while a node lies and another one dies and comes back.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokenim_client::step::Fault;
use tokenim_client::{Client, ClientError, Content, Event, Follow, MessageId, Received, SendReport};
use tokio::task::JoinSet;

use super::liar::Liar;
use super::plan::{Person, Planned};
use super::story::Teller;
use crate::error::CliError;
use crate::fleet::Fleet;
use crate::output;

/// Messages that are being sent at a time.
const IN_FLIGHT: usize = 8;
/// How often the course of events is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long the restarted node may take to answer, before it is asked again.
const HEALTH_PATIENCE: Duration = Duration::from_millis(100);
/// The killed node stays away at least and at most this long.
const AWAY_MIN: Duration = Duration::from_secs(1);
const AWAY_MAX: Duration = Duration::from_secs(4);
/// Without anything new for this long, what is missing is given up.
const STALLED: Duration = Duration::from_secs(60);
/// Pause before a message that could not even be begun is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// A message that was accepted.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) message: MessageId,
    pub(super) called: Instant,
    pub(super) accepted_after: Duration,
}

/// What became of one planned message.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) sent: Option<Sent>,
    /// When its recipient first had it decrypted, and it was what had been sent.
    pub(super) arrived: Option<Instant>,
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) tracks: Vec<Track>,
    pub(super) duplicated: usize,
    pub(super) killed: usize,
    pub(super) restart_ms: f64,
    /// What the lying node was caught with.
    pub(super) caught: Vec<Fault>,
}

/// Everything that takes part.
pub(super) struct Traffic<'a> {
    pub(super) plan: &'a [Planned],
    pub(super) anna: &'a Client,
    pub(super) bert: &'a Client,
    pub(super) liar: &'a Liar,
    pub(super) lying: usize,
    pub(super) dying: usize,
    pub(super) teller: &'a Teller,
    pub(super) bar: ProgressBar,
}

/// Where the dying node is on its way.
#[derive(Debug, Clone, Copy)]
enum Life {
    Running,
    Dead(Instant),
    Starting(Instant),
    Back,
}

struct Course<'a> {
    traffic: &'a Traffic<'a>,
    outcome: Outcome,
    /// Numbers of messages that may be sent now, and from when on.
    ready: VecDeque<(usize, Instant)>,
    /// Messages that were kept but not accepted in the first attempt.
    kept: Vec<(usize, MessageId, Instant)>,
    /// What arrived before its sender knew its id.
    early: HashMap<MessageId, Vec<(Vec<u8>, Instant)>>,
    numbers: HashMap<MessageId, usize>,
    accepted: usize,
    delivered: usize,
    life: Life,
    lied: bool,
    progress: Instant,
}

type Sending = JoinSet<(usize, Instant, Result<SendReport, ClientError>)>;

impl Traffic<'_> {
    pub(super) async fn run(&self, fleet: &mut Fleet) -> Result<Outcome, CliError> {
        let mut to_anna: Follow = self.anna.follow()?;
        let mut to_bert: Follow = self.bert.follow()?;
        let now = Instant::now();
        let mut course = Course {
            traffic: self,
            outcome: Outcome {
                tracks: self.plan.iter().map(|_| Track::default()).collect(),
                ..Outcome::default()
            },
            ready: (0_usize..)
                .zip(self.plan)
                .filter(|(_, planned)| planned.answers.is_none())
                .map(|(number, _)| (number, now))
                .collect(),
            kept: Vec::new(),
            early: HashMap::new(),
            numbers: HashMap::new(),
            accepted: 0,
            delivered: 0,
            life: Life::Running,
            lied: false,
            progress: now,
        };
        let mut sending: Sending = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        loop {
            course.send(&mut sending);
            tokio::select! {
                Some(Ok((number, called, outcome))) = sending.join_next() => course.sent(number, called, outcome),
                Some(event) = to_anna.next() => course.event(event)?,
                Some(event) = to_bert.next() => course.event(event)?,
                _ = tick.tick() => {
                    course.kill_and_restart(fleet).await?;
                    course.retry().await;
                    course.have_it_lie();
                    if course.is_done() || course.progress.elapsed() > STALLED {
                        return Ok(course.outcome);
                    }
                }
            }
        }
    }
}

impl Course<'_> {
    /// Begins what may be begun.
    fn send(&mut self, sending: &mut Sending) {
        while sending.len() < IN_FLIGHT {
            let now = Instant::now();
            let Some(place) = self.ready.iter().position(|(_, from)| *from <= now) else {
                return;
            };
            let Some((number, _)) = self.ready.remove(place) else {
                return;
            };
            let Some(planned) = self.traffic.plan.get(number) else {
                return;
            };
            let (from, to) = match planned.from {
                Person::Anna => (self.traffic.anna.clone(), self.traffic.bert.identity()),
                Person::Bert => (self.traffic.bert.clone(), self.traffic.anna.identity()),
            };
            let content = Content::text(planned.text.clone());
            sending.spawn(async move {
                let called = Instant::now();
                (number, called, from.send(&to, content).await)
            });
        }
    }

    fn sent(&mut self, number: usize, called: Instant, outcome: Result<SendReport, ClientError>) {
        match outcome {
            Ok(report) => self.accepted(number, report.message, called, report.accepted_after),
            Err(ClientError::NotAccepted { message, .. }) => self.kept.push((number, message, called)),
            Err(error) => {
                tracing::info!(%error, "a message could not be begun");
                let later = Instant::now().checked_add(RETRY).unwrap_or(called);
                self.ready.push_back((number, later));
            }
        }
    }

    fn accepted(&mut self, number: usize, message: MessageId, called: Instant, accepted_after: Duration) {
        self.progress = Instant::now();
        self.accepted = self.accepted.saturating_add(1);
        if let Some(track) = self.outcome.tracks.get_mut(number) {
            track.sent = Some(Sent {
                message,
                called,
                accepted_after,
            });
        }
        self.numbers.insert(message, number);
        for (body, when) in self.early.remove(&message).unwrap_or_default() {
            self.arrived(number, &body, when);
        }
    }

    fn event(&mut self, event: Event) -> Result<(), CliError> {
        match event {
            Event::Message(Received { message, .. }) => {
                let when = Instant::now();
                match self.numbers.get(&message.id) {
                    Some(number) => self.arrived(*number, &message.body, when),
                    None => self
                        .early
                        .entry(message.id)
                        .or_default()
                        .push((message.body.to_vec(), when)),
                }
            }
            Event::Caught(caught) => {
                self.progress = Instant::now();
                self.tell(&format!(
                    "Node {} served Bert a copy with one byte changed. His client refused it: {}.",
                    self.traffic.lying.saturating_add(1),
                    caught.fault
                ));
                self.outcome.caught.push(caught.fault);
            }
            Event::Failed(error) => return Err(error.into()),
            _ => {}
        }
        Ok(())
    }

    fn arrived(&mut self, number: usize, body: &[u8], when: Instant) {
        self.progress = Instant::now();
        let Some((track, planned)) = self.outcome.tracks.get_mut(number).zip(self.traffic.plan.get(number)) else {
            return;
        };
        if track.arrived.is_some() {
            self.outcome.duplicated = self.outcome.duplicated.saturating_add(1);
            return;
        }
        if body != planned.text.as_bytes() {
            // Not what was sent, so that what was sent counts as lost.
            return;
        }
        track.arrived = Some(when);
        self.delivered = self.delivered.saturating_add(1);
        self.traffic.bar.inc(1);
        let answer = number.saturating_add(1);
        let is_answered = self
            .traffic
            .plan
            .get(answer)
            .is_some_and(|planned| planned.answers == Some(number));
        if is_answered {
            self.ready.push_front((answer, when));
        }
    }

    /// Messages that were kept are sent on, as after a restart.
    async fn retry(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        for client in [self.traffic.anna, self.traffic.bert] {
            if let Err(error) = client.maintain(Duration::from_secs(5)).await {
                tracing::warn!(%error, "the outbox could not be looked after");
            }
        }
        for (number, message, called) in core::mem::take(&mut self.kept) {
            let from = self
                .traffic
                .plan
                .get(number)
                .map_or(Person::Anna, |planned| planned.from);
            let client = match from {
                Person::Anna => self.traffic.anna,
                Person::Bert => self.traffic.bert,
            };
            let done = client
                .outgoing(&message)
                .ok()
                .flatten()
                .is_some_and(|kept| kept.is_accepted());
            if done {
                self.accepted(number, message, called, called.elapsed());
            } else {
                self.kept.push((number, message, called));
            }
        }
    }

    async fn kill_and_restart(&mut self, fleet: &mut Fleet) -> Result<(), CliError> {
        let all = self.traffic.plan.len();
        let Some(node) = fleet.nodes.get_mut(self.traffic.dying) else {
            return Ok(());
        };
        match self.life {
            Life::Running if self.accepted >= all / 2 => {
                node.kill().await;
                self.outcome.killed = 1;
                self.life = Life::Dead(Instant::now());
                self.tell(&format!(
                    "Node {} is killed (SIGKILL) after {}. The others go on.",
                    self.traffic.dying.saturating_add(1),
                    output::count(self.accepted, "message")
                ));
            }
            Life::Dead(since) => {
                let most = self.accepted >= all.saturating_mul(3) / 4;
                if (most && since.elapsed() >= AWAY_MIN) || since.elapsed() >= AWAY_MAX {
                    node.start()?;
                    self.life = Life::Starting(Instant::now());
                }
            }
            Life::Starting(since) => {
                if let Some(how) = node.ended() {
                    return Err(CliError::new(
                        crate::error::FAILED,
                        format!("node {} {how}: {}", node.number, node.last_words()),
                    ));
                }
                // Not waited for: what arrives meanwhile is to be seen at once.
                let healthy = tokio::time::timeout(HEALTH_PATIENCE, node.is_healthy()).await;
                if healthy == Ok(true) {
                    self.outcome.restart_ms = since.elapsed().as_secs_f64() * 1_000.0;
                    self.life = Life::Back;
                    self.progress = Instant::now();
                    self.tell(&format!(
                        "Node {} was started again and serves after {:.1} s, with all it had promised to keep.",
                        self.traffic.dying.saturating_add(1),
                        self.outcome.restart_ms / 1_000.0
                    ));
                }
            }
            Life::Running | Life::Back => {}
        }
        Ok(())
    }

    fn have_it_lie(&mut self) {
        if !self.lied && self.accepted >= self.traffic.plan.len() / 4 {
            self.lied = true;
            self.traffic.liar.lie_once();
        }
    }

    fn is_done(&self) -> bool {
        let lies = usize::try_from(self.traffic.liar.lies()).unwrap_or(usize::MAX);
        self.delivered == self.traffic.plan.len()
            && self.accepted == self.traffic.plan.len()
            && matches!(self.life, Life::Back)
            && lies > 0
            && self.outcome.caught.len() >= lies
    }

    fn tell(&self, text: &str) {
        self.traffic.bar.suspend(|| self.traffic.teller.tell(text));
    }
}
