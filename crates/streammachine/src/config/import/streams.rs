//! Mounts and relays become streams; the default mount gives what a mount does not say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wire::key;
use wire::metadata::clean;

use super::draft::Draft;
use super::server::Server;
use super::xml::Element;
use super::{Surroundings, headers, leave};
use crate::config::Upstream;

/// Kilobits a second of a stream that does not tell its bitrate, for bursts, which Icecast counts in bytes.
const BITRATE_KBPS: f64 = 128.0;
/// Bytes of our own burst, half a minute, of the densest stream that is usual.
const OWN_BURST_BYTES: f64 = 1_200_000.0;
/// Most streams that fall back to each other in a row; Icecast follows no more.
const FALLBACKS_MAX: usize = 10;
/// Longest key that is made of a name that can be none: room for `stream-` in front or a number behind.
const KEY_CHARS_MAX: usize = key::KEY_MAX - 8;
/// Most streams that are made; a file with more is no configuration of anybody.
const STREAMS_MAX: usize = 1000;
/// Elements of a mount that are taken over.
const TAKEN: &[&str] = &[
    "password",
    "username",
    "stream-name",
    "stream-description",
    "stream-url",
    "genre",
    "type",
    "public",
    "charset",
    "fallback-mount",
    "burst-size",
    "queue-size",
    "mp3-metadata-interval",
    "metadata-interval",
    "fallback",
    "listenurl",
    "listen-url",
    "yp-url",
    "max-queue-size",
    "mount-name",
];

/// Reads mounts and relays.
pub fn read<'a>(root: Element<'a>, draft: &mut Draft, server: &Server<'a>, around: &Surroundings<'_>) {
    draft.open(&["streams"]);
    let mut streams = Streams {
        draft,
        server,
        around,
        default: None,
        keys: BTreeMap::new(),
        used: BTreeSet::new(),
        falling: Vec::new(),
    };
    let is_default = |mount: &Element<'_>| mount.attribute("type") == Some("default");
    streams.default = root.all("mount").filter(is_default).last();
    if let Some(default) = streams.default {
        streams.leave_rest(default);
    }
    let mounts: Vec<_> = root.all("mount").filter(|mount| !is_default(mount)).collect();
    for mount in mounts {
        let Some(name) = mount.child("mount-name").map(Element::text).filter(|name| !name.is_empty()) else {
            streams.draft.warn(mount, "is left out: it has no `mount-name`");
            continue;
        };
        if streams.stream(mount, &name, Some(mount)).is_some() {
            streams.leave_rest(mount);
        }
    }
    for mount in &server.shoutcast_mounts {
        streams.stream(*mount, &mount.text(), None);
    }
    for name in around.mounts {
        streams.stream(root, name, None);
    }
    for relay in root.all("relay") {
        streams.relay(relay);
    }
    streams.fallbacks();
    streams.aliases();
    if streams.keys.is_empty() {
        let message = "no mount is named here. Icecast lets encoders make mounts; here each stream has its place in the \
                       configuration: import again with `--mount /NAME` for each mount that your encoders use";
        streams.draft.warn(root, message);
    } else if around.mounts.is_empty() {
        let message = "mounts that encoders made by themselves are not named here and are refused: import again with \
                       `--mount /NAME` for each of them";
        streams.draft.note(root, message);
    }
}

struct Streams<'a, 'b> {
    draft: &'b mut Draft,
    server: &'b Server<'a>,
    around: &'b Surroundings<'b>,
    default: Option<Element<'a>>,
    /// Keys of the streams by the names of their mounts, without the slash.
    keys: BTreeMap<String, String>,
    used: BTreeSet<String>,
    /// Keys of streams that fall back to something, and what that is.
    falling: Vec<(String, Element<'a>)>,
}

impl<'a> Streams<'a, '_> {
    /// What the mount says, else the default mount.
    fn field(&self, mount: Option<Element<'a>>, name: &str) -> Option<Element<'a>> {
        mount.and_then(|mount| mount.child(name)).or_else(|| self.default?.child(name))
    }

    /// The same for a field that has several names.
    fn first_field(&self, mount: Option<Element<'a>>, names: &[&str]) -> Option<Element<'a>> {
        names.iter().find_map(|name| self.field(mount, name))
    }

    /// Tells of all in a mount that no setting is made of.
    fn leave_rest(&mut self, mount: Element<'a>) {
        for element in mount.children().filter(|element| !TAKEN.contains(&element.name())) {
            match element.name() {
                "http-headers" => headers::leave_rest(element, self.draft, None),
                name => leave(self.draft, element, &format!("mount/{name}")),
            }
        }
    }

    /// Makes the stream of a mount, of which the file may say nothing but its name. Its key; none if it cannot be.
    fn stream(&mut self, at: Element<'a>, name: &str, mount: Option<Element<'a>>) -> Option<String> {
        let name = name.trim().trim_start_matches('/');
        if name.is_empty() || name.contains(['*', '?']) {
            self.draft.warn(at, "is left out: it names no single mount; name each with `--mount /NAME`");
            return None;
        }
        if self.keys.contains_key(name) {
            if mount.is_some() {
                self.draft.warn(at, "is left out: a mount of this name is there before");
            }
            return None;
        }
        if self.keys.len() == STREAMS_MAX {
            self.draft.warn(at, format!("is left out: there are {STREAMS_MAX} streams before it"));
            return None;
        }
        let (key, mount_key) = self.name(name);
        self.keys.insert(name.to_owned(), key.clone());
        self.used.insert(key.clone());
        let of_stream = ["streams", key.as_str()];
        self.draft.open(&of_stream);
        if mount_key == key {
            self.password(at, mount, &["streams", &key, "source_password"]);
            self.charset(mount, &["streams", &key, "charset"]);
        } else {
            self.draft.open(&["sources", &mount_key]);
            self.draft.set(at, &["streams", &key, "source"], mount_key.as_str());
            self.password(at, mount, &["sources", &mount_key, "password"]);
            self.charset(mount, &["sources", &mount_key, "charset"]);
        }
        if key != name {
            let message = format!("listeners must go to `/{key}`, encoders to the mount `/{mount_key}`");
            self.draft.warn(at, format!("its name cannot be that of a stream: {message}"));
        }
        let fallback = self.first_field(mount, &["fallback-mount", "fallback"]);
        self.falling.extend(fallback.map(|fallback| (key.clone(), fallback)));
        self.facts(mount, &key);
        self.format(at, mount, &key, name, (mount_key != key).then_some(mount_key.as_str()));
        self.sizes(at, mount, &key);
        Some(key)
    }

    /// Keys of stream and mount for what Icecast calls `name`: the name itself wherever it can be.
    fn name(&self, name: &str) -> (String, String) {
        let mut key = name.to_owned();
        if key::check(&key).is_err() {
            let is_allowed = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
            let safe: String = name.chars().map(|it| if is_allowed(it) { it } else { '-' }).collect();
            key = safe.trim_start_matches('.').chars().take(KEY_CHARS_MAX).collect();
        }
        if key::check(&key).is_err() {
            key = format!("stream-{key}");
        }
        let mut number = 2;
        let wanted = key.clone();
        while self.used.contains(&key) {
            key = format!("{wanted}-{number}");
            number += 1;
        }
        let mount = if key::check_mount(name).is_ok() { name.to_owned() } else { key.clone() };
        (key, mount)
    }

    fn password(&mut self, at: Element<'a>, mount: Option<Element<'a>>, path: &[&str]) {
        let set = match self.field(mount, "password").or(self.server.password) {
            Some(password) => self.draft.set(password, path, password.raw_text()),
            None => false,
        };
        if !set {
            self.draft.warn(at, format!("there is no password for it: set `{}`", path.join(".")));
        }
    }

    /// What players are shown, and how the stream behaves.
    fn facts(&mut self, mount: Option<Element<'a>>, key: &str) {
        let of_mounts =
            [self.default, mount].into_iter().flatten().flat_map(|mount| mount.all("http-headers"));
        for list in self.server.headers.into_iter().chain(of_mounts) {
            headers::set_facts(list, self.draft, key);
        }
        for (element, setting) in [
            ("stream-name", "name"),
            ("stream-description", "description"),
            ("stream-url", "url"),
            ("genre", "genre"),
        ] {
            if let Some(element) = self.field(mount, element) {
                let text = clean(&element.text());
                if !text.is_empty() {
                    self.draft.set(element, &["streams", key, setting], text);
                }
            }
        }
        if let Some((element, host)) = &self.server.host {
            self.draft.set(*element, &["streams", key, "host"], host.as_str());
        }
        if let Some(element) = self.first_field(mount, &["listenurl", "listen-url"]) {
            self.draft.set(element, &["streams", key, "listen_url"], element.text());
        }
        if let Some(element) = self.first_field(mount, &["mp3-metadata-interval", "metadata-interval"]) {
            self.draft.set(element, &["streams", key, "meta_interval"], element.text());
        }
        if let Some(element) = self.field(mount, "username").filter(|element| element.text() != "source") {
            self.draft.note(element, "any user name of a source is taken; only the password counts");
        }
        self.public(mount, key);
    }

    /// The character set of titles; UTF-8 and Latin-1 are understood without. `setting` is where it is set.
    fn charset(&mut self, mount: Option<Element<'a>>, setting: &[&str]) {
        let Some(element) = self.field(mount, "charset") else { return };
        let name = element.text().to_ascii_lowercase();
        // `ISO8859-2` and `UTF8` are usual here, and the first is no name of the web's.
        let name = if name.starts_with("iso8859") { name.replacen("iso", "iso-", 1) } else { name };
        if !["", "utf8", "utf-8", "iso-8859-1", "latin1", "windows-1252", "cp1252"].contains(&name.as_str()) {
            self.draft.set(element, setting, name);
        }
    }

    fn format(
        &mut self,
        at: Element<'a>,
        mount: Option<Element<'a>>,
        key: &str,
        name: &str,
        source: Option<&str>,
    ) {
        let told = self.field(mount, "type").map(|element| (element, element.text().to_ascii_lowercase()));
        let kind = match &told {
            Some((_, kind)) => kind.split(';').next().unwrap_or_default().trim(),
            None => by_ending(name),
        };
        match kind {
            "" | "audio/mpeg" | "audio/mp3" | "audio/x-mpeg" => {}
            "audio/aac" | "audio/aacp" | "audio/x-aac" | "audio/x-hx-aac-adts" => {
                self.draft.set(at, &["streams", key, "format"], "aac");
                if let Some(source) = source {
                    self.draft.set(at, &["sources", source, "format"], "aac");
                }
                if let Some((element, _)) = told.filter(|(_, kind)| kind == "audio/aac") {
                    self.draft.set(element, &["streams", key, "content_type"], "audio/aac");
                }
            }
            kind => {
                let kind: String = kind.chars().filter(|it| it.is_ascii_graphic()).take(60).collect();
                let message = format!(
                    "{kind} is not understood in this version: let the encoder send MP3 or AAC (ADTS)"
                );
                self.draft.warn(told.as_ref().map_or(at, |(element, _)| *element), message);
            }
        }
    }

    /// Burst and queue, which Icecast counts in bytes.
    fn sizes(&mut self, at: Element<'a>, mount: Option<Element<'a>>, key: &str) {
        let number =
            |element: Option<Element<'a>>| element.and_then(|element| element.text().parse::<f64>().ok());
        let bitrate = number(self.field(mount, "bitrate")).filter(|kbps| (8.0..=2000.0).contains(kbps));
        let burst = self.field(mount, "burst-size").or(self.server.burst);
        let mut burst_bytes = OWN_BURST_BYTES;
        if self.server.no_burst {
            self.draft.set(at, &["streams", key, "burst"], 0);
            burst_bytes = 0.0;
        } else if let Some(element) = burst {
            match number(Some(element)).filter(|bytes| (0.0..=1e9).contains(bytes)) {
                Some(bytes) => {
                    burst_bytes = bytes;
                    let seconds = bytes * 8.0 / 1000.0 / bitrate.unwrap_or(BITRATE_KBPS);
                    self.draft.set(element, &["streams", key, "burst"], seconds.min(3600.0).round());
                }
                None => self.draft.warn(element, "is left out: it is no number of bytes"),
            }
        }
        let queue = self.first_field(mount, &["queue-size", "max-queue-size"]);
        let Some(element) = queue.or(self.server.queue) else { return };
        if number(Some(element)).is_some_and(|bytes| bytes < burst_bytes) {
            self.draft.warn(element, format!("is left out of streams.{key}: it is less than the burst"));
        } else {
            self.draft.set(element, &["streams", key, "max_buffer"], element.text());
        }
    }

    /// Whether directories list it, and which.
    fn public(&mut self, mount: Option<Element<'a>>, key: &str) {
        let Some(element) = self.field(mount, "public") else { return };
        if element.text() == "-1" {
            return self.draft.note(element, "what the encoder says about it does not count: set `public`");
        }
        if !self.draft.set(element, &["streams", key, "public"], element.text()) || !element.is_on() {
            return;
        }
        let own = self.field(mount, "yp-url");
        let urls: Vec<_> = own.into_iter().chain(self.server.directories.iter().copied()).collect();
        let Some(first) = urls.first() else { return };
        let reachable =
            ["host", "listen_url"].iter().any(|name| self.draft.get(&["streams", key, name]).is_some());
        if !reachable {
            let message =
                format!("is left out of streams.{key}: directories need its public address, `listen_url`");
            return self.draft.warn(*first, message);
        }
        let urls: BTreeSet<String> = urls.iter().map(|element| directory_url(*element)).collect();
        self.draft.set(*first, &["streams", key, "directories"], urls.into_iter().collect::<Vec<_>>());
    }

    /// A relay is a stream whose fallback is an upstream.
    fn relay(&mut self, relay: Element<'a>) {
        if relay.child("enable").is_some_and(|element| !element.is_on()) {
            return self.draft.note(relay, "is left out: it is switched off");
        }
        let upstream = ["upstream", "master"].iter().find_map(|name| relay.all(name).next()).unwrap_or(relay);
        let part = |name: &str| upstream.child(name).or(relay.child(name)).map(Element::text);
        let mount = part("mount").unwrap_or_else(|| "/".to_owned());
        let mount = if mount.starts_with('/') { mount } else { format!("/{mount}") };
        let encoded = |name: &str| {
            let text = part(name).unwrap_or_default();
            utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
        };
        let user = match (encoded("username"), encoded("password")) {
            (user, password) if user.is_empty() && password.is_empty() => String::new(),
            (user, password) => format!("{user}:{password}@"),
        };
        let url = part("uri").unwrap_or_else(|| {
            let server = part("server").unwrap_or_else(|| "127.0.0.1".to_owned());
            let server = if server.contains(':') { format!("[{server}]") } else { server };
            format!("http://{user}{server}:{}{mount}", part("port").unwrap_or_else(|| "8000".to_owned()))
        });
        let local = relay.child("local-mount").map_or(mount, Element::text);
        let known = self.keys.get(local.trim_start_matches('/')).cloned();
        let Some(key) = known.or_else(|| self.stream(relay, &local, None)) else { return };
        if Upstream::parse(&url).is_none() {
            self.draft.warn(relay, "is left out: its upstream is no address of `http` or `https`");
        } else {
            self.draft.set(relay, &["streams", &key, "fallback"], url);
        }
        if relay.child("relay-shoutcast-metadata").is_some_and(Element::is_on) {
            self.draft.set(relay, &["streams", &key, "acceptSourceMeta"], true);
        }
        let taken = [
            "server",
            "port",
            "mount",
            "local-mount",
            "upstream",
            "master",
            "uri",
            "username",
            "password",
            "relay-shoutcast-metadata",
        ];
        for element in relay.children().filter(|element| !taken.contains(&element.name())) {
            leave(self.draft, element, &format!("relay/{}", element.name()));
        }
        for other in relay.all("upstream").chain(relay.all("master")).filter(|it| *it != upstream) {
            self.draft.warn(other, "is left out: a stream has one upstream");
        }
    }

    /// What plays while no source is there: a file, or another stream.
    fn fallbacks(&mut self) {
        let falling = std::mem::take(&mut self.falling);
        let keys = self.keys.clone();
        let target = |element: Element<'a>| keys.get(element.text().trim_start_matches('/'));
        let targets: BTreeMap<String, String> = falling
            .iter()
            .filter_map(|(key, element)| {
                Some((key.clone(), target(*element).filter(|to| *to != key)?.clone()))
            })
            .collect();
        for (key, element) in &falling {
            if self.draft.get(&["streams", key, "fallback"]).is_some() {
                self.draft.warn(*element, "is left out: its relay is what it falls back to");
            } else if let Some(target) = target(*element) {
                self.fall_back_to_stream(key, *element, target, &targets);
            } else {
                self.fall_back_to_file(key, *element);
            }
        }
    }

    fn fall_back_to_stream(
        &mut self,
        key: &str,
        element: Element<'a>,
        target: &str,
        targets: &BTreeMap<String, String>,
    ) {
        if leads_back(key, target, targets) {
            return self.draft.warn(element, "is left out: it leads back to the stream itself, or too far");
        }
        let url = format!("http://{}/{target}", self.server.local);
        self.draft.set(element, &["streams", key, "fallback"], url);
    }

    fn fall_back_to_file(&mut self, key: &str, element: Element<'a>) {
        let name = element.text();
        let relative = Path::new(name.trim_start_matches('/'));
        let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let file = self.server.webroot.as_ref().filter(|_| plain).map(|root| root.join(relative));
        // A rate in brackets is how icecast-kh, and so AzuraCast, names files.
        let named_as_file = name.contains('[') && name.contains(']');
        match file.filter(|file| named_as_file || (self.around.exists)(file)) {
            Some(file) => {
                let url = format!("file://{}", file.display());
                if self.draft.set(element, &["streams", key, "fallback"], url) {
                    self.draft.note(element, "the file must be MP3 or AAC (ADTS) and readable to the server");
                }
            }
            None => self.draft.warn(
                element,
                "is left out: it is neither a mount that is named here nor a file below `webroot`; `fallback` can be \
                 `file:///PATH`",
            ),
        }
    }

    /// A path that stands for a stream.
    fn aliases(&mut self) {
        let mut root_taken = false;
        for (element, source, target) in &self.server.aliases {
            let key = self.keys.get(target.trim_start_matches('/')).cloned();
            match key {
                Some(key) if source == "/" && !root_taken => {
                    root_taken = self.draft.set(*element, &["streams", &key, "root_route"], true);
                }
                Some(key) => {
                    let message =
                        format!("is left out: a stream of its own with `source` \"{key}\" does the same");
                    self.draft.warn(*element, message);
                }
                None if source == "/" => self.draft.note(*element, "the player page is at `/`"),
                None => self.draft.warn(*element, "is left out: paths stand for nothing but streams"),
            }
        }
    }
}

/// True if falling back from `target` on comes to `key`, or to no end.
fn leads_back(key: &str, target: &str, targets: &BTreeMap<String, String>) -> bool {
    let mut at = Some(target);
    for _ in 0..FALLBACKS_MAX {
        match at {
            Some(at) if at == key => return true,
            Some(next) => at = targets.get(next).map(String::as_str),
            None => return false,
        }
    }
    true
}

fn directory_url(element: Element<'_>) -> String {
    element.attribute("url").map_or_else(|| element.text(), |url| url.trim().to_owned())
}

/// The media type that a mount's name lets expect; empty for none.
fn by_ending(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("aac" | "aacp") => "audio/aac",
        Some("ogg" | "oga" | "ogv" | "opus" | "spx") => "application/ogg",
        Some("flac") => "audio/flac",
        Some("webm") => "video/webm",
        _ => "",
    }
}
