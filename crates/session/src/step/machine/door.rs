//! Letting people in who ask by a link, and asking.

use super::{
    super::{
        note::{Ask, Note},
        record::{Joining, Known},
    },
    *,
};
use tokenim_conversation::{
    door::{Door, DoorError, DoorWord, InviteName, KeptLink},
    link::InviteLink,
    policy::{Kind, Role},
    secret::Secret32,
};
use tokenim_wire::{Height, limits::JOINS_MAX};

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// The group of a conversation, if this device may let people into it.
    fn may_admit(&self, id: &ConversationId) -> Step<(GroupHandle, Roster), V> {
        let row = self.conversation(id)?.ok_or(StepError::UnknownConversation)?;
        let handle = row.current.ok_or(StepError::NotInConversation)?;
        let session = self.session(&handle)?.ok_or(StepError::UnknownConversation)?;
        if !matches!(session.standing, Standing::Joining | Standing::Active) {
            return Err(StepError::NotInConversation);
        }
        let roster = self.roster(&handle)?;
        let context = &roster.context;
        if context.kind() != Kind::Group || context.role(&self.owner.identity) < Role::Admin {
            return Err(StepError::NotAllowed);
        }
        Ok((handle, roster))
    }

    fn door(&self, handle: &GroupHandle) -> Step<Door, V> {
        let door: Option<Door> = self.tx.object(Table::Door, handle.as_bytes())?;
        Ok(door.unwrap_or_default())
    }

    /// Tells the owner's other devices, as far as they are known.
    fn tell_own(&mut self, handle: GroupHandle, word: DoorWord) -> Step<(), V> {
        let own = self.owner.identity;
        let state = self.peer(&own)?.and_then(|peer| peer.state);
        let live = state.iter().flat_map(Known::live);
        let devices: Vec<DeviceId> = live.filter(|device| *device != self.own_device()).collect();
        let note = Note::Door(handle, word);
        for device in devices {
            self.note(own, device, &note)?;
        }
        Ok(())
    }

    pub(super) fn make_link(&mut self, id: ConversationId, lifetime: u64) -> Step<(), V> {
        let (handle, _) = self.may_admit(&id)?;
        let link = KeptLink {
            secret: Secret32::generate(self.rng),
            expires: self.now.to_seconds().saturating_add(lifetime),
        };
        let mut door = self.door(&handle)?;
        door.make(link.clone(), self.now.to_seconds())?;
        self.tx.put_object(Table::Door, handle.as_bytes(), &door)?;
        self.event(Event::Link(id, link.name()));
        self.tell_own(handle, DoorWord::Made(link))
    }

    pub(super) fn revoke_link(&mut self, id: ConversationId, name: Option<InviteName>) -> Step<(), V> {
        let handle = GroupHandle::from_bytes(id.to_bytes());
        let mut door = self.door(&handle)?;
        let revoked = door.revoke(name.as_ref());
        if revoked.is_empty() && name.is_some() {
            return Err(StepError::UnknownLink);
        }
        self.tx.put_object(Table::Door, handle.as_bytes(), &door)?;
        for link in revoked {
            self.event(Event::Link(id, link.name()));
            self.tell_own(handle, DoorWord::Revoked(link))?;
        }
        Ok(())
    }

    pub(super) fn answer_request(&mut self, id: ConversationId, asker: IdentityId, admit: bool) -> Step<(), V> {
        let (handle, roster) = self.may_admit(&id)?;
        let mut door = self.door(&handle)?;
        door.pass(self.now.to_seconds());
        let there = roster.leaves.iter().any(|(of, _)| *of == asker);
        if !door.answer(&asker) && !there {
            return Err(StepError::UnknownRequest);
        }
        if !admit {
            door.refuse(&asker);
            self.tell_own(handle, DoorWord::Refused(asker))?;
        }
        self.tx.put_object(Table::Door, handle.as_bytes(), &door)?;
        if admit && !there {
            self.change(id, Change::Invite(asker))?;
        }
        Ok(())
    }

    /// Somebody asks to be let in. It gets no answer but the invitation, if the owner says so: who tries proofs learns
    /// nothing.
    pub(super) fn asked(&mut self, sender: IdentityId, ask: &Ask) -> Step<(), V> {
        let blame = |why| StepError::of(why, sender);
        let id = ConversationId::group(&ask.handle);
        let Ok((handle, roster)) = self.may_admit(&id) else {
            return Err(blame(Why::Unknown));
        };
        if roster.leaves.iter().any(|(of, _)| *of == sender) {
            return Err(blame(Why::Replayed));
        }
        let mut door = self.door(&handle)?;
        let at = (self.owner.network, handle, self.owner.identity);
        door.ask(at, sender, &ask.proof, self.now).map_err(|error| {
            blame(match error {
                DoorError::Proof => Why::Forged,
                DoorError::Again => Why::Replayed,
                _ => Why::Full,
            })
        })?;
        self.tx.put_object(Table::Door, handle.as_bytes(), &door)?;
        self.event(Event::JoinRequest(id, sender));
        Ok(())
    }

    /// Another device of the owner's has made or revoked a link, or refused somebody.
    pub(super) fn door_word(
        &mut self,
        sender: IdentityId,
        device: DeviceId,
        handle: GroupHandle,
        word: DoorWord,
    ) -> Step<(), V> {
        let blame = |why| StepError::of(why, sender);
        if sender != self.owner.identity || device == self.own_device() {
            return Err(blame(Why::NotAllowed));
        }
        if !self.was_live(&sender, &device, Height::MAX) {
            return Err(blame(Why::Revoked));
        }
        if self.session(&handle)?.is_none() {
            return Err(blame(Why::Unknown));
        }
        let name = match &word {
            DoorWord::Made(link) | DoorWord::Revoked(link) => Some(link.name()),
            DoorWord::Refused(_) => None,
        };
        let mut door = self.door(&handle)?;
        door.told(word, self.now.to_seconds()).map_err(|_| blame(Why::Full))?;
        self.tx.put_object(Table::Door, handle.as_bytes(), &door)?;
        if let Some(name) = name {
            self.event(Event::Link(ConversationId::group(&handle), name));
        }
        Ok(())
    }

    /// Asks to be let into a group, all devices of the one who made the link, so that any of them can answer.
    pub(super) fn ask_to_join(&mut self, link: &InviteLink) -> Step<(), V> {
        link.check(&self.owner.network, self.now.to_seconds())?;
        let (handle, id) = (link.handle, ConversationId::group(&link.handle));
        if link.ask == self.owner.identity {
            return Err(StepError::NotAllowed);
        }
        let is_in = |standing| matches!(standing, Standing::Joining | Standing::Active | Standing::Behind);
        if self.session(&handle)?.is_some_and(|session| is_in(session.standing)) {
            self.event(Event::Conversation(id));
            return Ok(());
        }
        if self.tx.scan(Table::Joining, &[], &[], JOINS_MAX)?.len() >= JOINS_MAX {
            return Err(StepError::Full("groups that this device has asked to be let into"));
        }
        let joining = Joining {
            ask: link.ask,
            proof: link.proof(&self.owner.identity),
            expires: link.expires,
            sent: false,
        };
        self.tx.put_object(Table::Joining, handle.as_bytes(), &joining)?;
        self.forget_at(link.expires.to_millis(), Forget::Joining, handle.as_bytes());
        let mut row = self.conversation_or_new(&id, None, "")?;
        (row.joining, row.action) = (true, None);
        self.save_conversation(&id, &row)?;
        self.event(Event::Conversation(id));
        self.send_asks()
    }

    /// Sends the requests of the owner's whose recipients are known by now.
    pub(super) fn send_asks(&mut self) -> Step<(), V> {
        for (row, mut joining) in self.tx.objects::<Joining>(Table::Joining, &[])? {
            if joining.sent {
                continue;
            }
            let handle = GroupHandle::try_from(row.as_slice()).map_err(|_| StepError::Damaged(Table::Joining))?;
            let Some(devices) = self.devices_of(&joining.ask)? else {
                continue;
            };
            if devices.is_empty() {
                self.act(&ConversationId::group(&handle), Some(Action::NoIdentity(joining.ask)))?;
                continue;
            }
            let proof = joining.proof;
            for device in devices {
                self.note(joining.ask, device, &Note::Ask(Ask { handle, proof }))?;
            }
            joining.sent = true;
            self.tx.put_object(Table::Joining, &row, &joining)?;
        }
        Ok(())
    }

    /// The link by which the owner has asked has expired: what is left of it is forgotten.
    pub(super) fn joining_over(&mut self, handle: &GroupHandle) -> Step<(), V> {
        let joining: Option<Joining> = self.tx.object(Table::Joining, handle.as_bytes())?;
        if joining.is_none_or(|joining| joining.expires > self.now.to_seconds()) {
            return Ok(());
        }
        self.tx.delete(Table::Joining, handle.as_bytes());
        let id = ConversationId::group(handle);
        let empty = self.tx.scan(Table::Message, id.as_bytes(), &[], 1)?.is_empty();
        match self.conversation(&id)? {
            Some(row) if empty && row.current.is_none() => self.tx.delete(Table::Conversation, id.as_bytes()),
            Some(row) => self.save_conversation(&id, &Conversation { joining: false, ..row })?,
            None => {}
        }
        self.event(Event::Conversation(id));
        Ok(())
    }
}
