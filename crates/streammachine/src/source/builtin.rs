//! The built-in programme as a source: paced to real time, so that what it says is what the clock shows.

use std::time::Duration;

use audio::{Batch, Time, frames_in};

use crate::base::clock::Clock;
use crate::source::pace::Pace;
use crate::source::programme::{self, Programme};
use crate::source::{End, Output};

/// Audio is given this long before its time, so that the pace survives a busy machine.
const LEAD: Duration = Duration::from_millis(500);

/// Plays the programme until it is stopped. It starts `lead_in` ago, given at once, so that a stream that has
/// nothing yet can be rewound from its first second.
pub async fn run(zone: jiff::tz::TimeZone, lead_in: Duration, clock: Clock, output: Output) {
    let stop = output.source.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = play(Programme::new(zone), lead_in, clock, &output) => {}
    }
    output.ended(End::Stopped).await;
}

async fn play(mut programme: Programme, lead_in: Duration, clock: Clock, output: &Output) {
    let start = clock.now();
    let first = start.wall.plus_micros(-(lead_in.as_micros() as i64));
    let mut pace = Pace::start(start.mono);
    loop {
        let at: Time = first.plus_micros(pace.media().as_micros() as i64);
        let (data, samples) = programme.next_frames(at);
        let frames = frames_in(&programme::FORMAT, &data).collect();
        let batch = Batch { format: programme::FORMAT, data, frames };
        pace.add_samples(u64::from(samples), programme::FORMAT.sample_rate_hz);
        if !output.frames(vec![batch], clock.now().wall).await {
            return;
        }
        tokio::time::sleep(pace.ahead(clock.mono()).saturating_sub(lead_in + LEAD)).await;
    }
}
