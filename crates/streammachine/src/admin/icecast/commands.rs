//! Icecast's admin requests: `/admin/COMMAND?mount=…`.

use std::sync::Arc;

use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use wire::metadata::{Dialect, MetadataRequest, clean};
use wire::path::{Query, encode_target};

use super::answers::{Refused, outcome, text, xml};
use super::stats::{self, OnAir};
use super::xml::Xml;
use crate::admin::Admin;
use crate::mount::{Mount, Sender};
use crate::stream::Stream;

/// What is escaped in a name or password of an address: all that is not unreserved (RFC 3986, 2.3).
const IN_PASSWORD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request for a command.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub admin: &'a Admin,
    /// Its parameters.
    pub query: &'a Query,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

type Answer = Result<Response, Refused>;

/// True for a command that changes something.
pub fn changes(command: &str) -> bool {
    matches!(command, "killclient" | "killsource" | "moveclients" | "fallbacks" | "metadata")
}

/// Does a command.
pub async fn run(command: &str, request: &Request<'_>) -> Answer {
    match command {
        "stats" | "stats.xml" => request.stats(),
        "listmounts" | "streamlist" => Ok(request.list_mounts()),
        "streamlist.txt" => Ok(request.stream_list()),
        "listclients" => request.list_clients().await,
        "killclient" => request.kill_client(),
        "killsource" => request.kill_source(),
        "moveclients" => request.move_clients(),
        "fallbacks" => request.fallbacks(),
        "updatemetadata" => request.metadata_form(),
        "metadata" => request.metadata().await,
        "buildm3u" => request.build_m3u(),
        _ => Err(Refused::UnknownCommand),
    }
}

impl Request<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// The stream that the request is about.
    fn on_air(&self) -> Result<OnAir, Refused> {
        let mount = self.get("mount").ok_or(Refused::NoMount)?;
        OnAir::named(self.admin, mount).ok_or(Refused::NoSource)
    }

    /// The stream whose listeners the request is about: they stay when its source goes.
    fn stream(&self) -> Result<Arc<Stream>, Refused> {
        let mount = self.get("mount").ok_or(Refused::NoMount)?;
        let key = mount.strip_prefix('/').unwrap_or(mount);
        self.admin.streams.find(key).ok_or(Refused::NoSource)
    }

    fn stats(&self) -> Answer {
        let all = OnAir::all(self.admin);
        let shown: Vec<&OnAir> = match self.get("mount") {
            None => all.iter().collect(),
            Some(mount) => {
                let key = mount.strip_prefix('/').unwrap_or(mount);
                let found = all.iter().find(|it| it.stream.key() == key);
                vec![found.ok_or(Refused::NoSource)?]
            }
        };
        Ok(xml(stats::stats_xml(self.admin, &all, &shown, &super::base(self.admin, self.headers))))
    }

    fn list_mounts(&self) -> Response {
        let mut document = Xml::new("icestats");
        stats::list_mounts(self.admin, &mut document, &OnAir::all(self.admin));
        xml(document)
    }

    fn stream_list(&self) -> Response {
        let lines = OnAir::all(self.admin).iter().map(|it| it.mount() + "\r\n").collect();
        text("text/plain; charset=utf-8", lines)
    }

    async fn list_clients(&self) -> Answer {
        let stream = self.stream()?;
        self.admin.delivery.tell().await;
        let edge = stream.log().edge().position;
        let listeners = self.admin.roster.list(&stream);
        let mut document = Xml::new("icestats");
        document.begin("source", &[("mount", &format!("/{}", stream.key()))]);
        document.text("Listeners", listeners.len());
        for entry in listeners {
            document.begin("listener", &[]);
            document.text("IP", entry.ip);
            document.text("UserAgent", &entry.agent);
            document.text("Connected", self.admin.roster.connected(&entry).as_secs());
            document.text("ID", entry.id);
            if let Some(referer) = &entry.referer {
                document.text("Referer", referer);
            }
            document.text("lag", edge.since(entry.position()));
            document.text("total_bytes_sent", entry.sent_bytes());
            document.end();
        }
        Ok(xml(document))
    }

    fn kill_client(&self) -> Answer {
        let stream = self.stream()?;
        // As Icecast reads it: what is no number is 0, which nobody has.
        let id: u64 = self.get("id").ok_or(Refused::Missing)?.trim().parse().unwrap_or(0);
        let Some(entry) = self.admin.roster.find(&stream, id) else {
            return Ok(outcome(&format!("Client {id} not found"), false));
        };
        self.admin.delivery.dismiss(&entry);
        tracing::info!(stream = stream.key(), id, "a listener was closed by request");
        Ok(outcome(&format!("Client {id} removed"), true))
    }

    fn kill_source(&self) -> Answer {
        let on_air = self.on_air()?;
        if on_air.source.is_fallback() {
            return Ok(outcome("The fallback cannot be removed", false));
        }
        on_air.source.stop.cancel();
        tracing::info!(stream = on_air.stream.key(), source = %on_air.source, "a source was closed by request");
        Ok(outcome("Source Removed", true))
    }

    fn move_clients(&self) -> Answer {
        let from = self.stream()?;
        let mount = format!("/{}", from.key());
        let Some(destination) = self.get("destination") else {
            let mut others = OnAir::all(self.admin);
            others.retain(|it| it.stream.key() != from.key());
            let mut document = Xml::new("icestats");
            document.text("current_source", mount);
            stats::list_mounts(self.admin, &mut document, &others);
            return Ok(xml(document));
        };
        let to = OnAir::named(self.admin, destination).ok_or(Refused::NoDestination)?;
        if to.stream.key() == from.key() {
            return Err(Refused::SamePlace);
        }
        if codec(&from) != codec(&to.stream) {
            return Err(Refused::OtherCodec);
        }
        self.admin.delivery.move_all(&from, &to.stream);
        tracing::info!(from = from.key(), to = to.stream.key(), "listeners were moved by request");
        Ok(outcome(&format!("Clients moved from {mount} to {}", to.mount()), true))
    }

    fn fallbacks(&self) -> Answer {
        self.on_air()?;
        self.get("fallback").ok_or(Refused::Missing)?;
        Err(Refused::FixedFallback)
    }

    fn metadata_form(&self) -> Answer {
        let mut document = Xml::new("icestats");
        document.empty("source", &[("mount", &self.on_air()?.mount())]);
        Ok(xml(document))
    }

    /// An update by a user of the API; those by sources are answered where sources are.
    async fn metadata(&self) -> Answer {
        let asked = MetadataRequest::decode(self.query, Dialect::Icecast);
        let path = asked.mount.as_deref().ok_or(Refused::NoMount)?;
        let mount = self.find_mount(path).ok_or(Refused::NoSource)?;
        if !asked.is_update() {
            return Ok(outcome("No such action", false));
        }
        tracing::info!(mount = clean(path), "a title was set by request");
        let is_done = mount.set_metadata(Sender::default(), asked.metadata(mount.charset())).await;
        Ok(outcome("Metadata update successful", is_done))
    }

    /// A playlist with a listener's name and password in the address, each escaped: whatever they hold stays in there.
    fn build_m3u(&self) -> Answer {
        let stream = self.stream()?;
        let [user, password] = ["username", "password"].map(|name| {
            let value = self.query.get_bytes(name).ok_or(Refused::Missing)?;
            Ok(percent_encode(value, IN_PASSWORD).to_string())
        });
        let base = super::base(self.admin, self.headers);
        let path = encode_target(&format!("/{}", stream.key()), &[]);
        let url = base.replacen("://", &format!("://{}:{}@", user?, password?), 1) + &path;
        let mut response = text("audio/x-mpegurl", url + "\r\n");
        let name = HeaderValue::from_static("attachment; filename=\"listen.m3u\"");
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        Ok(response)
    }

    /// The mount of that name, else that of the stream of that name.
    fn find_mount(&self, path: &str) -> Option<Arc<Mount>> {
        let key = path.strip_prefix('/').unwrap_or(path);
        let of_stream = || Some(Arc::clone(self.admin.streams.find(key)?.mount()));
        self.admin.mounts.find(key).or_else(of_stream)
    }
}

/// What players of a stream were told to expect.
fn codec(stream: &Stream) -> audio::Codec {
    stream.log().format().map_or_else(|| stream.config().format, |format| format.codec)
}
