//! The settings of the server: ports, limits, users, logs; and what its streams share.

use std::path::PathBuf;

use serde_json::json;

use super::draft::Draft;
use super::xml::Element;
use super::{Surroundings, headers, leave};
use crate::config::coerce::is_url;

/// The port of an Icecast that names none.
const PORT: u16 = 8000;
/// Passwords of the examples that everybody has read.
const EXAMPLES: [&str; 2] = ["hackme", "changeme"];

/// What the streams share.
#[derive(Debug, Default)]
pub struct Server<'a> {
    /// Password of sources of mounts without one.
    pub password: Option<Element<'a>>,
    /// Bytes of a burst; zero where it is switched off.
    pub burst: Option<Element<'a>>,
    /// True if there is no burst at all.
    pub no_burst: bool,
    /// Bytes that a listener may be late.
    pub queue: Option<Element<'a>>,
    /// Name and port under which the server is known.
    pub host: Option<(Element<'a>, String)>,
    /// Where files lie.
    pub webroot: Option<PathBuf>,
    /// Addresses of directories.
    pub directories: Vec<Element<'a>>,
    /// Paths that stand for others: element, path, and what it stands for.
    pub aliases: Vec<(Element<'a>, String, String)>,
    /// Mounts of SHOUTcast sources.
    pub shoutcast_mounts: Vec<Element<'a>>,
    /// Headers of all answers.
    pub headers: Option<Element<'a>>,
    /// The listeners' address on this machine, for streams that fall back to others.
    pub local: String,
}

/// Reads everything but mounts and relays.
pub fn read<'a>(root: Element<'a>, draft: &mut Draft, around: &Surroundings<'_>) -> Server<'a> {
    let mut server = Server::default();
    let port = sockets(root, draft, &mut server);
    for element in root.children() {
        match element.name() {
            "mount" | "relay" | "listen-socket" | "port" | "bind-address" | "ssl" | "shoutcast-mount" => {}
            "hostname" => {
                let told = root.child("port").and_then(|told| told.text().parse().ok());
                hostname(element, draft, told.unwrap_or(port), &mut server);
            }
            "limits" => limits(element, draft, &mut server),
            "authentication" => authentication(element, draft, around, &mut server),
            "directory" => section(element, draft, "directory", |element, _| {
                let is_address = matches!(element.name(), "yp-url" | "yp-directory");
                server.directories.extend(is_address.then_some(element));
                is_address
            }),
            "yp-directory" => {
                server.directories.push(element);
                section(element, draft, "yp-directory", |_, _| false);
            }
            "http-headers" => {
                server.headers = Some(element);
                headers::leave_rest(element, draft, Some(origin));
            }
            "paths" => paths(element, draft, &mut server),
            "logging" => section(element, draft, "logging", |element, draft| {
                let is_level = element.name() == "loglevel";
                if is_level {
                    log_level(element, draft);
                }
                is_level
            }),
            "security" => section(element, draft, "security", |_, _| false),
            name => leave(draft, element, name),
        }
    }
    server
}

/// Offers each element of a section to `take`; what it does not take is left out.
fn section<'a>(
    section: Element<'a>,
    draft: &mut Draft,
    path: &str,
    mut take: impl FnMut(Element<'a>, &mut Draft) -> bool,
) {
    for element in section.children() {
        if !take(element, draft) {
            leave(draft, element, &format!("{path}/{}", element.name()));
        }
    }
}

/// A socket that an Icecast listens on.
struct Socket<'a> {
    element: Element<'a>,
    port: u16,
    address: Option<Element<'a>>,
}

/// Chooses the ports, and gives that of the listeners. Icecast serves everybody on each port; here sources have one of
/// their own.
fn sockets<'a>(root: Element<'a>, draft: &mut Draft, server: &mut Server<'a>) -> u16 {
    server.shoutcast_mounts.extend(root.all("shoutcast-mount"));
    let mut plain: Vec<Socket<'a>> = Vec::new();
    let mut taken = Vec::new();
    let sockets = root.all("listen-socket").next();
    // Beside sockets the port is only that which directories are told.
    let shorthand = root.child("port").filter(|_| sockets.is_none()).map(|_| root);
    for element in root.all("listen-socket").chain(shorthand) {
        let number = element.child("port").map_or(PORT.to_string(), Element::text);
        let Ok(port @ 1..) = number.parse::<u16>() else {
            draft.warn(element, "is left out: its port is no number from 1 to 65,535");
            continue;
        };
        taken.push(port);
        if ["ssl", "tls"].iter().any(|name| element.child(name).is_some_and(is_tls)) {
            let instead = "let nginx or HAProxy speak it in front of `port`, and set `behind_proxy`";
            draft.warn(element, format!("is left out: there is no TLS in this version; {instead}"));
        } else if element.child("shoutcast-compat").is_some_and(Element::is_on) {
            shoutcast(element, draft);
        } else if plain.iter().all(|other| other.port != port) {
            plain.push(Socket { element, port, address: element.child("bind-address") });
        }
        if element != root {
            server.shoutcast_mounts.extend(element.child("shoutcast-mount"));
            let known = ["port", "bind-address", "shoutcast-mount", "shoutcast-compat"];
            section(element, draft, "listen-socket", |child, _| known.contains(&child.name()));
        }
    }
    for mount in &server.shoutcast_mounts {
        shoutcast(*mount, draft);
    }
    let mut plain = plain.into_iter();
    let listeners = plain.next();
    let sources = plain.next();
    for other in plain {
        draft.warn(
            other.element,
            "is left out: listeners have one port, `port`, and sources one, `source_port`",
        );
    }
    let port = listeners.as_ref().map_or(PORT, |socket| socket.port);
    let at = listeners.as_ref().map_or(root, |socket| socket.element);
    draft.set(at, &["port"], port);
    let source_port = sources.as_ref().map_or_else(|| free_port(port, &taken), |socket| socket.port);
    draft.set(at, &["source_port"], source_port);
    draft.note(
        at,
        format!("listeners go on connecting to port {port}; encoders must be set to port {source_port}, `source_port`"),
    );
    server.local = format!("127.0.0.1:{port}");
    address(listeners.as_ref(), sources.as_ref(), draft, server);
    port
}

fn is_tls(element: Element<'_>) -> bool {
    element.is_on() || matches!(element.text().as_str(), "rfc2818" | "rfc2817" | "auto" | "auto_no_plain")
}

fn shoutcast(at: Element<'_>, draft: &mut Draft) {
    let message = "SHOUTcast encoders connect to `source_port`, or to the port behind it; a password that several mounts \
                   have needs the mount in front, `/mount:password`";
    draft.note(at, message);
}

/// The next port after that of the listeners that nobody has.
fn free_port(port: u16, taken: &[u16]) -> u16 {
    let after = (port..=u16::MAX).skip(1);
    let mut all = after.chain((1024..port).rev());
    all.find(|port| !taken.contains(port)).unwrap_or(PORT + 1)
}

/// One address is listened on, or all.
fn address(
    listeners: Option<&Socket<'_>>,
    sources: Option<&Socket<'_>>,
    draft: &mut Draft,
    server: &mut Server<'_>,
) {
    fn of<'a>(socket: Option<&Socket<'a>>) -> Option<Element<'a>> {
        socket.and_then(|socket| socket.address)
    }
    let Some(first) = of(listeners).or(of(sources)) else { return };
    let same = sources.is_none() || of(listeners).map(Element::text) == of(sources).map(Element::text);
    if !same {
        draft
            .warn(first, "is left out: all ports are on one address, `listen`; without it, on all addresses");
    } else if draft.set(first, &["listen"], first.text())
        && let Ok(ip) = first.text().parse()
        && let port = listeners.map_or(PORT, |socket| socket.port)
        && let local = std::net::SocketAddr::new(ip, port)
        && !ip.is_unspecified()
    {
        server.local = local.to_string();
    }
}

fn hostname<'a>(element: Element<'a>, draft: &mut Draft, port: u16, server: &mut Server<'a>) {
    let name = element.text();
    if name.is_empty() || name == "localhost" {
        return draft.note(element, "is the name of no public server: `host` of the streams is not set");
    }
    let host = if port == 80 { name } else { format!("{name}:{port}") };
    if crate::config::station::is_web_address(&format!("http://{host}/")) && !host.contains(['/', '@', '?']) {
        server.host = Some((element, host));
    } else {
        draft.warn(element, "is left out: it is no name of a host");
    }
}

fn limits<'a>(limits: Element<'a>, draft: &mut Draft, server: &mut Server<'a>) {
    // An icecast-kh that limits listeners limits with `clients` everybody.
    let listeners = limits.child("max-listeners").or(limits.child("clients"));
    section(limits, draft, "limits", |element, draft| {
        match element.name() {
            "clients" | "max-listeners" => {
                if listeners == Some(element) {
                    draft.set(element, &["limits", "listeners_max"], element.text());
                }
            }
            "sources" => drop(draft.set(element, &["limits", "sources_max"], element.text())),
            "source-timeout" => drop(draft.set(element, &["source_timeout"], element.text())),
            "burst-size" => server.burst = Some(element),
            "burst-on-connect" => server.no_burst = !element.is_on(),
            "queue-size" => server.queue = Some(element),
            _ => return false,
        }
        true
    });
}

fn authentication<'a>(
    authentication: Element<'a>,
    draft: &mut Draft,
    around: &Surroundings<'_>,
    server: &mut Server<'a>,
) {
    section(authentication, draft, "authentication", |element, draft| {
        match element.name() {
            "source-password" => {
                warn_of_example(element, draft);
                server.password = Some(element);
            }
            "admin-user" | "admin-password" => {}
            _ => return false,
        }
        true
    });
    let Some(password) = authentication.child("admin-password").filter(|it| !it.raw_text().is_empty()) else {
        return;
    };
    let user = authentication.child("admin-user").map(Element::text).filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(|| "admin".to_owned());
    warn_of_example(password, draft);
    if draft.set(password, &["users", &user], (around.hash)(&password.raw_text())) {
        draft.set(password, &["admin", "require_auth"], true);
        draft.note(password, "the administrator is a user of the API, `/api`, and of Icecast's requests under `/admin`; there are no pages");
    }
}

fn warn_of_example(password: Element<'_>, draft: &mut Draft) {
    if EXAMPLES.contains(&password.text().as_str()) {
        draft.warn(password, "is the password of the example, which everybody knows: change it");
    }
}

/// The origins of pages that may play the streams; any are where it is not said.
fn origin(header: Element<'_>, draft: &mut Draft, value: &str) {
    match value {
        "*" | "" => {}
        origin if is_url(origin) => drop(draft.set(header, &["cors", "origin"], origin)),
        _ => draft.warn(header, "is left out: expected `*` or one origin; any origin may play the streams"),
    }
}

fn paths<'a>(paths: Element<'a>, draft: &mut Draft, server: &mut Server<'a>) {
    section(paths, draft, "paths", |element, draft| {
        match element.name() {
            "webroot" => {
                server.webroot = Some(element.text().into()).filter(|path: &PathBuf| path.is_absolute())
            }
            "x-forwarded-for" => {
                draft.set(element, &["behind_proxy"], json!(true));
                draft.note(
                    element,
                    "`behind_proxy` believes whoever connects: let only the proxy reach `port`",
                );
            }
            "alias" => {
                let target = element.attribute("dest").or(element.attribute("destination"));
                let (Some(source), Some(target)) = (element.attribute("source"), target) else {
                    return false;
                };
                server.aliases.push((element, source.to_owned(), target.to_owned()));
            }
            _ => return false,
        }
        true
    });
}

fn log_level(element: Element<'_>, draft: &mut Draft) {
    let level = match element.text().to_ascii_lowercase().as_str() {
        "4" | "debug" | "debu" => "debug",
        "3" | "info" | "information" => "info",
        "2" | "warn" | "warning" => "warn",
        "1" | "error" | "erro" => "error",
        _ => return draft.warn(element, "is left out: expected a level from 1 to 4"),
    };
    draft.set(element, &["log", "stdout", "level"], level);
}
