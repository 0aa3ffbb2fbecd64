//! The built-in programme as a source: paced to real time, so that what it says is what the clock shows.

use std::time::Duration;

use audio::{Batch, Time, frames_in};
use serde::{Deserialize, Serialize};

use crate::base::clock::Clock;
use crate::source::pace::Pace;
use crate::source::programme::{self, Programme};
use crate::source::{self, End, Output};

/// Audio is given this long before its time, so that the pace survives a busy machine.
const LEAD: Duration = Duration::from_millis(500);

/// Where the programme goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The instant of its first frame.
    first: Time,
    /// How long before its start that was.
    lead_in: Duration,
    pace: Pace,
    frame: Option<programme::Place>,
}

impl Place {
    /// It starts `lead_in` ago, given at once, so that a stream that has nothing yet can be rewound from its first second.
    pub fn start(lead_in: Duration, clock: Clock) -> Self {
        let now = clock.now();
        let first = now.wall.plus_micros(-(lead_in.as_micros() as i64));
        Place { first, lead_in, pace: Pace::start(now.mono), frame: None }
    }
}

/// Plays the programme from `place` on until it is stopped.
pub async fn run(zone: jiff::tz::TimeZone, place: Place, clock: Clock, output: Output) {
    let stop = output.source.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = play(zone, place, clock, &output) => {}
    }
    output.ended(End::Stopped).await;
}

async fn play(zone: jiff::tz::TimeZone, mut place: Place, clock: Clock, output: &Output) {
    let mut programme = Programme::resume(zone, place.frame);
    loop {
        let at: Time = place.first.plus_micros(place.pace.media().as_micros() as i64);
        let (data, samples) = programme.next_frames(at);
        let frames = frames_in(&programme::FORMAT, &data).collect();
        let batch = Batch { format: programme::FORMAT, data, frames };
        place.pace.add_samples(u64::from(samples), programme::FORMAT.sample_rate_hz);
        place.frame = programme.place();
        let next = source::Place::Programme(place.clone());
        if !output.frames_up_to(next, vec![batch], clock.now().wall).await {
            return;
        }
        tokio::time::sleep(place.pace.ahead(clock.mono()).saturating_sub(place.lead_in + LEAD)).await;
    }
}
