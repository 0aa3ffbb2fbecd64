//! The task that keeps one directory informed about one stream.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::clock::Clock;
use crate::base::seldom::Seldom;
use crate::directory::Station;
use crate::directory::client::{Answer, Client, Trouble};
use crate::directory::listing::{Listing, Step, Terms, Touched};

/// How often a task looks at its stream.
const LOOK: Duration = Duration::from_millis(250);
/// What is being said when the server ends may take so much longer; then there is still time for the farewell.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is on air; none for nothing that a directory is told of.
pub type Observe = Box<dyn Fn() -> Option<Station> + Send + Sync>;

/// Keeps one directory informed about one stream.
pub struct Announcer {
    stream: String,
    client: Client,
    listing: Listing,
    observe: Observe,
    clock: Clock,
    /// What the entry was made of.
    entered: Vec<(&'static str, String)>,
    /// The trouble that was logged last, until there is none.
    told: Option<Trouble>,
    complaint: Seldom,
}

impl Announcer {
    /// Tells the directory of `client` about the stream that is called `stream` and observed by `observe`.
    pub fn new(stream: String, client: Client, terms: Terms, observe: Observe, clock: Clock) -> Self {
        let listing = Listing::new(terms);
        let (entered, told) = (Vec::new(), None);
        Announcer { stream, client, listing, observe, clock, entered, told, complaint: Seldom::default() }
    }

    /// Runs until `stop`; then the entry is taken out.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.step(&stop).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        if let Some(sid) = self.listing.sid().map(str::to_owned) {
            self.remove(&sid).await;
        }
    }

    async fn step(&mut self, stop: &CancellationToken) {
        let station = (self.observe)();
        match (self.listing.step(station.is_some(), self.clock.mono()), station) {
            (Step::Add, Some(station)) => self.add(station, stop).await,
            // What has changed since the entry was made cannot be touched: it is made anew.
            (Step::Touch(sid), Some(station)) if station.entry != self.entered => {
                self.remove(&sid).await;
                self.add(station, stop).await;
            }
            (Step::Touch(sid), Some(station)) => self.touch(&sid, &station, stop).await,
            (Step::Remove(sid), _) => self.remove(&sid).await,
            (Step::Wait | Step::Add | Step::Touch(_), _) => {}
        }
    }

    async fn add(&mut self, station: Station, stop: &CancellationToken) {
        let answer = self.send("add", &borrowed(&station.entry), stop).await;
        let now = self.clock.mono();
        match answer {
            Ok(Answer { sid: Some(sid), touch_every_s }) => {
                self.listing.added(sid, touch_every_s, now);
                self.entered = station.entry;
                self.told = None;
                tracing::info!(
                    stream = self.stream,
                    directory = self.client.url(),
                    "the directory lists the stream"
                );
            }
            Ok(Answer { sid: None, .. }) => {
                self.listing.not_added(now);
                self.complain(Trouble::Strange);
            }
            Err(trouble) => {
                self.listing.not_added(now);
                self.complain(trouble);
            }
        }
    }

    async fn touch(&mut self, sid: &str, station: &Station, stop: &CancellationToken) {
        let (listeners, seats) = (station.listeners.to_string(), station.seats.to_string());
        let fields = [
            ("sid", sid),
            ("st", station.song.as_str()),
            ("listeners", listeners.as_str()),
            ("max_listeners", seats.as_str()),
            ("stype", ""),
        ];
        let answer = self.send("touch", &fields, stop).await;
        let touched = match &answer {
            Ok(answer) => Touched::Accepted(answer.touch_every_s),
            Err(Trouble::Refused(_)) => Touched::Refused,
            Err(Trouble::Silent(_) | Trouble::Status(_) | Trouble::Strange) => Touched::Failed,
        };
        self.listing.touched(touched, self.clock.mono());
        match answer {
            Ok(_) => {
                self.told = None;
                tracing::debug!(
                    stream = self.stream,
                    directory = self.client.url(),
                    "the directory was touched"
                );
            }
            Err(trouble) => self.complain(trouble),
        }
    }

    /// Tried once: a directory forgets what is not touched.
    async fn remove(&mut self, sid: &str) {
        let answer = self.client.send("remove", &[("sid", sid)]).await;
        self.listing.forget();
        match answer {
            Ok(_) => {
                tracing::info!(
                    stream = self.stream,
                    directory = self.client.url(),
                    "the stream was taken out"
                );
            }
            Err(trouble) => self.complain(trouble),
        }
    }

    /// Sends, but not for long once the server ends.
    async fn send(
        &self,
        action: &str,
        fields: &[(&str, &str)],
        stop: &CancellationToken,
    ) -> Result<Answer, Trouble> {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            answer = self.client.send(action, fields) => answer,
            () = late => Err(Trouble::Silent("the server ends".to_owned())),
        }
    }

    /// Says of one trouble once, until it is over or another.
    fn complain(&mut self, trouble: Trouble) {
        if self.told.as_ref() != Some(&trouble) && self.complaint.ready() {
            let (stream, directory) = (self.stream.as_str(), self.client.url());
            tracing::warn!(stream, directory, reason = %trouble, "the directory did not take what it was told");
            self.told = Some(trouble);
        }
    }
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
