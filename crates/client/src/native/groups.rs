//! The group log of a session: adding to it, and watching what follows an entry.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokenim_identity::NodeKey;
use tokenim_mailbox::group::{GroupEntryId, GroupHandle, GroupNode, GroupUpdate};
use tokenim_rpc::limits::WAIT_MILLISECONDS_MAX;
use tokenim_rpc::{Request, Response};

use super::network::{ASK_TIMEOUT, Answer, CALL_TIMEOUT, HEDGE_AFTER, ROUND_PAUSE};
use super::{ClientError, Network, now};
use crate::step::Proved;

/// An entry of a group log, if it is there, as the ledger proves it.
type ProvedNode = Proved<Option<GroupNode>>;

impl Network {
    /// Adds to a group log, by way of f+1 gateways, and returns once a proof shows the entry there. It may have been there
    /// before.
    ///
    /// # Errors
    /// [`ClientError::Refused`] and [`ClientError::Rejected`], for the reason that the ledger gives;
    /// [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn submit_group(&self, update: GroupUpdate) -> Result<(), ClientError> {
        let (handle, entry) = (update.handle(), update.entry()?);
        let request = Request::SubmitGroup(Box::new(update));
        let (handle, entry) = (&handle, &entry);
        self.submit_until(&request, Response::into_submitted_group, move || {
            self.group_node(handle, entry, 0, Duration::ZERO)
        })
        .await
        .map(|_| ())
    }

    /// What the ledger has at an entry of a group log, or that it has none: proved by the light client, with the height.
    /// With a `wait`, at most [`WAIT_MILLISECONDS_MAX`] of it, the answer comes as soon as the entry has more than `after` children, or when the
    /// time is up.
    ///
    /// Every answer is proved; that nothing more follows is believed only of f+1 nodes, of which one is honest, and of the
    /// newest of their answers. So a node can neither pass an old state for the present one nor hold anybody up.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn group_node(
        &self,
        handle: &GroupHandle,
        entry: &GroupEntryId,
        after: u8,
        wait: Duration,
    ) -> Result<ProvedNode, ClientError> {
        let wait_ms = u32::try_from(wait.as_millis())
            .unwrap_or(u32::MAX)
            .min(WAIT_MILLISECONDS_MAX);
        let wait = Duration::from_millis(u64::from(wait_ms));
        let request = |wait_ms| Request::GroupNode {
            handle: *handle,
            entry: *entry,
            after,
            wait_ms,
        };
        let requests = [request(wait_ms), request(0)];
        let check = |response: Response| -> Result<ProvedNode, Answer> {
            let proof = response.into_group_node()?;
            Ok(self.with_view(|view| view.group_node((handle, entry), &proof, after, now()))?)
        };
        let deadline = tokio::time::Instant::now() + wait + ASK_TIMEOUT;
        loop {
            let failed = match self.ask_one_honest(&requests, wait, after, &check).await {
                Ok(found) => return Ok(found),
                Err(failed) => failed,
            };
            if tokio::time::Instant::now() + ROUND_PAUSE >= deadline {
                return Err(failed);
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// Asks f+1 nodes to hold their answers back, and others for those that fail or are slow. Takes the first answer with
    /// more than `after` children, else the newest of f+1.
    async fn ask_one_honest(
        &self,
        [waits, at_once]: &[Request; 2],
        wait: Duration,
        after: u8,
        check: &impl Fn(Response) -> Result<ProvedNode, Answer>,
    ) -> Result<ProvedNode, ClientError> {
        let started = tokio::time::Instant::now();
        let question = |node: NodeKey| {
            // Whoever is asked late does not wait as long again.
            if started.elapsed() < wait {
                self.question(node, waits, CALL_TIMEOUT + wait)
            } else {
                self.question(node, at_once, CALL_TIMEOUT)
            }
        };
        let wanted = self.one_honest();
        let order = self.order();
        let mut waiting = order.iter();
        let mut asked = FuturesUnordered::new();
        let mut answers = 0_usize;
        let mut newest: Option<ProvedNode> = None;
        let (mut last, mut oldest) = ("no answer in time".to_owned(), None);
        loop {
            while asked.len().saturating_add(answers) < wanted
                && let Some(node) = waiting.next()
            {
                asked.push(question(*node));
            }
            let hedge = tokio::time::sleep(HEDGE_AFTER + wait);
            let (node, outcome) = tokio::select! {
                biased;
                answered = asked.next() => match answered {
                    Some(answered) => answered,
                    None => break,
                },
                () = hedge => {
                    if let Some(node) = waiting.next() {
                        asked.push(question(*node));
                    }
                    continue;
                }
            };
            let checked = match outcome {
                Ok(response) => check(response),
                Err(error) => Err(error.into()),
            };
            match checked {
                Ok(found) => {
                    let children = found.value.as_ref().map_or(0, |entry| entry.children.len());
                    if children > usize::from(after) {
                        return Ok(found);
                    }
                    answers = answers.saturating_add(1);
                    if newest.as_ref().is_none_or(|newest| newest.height < found.height) {
                        newest = Some(found);
                    }
                    if answers >= wanted
                        && let Some(newest) = newest.take()
                    {
                        return Ok(newest);
                    }
                }
                Err(Answer::Fault(fault)) => {
                    last = fault.to_string();
                    self.caught(&node, fault);
                }
                Err(Answer::Later(why)) => last = why,
                Err(Answer::Old(age)) => oldest = Some(oldest.map_or(age, |old: u64| old.min(age))),
            }
        }
        match oldest {
            Some(age) => Err(ClientError::NotProgressing {
                age_seconds: age / 1_000,
            }),
            None => Err(ClientError::Unreachable {
                nodes: order.len(),
                last,
            }),
        }
    }
}
