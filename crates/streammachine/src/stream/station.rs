//! What a stream tells of its station: what is set, else what the source on air announced, as Icecast does.

use wire::metadata::clean;

use super::Stream;
use crate::source::Source;

/// Texts of a station, safe to show; none is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    /// Its name.
    pub name: Option<String>,
    /// Its genre.
    pub genre: Option<String>,
    /// Its web address.
    pub url: Option<String>,
    /// What else it tells of itself.
    pub description: Option<String>,
}

impl Stream {
    /// What it tells of its station at this moment. Who only waits says nothing about what is heard.
    pub fn station(&self) -> Station {
        let (config, on_air) = (self.config(), self.mount().on_air());
        let on_air = on_air.filter(|source| source.format().is_some());
        let announced =
            |get: fn(&Source) -> &Option<String>| on_air.as_ref().and_then(|source| get(source).clone());
        let set = |setting: Option<&str>| setting.map(clean).filter(|text| !text.is_empty());
        Station {
            name: set(config.name.as_deref()).or_else(|| announced(|source| &source.announced.name)),
            genre: set(config.genre.as_deref()).or_else(|| announced(|source| &source.announced.genre)),
            url: set(config.url.as_deref())
                .or_else(|| set(Some(&config.meta_url)))
                .or_else(|| announced(|source| &source.announced.url)),
            description: set(config.description.as_deref())
                .or_else(|| announced(|source| &source.announced.description)),
        }
    }

    /// The name of its station, else its key.
    pub fn name(&self) -> String {
        self.station().name.unwrap_or_else(|| self.key().to_owned())
    }
}
