//! Reads the configuration of an Icecast (2.4, 2.5, icecast-kh, and what AzuraCast writes) and makes one of ours, with
//! notes on all that is left out.
//!
//! `xml` reads, `server` takes the settings of the server, `streams` those of mounts and relays; `draft` holds what they
//! set against the table of keys; `left` knows what becomes no setting. Nothing here touches files or prints.

mod draft;
mod headers;
mod left;
mod server;
mod streams;
#[cfg(test)]
mod tests;
mod xml;

use std::path::Path;

use serde_json::{Map, Value};

pub use draft::Note;
pub use xml::BYTES_MAX;

use draft::Draft;
use xml::{Element, File};

/// What the import cannot know from the file.
pub struct Surroundings<'a> {
    /// Mounts that encoders use and the file does not name, as paths.
    pub mounts: &'a [String],
    /// Makes the hash of a password of the API.
    pub hash: &'a dyn Fn(&str) -> String,
    /// Whether there is a file of that name.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

/// A configuration of ours.
#[derive(Debug)]
pub struct Imported {
    /// The settings, passwords and all.
    pub settings: Map<String, Value>,
    /// What was left out or has changed, in the order of the file.
    pub notes: Vec<Note>,
}

/// Why nothing can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is longer than any configuration.
    #[error("it is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// Its text is not in the encoding that it has or should have.
    #[error("{line}: it is not in the encoding \"{}\"", name.escape_default())]
    Encoding {
        /// Line, from 1.
        line: usize,
        /// Name of the encoding.
        name: String,
    },
    /// It is no well-formed XML, or beyond what is read of it.
    #[error("{line}:{column}: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// It is XML of something else.
    #[error("{line}: expected the configuration of an Icecast, <icecast>, found <{name}>")]
    Other {
        /// Line, from 1.
        line: usize,
        /// Its outermost element.
        name: String,
    },
}

/// Reads the configuration of an Icecast.
///
/// # Errors
/// What is no well-formed XML within [`BYTES_MAX`], or no configuration of an Icecast.
pub fn icecast(bytes: &[u8], around: &Surroundings<'_>) -> Result<Imported, ImportError> {
    let text = xml::decode(bytes)?;
    let file = File::parse(&text)?;
    let root = file.root();
    if root.name() != "icecast" {
        return Err(ImportError::Other { line: root.line(), name: root.name().to_owned() });
    }
    let mut draft = Draft::default();
    let server = server::read(root, &mut draft, around);
    streams::read(root, &mut draft, &server, around);
    let (settings, notes) = draft.finish(root);
    Ok(Imported { settings, notes })
}

/// Tells of the element at `path` below the outermost one that no setting was made of.
fn leave(draft: &mut Draft, element: Element<'_>, path: &str) {
    match left::find(path) {
        Some(left::Left::Lost(why)) => draft.warn(element, format!("is left out: {why}")),
        Some(left::Left::LostIfOn(why)) if element.is_on() => {
            draft.warn(element, format!("is left out: {why}"));
        }
        Some(left::Left::Moot(why)) => draft.note(element, why),
        Some(left::Left::LostIfOn(_) | left::Left::Silent) => {}
        None => draft.warn(element, "is left out: it is not known to the import"),
    }
}
