//! Holds a tree of settings against the table of keys: what is right is taken over in its proper form, the rest is told.
//!
//! Each key by itself; what settings mean together is `check`'s.

use serde_json::{Map, Value};

use super::coerce::shown;
use super::findings::{Finding, Origin, Severity};
use super::keys::{self, Found, Key, Status};
use super::locate::Path;
use super::tree::{Tree, get, insert};

/// Settings in their proper form, without those that are wrong, unknown or dead; and what was found.
pub fn admit(tree: &Tree) -> (Map<String, Value>, Vec<Finding>) {
    let mut admission =
        Admission { tree, path: Path::new(), taken: Map::new(), aliases: Vec::new(), findings: Vec::new() };
    for (path, origin) in &tree.doubles {
        admission.tell(
            Severity::Warning,
            origin.clone(),
            path,
            "is here twice; the last one counts".to_owned(),
        );
    }
    admission.object(&tree.root);
    admission.adopt_aliases();
    (admission.taken, admission.findings)
}

struct Admission<'a> {
    tree: &'a Tree,
    path: Path,
    taken: Map<String, Value>,
    aliases: Vec<(Path, Path, Value)>,
    findings: Vec<Finding>,
}

impl Admission<'_> {
    fn object(&mut self, members: &Map<String, Value>) {
        for (name, value) in members {
            self.path.push(name.clone());
            self.member(value);
            self.path.pop();
        }
    }

    fn member(&mut self, value: &Value) {
        match (keys::find(&self.path), value) {
            (Found::Nothing, _) => self.unknown(),
            (Found::Section, Value::Object(members)) => {
                insert_object(&mut self.taken, &self.path);
                self.object(members);
            }
            (Found::Section, Value::Null | Value::Bool(false)) => {}
            (Found::Section, _) => self.wrong(format!("expected an object, found {}", shown(value))),
            (Found::Key(key), _) if matches!(key.status, Status::Dead(_)) => {
                let origin = self.tree.key_origin(&self.path);
                let message = format!("has no effect. {}", key.doc);
                self.tell(Severity::Warning, origin, &self.path.clone(), message);
            }
            (Found::Key(_), Value::Object(members)) if keys::has_children(&self.path) => {
                insert_object(&mut self.taken, &self.path);
                self.object(members);
            }
            (Found::Key(key), _) => self.setting(key, value),
        }
    }

    fn setting(&mut self, key: &Key, value: &Value) {
        let value = match key.kind.coerce(value) {
            Ok(Value::Null) => return,
            Ok(value) => value,
            Err(message) => return self.wrong(message),
        };
        if key.status == Status::Later && value != key.default_value() {
            let message = "recognised but not implemented in this version; it has no effect".to_owned();
            self.tell(Severity::Warning, self.tree.key_origin(&self.path), &self.path.clone(), message);
        }
        if let Status::Alias(target) = key.status {
            let target = target.split('.').zip(&self.path).map(|(segment, name)| match segment {
                "*" => name.clone(),
                segment => segment.to_owned(),
            });
            return self.aliases.push((self.path.clone(), target.collect(), value));
        }
        insert(&mut self.taken, &self.path, value);
    }

    /// Another name of a setting counts where the setting itself is not there; both with two values contradict.
    fn adopt_aliases(&mut self) {
        for (path, target, value) in std::mem::take(&mut self.aliases) {
            match get(&self.taken, &target) {
                None => insert(&mut self.taken, &target, value),
                Some(there) if *there == value => {}
                Some(_) => {
                    let message = format!("is another name of {} and says something else", target.join("."));
                    self.tell(Severity::Error, self.tree.origin(&path), &path, message);
                }
            }
        }
    }

    fn unknown(&mut self) {
        let message = match keys::suggest(&self.path) {
            Some(meant) => format!("unknown key; did you mean \"{meant}\"?"),
            None => "unknown key".to_owned(),
        };
        self.tell(Severity::Unknown, self.tree.key_origin(&self.path), &self.path.clone(), message);
    }

    fn wrong(&mut self, message: String) {
        self.tell(Severity::Error, self.tree.origin(&self.path), &self.path.clone(), message);
    }

    fn tell(&mut self, severity: Severity, origin: Origin, path: &[String], message: String) {
        self.findings.push(Finding { severity, origin, path: path.join("."), message });
    }
}

/// An object that is given counts even when it is empty: `streams: {test: {}}` is a stream.
fn insert_object(taken: &mut Map<String, Value>, path: &[String]) {
    if get(taken, path).is_none() {
        insert(taken, path, Value::Object(Map::new()));
    }
}
