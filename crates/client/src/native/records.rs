//! Records: putting them on the ledger, and reading an identity's whole chain.

use std::time::Duration;

use tokenim_identity::{
    Genesis, IdentityId, IdentityState, NodeKey, Phrase, Record, RecordSigner, RecoveryProof, RecoveryShare,
    SignedRecord,
};
use tokenim_ledger::{IdentityUpdate, LookupProof, Outcome, ProofError, ProvenHistory, Rejection};
use tokenim_rpc::{AnswerError, Blame, ErrorCode, Request, Response, Submitted, TransactionStatus};

use super::links::CallError;
use super::network::{ASK_TIMEOUT, CALL_TIMEOUT};
use super::{Client, ClientError, Network, now};
use crate::step::{Fault, LookedUp, Proved};

/// How long what is submitted may take to become final.
const FINAL_TIMEOUT: Duration = Duration::from_secs(30);
/// For how long gateways are asked again that take nothing because there are no new blocks: a network stands still for a
/// while when it starts, and when its machines have other things to do.
const STALLED_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two such questions.
const STALLED_PAUSE: Duration = Duration::from_millis(500);
/// First pause before a look for it; it doubles each time.
const FIRST_LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Longest such pause.
const LOOK_PAUSE: Duration = Duration::from_millis(150);
/// How old the proof of a state may be on which a record is built.
const STATE_AGE: Duration = Duration::from_secs(30);

/// Why a node did not tell a history.
enum Untold {
    Fault(Fault),
    Failed(String),
}

impl From<Fault> for Untold {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<AnswerError> for Untold {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused(error) => Self::Failed(error.to_string()),
            _ => Self::Fault(Fault::WrongAnswer),
        }
    }
}

impl Client {
    /// Puts the next record of this identity's chain on the ledger, and returns once a proof shows it there.
    ///
    /// # Errors
    /// [`ClientError::Rejected`], [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn publish_record(&self, record: SignedRecord) -> Result<LookedUp, ClientError> {
        let found = self.shared.network.publish_record(record).await?;
        self.keep_pin(&self.shared.identity, found).await
    }

    /// This identity's state as the ledger proves it now: the one on which the next record is built.
    ///
    /// # Errors
    /// [`ClientError::NotRegistered`], [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn state(&self) -> Result<IdentityState, ClientError> {
        match self.refresh(&self.shared.identity, STATE_AGE).await {
            Err(ClientError::UnknownIdentity(_)) => Err(ClientError::NotRegistered),
            state => state,
        }
    }

    /// Carries out what is pending, signed by this device, once the recovery window has passed.
    ///
    /// # Errors
    /// [`ClientError::Locked`], [`ClientError::Record`] when nothing is pending, [`ClientError::Rejected`] when it is
    /// not due yet, and those of [`Client::state`].
    pub async fn complete_pending(&self) -> Result<LookedUp, ClientError> {
        let state = self.state().await?;
        let signer = RecordSigner::Device(&self.keys()?.secrets.signing);
        let record = SignedRecord::complete(self.shared.network.id(), &state, signer)?;
        self.publish_record(record).await
    }

    /// Revokes this device, signed by itself.
    ///
    /// # Errors
    /// [`ClientError::Locked`], [`ClientError::Record`] when it is revoked already, and those of [`Client::state`].
    pub async fn revoke_this_device(&self) -> Result<LookedUp, ClientError> {
        let state = self.state().await?;
        let key = &self.keys()?.secrets.signing;
        let record = SignedRecord::revoke_own_device(self.shared.network.id(), &state, key)?;
        self.publish_record(record).await
    }
}

impl Network {
    /// Puts the next record of an identity's chain on the ledger, and returns once a proof shows it there.
    ///
    /// # Errors
    /// [`ClientError::Rejected`], [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn publish_record(&self, record: SignedRecord) -> Result<LookedUp, ClientError> {
        let (seq, digest) = (record.record.seq, record.digest()?);
        let update = IdentityUpdate { genesis: None, record };
        let found = self
            .put_on_ledger(update, |found| {
                found.state.as_ref().is_some_and(|state| state.seq >= seq)
            })
            .await?;
        match &found.state {
            // Another record may have taken the place at the same moment.
            Some(state) if state.seq == seq && state.head != digest => {
                Err(ClientError::Rejected(Rejection::RecordPrevious))
            }
            _ => Ok(found),
        }
    }

    /// Gives an identity the root of new words, by enough of its recovery keys: whatever was pending is dropped, and
    /// every device is revoked. Have the words kept before you call this. With them, [`Client::restore`] then makes this
    /// machine the first device. The recovery keys stay as they are, but were shown: replace them soon.
    ///
    /// # Errors
    /// [`ClientError::UnknownIdentity`], [`ClientError::Record`] for too few or other recovery keys,
    /// [`ClientError::Rejected`], [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn recover(
        &self,
        identity: &IdentityId,
        shares: &[RecoveryShare],
        words: &Phrase,
    ) -> Result<LookedUp, ClientError> {
        let state = self
            .lookup(identity, STATE_AGE)
            .await?
            .state
            .ok_or(ClientError::UnknownIdentity(*identity))?;
        let [root, next] = [0, 1].map(|index| words.root_key(index).verifying_key());
        let record = Record::recover(self.id(), &state, root, &next, state.recovery, &[])?;
        let proof = RecoveryProof::sign(&record, shares)?;
        self.publish_record(SignedRecord::recover(&state, record, proof)?).await
    }

    /// The whole history of an identity, from one node, proved: its records lead from the genesis record that its name
    /// is the hash of to a state that the validators certified, and that state binds height and time of each.
    ///
    /// # Errors
    /// [`ClientError::UnknownIdentity`], [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn history(&self, identity: &IdentityId) -> Result<ProvenHistory, ClientError> {
        let (shower, proof, records) = self.shown(identity).await?;
        // Whoever shows the state has the records that lead to it; the others are asked where those don't.
        let nodes = self.nodes();
        let others = nodes.members().iter().map(|member| member.key);
        let mut last = "no answer".to_owned();
        for node in std::iter::once(shower).chain(others.filter(|node| *node != shower)) {
            match self.history_of(&node, identity, &proof, records).await {
                Ok(history) => return Ok(history),
                // It may not have applied the last ones yet.
                Err(Untold::Fault(fault @ Fault::Proof(ProofError::HistoryShort { .. }))) if node != shower => {
                    last = fault.to_string();
                }
                Err(Untold::Fault(fault)) => {
                    last = fault.to_string();
                    self.caught(&node, fault);
                }
                Err(Untold::Failed(why)) => last = why,
            }
        }
        Err(ClientError::Unreachable {
            nodes: nodes.len(),
            last,
        })
    }

    /// The node that gave the proof of an identity's state now, the proof, and how many records led to that state.
    async fn shown(&self, identity: &IdentityId) -> Result<(NodeKey, LookupProof, u64), ClientError> {
        let asked = now();
        let request = Request::Lookup { identity: *identity };
        self.ask(&request, CALL_TIMEOUT, ASK_TIMEOUT, |node, response| {
            let proof = response.into_lookup()?;
            let found = self.with_view(|view| view.identity(identity, &proof, None))?;
            self.check_age(&found, asked, STATE_AGE)?;
            Ok(found.state.map(|state| (*node, proof, state.seq)))
        })
        .await?
        .ok_or(ClientError::UnknownIdentity(*identity))
    }

    async fn history_of(
        &self,
        node: &NodeKey,
        identity: &IdentityId,
        proof: &LookupProof,
        records: u64,
    ) -> Result<ProvenHistory, Untold> {
        let mut entries = Vec::new();
        let mut genesis: Option<Genesis> = None;
        loop {
            let read = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            let from = read.saturating_add(1);
            let request = Request::History {
                identity: *identity,
                from,
            };
            let page = match self.links.call(node, &request, CALL_TIMEOUT).await {
                Ok(response) => response.into_history()?,
                Err(CallError::Undecodable) => return Err(Fault::Undecodable.into()),
                Err(error) => return Err(Untold::Failed(error.to_string())),
            };
            genesis.get_or_insert(page.genesis);
            let added = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
            entries.extend(page.entries);
            // A page adds something, and no more pages are read than records are proved: a node can't keep this up for ever.
            if !page.more || added == 0 || read.saturating_add(added) >= records {
                break;
            }
        }
        let genesis = genesis.ok_or(Untold::Fault(Fault::WrongAnswer))?;
        let window_ms = self.config().limits().recovery_window_ms;
        let before = IdentityState::new(&genesis);
        let verified = self.with_view(|view| {
            let light = view.light_client();
            light.verify_history(identity, &before, entries, window_ms, proof, None)
        });
        let (_, history) = verified.map_err(Fault::Proof)?;
        Ok(history)
    }

    /// Hands a record to gateways until a proved look-up satisfies `here`.
    pub(crate) async fn put_on_ledger(
        &self,
        update: IdentityUpdate,
        here: impl Fn(&LookedUp) -> bool,
    ) -> Result<LookedUp, ClientError> {
        let identity = update.record.record.identity;
        let request = Request::SubmitIdentity(Box::new(update));
        let (identity, here) = (&identity, &here);
        self.submit_until(&request, Response::into_submitted, move || async move {
            let found = self.lookup(identity, STATE_AGE).await?;
            let (height, time) = (found.height, found.time);
            Ok(Proved {
                value: Some(found).filter(here),
                height,
                time,
            })
        })
        .await
    }

    /// Hands something to gateways until `look` finds it on the ledger. What a gateway refuses or the ledger rejects may be
    /// there all the same: another gateway got it through. So nothing is believed to have failed before a look.
    pub(crate) async fn submit_until<T, F: Future<Output = Result<Proved<Option<T>>, ClientError>>>(
        &self,
        request: &Request,
        answer: fn(Response) -> Result<Submitted, AnswerError>,
        look: impl Fn() -> F,
    ) -> Result<T, ClientError> {
        let started = tokio::time::Instant::now();
        let mut pause = FIRST_LOOK_PAUSE;
        let mut submitted = Vec::new();
        loop {
            let mut failed = None;
            if submitted.is_empty() {
                match self.submit(request, answer).await {
                    Ok(sent) => submitted = sent,
                    Err(error @ ClientError::Refused { .. }) => failed = Some(error),
                    Err(ClientError::NotProgressing { .. }) if started.elapsed() < STALLED_PATIENCE => {
                        tokio::time::sleep(STALLED_PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            if failed.is_none() {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LOOK_PAUSE);
                let looked = look().await?;
                if let Some(found) = looked.value {
                    return Ok(found);
                }
                failed = self.rejection(&submitted).await;
                if failed.is_none() && started.elapsed() > FINAL_TIMEOUT {
                    return Err(ClientError::NotProgressing {
                        age_seconds: now().get().saturating_sub(looked.time.get()) / 1_000,
                    });
                }
                if submitted.iter().all(|(_, sent)| sent.valid_until < looked.height) {
                    submitted.clear();
                }
            }
            if let Some(error) = failed {
                let looked = look().await;
                return looked.ok().and_then(|looked| looked.value).ok_or(error);
            }
        }
    }

    /// f+1: of so many nodes at least one is honest.
    pub(crate) fn one_honest(&self) -> usize {
        self.config().validators().len().saturating_sub(1) / 3 + 1
    }

    /// Hands something for the ledger to f+1 gateways, so that at least one of them is honest.
    async fn submit(
        &self,
        request: &Request,
        answer: fn(Response) -> Result<Submitted, AnswerError>,
    ) -> Result<Vec<(NodeKey, Submitted)>, ClientError> {
        let wanted = self.one_honest();
        let mut sent = Vec::new();
        let mut last = "no answer".to_owned();
        let mut refusals = 0_usize;
        let mut stalled = false;
        let nodes = self.nodes();
        for member in nodes.members() {
            if sent.len() >= wanted {
                break;
            }
            match self.links.call(&member.key, request, CALL_TIMEOUT).await {
                Err(error) => last = error.to_string(),
                Ok(response) => match answer(response) {
                    Ok(submitted) => sent.push((member.key, submitted)),
                    Err(AnswerError::Refused(error)) => {
                        refusals = refusals.saturating_add(1);
                        stalled |= error.code == ErrorCode::NOT_PROGRESSING;
                        let ours = matches!(error.code.blame(), Blame::Input | Blame::Caller)
                            && error.code != ErrorCode::NOT_IN_SWARM;
                        // What one of them took may be on the ledger before the next one is asked, and is refused there.
                        if ours && refusals >= wanted && sent.is_empty() {
                            return Err(ClientError::Refused {
                                node: member.key,
                                error,
                            });
                        }
                        last = error.to_string();
                    }
                    Err(_) => {
                        self.caught(&member.key, Fault::WrongAnswer);
                    }
                },
            }
        }
        match self.tip() {
            _ if !sent.is_empty() => Ok(sent),
            Some(tip) if stalled => Err(ClientError::NotProgressing {
                age_seconds: now().get().saturating_sub(tip.time.get()) / 1_000,
            }),
            _ => Err(ClientError::Unreachable {
                nodes: nodes.len(),
                last,
            }),
        }
    }

    /// Why the ledger rejected what was submitted, if every gateway that took it says that it did.
    async fn rejection(&self, submitted: &[(NodeKey, Submitted)]) -> Option<ClientError> {
        let mut why = None;
        for (node, sent) in submitted {
            let request = Request::TransactionStatus { id: sent.id };
            let response = self.links.call(node, &request, CALL_TIMEOUT).await.ok()?;
            match response.into_transaction_status().ok()? {
                TransactionStatus::Final {
                    outcome: Outcome::Rejected(rejection),
                    ..
                }
                | TransactionStatus::Refused { rejection } => why = Some(ClientError::Rejected(rejection)),
                _ => return None,
            }
        }
        why
    }
}
