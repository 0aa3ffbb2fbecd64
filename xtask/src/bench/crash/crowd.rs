//! Listeners that connect again whenever they are cut: live and rewound, with titles and without. All their frames are
//! read; what they mean is judged elsewhere.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use testkit::audio::Report;

use crate::events;
use crate::load::client::Client;

/// Before a listener that was cut connects again.
const PAUSE: Duration = Duration::from_millis(100);
/// They do not come all at once: so many groups, a millisecond apart.
const GROUPS: usize = 100;
/// What each fourth listener asks for, and whether with titles.
const KINDS: [(&str, bool); 4] = [("", false), ("", true), ("?offset=20", false), ("?offset=45", true)];
const READ_BYTES: usize = 256 * 1024;
const EVENTS_MAX: usize = 256;
/// Longest wait for events.
const TURN: Duration = Duration::from_millis(20);

/// What listeners have heard.
#[derive(Default)]
pub struct Crowd {
    ended: Mutex<Vec<Report>>,
}

/// What a crowd came to.
#[derive(Debug, Default)]
pub struct Count {
    /// Connections with audio.
    pub connections: usize,
    /// The most of one listener.
    pub connections_max: usize,
    /// Listeners with audio at the end.
    pub live: usize,
}

struct Seat {
    client: Option<Client>,
    due: Instant,
    connections: usize,
}

struct Room<'a> {
    crowd: &'a Crowd,
    address: SocketAddr,
    epoll: OwnedFd,
    seats: Vec<Seat>,
}

impl Crowd {
    /// What was heard over connections that have ended since the last call.
    pub fn take_ended(&self) -> Vec<Report> {
        std::mem::take(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Listens until it is over.
    pub fn run(&self, address: SocketAddr, listeners: usize, is_over: &AtomicBool) -> anyhow::Result<Count> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let now = Instant::now();
        let seat = |number: usize| Seat { client: None, due: now + delay(number), connections: 0 };
        let mut room = Room { crowd: self, address, epoll, seats: (0..listeners).map(seat).collect() };
        let mut buffer = vec![0; READ_BYTES];
        while !is_over.load(Ordering::Relaxed) {
            room.fill()?;
            room.turn(&mut buffer)?;
        }
        let live =
            room.seats.iter().filter(|seat| seat.client.as_ref().is_some_and(|it| it.bytes > 0)).count();
        (0..listeners).for_each(|number| room.leave(number));
        let connections = || room.seats.iter().map(|seat| seat.connections);
        Ok(Count {
            connections: connections().sum(),
            connections_max: connections().max().unwrap_or_default(),
            live,
        })
    }
}

impl Room<'_> {
    fn fill(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for (number, seat) in self.seats.iter_mut().enumerate() {
            if seat.client.is_some() || seat.due > now {
                continue;
            }
            let (query, icy) = KINDS[number % KINDS.len()];
            let titles = if icy { "Icy-MetaData: 1\r\n" } else { "" };
            let request = format!(
                "GET /bench{query} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\n{titles}\r\n",
                self.address
            );
            seat.due = now + PAUSE;
            // Nobody may be there yet.
            let Ok(client) = Client::connect(self.address, None, request, true, icy) else { continue };
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
            epoll::add(&self.epoll, client.socket(), epoll::EventData::new_u64(number as u64), flags)?;
            seat.client = Some(client);
        }
        Ok(())
    }

    fn turn(&mut self, buffer: &mut [u8]) -> anyhow::Result<()> {
        for event in events::wait(&self.epoll, TURN, EVENTS_MAX)? {
            let (flags, data) = (event.flags, event.data);
            let number = data.u64() as usize;
            let Some(client) = &mut self.seats[number].client else { continue };
            if flags.contains(epoll::EventFlags::OUT) && client.send_request() {
                epoll::modify(&self.epoll, client.socket(), data, epoll::EventFlags::IN)?;
            } else if !client.receive(buffer) {
                self.leave(number);
            }
        }
        Ok(())
    }

    fn leave(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        let Some(client) = seat.client.take() else { return };
        seat.due = Instant::now() + delay(number);
        if let Some(report) = client.report().filter(|_| client.bytes > 0) {
            seat.connections += 1;
            self.crowd.ended.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    }
}

fn delay(number: usize) -> Duration {
    PAUSE + Duration::from_millis((number % GROUPS) as u64)
}
