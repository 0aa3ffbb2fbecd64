//! The settings as they come together, each held against the table of keys, and what there is to say about them.

use std::fmt;

use serde_json::{Map, Value};

use super::xml::Element;
use crate::config::findings::Severity;
use crate::config::keys::{self, Found};
use crate::config::tree::{get, insert};

/// Most notes that are kept; a file with more is no configuration of anybody.
const NOTES_MAX: usize = 1000;

/// Something about the file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A warning is about something lost.
    pub severity: Severity,
    /// Line of the element, from 1.
    pub line: usize,
    /// The element's path.
    pub path: String,
    /// Why it was not taken over, or what it has become, and what to do. Never a secret.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.line, self.path, self.message)
    }
}

/// Settings so far.
#[derive(Debug, Default)]
pub struct Draft {
    /// The settings.
    pub root: Map<String, Value>,
    notes: Vec<Note>,
    beyond: usize,
}

impl Draft {
    /// Sets the setting at `path` to what `from` says, if the setting can be that; tells, if it cannot.
    pub fn set(&mut self, from: Element<'_>, path: &[&str], value: impl Into<Value>) -> bool {
        let Found::Key(key) = keys::find(path) else {
            unreachable!("the import knows only settings that there are: {path:?}")
        };
        match key.kind.coerce(&value.into()) {
            Ok(Value::Null) => false,
            Ok(value) => {
                let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
                insert(&mut self.root, &path, value);
                true
            }
            Err(reason) => {
                self.warn(from, format!("cannot become `{}`: {reason}", key.title()));
                false
            }
        }
    }

    /// The setting at `path`, if it is set.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        get(&self.root, &path)
    }

    /// Makes an object at `path`, if nothing is there.
    pub fn open(&mut self, path: &[&str]) {
        if self.get(path).is_none() {
            let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
            insert(&mut self.root, &path, Value::Object(Map::new()));
        }
    }

    /// Tells of something lost.
    pub fn warn(&mut self, at: Element<'_>, message: impl Into<String>) {
        self.tell(Severity::Warning, at, message.into());
    }

    /// Tells of something worth knowing.
    pub fn note(&mut self, at: Element<'_>, message: impl Into<String>) {
        self.tell(Severity::Note, at, message.into());
    }

    fn tell(&mut self, severity: Severity, at: Element<'_>, message: String) {
        if self.notes.len() == NOTES_MAX {
            self.beyond += 1;
            return;
        }
        let note = Note { severity, line: at.line(), path: at.path(), message };
        // What several streams take from one element is told once.
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The settings, and what was told, in the order of the file.
    pub fn finish(mut self, root: Element<'_>) -> (Map<String, Value>, Vec<Note>) {
        self.notes.sort_by_key(|note| note.line);
        if self.beyond > 0 {
            self.notes.push(Note {
                severity: Severity::Warning,
                line: root.line(),
                path: root.path(),
                message: format!("there is more to tell, {} times", self.beyond),
            });
        }
        (self.root, self.notes)
    }
}
