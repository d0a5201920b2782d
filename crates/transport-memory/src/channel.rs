//! One connection: both sides, their streams, and what is on its way.

use crate::physics::{Arrival, Event, Physics, later};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokenim_transport::{Limits, PeerId, TransportError, code};
use tokio::{sync::Notify, time::Instant};

/// The most bytes that travel as one piece.
const SEGMENT_BYTES_MAX: usize = 16 * 1024;

/// One of the two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Dialler,
    Acceptor,
}

impl Who {
    pub(crate) const BOTH: [Self; 2] = [Self::Dialler, Self::Acceptor];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// One thing for each side.
#[derive(Debug, Default)]
pub(crate) struct Pair<T> {
    pub(crate) dialler: T,
    pub(crate) acceptor: T,
}

impl<T> Pair<T> {
    pub(crate) const fn of(&self, who: Who) -> &T {
        match who {
            Who::Dialler => &self.dialler,
            Who::Acceptor => &self.acceptor,
        }
    }

    pub(crate) const fn of_mut(&mut self, who: Who) -> &mut T {
        match who {
            Who::Dialler => &mut self.dialler,
            Who::Acceptor => &mut self.acceptor,
        }
    }
}

/// What an attempt came to.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Done(T),
    /// Nothing yet; by itself something may change at this time.
    Wait(Arrival),
}

/// Wakes the futures of one side of a connection, by what they wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells {
    /// The end of the connection, and whatever moves it.
    pub(crate) end: Arc<Notify>,
    /// Streams of the peer.
    pub(crate) streams: Arc<Notify>,
    /// Room for streams of this side.
    pub(crate) room: Arc<Notify>,
    /// Room for bytes of this side.
    pub(crate) window: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Side {
    /// Which life of which host.
    pub(crate) host: u64,
    pub(crate) address: String,
    pub(crate) peer: PeerId,
    pub(crate) limits: Limits,
    pub(crate) bells: Bells,
    /// Whether a handle exists, or is yet to be taken by the host.
    pub(crate) held: bool,
    /// When and why it ended.
    ended: Option<(Instant, TransportError)>,
    /// The peer's farewell on its way here.
    farewell: Option<(Instant, TransportError)>,
    /// Since when nothing gets here.
    cut_since: Option<Instant>,
    /// When it learns that the peer has forgotten it.
    forgotten: Option<Instant>,
    /// Streams of the peer that have not been taken.
    streams: BTreeMap<u64, Arrival>,
    may_open: u32,
    may_open_later: VecDeque<(Arrival, u64)>,
    window: u64,
    window_later: VecDeque<(Arrival, u64)>,
}

impl Side {
    pub(crate) fn new(host: u64, address: &str, peer: PeerId, limits: &Limits, of_peer: &Limits) -> Self {
        Self {
            host,
            address: address.into(),
            peer,
            limits: limits.clone(),
            bells: Bells::default(),
            held: true,
            ended: None,
            farewell: None,
            cut_since: None,
            forgotten: None,
            streams: BTreeMap::new(),
            may_open: of_peer.streams_per_connection_max,
            may_open_later: VecDeque::new(),
            window: u64::from(of_peer.connection_window_bytes.min(limits.send_window_bytes)),
            window_later: VecDeque::new(),
        }
    }

    pub(crate) const fn ended(&self) -> Option<&(Instant, TransportError)> {
        self.ended.as_ref()
    }
}

#[derive(Debug)]
enum Item {
    Data(Bytes),
    End,
    Reset(u32),
}

#[derive(Debug, Default)]
enum Reading {
    #[default]
    Open,
    AtEnd,
    Ended(TransportError),
}

/// One direction of a stream.
#[derive(Debug, Default)]
struct Half {
    /// The writer has finished or reset it.
    written: bool,
    credit: u64,
    credit_later: VecDeque<(Arrival, u64)>,
    /// That the reader has enough, on its way to the writer.
    stop: Option<(Arrival, u32)>,
    /// The arrival of the newest item; none overtakes another.
    last: Arrival,
    queue: VecDeque<(Arrival, Item)>,
    reading: Reading,
}

#[derive(Debug)]
struct Stream {
    opener: Who,
    /// The peer has been told of it.
    announced: bool,
    /// The opener has its place back.
    returned: bool,
    /// Directions by their writer.
    halves: Pair<Half>,
    bells: Pair<Arc<Notify>>,
    /// Handles that exist, or are yet to be taken.
    handles: u32,
}

/// Moves what has arrived by now out of a list.
fn collect(later: &mut VecDeque<(Arrival, u64)>, now: Instant) -> u64 {
    let mut sum = 0_u64;
    later.retain(|(arrival, amount)| {
        let here = arrival.is_some_and(|at| at <= now);
        if here {
            sum = sum.saturating_add(*amount);
        }
        !here
    });
    sum
}

fn earliest<'a>(arrivals: impl IntoIterator<Item = &'a Arrival>) -> Arrival {
    arrivals.into_iter().flatten().min().copied()
}

#[derive(Debug)]
pub(crate) struct Channel {
    number: u64,
    pub(crate) sides: Pair<Side>,
    streams: BTreeMap<u64, Stream>,
    next: u64,
}

impl Channel {
    pub(crate) const fn new(number: u64, sides: Pair<Side>) -> Self {
        Self {
            number,
            sides,
            streams: BTreeMap::new(),
            next: 0,
        }
    }

    fn peers(&self, from: Who) -> (PeerId, PeerId) {
        (self.sides.of(from).peer, self.sides.of(from.other()).peer)
    }

    /// When this side will give the peer up if nothing changes.
    fn silence(&self, who: Who) -> Arrival {
        let mute = |who: Who| {
            let ended = self.sides.of(who.other()).ended.as_ref().map(|(at, _)| *at);
            earliest([&self.sides.of(who).cut_since, &ended])
        };
        let patience = |who: Who, since: Instant| later(since, self.sides.of(who).limits.idle_timeout);
        // A peer that hears nothing falls silent itself when it gives up.
        let other = mute(who.other()).map(|since| patience(who.other(), since));
        earliest([&mute(who), &other]).map(|since| patience(who, since))
    }

    /// When and why this side will end if nothing changes.
    fn fate(&self, who: Who) -> Option<(Instant, TransportError)> {
        let side = self.sides.of(who);
        let silence = self.silence(who).map(|at| (at, TransportError::TimedOut));
        let forgotten = side.forgotten.map(|at| (at, TransportError::PeerRestarted));
        [side.farewell.clone(), forgotten, silence]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    fn fate_at(&self, who: Who) -> Arrival {
        match &self.sides.of(who).ended {
            Some((at, _)) => Some(*at),
            None => self.fate(who).map(|(at, _)| at),
        }
    }

    /// Lets happen what is due by now.
    pub(crate) fn settle(&mut self, physics: &mut Physics, now: Instant) {
        loop {
            let due = Who::BOTH
                .into_iter()
                .filter(|who| self.sides.of(*who).ended.is_none())
                .filter_map(|who| self.fate(who).map(|(at, why)| (at, who, why)))
                .filter(|(at, ..)| *at <= now)
                .min_by_key(|(at, ..)| *at);
            let Some((at, who, why)) = due else { return };
            self.end(physics, who, at, why);
        }
    }

    /// Ends one side. What has not arrived by then never does.
    fn end(&mut self, physics: &mut Physics, who: Who, at: Instant, why: TransportError) {
        let (own, other) = self.peers(who);
        physics.note(at, Event::Ended, &own, &other, [self.number, 0, 0]);
        let side = self.sides.of_mut(who);
        side.ended = Some((at, why));
        side.streams
            .retain(|_, arrival| arrival.is_some_and(|there| there <= at));
        side.bells.end.notify_waiters();
        for stream in self.streams.values_mut() {
            let half = stream.halves.of_mut(who.other());
            half.queue
                .retain(|(arrival, _)| arrival.is_some_and(|there| there <= at));
        }
        self.sides.of(who.other()).bells.end.notify_waiters();
    }

    /// Closes from one side; the peer is told if the way is open.
    pub(crate) fn close(&mut self, physics: &mut Physics, who: Who, code: u32, now: Instant) {
        self.settle(physics, now);
        if self.sides.of(who).ended.is_some() {
            return;
        }
        let (own, other) = self.peers(who);
        physics.note(now, Event::Close, &own, &other, [self.number, u64::from(code), 0]);
        self.vanish(physics, who, now);
        if let Some(at) = physics.arrival(&own, &other, now) {
            self.sides.of_mut(who.other()).farewell = Some((at, TransportError::ClosedByPeer { code }));
        }
    }

    /// Ends one side without a word, and forgets what it had.
    pub(crate) fn vanish(&mut self, physics: &mut Physics, who: Who, now: Instant) {
        self.settle(physics, now);
        if self.sides.of(who).ended.is_some() {
            return;
        }
        self.end(physics, who, now, TransportError::Closed);
        self.sides.of_mut(who).streams.clear();
        for stream in self.streams.values_mut() {
            stream.halves.of_mut(who.other()).queue.clear();
        }
    }

    /// Takes note of what is cut or open now, and sends on what was waiting. `alive` says whether an address is bound.
    pub(crate) fn rewire(&mut self, physics: &mut Physics, alive: impl Fn(&str) -> bool, now: Instant) {
        self.settle(physics, now);
        for from in Who::BOTH {
            let (source, target) = self.peers(from);
            let open = physics.open(&source, &target);
            let hears = self.sides.of_mut(from.other());
            if open {
                hears.cut_since = None;
                self.send_on(physics, from, now);
            } else {
                hears.cut_since.get_or_insert(now);
            }
        }
        for who in Who::BOTH {
            let other = self.sides.of(who.other());
            // A host that lives but has lost the connection says so when it next hears from the peer.
            let (own, its) = self.peers(who);
            let reachable = physics.open(&own, &its) && physics.open(&its, &own) && alive(&other.address);
            let lost = other.ended.is_some();
            let side = self.sides.of_mut(who);
            if lost && reachable && side.farewell.is_none() {
                let keep_alive = side.limits.keep_alive;
                side.forgotten.get_or_insert(later(now, keep_alive));
            } else {
                side.forgotten = None;
            }
            side.bells.end.notify_waiters();
        }
    }

    /// Gives an arrival to everything from this side that was held up.
    fn send_on(&mut self, physics: &mut Physics, from: Who, now: Instant) {
        let (source, target) = self.peers(from);
        for (number, stream) in &mut self.streams {
            let half = stream.halves.of_mut(from);
            let mut last = half.last;
            for (arrival, _) in half.queue.iter_mut().filter(|(arrival, _)| arrival.is_none()) {
                *arrival = physics.arrival(&source, &target, now).max(last);
                last = *arrival;
            }
            half.last = last;
            let first = half.queue.front().and_then(|(arrival, _)| *arrival);
            let back = stream.halves.of_mut(from.other());
            for (arrival, _) in back.credit_later.iter_mut().filter(|(arrival, _)| arrival.is_none()) {
                *arrival = physics.signal(&source, &target, now);
            }
            if let Some((arrival @ None, _)) = &mut back.stop {
                *arrival = physics.signal(&source, &target, now);
            }
            if let Some(arrival @ None) = self.sides.of_mut(from.other()).streams.get_mut(number) {
                *arrival = first.or_else(|| physics.signal(&source, &target, now));
            }
            stream.bells.of(from.other()).notify_waiters();
        }
        let hears = self.sides.of_mut(from.other());
        let held = hears.may_open_later.iter_mut().chain(&mut hears.window_later);
        for (arrival, _) in held.filter(|(arrival, _)| arrival.is_none()) {
            *arrival = physics.signal(&source, &target, now);
        }
        hears.bells.streams.notify_waiters();
        hears.bells.room.notify_waiters();
        hears.bells.window.notify_waiters();
    }

    pub(crate) fn close_reason(&mut self, physics: &mut Physics, who: Who, now: Instant) -> Step<TransportError> {
        self.settle(physics, now);
        match &self.sides.of(who).ended {
            Some((_, why)) => Step::Done(why.clone()),
            None => Step::Wait(self.fate_at(who)),
        }
    }

    pub(crate) fn open(
        &mut self,
        physics: &mut Physics,
        who: Who,
        now: Instant,
    ) -> Step<Result<(u64, Arc<Notify>), TransportError>> {
        self.settle(physics, now);
        let stream_window = u64::from(self.sides.of(who.other()).limits.stream_window_bytes);
        let own_window = u64::from(self.sides.of(who).limits.stream_window_bytes);
        let fate = self.fate_at(who);
        let side = self.sides.of_mut(who);
        if let Some((_, why)) = &side.ended {
            return Step::Done(Err(why.clone()));
        }
        let returned = u32::try_from(collect(&mut side.may_open_later, now)).unwrap_or(u32::MAX);
        side.may_open = side.may_open.saturating_add(returned);
        let Some(left) = side.may_open.checked_sub(1) else {
            let next = earliest(side.may_open_later.iter().map(|(arrival, _)| arrival));
            return Step::Wait(earliest([&next, &fate]));
        };
        side.may_open = left;
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let mut stream = Stream {
            opener: who,
            announced: false,
            returned: false,
            halves: Pair::default(),
            bells: Pair::default(),
            handles: 4,
        };
        stream.halves.of_mut(who).credit = stream_window;
        stream.halves.of_mut(who.other()).credit = own_window;
        let bell = Arc::clone(stream.bells.of(who));
        self.streams.insert(number, stream);
        Step::Done(Ok((number, bell)))
    }

    pub(crate) fn accept(
        &mut self,
        physics: &mut Physics,
        who: Who,
        now: Instant,
    ) -> Step<Result<(u64, Arc<Notify>), TransportError>> {
        self.settle(physics, now);
        let fate = self.fate_at(who);
        let side = self.sides.of_mut(who);
        let here = |(number, arrival): (&u64, &Arrival)| arrival.is_some_and(|at| at <= now).then_some(*number);
        if let Some(number) = side.streams.iter().find_map(here) {
            side.streams.remove(&number);
            if let Some(stream) = self.streams.get(&number) {
                return Step::Done(Ok((number, Arc::clone(stream.bells.of(who)))));
            }
        }
        match &side.ended {
            Some((_, why)) => Step::Done(Err(why.clone())),
            None => Step::Wait(earliest(side.streams.values().chain([&fate]))),
        }
    }

    /// Puts something on its way along a stream.
    fn send(&mut self, physics: &mut Physics, who: Who, number: u64, item: Item, now: Instant) {
        let (own, other) = self.peers(who);
        let (event, size) = match &item {
            Item::Data(bytes) => (Event::Data, bytes.len()),
            Item::End => (Event::End, 0),
            Item::Reset(_) => (Event::Reset, 0),
        };
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        physics.note(now, event, &own, &other, [self.number, number, size]);
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let half = stream.halves.of_mut(who);
        let arrival = physics
            .arrival(&own, &other, now)
            .map(|at| half.last.map_or(at, |last| at.max(last)));
        half.last = half.last.max(arrival);
        if self.sides.of(who.other()).ended.is_some() {
            return;
        }
        if matches!(half.reading, Reading::Open) {
            half.queue.push_back((arrival, item));
            stream.bells.of(who.other()).notify_waiters();
        } else if let Item::Data(bytes) = item {
            // Nobody reads it; its room is given back.
            self.give_back(physics, who, bytes.len(), now);
        }
        self.announce(who, number, arrival);
    }

    /// Tells the peer of a stream, with the first thing that comes along it.
    fn announce(&mut self, who: Who, number: u64, arrival: Arrival) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        if stream.opener == who && !stream.announced {
            stream.announced = true;
            let other = self.sides.of_mut(who.other());
            if other.ended.is_none() {
                other.streams.insert(number, arrival);
                other.bells.streams.notify_waiters();
            }
        }
    }

    /// Returns room in the window of the connection to the side that wrote.
    fn give_back(&mut self, physics: &Physics, writer: Who, bytes: usize, now: Instant) {
        let (own, other) = self.peers(writer);
        let arrival = physics.signal(&other, &own, now);
        let side = self.sides.of_mut(writer);
        side.window_later
            .push_back((arrival, u64::try_from(bytes).unwrap_or(u64::MAX)));
        side.bells.window.notify_waiters();
    }

    /// Returns its place to the opener of a stream once the other side is through with it.
    fn give_place_back(&mut self, physics: &Physics, number: u64, now: Instant) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let opener = stream.opener;
        let read = !matches!(stream.halves.of(opener).reading, Reading::Open);
        if stream.returned || !read || !stream.halves.of(opener.other()).written {
            return;
        }
        stream.returned = true;
        let (own, other) = self.peers(opener);
        let arrival = physics.signal(&other, &own, now);
        let side = self.sides.of_mut(opener);
        side.may_open_later.push_back((arrival, 1));
        side.bells.room.notify_waiters();
    }

    /// Writes as much of `rest` as there is room for. `Wait` comes with whether anything was written.
    pub(crate) fn write(
        &mut self,
        physics: &mut Physics,
        who: Who,
        number: u64,
        rest: &mut Bytes,
        now: Instant,
    ) -> (bool, Step<Result<(), TransportError>>) {
        self.settle(physics, now);
        let fate = self.fate_at(who);
        let mut moved = false;
        loop {
            if let Some(failed) = self.write_failure(who, number, now) {
                return (moved, Step::Done(Err(failed)));
            }
            if rest.is_empty() {
                return (moved, Step::Done(Ok(())));
            }
            let Some(stream) = self.streams.get_mut(&number) else {
                return (moved, Step::Done(Err(TransportError::StreamClosed)));
            };
            let half = stream.halves.of_mut(who);
            let side = self.sides.of_mut(who);
            half.credit = half.credit.saturating_add(collect(&mut half.credit_later, now));
            side.window = side.window.saturating_add(collect(&mut side.window_later, now));
            let room = usize::try_from(half.credit.min(side.window)).unwrap_or(usize::MAX);
            let size = rest.len().min(room).min(SEGMENT_BYTES_MAX);
            if size == 0 {
                let next = earliest(
                    half.credit_later
                        .iter()
                        .chain(&side.window_later)
                        .map(|(arrival, _)| arrival),
                );
                let stop = half.stop.and_then(|(arrival, _)| arrival);
                return (moved, Step::Wait(earliest([&next, &stop, &fate])));
            }
            let used = u64::try_from(size).unwrap_or(u64::MAX);
            half.credit = half.credit.saturating_sub(used);
            side.window = side.window.saturating_sub(used);
            let piece = rest.split_to(size);
            self.send(physics, who, number, Item::Data(piece), now);
            moved = true;
        }
    }

    fn write_failure(&self, who: Who, number: u64, now: Instant) -> Option<TransportError> {
        if let Some((_, why)) = &self.sides.of(who).ended {
            return Some(why.clone());
        }
        match self.streams.get(&number)?.halves.of(who).stop {
            Some((Some(at), code)) if at <= now => Some(TransportError::StoppedByPeer { code }),
            _ => None,
        }
    }

    pub(crate) fn finish(
        &mut self,
        physics: &mut Physics,
        who: Who,
        number: u64,
        now: Instant,
    ) -> Result<(), TransportError> {
        self.settle(physics, now);
        if let Some((_, why)) = &self.sides.of(who).ended {
            return Err(why.clone());
        }
        self.written(physics, who, number, Item::End, now);
        Ok(())
    }

    /// Ends the writing of a stream.
    fn written(&mut self, physics: &mut Physics, who: Who, number: u64, last: Item, now: Instant) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let half = stream.halves.of_mut(who);
        if half.written {
            return;
        }
        half.written = true;
        self.send(physics, who, number, last, now);
        self.give_place_back(physics, number, now);
    }

    /// Gives the writing of a stream up; what the reader has not taken is lost.
    pub(crate) fn reset(&mut self, physics: &mut Physics, who: Who, number: u64, code: u32, now: Instant) {
        self.settle(physics, now);
        let lost = self.discard(who, number);
        if lost > 0 {
            self.give_back(physics, who, lost, now);
        }
        self.written(physics, who, number, Item::Reset(code), now);
    }

    /// Empties one direction of a stream, and says how many bytes there were.
    fn discard(&mut self, writer: Who, number: u64) -> usize {
        let Some(stream) = self.streams.get_mut(&number) else {
            return 0;
        };
        let queue = std::mem::take(&mut stream.halves.of_mut(writer).queue);
        let sizes = queue.iter().map(|(_, item)| match item {
            Item::Data(bytes) => bytes.len(),
            Item::End | Item::Reset(_) => 0,
        });
        sizes.fold(0, usize::saturating_add)
    }

    /// Whether all that was written, and the end, has arrived and this side knows.
    pub(crate) fn acknowledged(
        &mut self,
        physics: &mut Physics,
        who: Who,
        number: u64,
        now: Instant,
    ) -> Step<Result<(), TransportError>> {
        self.settle(physics, now);
        let (own, other) = self.peers(who);
        let fate = self.fate_at(who);
        let Some(stream) = self.streams.get(&number) else {
            return Step::Done(Err(TransportError::StreamClosed));
        };
        let half = stream.halves.of(who);
        let held = half.queue.iter().any(|(arrival, _)| arrival.is_none());
        let known = if held {
            None
        } else {
            half.last.and_then(|last| physics.signal(&other, &own, last))
        };
        let stopped = half.stop.and_then(|(arrival, code)| arrival.map(|at| (at, code)));
        match (known, stopped) {
            (Some(at), None) if at <= now => Step::Done(Ok(())),
            (Some(at), Some((stop, _))) if at <= now && at < stop => Step::Done(Ok(())),
            (_, Some((stop, code))) if stop <= now => Step::Done(Err(TransportError::StoppedByPeer { code })),
            _ => match &self.sides.of(who).ended {
                Some((_, why)) => Step::Done(Err(why.clone())),
                None => Step::Wait(earliest([&known, &stopped.map(|(at, _)| at), &fate])),
            },
        }
    }

    pub(crate) fn read(
        &mut self,
        physics: &mut Physics,
        who: Who,
        number: u64,
        bytes_max: usize,
        now: Instant,
    ) -> Step<Result<Option<Bytes>, TransportError>> {
        self.settle(physics, now);
        let fate = self.fate_at(who);
        let (own, other) = self.peers(who);
        let Some(stream) = self.streams.get_mut(&number) else {
            return Step::Done(Err(TransportError::StreamClosed));
        };
        let half = stream.halves.of_mut(who.other());
        match &half.reading {
            Reading::Open => {}
            Reading::AtEnd => return Step::Done(Ok(None)),
            Reading::Ended(error) => return Step::Done(Err(error.clone())),
        }
        let (arrival, result) = match half.queue.front_mut() {
            Some((arrival, item)) if arrival.is_some_and(|at| at <= now) => match item {
                Item::Data(bytes) => {
                    let piece = bytes.split_to(bytes.len().min(bytes_max.max(1)));
                    if bytes.is_empty() {
                        half.queue.pop_front();
                    }
                    let size = piece.len();
                    let credit = u64::try_from(size).unwrap_or(u64::MAX);
                    half.credit_later.push_back((physics.signal(&own, &other, now), credit));
                    stream.bells.of(who.other()).notify_waiters();
                    self.give_back(physics, who.other(), size, now);
                    return Step::Done(Ok(Some(piece)));
                }
                Item::End => {
                    half.reading = Reading::AtEnd;
                    (None, Some(Ok(None)))
                }
                Item::Reset(code) => {
                    let error = TransportError::ResetByPeer { code: *code };
                    half.reading = Reading::Ended(error.clone());
                    (None, Some(Err(error)))
                }
            },
            Some((arrival, _)) => (*arrival, None),
            None => (None, None),
        };
        if let Some(result) = result {
            self.give_place_back(physics, number, now);
            return Step::Done(result);
        }
        match &self.sides.of(who).ended {
            Some((_, why)) => Step::Done(Err(why.clone())),
            None => Step::Wait(earliest([&arrival, &fate])),
        }
    }

    /// Gives the reading of a stream up.
    pub(crate) fn stop(&mut self, physics: &mut Physics, who: Who, number: u64, code: u32, now: Instant) {
        self.settle(physics, now);
        let (own, other) = self.peers(who);
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let half = stream.halves.of_mut(who.other());
        if !matches!(half.reading, Reading::Open) {
            return;
        }
        half.reading = Reading::Ended(TransportError::StreamClosed);
        let arrival = physics.signal(&own, &other, now);
        half.stop = Some((arrival, code));
        stream.bells.of(who.other()).notify_waiters();
        physics.note(now, Event::Stop, &own, &other, [self.number, number, u64::from(code)]);
        self.announce(who, number, arrival);
        let lost = self.discard(who.other(), number);
        if lost > 0 {
            self.give_back(physics, who.other(), lost, now);
        }
        self.give_place_back(physics, number, now);
    }

    /// Whether the reading of a stream has come to its end, in any way.
    pub(crate) fn is_read(&self, who: Who, number: u64) -> bool {
        let reading = self
            .streams
            .get(&number)
            .map(|stream| &stream.halves.of(who.other()).reading);
        !matches!(reading, Some(Reading::Open))
    }

    /// A handle of a stream is gone: ends what it had not ended itself.
    pub(crate) fn drop_sender(&mut self, physics: &mut Physics, who: Who, number: u64, now: Instant) {
        let written = |stream: &Stream| stream.halves.of(who).written;
        if self.streams.get(&number).is_some_and(|stream| !written(stream)) {
            self.reset(physics, who, number, code::DROPPED, now);
        }
        self.drop_handle(number);
    }

    /// A handle of a stream is gone: ends what it had not ended itself.
    pub(crate) fn drop_receiver(&mut self, physics: &mut Physics, who: Who, number: u64, now: Instant) {
        self.stop(physics, who, number, code::DROPPED, now);
        self.drop_handle(number);
    }

    fn drop_handle(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.handles = stream.handles.saturating_sub(1);
            if stream.handles == 0 {
                self.streams.remove(&number);
            }
        }
    }

    /// Bytes that were written and not read.
    pub(crate) fn unread_bytes(&self) -> usize {
        let halves = self
            .streams
            .values()
            .flat_map(|stream| Who::BOTH.map(|who| stream.halves.of(who)));
        let sizes = halves.flat_map(|half| &half.queue).map(|(_, item)| match item {
            Item::Data(bytes) => bytes.len(),
            Item::End | Item::Reset(_) => 0,
        });
        sizes.fold(0, usize::saturating_add)
    }
}
