//! The fast path: threads that write audio from the log's mapping straight to the listeners' sockets.
//!
//! Each thread holds its share of the listeners. A listener belongs to one of the slots that divide the delivery tick;
//! once a tick it gets what is due, in one vectored write. Only a socket that takes less than that is waited for. Nothing
//! is copied or allocated per listener and tick, and nobody waits for anybody else.
//!
//! Few threads and few slots are the cheapest: most of the cost is the kernel's, and each time that a thread sleeps
//! between a few listeners, what it knew of the sockets is gone from the caches.

mod slots;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rewind::{Feed, FeedState, Pieces, Turn};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};
use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::listener::roster::Entry;
use crate::listener::{Hearing, HearingState};
use crate::stream::Stream;
use slots::{SLOTS, has_come};

/// Bytes given to one listener before others get their turn.
const TURN_BYTES: usize = 256 * 1024;
/// One that is being sent a span as fast as it takes it is closed after taking nothing for so long.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Delivery threads that do not come to telling where listeners are within this have other worries.
const TELL_TIME: Duration = Duration::from_secs(1);
/// Slices of one vectored write.
const SLICES_MAX: usize = 64;
/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;
/// Marks the event of the inbox; no listener has this key.
const INBOX: u64 = u64::MAX;

/// One listener on the fast path.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    feed: Feed,
    hearing: Hearing,
    /// The stream that it is to go on with as soon as nothing of its own is due.
    destination: Option<Arc<Stream>>,
    state: State,
    /// Its slot, once it has one.
    slot: Option<usize>,
    /// When it was last let go by a thread, by the steady clock.
    released_us: Option<u64>,
}

/// A listener as plain data: with its socket, what another process needs to go on with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerState {
    /// Key of its stream.
    pub stream: String,
    /// Key of the stream that it is to go on with.
    pub destination: Option<String>,
    /// Where it is, to the byte.
    pub feed: FeedState,
    /// Who it is.
    pub hearing: HearingState,
    /// When in the tick it is served.
    #[serde(default)]
    slot: Option<usize>,
    /// Its socket has not taken all that was due.
    #[serde(default)]
    is_blocked: bool,
    /// Until when it was served in its slot, by the steady clock; long ago if that is not told.
    #[serde(default)]
    released_us: u64,
}

/// Whether a listener's socket takes what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It took everything; the next turn is its tick.
    Idle,
    /// It took less than was due, since then; the kernel tells when it takes more.
    Blocked(Instant),
}

/// What a turn of a listener came to.
enum Outcome {
    /// All that is due was taken.
    Done,
    /// The socket takes no more now; whether it took anything this time.
    Blocked { moved: bool },
    /// More is due, and the socket would take it: others go first.
    More,
    /// The span was sent to its end.
    Finished,
    /// The connection broke, or the feed cannot go on.
    Broken,
}

impl Listener {
    /// A listener whose `feed` begins with the response head. `socket` must not block.
    pub fn new(socket: OwnedFd, feed: Feed, hearing: Hearing) -> Self {
        Listener {
            socket,
            feed,
            hearing,
            destination: None,
            state: State::Idle,
            slot: None,
            released_us: None,
        }
    }

    /// The listener as another process can go on with it, but for its socket.
    pub fn state(&self) -> ListenerState {
        ListenerState {
            stream: self.hearing.stream().key().to_owned(),
            destination: self.destination.as_ref().map(|to| to.key().to_owned()),
            feed: self.feed.state(),
            hearing: self.hearing.state(),
            slot: self.slot,
            is_blocked: self.state != State::Idle,
            released_us: self.released_us.unwrap_or_default(),
        }
    }

    /// Goes on with a listener of another process, in its slot. What it had not taken yet it gets as soon as it is admitted.
    pub fn resume(
        socket: OwnedFd,
        feed: Feed,
        hearing: Hearing,
        destination: Option<Arc<Stream>>,
        state: &ListenerState,
    ) -> Self {
        let new = Listener::new(socket, feed, hearing);
        // The kernel tells that it takes more, at once or when it does.
        let is = if state.is_blocked { State::Blocked(Instant::now()) } else { State::Idle };
        Listener { destination, state: is, slot: state.slot, released_us: Some(state.released_us), ..new }
    }

    /// Its connection.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Writes what is due as far as the socket takes it, up to a turn's bytes.
    fn deliver(&mut self, clock: &Clock, pieces: &mut Pieces) -> Outcome {
        let mut left = TURN_BYTES;
        let mut moved = false;
        while left > 0 {
            match self.feed.fill(clock.steady(), left, pieces) {
                Turn::Wait => return Outcome::Done,
                Turn::End => return Outcome::Finished,
                Turn::Broken => return Outcome::Broken,
                Turn::Ready => {}
            }
            match send(&self.socket, pieces) {
                Ok(written) => {
                    self.feed.consume(pieces, written);
                    self.hearing.sent(written);
                    moved |= written > 0;
                    if written < pieces.len_bytes() {
                        return Outcome::Blocked { moved };
                    }
                    left = left.saturating_sub(written);
                }
                Err(rustix::io::Errno::AGAIN) => return Outcome::Blocked { moved },
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Outcome::Broken,
            }
        }
        Outcome::More
    }

    /// Goes on with its destination, if that can be now.
    fn try_move(&mut self, clock: &Clock) {
        if let Some(to) = self.destination.take_if(|to| self.feed.switch(to.log(), clock.steady())) {
            self.hearing.move_over(to);
        }
    }

    /// True for one that has fallen behind further than it may.
    fn is_too_slow(&self, clock: &Clock) -> bool {
        match self.state {
            State::Idle => false,
            State::Blocked(since) if self.feed.is_unpaced() => since.elapsed() > STALL_MAX,
            State::Blocked(_) => self.hearing.is_too_slow(self.feed.due_bytes(clock.steady())),
        }
    }
}

/// The delivery threads.
#[derive(Debug)]
pub struct Delivery {
    inboxes: Box<[Arc<Inbox>]>,
    next: AtomicUsize,
}

/// Where new listeners, and what is to be done with others, wait for their thread.
#[derive(Debug)]
struct Inbox {
    post: Mutex<Post>,
    wake: OwnedFd,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Post {
    new: Vec<Listener>,
    orders: Vec<Order>,
}

/// What is to be done with listeners that are there.
#[derive(Clone, Debug)]
enum Order {
    /// Close the one with this number.
    Dismiss(u64),
    /// All of the stream that is named go on with another.
    Move { from: Uuid, to: Arc<Stream> },
    /// The roster is to know where all are; the sender is dropped when it does.
    Tell { _done: mpsc::Sender<()> },
    /// All are given away, and nothing more is sent to them.
    Release { to: mpsc::UnboundedSender<Vec<Listener>> },
}

impl Delivery {
    /// Starts the threads; `tick` is the time between two deliveries to one listener.
    pub fn start(threads: usize, tick: Duration, clock: Clock) -> io::Result<Arc<Self>> {
        let inboxes = (0..threads.max(1))
            .map(|number| {
                let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                let inbox = Arc::new(Inbox { post: Mutex::default(), wake, closed: AtomicBool::new(false) });
                let worker = Worker::new(Arc::clone(&inbox), tick, clock)?;
                std::thread::Builder::new().name(format!("delivery-{number}")).spawn(move || worker.run())?;
                Ok(inbox)
            })
            .collect::<io::Result<_>>()?;
        Ok(Arc::new(Delivery { inboxes, next: AtomicUsize::new(0) }))
    }

    /// Writes a listener's response head and burst at once, then leaves it to a thread.
    pub fn take(&self, mut listener: Listener, clock: &Clock) {
        match listener.deliver(clock, &mut Pieces::default()) {
            Outcome::Finished => return finish(&listener),
            Outcome::Broken => return,
            Outcome::Done => {}
            Outcome::Blocked { .. } | Outcome::More => listener.state = State::Blocked(Instant::now()),
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.inboxes.len();
        let inbox = &self.inboxes[next];
        inbox.post.lock().new.push(listener);
        inbox.wake();
    }

    /// Closes a listener's connection.
    pub fn dismiss(&self, entry: &Entry) {
        entry.dismiss();
        self.order(&Order::Dismiss(entry.id));
    }

    /// Lets the endless listeners of `from` go on with the live audio of `to`, each as soon as it has taken what is due.
    /// They keep their connections.
    pub fn move_all(&self, from: &Stream, to: &Arc<Stream>) {
        self.order(&Order::Move { from: from.id(), to: Arc::clone(to) });
    }

    /// Lets the roster know where all listeners are; returns when it does, or after [`TELL_TIME`].
    pub async fn tell(&self) {
        let (done, mut told) = mpsc::channel(1);
        self.order(&Order::Tell { _done: done });
        // Nobody sends: it ends when the last thread has dropped its order.
        let _ = tokio::time::timeout(TELL_TIME, told.recv()).await;
    }

    /// Takes all listeners from the threads: nothing is sent to them any more.
    pub async fn release(&self) -> Vec<Listener> {
        let (to, mut released) = mpsc::unbounded_channel();
        self.order(&Order::Release { to });
        let mut all = Vec::new();
        // It ends when each thread has dropped its order.
        while let Some(mut listeners) = released.recv().await {
            all.append(&mut listeners);
        }
        all
    }

    /// Gives listeners to the threads, in shares as even as the threads are many.
    pub fn admit(&self, listeners: Vec<Listener>) {
        let mut shares: Vec<Vec<Listener>> = self.inboxes.iter().map(|_| Vec::new()).collect();
        let count = shares.len();
        for (number, listener) in listeners.into_iter().enumerate() {
            shares[number % count].push(listener);
        }
        for (inbox, mut share) in self.inboxes.iter().zip(shares) {
            inbox.post.lock().new.append(&mut share);
            inbox.wake();
        }
    }

    fn order(&self, order: &Order) {
        for inbox in &self.inboxes {
            inbox.post.lock().orders.push(order.clone());
            inbox.wake();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        for inbox in &self.inboxes {
            inbox.closed.store(true, Ordering::Release);
            inbox.wake();
        }
    }
}

impl Inbox {
    fn wake(&self) {
        // The counter is full only if the thread was woken and has not come to it yet: then it will look anyway.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn drain(&self) -> Post {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
        std::mem::take(&mut *self.post.lock())
    }
}

/// One delivery thread.
struct Worker {
    inbox: Arc<Inbox>,
    clock: Clock,
    epoll: OwnedFd,
    listeners: Slab<Listener>,
    /// Keys by slot, in the order of their listeners' positions: what one reads is in the caches for the next.
    slots: [Vec<u32>; SLOTS],
    slot_us: u64,
    /// Keys of those that take more than a turn's bytes.
    hungry: Vec<usize>,
    pieces: Pieces,
}

impl Worker {
    fn new(inbox: Arc<Inbox>, tick: Duration, clock: Clock) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &inbox.wake, epoll::EventData::new_u64(INBOX), epoll::EventFlags::IN)?;
        Ok(Worker {
            inbox,
            clock,
            epoll,
            listeners: Slab::new(),
            slots: std::array::from_fn(|_| Vec::new()),
            slot_us: ((tick / SLOTS as u32).as_micros() as u64).max(1),
            hungry: Vec::new(),
            pieces: Pieces::default(),
        })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        // Slots are counted on the clock, which another process goes on with: there they come at the same moments.
        let mut next = self.slots_passed() + 1;
        while !self.inbox.closed.load(Ordering::Acquire) {
            self.wait(&mut events, next);
            self.handle(&events);
            for key in std::mem::take(&mut self.hungry) {
                self.turn(key);
            }
            let passed = self.slots_passed();
            if passed >= next {
                self.deliver_slot((next % SLOTS as u64) as usize);
                // A thread that has fallen behind makes up for no more than a tick.
                next = (next + 1).max((passed + 1).saturating_sub(SLOTS as u64));
            }
        }
    }

    /// Slots that have begun since 1970.
    fn slots_passed(&self) -> u64 {
        self.now_us() / self.slot_us
    }

    fn now_us(&self) -> u64 {
        self.clock.steady().0.max(0) as u64
    }

    /// Waits for what is to be done before the slot of this number begins.
    fn wait(&self, events: &mut Vec<epoll::Event>, slot: u64) {
        events.clear();
        let now_us = self.now_us();
        let patience_us =
            if self.hungry.is_empty() { (slot * self.slot_us).saturating_sub(now_us) } else { 0 };
        let patience = Duration::from_micros(patience_us);
        let patience = rustix::event::Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        // An interrupted wait is a short one.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&patience));
    }

    fn handle(&mut self, events: &[epoll::Event]) {
        let mut woken = false;
        for event in events {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == INBOX {
                woken = true;
            } else if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                self.close(key as usize);
            } else if self.listeners.get(key as usize).is_some_and(|it| it.state != State::Idle) {
                self.turn(key as usize);
            }
        }
        // Last, so that no key of these events is given to a new listener meanwhile.
        if woken {
            let post = self.inbox.drain();
            post.new.into_iter().for_each(|listener| self.admit(listener));
            post.orders.into_iter().for_each(|order| self.obey(order));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Dismiss(id) => {
                let found = self.listeners.iter().find(|(_, listener)| listener.hearing.id() == id);
                if let Some((key, listener)) = found {
                    finish(listener);
                    self.close(key);
                }
            }
            Order::Move { from, to } => {
                for (_, listener) in &mut self.listeners {
                    if listener.hearing.stream().id() == from && !listener.feed.has_end() {
                        listener.destination = Some(Arc::clone(&to));
                        if listener.state == State::Idle {
                            listener.try_move(&self.clock);
                        }
                    }
                }
            }
            Order::Release { to } => {
                let now_us = self.now_us();
                let release = |listener| Listener { released_us: Some(now_us), ..listener };
                let listeners: Vec<Listener> = self.listeners.drain().map(release).collect();
                self.slots = std::array::from_fn(|_| Vec::new());
                self.hungry.clear();
                for listener in &listeners {
                    // It would stay in the set as long as another process has the socket. One that is not there need
                    // not be taken out.
                    let _ = epoll::delete(&self.epoll, &listener.socket);
                }
                // Whoever asked may be gone; then so are the listeners.
                let _ = to.send(listeners);
            }
            Order::Tell { .. } => {
                self.listeners
                    .iter()
                    .for_each(|(_, listener)| listener.hearing.tell(listener.feed.position()));
            }
        }
    }

    fn admit(&mut self, mut listener: Listener) {
        // It was dismissed while it waited here.
        if listener.hearing.is_dismissed() {
            return finish(&listener);
        }
        let emptiest = || (0..SLOTS).min_by_key(|&slot| self.slots[slot].len()).unwrap_or(0);
        let slot = listener.slot.filter(|&slot| slot < SLOTS).unwrap_or_else(emptiest);
        listener.slot = Some(slot);
        // One that has missed its slot gets what is due at once. The others wait for theirs: early audio would leave nothing
        // to come then, and a longer silence until the next.
        let has_come = |since_us| has_come(slot, since_us / self.slot_us, self.slots_passed());
        if listener.released_us.take().is_some_and(has_come) {
            listener.state = State::Blocked(Instant::now());
        }
        let entry = self.listeners.vacant_entry();
        let key = entry.key();
        // Edge-triggered: an event comes only after the socket was full, or broke. One that is writable already says
        // so at once, which serves a listener whose burst was cut short.
        let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(key as u64);
        if let Err(error) = epoll::add(&self.epoll, listener.socket.as_fd(), data, flags) {
            tracing::warn!(%error, "cannot watch a listener's socket");
            return;
        }
        let position = listener.feed.position();
        entry.insert(listener);
        let is_before = |&other: &u32| self.listeners[other as usize].feed.position() <= position;
        let place = self.slots[slot].partition_point(is_before);
        self.slots[slot].insert(place, key as u32);
    }

    fn deliver_slot(&mut self, slot: usize) {
        let keys = std::mem::take(&mut self.slots[slot]);
        let mut leaving = Vec::new();
        for &key in &keys {
            let key = key as usize;
            let Some(listener) = self.listeners.get(key) else { continue };
            if listener.is_too_slow(&self.clock) {
                listener.hearing.note_slow();
                leaving.push(key);
            } else if listener.state == State::Idle && self.step(key) {
                leaving.push(key);
            }
        }
        self.slots[slot] = keys;
        leaving.into_iter().for_each(|key| self.close(key));
    }

    fn turn(&mut self, key: usize) {
        if self.step(key) {
            self.close(key);
        }
    }

    /// Gives a listener its turn; true if it is to be closed.
    fn step(&mut self, key: usize) -> bool {
        let Some(listener) = self.listeners.get_mut(key) else { return false };
        match listener.deliver(&self.clock, &mut self.pieces) {
            Outcome::Done => {
                listener.state = State::Idle;
                if listener.destination.is_some() {
                    listener.try_move(&self.clock);
                }
            }
            Outcome::Blocked { moved } => {
                if moved || listener.state == State::Idle {
                    listener.state = State::Blocked(Instant::now());
                }
            }
            Outcome::More => {
                listener.state = State::Blocked(Instant::now());
                self.hungry.push(key);
            }
            Outcome::Finished => {
                finish(listener);
                return true;
            }
            Outcome::Broken => return true,
        }
        false
    }

    fn close(&mut self, key: usize) {
        let Some(listener) = self.listeners.try_remove(key) else { return };
        let Some(slot) = listener.slot.and_then(|slot| self.slots.get_mut(slot)) else { return };
        if let Some(place) = slot.iter().position(|&other| other as usize == key) {
            slot.remove(place);
        }
        // The kernel takes the closed socket out of the epoll set.
    }
}

/// Sends what the socket takes of `pieces`; how many bytes. As a message, since that does less on its way through the
/// kernel than a write to a file.
fn send(socket: &OwnedFd, pieces: &Pieces) -> rustix::io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = pieces.io_slices(&mut slices);
    rustix::net::sendmsg(socket, &slices[..count], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
}

/// Ends the sending side in order: the peer reads everything, then the end.
fn finish(listener: &Listener) {
    // A peer that is gone already needs no end.
    let _ = rustix::net::shutdown(&listener.socket, Shutdown::Write);
}
