//! Directories: public lists of stations, as Xiph's, that are told which streams are on air (Icecast's YP protocol).
//!
//! One task for each stream and directory. `listing` decides what is to be told when, `client` says it, `announcer` does
//! both. A stream is told of while a source is on air on its mount; a fallback does not count.

mod announcer;
mod client;
mod listing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::metadata::clean;

use crate::base::clock::Clock;
use crate::base::task;
use crate::listener::answer::{audio_info, content_type};
use crate::stream::Stream;
use crate::stream::registry::Registry;
use announcer::Announcer;
use client::Client;
use listing::Terms;

/// How long the directories have to hear that the streams are over, when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The genre of a stream that has none: directories want one, and Icecast says this.
const GENRE: &str = "various";

/// The tasks that tell directories.
#[derive(Debug)]
pub struct Directories {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// What a directory is told of a stream on air.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Station {
    /// What it is told once: names of the protocol, and values.
    entry: Vec<(&'static str, String)>,
    /// What is played.
    song: String,
    /// Listeners at this moment.
    listeners: usize,
    /// Listeners that there can be.
    seats: usize,
}

impl Directories {
    /// Starts a task for each stream and each of its directories.
    pub fn start(streams: &Registry, seats: usize, clock: Clock) -> Self {
        let mut directories = Directories { stop: CancellationToken::new(), tasks: Vec::new() };
        for stream in streams.all() {
            let mut urls = stream.config().directories.clone();
            urls.sort();
            urls.dedup();
            for url in urls {
                let client = match Client::new(url) {
                    Ok(client) => client,
                    Err(error) => {
                        tracing::error!(
                            stream = stream.key(),
                            "a directory cannot be told anything: {error:#}"
                        );
                        continue;
                    }
                };
                let name = stream.key().to_owned();
                let watched = Arc::clone(&stream);
                let observe = Box::new(move || station(&watched, seats));
                let announcer = Announcer::new(name, client, Terms::default(), observe, clock);
                let running = announcer.run(directories.stop.clone());
                directories.tasks.push(task::spawn("directory", running));
            }
        }
        directories
    }

    /// Takes all streams out of the directories, as far as that is possible in a short time.
    pub async fn finish(self) {
        self.stop.cancel();
        let all = futures_util::future::join_all(self.tasks);
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("directories were not told in time that the streams are over");
        }
    }
}

/// What is told of `stream`; none while it is not public or no source of known format is on air.
fn station(stream: &Stream, seats: usize) -> Option<Station> {
    let config = stream.config();
    let format = stream.mount().on_air().filter(|source| !source.is_fallback())?.format()?;
    let listen_url = config.listen_url().filter(|_| config.public)?;
    let of_stream = stream.station();
    let metadata = stream.log().metadata();
    let media_type =
        content_type(&config, Some(format)).split(';').next().unwrap_or_default().trim().to_owned();
    // A bitrate that varies or is not told is left empty, as Icecast leaves it.
    let bitrate = (format.bitrate_kbps > 0).then(|| format.bitrate_kbps.to_string());
    Some(Station {
        entry: vec![
            ("sn", of_stream.name.unwrap_or_else(|| stream.key().to_owned())),
            ("genre", of_stream.genre.unwrap_or_else(|| GENRE.to_owned())),
            ("cpswd", String::new()),
            ("desc", of_stream.description.unwrap_or_default()),
            ("url", of_stream.url.unwrap_or_default()),
            ("listenurl", listen_url),
            ("type", media_type),
            ("stype", String::new()),
            ("b", bitrate.unwrap_or_default()),
            ("samplerate", format.sample_rate_hz.to_string()),
            ("channels", format.channels.to_string()),
            ("audioinfo", audio_info(format)),
        ],
        song: clean(&metadata.title),
        listeners: stream.listeners(),
        seats,
    })
}
