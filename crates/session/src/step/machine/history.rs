//! Handing over to another device of the owner's what was said, and taking it.

use super::{
    super::{
        note::Note,
        record::{Giving, MessageRow, PageRow, Peer},
    },
    *,
};
use tokenim_conversation::{
    history::{Page, PageOf, Said},
    order::OrderKey,
};
use tokenim_envelope::MessageId;
use tokenim_wire::{
    BoundedString,
    limits::{HISTORY_PAGE_MESSAGES_MAX, HISTORY_PAGES_IN_FLIGHT_MAX, HISTORY_PAGES_MAX, HISTORY_SECONDS_MAX},
};

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// Whether a device is a live one of the owner's; `None` until that is known. One that is not known at all is none only
    /// by what was looked up since then: it may be younger.
    fn is_own(&mut self, device: &DeviceId, then: UnixMillis) -> Step<Option<bool>, V> {
        let own = self.owner.identity;
        let Some(devices) = self.devices_of(&own)? else {
            return Ok(None);
        };
        let live = devices.contains(device);
        let kept = self.peer(&own)?;
        let revoked = |peer: &Peer| peer.state.as_ref().is_some_and(|state| state.has(device));
        // By a clock that is set back since, there is no telling.
        let looked = |peer: &Peer| peer.checked <= self.now && (then < peer.checked || self.now < then);
        if live || kept.is_some_and(|peer| revoked(&peer) || looked(&peer)) {
            return Ok(Some(live));
        }
        self.look_up(own)?;
        Ok(None)
    }

    pub(super) fn give_history(&mut self, device: DeviceId, since: Option<UnixMillis>) -> Step<(), V> {
        if device == self.own_device() || self.is_own(&device, self.now)? == Some(false) {
            return Err(StepError::NotAllowed);
        }
        let before: Option<Giving> = self.tx.object(Table::Giving, device.as_bytes())?;
        let giving = Giving {
            asked: self.now,
            since,
            at: ConversationId::from_bytes([0; 32]),
            before: None,
            left: HISTORY_PAGES_MAX,
            open: before.map_or(0, |before| before.open),
        };
        self.tx.put_object(Table::Giving, device.as_bytes(), &giving)?;
        self.give(device)
    }

    /// Makes the next pages for a device, as long as it is one of the owner's; ends when there are none.
    fn give(&mut self, device: DeviceId) -> Step<(), V> {
        let own = self.owner.identity;
        let Some(mut giving) = self.tx.object::<Giving>(Table::Giving, device.as_bytes())? else {
            return Ok(());
        };
        match self.is_own(&device, giving.asked)? {
            None => return Ok(()),
            Some(true) => {}
            Some(false) => (giving.left, giving.open) = (0, 0),
        }
        while giving.left > 0 && usize::from(giving.open) < HISTORY_PAGES_IN_FLIGHT_MAX {
            let Some(page) = self.next_page(&mut giving)? else {
                giving.left = 0;
                break;
            };
            let body = Note::Page(page).to_bytes()?;
            let body = BoundedBytes::try_from(body).map_err(|_| StepError::Full("bytes of a note"))?;
            let work = Work::Seal(own, device, MessageId::generate(self.rng), body);
            self.effect(work, Purpose::History(device))?;
            giving.left = giving.left.saturating_sub(1);
            giving.open = giving.open.saturating_add(1);
        }
        if giving.left == 0 && giving.open == 0 {
            self.tx.delete(Table::Giving, device.as_bytes());
            self.event(Event::HistoryGiven(device));
            return Ok(());
        }
        self.tx.put_object(Table::Giving, device.as_bytes(), &giving)
    }

    /// A page has reached the mailbox of a device, or can't.
    pub(super) fn page_given(&mut self, device: DeviceId, sealed: bool) -> Step<(), V> {
        let Some(mut giving) = self.tx.object::<Giving>(Table::Giving, device.as_bytes())? else {
            return Ok(());
        };
        giving.open = giving.open.saturating_sub(1);
        if !sealed {
            giving.left = 0;
        }
        self.tx.put_object(Table::Giving, device.as_bytes(), &giving)?;
        self.give(device)
    }

    /// The next page, from the newest message of a conversation to the oldest, and one conversation after the other.
    fn next_page(&mut self, giving: &mut Giving) -> Step<Option<Page>, V> {
        let Some((first, _)) = self.tx.scan(Table::Conversation, &[], giving.at.as_bytes(), 1)?.pop() else {
            return Ok(None);
        };
        let mut next = Some(first);
        while let Some(row) = next {
            let id = ConversationId::try_from(row.as_slice()).map_err(|_| StepError::Damaged(Table::Conversation))?;
            if id != giving.at {
                (giving.at, giving.before) = (id, None);
            }
            if let Some(page) = self.page_of(&id, giving)? {
                return Ok(Some(page));
            }
            next = self
                .tx
                .scan(Table::Conversation, &[], &key(&[id.as_bytes(), &[0]]), 1)?
                .pop()
                .map(|(row, _)| row);
        }
        Ok(None)
    }

    /// The next page of one conversation. Rows that hold nothing to hand over are passed; so many of them that would make a
    /// page, and nothing since then, end the conversation.
    fn page_of(&self, id: &ConversationId, giving: &mut Giving) -> Step<Option<Page>, V> {
        loop {
            let last = giving
                .before
                .map_or([u8::MAX; OrderKey::BYTES], |before| before.to_bytes());
            let below = key(&[id.as_bytes(), &last]);
            let rows = self
                .tx
                .scan_back(Table::Message, id.as_bytes(), &below, HISTORY_PAGE_MESSAGES_MAX)?;
            let mut passed = Vec::new();
            for (row, value) in rows {
                let order = row.get(32..).and_then(OrderKey::from_bytes);
                let order = order.ok_or(StepError::Damaged(Table::Message))?;
                let said = MessageRow::from_bytes(&value).map_err(|_| StepError::Damaged(Table::Message))?;
                passed.push((order, said.said(order, giving.since, self.now)));
            }
            let Some((lowest, _)) = passed.last().cloned() else {
                return Ok(None);
            };
            let said: Vec<Said> = passed.into_iter().filter_map(|(_, said)| said).collect();
            let (some, count) = (said.first().map(|said| said.order), said.len());
            let page = Page::fill(self.page_name(id)?, said).map_err(|_| StepError::Content)?;
            giving.before = match &page {
                Some(page) if page.messages().len() < count => page.messages().first().map(|said| said.order),
                None if some.is_some() => some,
                _ => Some(lowest),
            };
            if page.is_some() || giving.since.is_some() {
                return Ok(page);
            }
        }
    }

    fn page_name(&self, id: &ConversationId) -> Step<PageOf, V> {
        let info = query::info(&self.tx, *id)?.ok_or(StepError::UnknownConversation)?;
        Ok(match info.with {
            Some(with) => PageOf::Direct(with),
            None => PageOf::Group(
                GroupHandle::from_bytes(id.to_bytes()),
                BoundedString::try_from(info.name).map_err(|_| StepError::Content)?,
            ),
        })
    }

    /// A page from another device: taken only from a live one of the owner's, in the time after this device was made.
    pub(super) fn page(&mut self, sender: IdentityId, device: DeviceId, page: Page) -> Step<(), V> {
        let own = self.owner.identity;
        let until = self.meta.born.saturating_add(HISTORY_SECONDS_MAX.saturating_mul(1000));
        if sender != own || device == self.own_device() || self.now > until {
            return Err(StepError::of(Why::NotAllowed, sender));
        }
        if page.of().conversation(&own).is_none() {
            return Err(StepError::of(Why::Malformed, sender));
        }
        if self.meta.pages >= HISTORY_PAGES_MAX {
            return Err(StepError::of(Why::Full, sender));
        }
        let at = self.now;
        let own = self.is_own(&device, at)?;
        self.meta.pages = self.meta.pages.saturating_add(1);
        match own {
            Some(true) => self.take_page(device, &page),
            Some(false) => Err(StepError::of(Why::Revoked, sender)),
            None => {
                let number = self.number().to_be_bytes();
                self.tx.put_object(Table::Page, &number, &PageRow { device, at, page })
            }
        }
    }

    /// The owner's devices may be known now: goes on with what waits for that.
    pub(super) fn go_on_with_history(&mut self) -> Step<(), V> {
        for (row, PageRow { device, at, page }) in self.tx.objects(Table::Page, &[])? {
            let own = self.is_own(&device, at)?;
            if own.is_some() {
                self.tx.delete(Table::Page, &row);
            }
            if own == Some(true) {
                self.take_page(device, &page)?;
            }
        }
        for (row, _) in self.tx.scan(Table::Giving, &[], &[], usize::MAX >> 1)? {
            self.give(DeviceId::try_from(row.as_slice()).map_err(|_| StepError::Damaged(Table::Giving))?)?;
        }
        Ok(())
    }

    /// Keeps what a page says and this device does not know better: never in place of what is there, never of epochs of a
    /// group in which this device was itself, never what has disappeared.
    fn take_page(&mut self, from: DeviceId, page: &Page) -> Step<(), V> {
        let Some(id) = page.of().conversation(&self.owner.identity) else {
            return Ok(());
        };
        let (with, name) = match page.of() {
            PageOf::Direct(with) => (Some(*with), ""),
            PageOf::Group(_, name) => (None, name.as_str()),
        };
        let mut conversation = self.conversation_or_new(&id, with, name)?;
        let (mut since, mut context) = (u64::MAX, None);
        if let Some(handle) = conversation.current {
            let session = self.session(&handle)?.filter(|_| with.is_none());
            since = session.map_or(u64::MAX, |session| session.since);
            let roster: Option<Roster> = self.tx.object(Table::Roster, handle.as_bytes())?;
            context = roster.map(|roster| roster.context);
        }
        let mut last = None;
        for said in page.messages() {
            let timer = context
                .as_ref()
                .and_then(|context| context.disappears_at(said.sent, self.now));
            let gone = said.gone.into_iter().chain(timer).min();
            let row_key = key(&[id.as_bytes(), &said.order.to_bytes()]);
            let seen_key = key(&[id.as_bytes(), said.author.as_bytes(), said.order.id.as_bytes()]);
            if said.order.epoch >= since
                || gone.is_some_and(|gone| gone <= self.now)
                || said.content.read(self.known).is_err()
                || self.edits_nothing(&id, &said.author, &said.content)?
                || self.tx.get(Table::Seen, &seen_key)?.is_some()
                || self.tx.get(Table::Message, &row_key)?.is_some()
            {
                continue;
            }
            let row = MessageRow {
                author: said.author,
                sent: said.sent,
                received: self.now,
                content: Some(said.content.clone()),
                stored: None,
                session: None,
                mark: None,
                marks: BoundedVec::empty(),
                gone,
                given: Some(from),
            };
            self.keep(&id, &said.order, &row)?;
            last = Some(said.order);
        }
        if last.is_some() {
            conversation.read = conversation.read.max(last);
            self.save_conversation(&id, &conversation)?;
            self.event(Event::Conversation(id));
        }
        Ok(())
    }

    /// Whether what is kept under a place was handed over, and not taken back: then what came from its author goes in its place.
    pub(super) fn gives_way(&mut self, id: &ConversationId, order: &OrderKey) -> Step<bool, V> {
        let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
        let row: Option<MessageRow> = self.tx.object(Table::Message, &row_key)?;
        let given = row.is_some_and(|row| row.given.is_some() && row.content.is_some());
        if given {
            self.tx.delete(Table::Message, &row_key);
        }
        Ok(given)
    }
}
