//! What settings mean together: ports that collide, streams without a mount, and the like.
//!
//! Each key by itself was judged by `admit`.

use super::findings::{Finding, Severity};
use super::patch::{DJS_MAX, check_dj};
use super::settings::{Mode, Settings};
use super::station::is_web_address;
use super::stream::StreamConfig;
use super::tree::Tree;

/// Everything that does not go together.
pub fn check(settings: &Settings, tree: &Tree) -> Vec<Finding> {
    let mut checks = Checks { settings, tree, findings: Vec::new() };
    checks.mode();
    checks.ports();
    checks.names();
    checks.djs();
    checks.numbers();
    checks.root_route();
    checks.access();
    for stream in settings.streams.values() {
        checks.mount_of(stream);
        checks.password_of(stream);
        checks.fallback_of(stream);
        checks.directories_of(stream);
    }
    checks.findings
}

struct Checks<'a> {
    settings: &'a Settings,
    tree: &'a Tree,
    findings: Vec<Finding>,
}

impl Checks<'_> {
    fn tell(&mut self, severity: Severity, path: &[&str], message: String) {
        let owned: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        let finding = Finding { severity, origin: self.tree.origin(&owned), path: owned.join("."), message };
        // Streams that share a mount find the same about it.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn mode(&mut self) {
        let mode = match self.settings.mode {
            Mode::Standalone => return,
            Mode::Master => "master",
            Mode::Slave => "slave",
        };
        let message = format!("\"{mode}\" is not implemented in this version; only \"standalone\" is");
        self.tell(Severity::Error, &["mode"], message);
    }

    fn ports(&mut self) {
        let ports = [
            ("port", Some(self.settings.port)),
            ("source_port", Some(self.settings.source_port)),
            ("api_port", self.settings.api_port),
        ];
        for (index, (name, port)) in ports.iter().enumerate() {
            let Some(port) = port.filter(|port| *port != 0) else { continue };
            if let Some((other, _)) = ports[..index].iter().find(|(_, other)| *other == Some(port)) {
                self.tell(
                    Severity::Error,
                    &[name],
                    format!("{port} is taken by `{other}`; each needs its own port"),
                );
            }
        }
    }

    /// Keys of streams and mounts are the names they are listed under; a `key` inside can only repeat it.
    fn names(&mut self) {
        let settings = self.settings;
        for key in settings.streams.keys() {
            if let Err(error) = wire::key::check(key) {
                self.tell(Severity::Error, &["streams", key], format!("{error}"));
            }
            self.inner_key("streams", key);
        }
        for key in settings.sources.keys() {
            if let Err(error) = wire::key::check_mount(key) {
                self.tell(Severity::Error, &["sources", key], format!("{error}"));
            }
            self.inner_key("sources", key);
        }
    }

    fn djs(&mut self) {
        let settings = self.settings;
        let streams = settings.streams.iter().map(|(key, stream)| ("streams", key, &stream.djs));
        let mounts = settings.sources.iter().map(|(key, mount)| ("sources", key, &mount.djs));
        for (section, key, djs) in streams.chain(mounts) {
            for name in djs.keys() {
                if let Err(error) = check_dj(name) {
                    self.tell(Severity::Error, &[section, key, "djs", name], error.to_owned());
                }
            }
            if djs.len() > DJS_MAX {
                self.tell(Severity::Error, &[section, key, "djs"], format!("more than {DJS_MAX} names"));
            }
        }
    }

    /// Two mounts with one number: SHOUTcast sources could not tell them apart.
    fn numbers(&mut self) {
        let mounts = self.settings.mounts();
        for (index, mount) in mounts.iter().enumerate() {
            let Some(sid) = mount.sid else { continue };
            if let Some(other) = mounts[..index].iter().find(|other| other.sid == Some(sid)) {
                let section =
                    if self.settings.sources.contains_key(&mount.key) { "sources" } else { "streams" };
                let message = format!("{sid} is the number of the mount \"{}\" already", other.key);
                self.tell(Severity::Error, &[section, &mount.key, "sid"], message);
            }
        }
    }

    fn inner_key(&mut self, section: &str, key: &str) {
        let inner = self.tree.root.get(section).and_then(|it| it.get(key)?.get("key")?.as_str());
        if inner.is_some_and(|inner| inner != key) {
            let message = format!("has no effect: the key is the name it is listed under, \"{key}\"");
            self.tell(Severity::Warning, &[section, key, "key"], message);
        }
    }

    fn root_route(&mut self) {
        let mut roots = self.settings.streams.values().filter(|stream| stream.root_route);
        let Some(first) = roots.next() else { return };
        for stream in roots {
            let message = format!("only one stream can be served at `/`, and streams.{} is", first.key);
            self.tell(Severity::Error, &["streams", &stream.key, "root_route"], message);
        }
    }

    fn access(&mut self) {
        if self.settings.require_auth && self.settings.users.is_empty() {
            let message = "is true and `users` is empty: nobody can use the API".to_owned();
            self.tell(Severity::Warning, &["admin", "require_auth"], message);
        }
    }

    fn mount_of(&mut self, stream: &StreamConfig) {
        let key = stream.mount_key();
        let made = self.settings.streams.get(key).is_some_and(|maker| maker.mount_key() == key);
        if !made && !self.settings.sources.contains_key(key) {
            let message =
                format!("there is no mount \"{key}\": name one of `sources`, or a stream that makes its own");
            self.tell(Severity::Error, &["streams", &stream.key, "source"], message);
        }
    }

    fn password_of(&mut self, stream: &StreamConfig) {
        let key = stream.mount_key();
        let path = ["streams", stream.key.as_str(), "source_password"];
        if self.settings.sources.contains_key(key) || key != stream.key {
            let given = [
                ("djs", !stream.djs.is_empty()),
                ("sid", stream.sid.is_some()),
                ("charset", stream.charset.is_some()),
            ];
            for (name, given) in given {
                if given {
                    let message = format!("has no effect: the mount \"{key}\" has its own");
                    self.tell(Severity::Warning, &["streams", &stream.key, name], message);
                }
            }
        }
        match self.settings.sources.get(key) {
            Some(mount) if stream.source_password.is_some() && stream.source_password != mount.password => {
                let message = format!("has no effect: the password of its mount is sources.{key}.password");
                self.tell(Severity::Warning, &path, message);
            }
            Some(mount) if mount.is_closed() => {
                self.tell(
                    Severity::Note,
                    &["sources", key, "password"],
                    "is not set: no source can connect".to_owned(),
                );
            }
            None if key == stream.key && stream.source_password.is_none() && stream.djs.is_empty() => {
                self.tell(Severity::Note, &path, "is not set: no source can connect".to_owned());
            }
            Some(_) | None => {}
        }
    }

    fn directories_of(&mut self, stream: &StreamConfig) {
        if stream.directories.is_empty() {
            return;
        }
        let path = ["streams", stream.key.as_str(), "directories"];
        if !stream.public {
            let message = "has no effect until `public` is true".to_owned();
            self.tell(Severity::Warning, &path, message);
        }
        match stream.listen_url() {
            None => {
                let message =
                    "needs the address where listeners reach the stream: set `listen_url` or `host`";
                self.tell(Severity::Error, &path, message.to_owned());
            }
            Some(url) if !is_web_address(&url) => {
                let message =
                    "is no host such as \"radio.example:8000\", which `directories` need; set `listen_url`";
                self.tell(Severity::Error, &["streams", &stream.key, "host"], message.to_owned());
            }
            Some(_) => {}
        }
    }

    fn fallback_of(&mut self, stream: &StreamConfig) {
        let path = ["streams", stream.key.as_str(), "fallback"];
        if stream.fallback.is_none() {
            return;
        }
        let key = stream.mount_key();
        let mut others = self.settings.streams.values().filter(|other| other.mount_key() == key);
        if let Some(first) = others.find(|other| other.fallback.is_some())
            && first.fallback != stream.fallback
        {
            let message =
                format!("has no effect: their mount \"{key}\" has the fallback of streams.{}", first.key);
            self.tell(Severity::Warning, &path, message);
        }
    }
}
