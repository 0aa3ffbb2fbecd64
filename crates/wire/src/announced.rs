//! What a source says of its station when it connects, in the headers of three generations of encoders.
//!
//! What is shown of it, and to whom, is decided elsewhere.

use serde::{Deserialize, Serialize};

use crate::metadata::clean;

/// Prefixes of the headers: Icecast, SHOUTcast, and Icecast before version 2.
const PREFIXES: [&str; 3] = ["ice-", "icy-", "x-audiocast-"];

/// The name of a station that has none, as libshout sends it.
const NAMELESS: &str = "no name";

/// What a source says of its station; texts are safe to show, and none is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// The station's name.
    pub name: Option<String>,
    /// Its genre.
    pub genre: Option<String>,
    /// Its web address.
    pub url: Option<String>,
    /// What else it says of itself.
    pub description: Option<String>,
    /// Media type of the audio, as the encoder calls it.
    pub content_type: Option<String>,
}

impl Announced {
    /// Reads headers, names and values, in any order and case.
    pub fn read<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut announced = Announced::default();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let field = match PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
                Some("name") => &mut announced.name,
                Some("genre") => &mut announced.genre,
                Some("url") => &mut announced.url,
                Some("description") => &mut announced.description,
                None if name == "content-type" => &mut announced.content_type,
                Some(_) | None => continue,
            };
            let mut value = clean(value);
            if value == NAMELESS {
                value.clear();
            }
            if field.is_none() && !value.is_empty() {
                *field = Some(value);
            }
        }
        announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generation_of_headers_is_understood() {
        for prefix in ["ice-", "Icy-", "X-Audiocast-"] {
            let names =
                ["Name", "Genre", "URL", "Description", "Public"].map(|name| format!("{prefix}{name}"));
            let headers = names.iter().map(|name| (name.as_str(), "text\u{1}"));
            let text = || Some("text".to_owned());
            let announced = Announced::read(headers.chain([("Content-type", "audio/aacp")]));
            let content_type = Some("audio/aacp".to_owned());
            assert_eq!(
                announced,
                Announced { name: text(), genre: text(), url: text(), description: text(), content_type }
            );
        }
    }

    #[test]
    fn the_first_text_counts_and_an_empty_one_is_none() {
        let announced = Announced::read([
            ("ice-name", " "),
            ("ice-name", "no name"),
            ("icy-name", "A"),
            ("ice-name", "B"),
        ]);
        assert_eq!(announced, Announced { name: Some("A".to_owned()), ..Announced::default() });
    }
}
