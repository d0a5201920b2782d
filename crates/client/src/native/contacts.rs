//! Contacts, their verification, and notices of what changed about keys.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokenim_envelope::Checkpoint;
use tokenim_identity::{
    Comparison as CodeComparison, IdentityId, RootKey, SafetyNumber, VerificationCode, VerificationCodeError,
};
use tokenim_rpc::Request;
use tokenim_wire::Height;

use super::network::{ASK_TIMEOUT, CALL_TIMEOUT};
use super::{Client, ClientError, Network, now};
use crate::step::contact::{self, Contact, KeyChange, Notice, Relation, Verified};
use crate::step::seen::{self, OtherViews, SeenHeader};
use crate::step::{Comparison, Tip, state};

/// How old the proof of an identity's root may be when it is compared.
const ROOT_AGE: Duration = Duration::from_secs(30);
/// How old the last look at a contact's keys may be before a reader of the inbox looks again.
pub(crate) const CONTACT_AGE: Duration = Duration::from_secs(3_600);
/// Contacts that are read from the store at a time.
const CONTACTS_PER_PAGE: usize = 256;
/// Headers that are compared at a time.
const COMPARED_AT_ONCE: usize = 16;

impl Client {
    /// What is kept of an identity, if it is a contact.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn contact(&self, identity: &IdentityId) -> Result<Option<Contact>, ClientError> {
        self.shared.store.read(|view| contact::contact(view, identity))
    }

    /// The contacts, in the order of their ids, at most `limit`, after the one named.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn contacts(
        &self,
        after: Option<&IdentityId>,
        limit: usize,
    ) -> Result<Vec<(IdentityId, Contact)>, ClientError> {
        let mut found = self
            .shared
            .store
            .read(|view| contact::contacts(view, after, limit.saturating_add(1)))?;
        found.retain(|(identity, _)| Some(identity) != after);
        found.truncate(limit);
        Ok(found)
    }

    /// Lets an identity in, or keeps it out. What a blocked one sends is refused here for good; the nodes don't learn
    /// of it.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn set_relation(&self, identity: &IdentityId, relation: Relation) -> Result<(), ClientError> {
        let identity = *identity;
        self.shared
            .store
            .write(move |view| Ok(((), contact::set_relation(view, &identity, relation, now())?)))
            .await
    }

    /// Both root keys, ours first, from proofs that are a few seconds old at most.
    async fn roots(&self, identity: &IdentityId) -> Result<(RootKey, RootKey), ClientError> {
        let ours = self.refresh(&self.shared.identity, ROOT_AGE).await?.root;
        Ok((ours, self.refresh(identity, ROOT_AGE).await?.root))
    }

    /// The sixty digits that both sides see if neither is deceived about the other's root key.
    ///
    /// # Errors
    /// Those of [`Client::lookup`].
    pub async fn safety_number(&self, identity: &IdentityId) -> Result<SafetyNumber, ClientError> {
        let (ours, theirs) = self.roots(identity).await?;
        Ok(SafetyNumber::between(
            &(self.shared.identity, ours),
            &(*identity, theirs),
        ))
    }

    /// What this side shows as a QR code, for the other side to scan.
    ///
    /// # Errors
    /// Those of [`Client::lookup`].
    pub async fn verification_code(&self, identity: &IdentityId) -> Result<VerificationCode, ClientError> {
        let (ours, theirs) = self.roots(identity).await?;
        Ok(VerificationCode::between(
            &(self.shared.identity, ours),
            &(*identity, theirs),
        ))
    }

    /// Marks a contact verified if what the other side shows, a safety number or the text of a QR code, is what this
    /// side computes.
    ///
    /// # Errors
    /// [`ClientError::NotVerified`] if it is something else, and those of [`Client::lookup`].
    pub async fn verify_contact(&self, identity: &IdentityId, shown: &str) -> Result<(), ClientError> {
        let (ours, theirs) = self.roots(identity).await?;
        let (us, them) = ((self.shared.identity, ours), (*identity, theirs));
        let why = match shown.parse::<VerificationCode>() {
            Ok(code) => match VerificationCode::between(&us, &them).compare(&code) {
                CodeComparison::Match => None,
                CodeComparison::Mismatch => Some("the codes differ: somebody may stand between you".to_owned()),
                CodeComparison::OtherPeople => Some("this is the code of other people".to_owned()),
            },
            Err(VerificationCodeError::NotACode) => match shown.parse::<SafetyNumber>() {
                Ok(number) if number == SafetyNumber::between(&us, &them) => None,
                Ok(_) => Some("the safety numbers differ: somebody may stand between you".to_owned()),
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            return Err(ClientError::NotVerified {
                identity: *identity,
                why,
            });
        }
        let (identity, mark) = (
            *identity,
            Verified {
                theirs,
                ours,
                time: now(),
            },
        );
        self.shared
            .store
            .write(move |view| Ok(((), contact::set_verified(view, &identity, Some(mark), mark.time)?)))
            .await
    }

    /// Whether a contact is verified and neither root has changed since, as far as this client knows.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn is_verified(&self, identity: &IdentityId) -> Result<bool, ClientError> {
        self.shared.store.read(|view| {
            let root =
                |of: &IdentityId| state::pin(view, of).map(|pin| pin.and_then(|pin| pin.state).map(|state| state.root));
            let (Some(ours), Some(theirs)) = (root(&self.shared.identity)?, root(identity)?) else {
                return Ok(false);
            };
            Ok(contact::contact(view, identity)?.is_some_and(|contact| contact.is_verified(&ours, &theirs)))
        })
    }

    /// Looks at the keys of this identity, and of those contacts whose last proof is older than `max_age`, and compares the
    /// headers that senders have seen and that could not be compared before; returns the notices that the owner was not
    /// told of yet. A look that fails is left for the next round.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn monitor(&self, max_age: Duration) -> Result<Vec<(u64, Notice)>, ClientError> {
        let mut looks = vec![self.shared.identity];
        let mut after = None;
        loop {
            let page = self.contacts(after.as_ref(), CONTACTS_PER_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let allowed = page.iter().filter(|(_, contact)| contact.relation == Relation::Allowed);
            looks.extend(allowed.map(|(identity, _)| *identity));
        }
        let max_age_ms = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        for identity in looks {
            let pin = self.shared.store.read(|view| state::pin(view, &identity))?;
            let fresh = pin.is_some_and(|pin| self.shared.network.age_ms(pin.time) < max_age_ms);
            if identity != self.shared.identity && fresh {
                continue;
            }
            if let Err(error) = self.refresh(&identity, ROOT_AGE).await {
                tracing::debug!(%error, "an identity could not be looked at");
            }
        }
        self.compare_kept().await?;
        self.tell_split().await?;
        self.untold()
    }

    /// The notices that the owner was not told of yet, oldest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn untold(&self) -> Result<Vec<(u64, Notice)>, ClientError> {
        self.shared.store.read(|view| {
            let from = contact::told_below(view)?;
            contact::notices(view, from, usize::MAX)
        })
    }

    /// Remembers that the owner was told of the notices up to this one.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn told(&self, number: u64) -> Result<(), ClientError> {
        self.shared.store.write(move |_| Ok(((), contact::told(number)))).await
    }

    /// All notices that are kept from number `from` on, oldest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn notices(&self, from: u64, limit: usize) -> Result<Vec<(u64, Notice)>, ClientError> {
        self.shared.store.read(|view| contact::notices(view, from, limit))
    }

    /// The newest header seen, for the recipient of a message to compare.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let tip = self.shared.network.tip()?;
        Some(Checkpoint {
            height: tip.height,
            header: tip.header,
        })
    }

    /// Compares, in a task of its own, the header that a sender has seen with what is proved to this client.
    pub(crate) fn compare(&self, sender: IdentityId, seen: SeenHeader) {
        let client = self.clone();
        tokio::spawn(async move { client.compare_or_leave(sender, seen).await });
    }

    /// Compares what could not be compared before. What no node can have yet is not asked for.
    async fn compare_kept(&self) -> Result<(), ClientError> {
        let Some(tip) = self.shared.network.tip() else {
            return Ok(());
        };
        let kept = self.shared.store.read(seen::all)?;
        let due = kept
            .into_iter()
            .filter(|(_, seen)| seen.height <= tip.height || seen.is_overdue(&tip));
        stream::iter(due)
            .for_each_concurrent(COMPARED_AT_ONCE, |(sender, seen)| self.compare_or_leave(sender, seen))
            .await;
        Ok(())
    }

    async fn compare_or_leave(&self, sender: IdentityId, seen: SeenHeader) {
        if let Err(error) = self.compared(sender, seen).await {
            tracing::debug!(%error, "a sender's view of the ledger could not be compared yet");
        }
    }

    async fn compared(&self, sender: IdentityId, seen: SeenHeader) -> Result<(), ClientError> {
        let network = &self.shared.network;
        let ours = match network.with_view(|view| view.compare(seen.height, &seen.header)) {
            Comparison::Same => Some(seen.header),
            Comparison::Other(ours) => Some(ours),
            Comparison::Unknown => match network.header_at(seen.height).await {
                Ok(ours) => Some(ours.header),
                Err(_) if network.tip().is_some_and(|tip| seen.is_overdue(&tip)) => None,
                Err(error) => return Err(error),
            },
        };
        let differs = ours != Some(seen.header);
        let own = self.shared.identity;
        let contact = self.shared.store.read(|view| contact::contact(view, &sender))?;
        let relation = contact.map(|contact| contact.relation);
        let due = differs && self.other_views().is_due(&own, &sender, relation);
        let change = due.then(|| seen.change(ours));
        let settled = self
            .shared
            .store
            .write(move |view| seen::settle(view, &own, &sender, &seen, change, now()))
            .await?;
        if settled && due {
            self.other_views().told(&own, &sender, relation);
        }
        Ok(())
    }

    /// Tells of two headers of one height that were both proved here, whatever others say.
    async fn tell_split(&self) -> Result<(), ClientError> {
        let own = self.shared.identity;
        let Some(split) = self.shared.network.with_view(|view| view.split()) else {
            return Ok(());
        };
        if self.other_views().split {
            return Ok(());
        }
        let change = KeyChange::OtherView {
            height: split.height,
            theirs: split.second,
            ours: split.first,
        };
        self.shared
            .store
            .write(move |view| Ok(((), contact::notice(view, &own, &own, change, now())?)))
            .await?;
        self.other_views().split = true;
        Ok(())
    }

    fn other_views(&self) -> MutexGuard<'_, OtherViews> {
        self.shared.other_views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    /// Whether the header that somebody has seen was proved here.
    pub(crate) fn is_proved(&self, seen: &Checkpoint) -> bool {
        self.with_view(|view| view.compare(seen.height, &seen.header)) == Comparison::Same
    }

    /// The final header of a height, proved.
    async fn header_at(&self, height: Height) -> Result<Tip, ClientError> {
        self.ask(
            &Request::Finality { height },
            CALL_TIMEOUT,
            ASK_TIMEOUT,
            |_, response| {
                let proof = response.into_finality()?;
                let header = self.with_view(|view| view.header(&proof))?;
                if header.height == height {
                    Ok(header)
                } else {
                    Err(crate::step::Fault::WrongAnswer.into())
                }
            },
        )
        .await
    }
}
