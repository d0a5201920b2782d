//! What is known of people from the ledger.

use super::{
    super::record::{Known, Liveness, Peer, Task, peer_ages},
    commit::PACKAGE_PAUSE_MS,
    receive::JITTER_MS,
    *,
};
use alloc::collections::BTreeSet;
use tokenim_conversation::{Role, policy::Kind};
use tokenim_identity::IdentityState;
use tokenim_wire::{Height, limits::SESSION_WISHES_MAX};

/// How long a member waits for a member's own devices to add a new one of theirs, in milliseconds.
const OTHERS_MS: u64 = 60_000;

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn peer(&self, identity: &IdentityId) -> Step<Option<Peer>, V> {
        self.tx.object(Table::Peer, identity.as_bytes())
    }

    /// Takes the state of an identity.
    pub(super) fn identity(
        &mut self,
        identity: IdentityId,
        state: Option<IdentityState>,
        height: Height,
    ) -> Step<(), V> {
        if state.as_ref().is_some_and(|state| state.id != identity) {
            return Err(StepError::from(Why::Malformed));
        }
        let state = state.as_ref().map(Known::of);
        let kept = self.peer(&identity)?;
        let newer = kept.as_ref().is_none_or(|kept| kept.height <= height);
        if !newer {
            // An older answer than the one before: whoever still needs a newer one asks again.
            self.lookup_failed(identity)?;
            self.take_waiting(&identity)?;
            for (handle, session) in query::sessions(&self.tx)? {
                self.apart(Some(session.conversation), |machine| machine.progress(&handle))?;
            }
            return Ok(());
        }
        let changed = kept.as_ref().is_none_or(|kept| kept.state != state);
        let peer = Peer {
            state,
            height,
            checked: self.now,
            looking: None,
        };
        if let Some(effect) = kept.and_then(|kept| kept.looking) {
            self.tx.delete(Table::Outbox, &effect.get().to_be_bytes());
        }
        self.tx.put_object(Table::Peer, identity.as_bytes(), &peer)?;
        self.take_waiting(&identity)?;
        self.send_asks()?;
        self.go_on_with_history()?;
        for (handle, session) in query::sessions(&self.tx)? {
            let concern = |machine: &mut Self| machine.session_identity(&handle, &identity, changed);
            self.apart(Some(session.conversation), concern)?;
        }
        Ok(())
    }

    /// What the state of an identity means for a session.
    fn session_identity(&mut self, handle: &GroupHandle, identity: &IdentityId, changed: bool) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        let waits = session.wishes.iter().any(|wish| wish.task == Task::Invite(*identity));
        let roster: Option<Roster> = self.tx.object(Table::Roster, handle.as_bytes())?;
        let concerned = roster.is_some_and(|roster| roster.leaves.iter().any(|(of, _)| of == identity));
        if concerned && changed {
            session.liveness = Liveness::Unknown;
        }
        let children = session.node.as_ref().map_or(0, |node| node.children.len());
        let undecided = children > usize::from(session.judged);
        if concerned || waits || undecided {
            self.check_liveness(handle, &mut session, false)?;
            self.save(handle, &session)?;
            self.progress(handle)?;
        }
        Ok(())
    }

    /// A look-up that can't be carried out: it is tried again when it is needed again.
    pub(super) fn lookup_failed(&mut self, identity: IdentityId) -> Step<(), V> {
        if let Some(mut peer) = self.peer(&identity)? {
            peer.looking = None;
            self.tx.put_object(Table::Peer, identity.as_bytes(), &peer)?;
        }
        Ok(())
    }

    /// Looks an identity up, unless that is under way.
    pub(super) fn look_up(&mut self, identity: IdentityId) -> Step<(), V> {
        let mut peer = self.peer(&identity)?.unwrap_or(Peer {
            state: None,
            height: Height::ZERO,
            checked: UnixMillis::ZERO,
            looking: None,
        });
        if peer.looking.is_none() {
            peer.looking = Some(self.effect(Work::Lookup(identity), Purpose::Lookup(identity))?);
            self.tx.put_object(Table::Peer, identity.as_bytes(), &peer)?;
        }
        Ok(())
    }

    /// Whether somebody is being looked up for a session without whom nothing can be said. Else, of many, each answer would
    /// be followed by a look at all.
    pub(super) fn waits(&self, session: &Session) -> Step<bool, V> {
        Ok(match &session.waits_for {
            Some(one) => self.peer(one)?.is_some_and(|peer| peer.looking.is_some()),
            None => false,
        })
    }

    /// When an identity was looked up last.
    pub(super) fn checked(&self, identity: &IdentityId) -> Step<Option<UnixMillis>, V> {
        let checked = self.peer(identity)?.map(|peer| peer.checked);
        Ok(checked.filter(|checked| *checked != UnixMillis::ZERO))
    }

    /// Whether the devices of an identity at this height are known.
    pub(super) fn knows_at(&self, identity: &IdentityId, height: Height) -> bool {
        matches!(self.peer(identity), Ok(Some(peer)) if peer.checked != UnixMillis::ZERO && peer.height >= height)
    }

    /// Whether enough is known to say what became of a device that was there at a height.
    pub(super) fn knows(&self, identity: &IdentityId, device: &DeviceId, height: Height) -> bool {
        self.knows_at(identity, height) || self.known(identity).is_some_and(|known| known.has(device))
    }

    /// Whether a device was one of its identity's at a height, as far as is known; at [`Height::MAX`], now.
    pub(super) fn was_live(&self, identity: &IdentityId, device: &DeviceId, height: Height) -> bool {
        self.known(identity).is_some_and(|known| known.was_live(device, height))
    }

    pub(super) fn known(&self, identity: &IdentityId) -> Option<Known> {
        self.peer(identity).ok()??.state
    }

    /// The devices of an identity that are live now; `None` while it has to be looked up.
    pub(super) fn devices_of(&mut self, identity: &IdentityId) -> Step<Option<Vec<DeviceId>>, V> {
        if let Some(peer) = self.peer(identity)?.filter(|peer| peer.checked != UnixMillis::ZERO) {
            let devices: Vec<_> = peer.state.iter().flat_map(Known::live).collect();
            // That there are none may be an old answer: it is good until the next try only.
            let bound = devices.first().map_or(PACKAGE_PAUSE_MS, |_| peer_ages(1).1);
            if self.lately(peer.checked, bound) {
                return Ok(Some(devices));
            }
        }
        self.look_up(*identity)?;
        Ok(None)
    }

    /// Of two people the one who is not in the session is invited: whoever was to do it may be gone.
    pub(super) fn invite_other(&mut self, handle: &GroupHandle, session: &mut Session) -> Step<(), V> {
        let Roster { context, leaves, .. } = self.roster(handle)?;
        let is_in = |who: &IdentityId| leaves.iter().any(|(of, _)| of == who);
        match context.roles().iter().find(|(who, _)| !is_in(who)) {
            Some((other, _)) if context.kind() == Kind::Direct => {
                let delay = self.jitter(JITTER_MS);
                self.intend(session, Task::Invite(*other), delay);
            }
            _ => {}
        }
        Ok(())
    }

    /// Wishes for the devices of members that are not in the session: the owner's own soon, others' if their own devices
    /// don't see to it.
    pub(super) fn add_missing(&mut self, session: &mut Session, roster: &Roster) -> Step<(), V> {
        let own = self.owner.identity;
        let is_admin = roster.context.role(&own) >= Role::Admin;
        let leaves = |identity: &IdentityId| roster.context.named(identity) == Some(Role::Leaving);
        for identity in query::identities(&roster.leaves) {
            if identity != own && leaves(&identity) {
                let delay = self.jitter(JITTER_MS);
                self.intend(session, Task::Remove(identity), delay);
            }
        }
        let devices: BTreeSet<_> = roster.leaves.iter().collect();
        for identity in query::identities(&roster.leaves) {
            let delay = if identity == own {
                self.jitter(JITTER_MS)
            } else if is_admin {
                OTHERS_MS.saturating_add(self.jitter(OTHERS_MS))
            } else {
                continue;
            };
            if leaves(&identity) {
                continue;
            }
            let Some(Peer { state: Some(state), .. }) = self.peer(&identity)? else {
                continue;
            };
            for device in state.live() {
                // The rest is left to those who go, and to the owner.
                let wanted = session.wishes.len() < SESSION_WISHES_MAX / 2
                    && device != self.own_device()
                    && !devices.contains(&(identity, device))
                    && !session.wishes.iter().any(|wish| {
                        matches!(&wish.task, Task::Add { identity: of, device: which, .. } if (of, which) == (&identity, &device))
                            || wish.task == Task::Invite(identity)
                    });
                if wanted {
                    let task = Task::Add {
                        identity,
                        device,
                        package: None,
                        replace: false,
                    };
                    self.intend(session, task, delay);
                }
            }
        }
        Ok(())
    }
}
