//! `STATS / HTTP/1.0`: statistics as lines of text, first as they are, then as they change, until the client leaves.
//!
//! ```text
//!   EVENT global clients 3
//!   EVENT /a.mp3 listeners 1
//!   NEW /b.mp3
//!   DELETE /a.mp3
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use wire::head::Head;
use wire::path::split_target;

use super::stats::{OnAir, server_facts};
use crate::admin::Admin;
use crate::admin::access::{CROWDED, Caller, Refusal};
use crate::base::head::answer_and_close;
use crate::base::throttle::RETRY_AFTER_S;

/// Time between two looks at what has changed.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever does not take what is written within this is closed.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Clients that may follow the changes at once; each looks at all streams every second.
pub const FOLLOWERS_MAX: usize = 16;
/// The scope of facts about the server.
const GLOBAL: &str = "global";

/// Facts by scope and name.
type Facts = BTreeMap<(String, &'static str), String>;

/// Serves a client until it leaves. `host` is where the streams are, as the client knows the server.
pub async fn serve(
    admin: &Arc<Admin>,
    mut socket: TcpStream,
    peer: SocketAddr,
    head: &Head,
    host: Option<&str>,
) {
    let caller = Caller {
        peer: peer.ip(),
        forwarded: ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|it| head.header(it).is_some()),
        forwarded_for: head.last_header("x-forwarded-for"),
        authorization: head.header("authorization"),
        host: head.header("host"),
        origin: head.header("origin"),
        reads: true,
    };
    match admin.check(caller, None).await {
        Ok(()) => {}
        Err(Refusal::Crowded) => return answer_and_close(socket, &crowded()).await,
        Err(_) => return answer_and_close(socket, &unauthorized()).await,
    }
    let Ok(_place) = admin.followers.try_acquire() else {
        let text = b"HTTP/1.0 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        return answer_and_close(socket, text).await;
    };
    let mount = split_target(&head.target).map(|(path, _)| path).unwrap_or_default();
    let header = |name: &str| if name == "host" { host } else { head.header(name) };
    let base = wire::host::public_base(header, admin.behind_proxy, None);
    let mut known = Facts::new();
    let mut out = "HTTP/1.0 200 OK\r\n\r\n".to_owned();
    loop {
        let now = gather(admin, &mount, &base);
        write_changes(&mut out, &known, &now);
        if !matches!(timeout(WRITE_TIME, socket.write_all(out.as_bytes())).await, Ok(Ok(()))) {
            return;
        }
        out.clear();
        known = now;
        if !stays(&mut socket, Instant::now() + LOOK).await {
            return;
        }
    }
}

/// Whether the client is still there at `end`. Whatever it says meanwhile is thrown away.
async fn stays(socket: &mut TcpStream, end: Instant) -> bool {
    loop {
        match timeout_at(end, socket.read(&mut [0; 256])).await {
            Err(_) => return true,
            Ok(Ok(0) | Err(_)) => return false,
            Ok(Ok(_)) => {}
        }
    }
}

/// All facts, or those of the server and of one mount; `/` is all.
fn gather(admin: &Admin, mount: &str, base: &str) -> Facts {
    let all = OnAir::all(admin);
    let server = server_facts(admin, &all, base);
    let mut facts: Facts =
        server.into_iter().map(|(name, value)| ((GLOBAL.to_owned(), name), value.to_string())).collect();
    for on_air in all.iter().filter(|it| mount == "/" || it.mount() == mount) {
        let values = on_air.facts(base).into_iter();
        facts.extend(values.map(|(name, value)| ((on_air.mount(), name), value.to_string())));
    }
    facts
}

/// Writes what is new or has changed. The first state is told without `NEW`, as Icecast does.
fn write_changes(out: &mut String, known: &Facts, now: &Facts) {
    let is_known = |scope: &str| {
        known.range((scope.to_owned(), "")..).next().is_some_and(|((found, _), _)| found == scope)
    };
    let mut last_scope = "";
    for ((scope, name), value) in now {
        if scope != last_scope && !known.is_empty() && !is_known(scope) {
            out.push_str(&format!("NEW {scope}\n"));
        }
        last_scope = scope;
        if known.get(&(scope.clone(), name)) != Some(value) {
            out.push_str(&format!("EVENT {scope} {name} {value}\n"));
        }
    }
    let mut gone: Vec<&str> = known.keys().map(|(scope, _)| scope.as_str()).collect();
    gone.dedup();
    for scope in gone {
        if now.range((scope.to_owned(), "")..).next().is_none_or(|((found, _), _)| found != scope) {
            out.push_str(&format!("DELETE {scope}\n"));
        }
    }
}

fn unauthorized() -> Bytes {
    "HTTP/1.0 401 Authentication Required\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
     WWW-Authenticate: Basic realm=\"Icecast2 Server\"\r\nContent-Length: 26\r\n\r\nYou need to authenticate\r\n"
        .into()
}

fn crowded() -> Bytes {
    let retry_after = format!("Retry-After: {RETRY_AFTER_S}\r\n");
    let length = CROWDED.len() + 1;
    format!(
        "HTTP/1.0 429 Too Many Requests\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
         {retry_after}Content-Length: {length}\r\n\r\n{CROWDED}\n"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(list: &[(&str, &'static str, &str)]) -> Facts {
        list.iter().map(|(scope, name, value)| (((*scope).to_owned(), *name), (*value).to_owned())).collect()
    }

    fn changes(known: &Facts, now: &Facts) -> String {
        let mut out = String::new();
        write_changes(&mut out, known, now);
        out
    }

    #[test]
    fn the_first_state_is_told_whole_and_then_what_changes() {
        let first = facts(&[("/a", "listeners", "1"), ("/a", "title", "x"), (GLOBAL, "clients", "2")]);
        let told = "EVENT /a listeners 1\nEVENT /a title x\nEVENT global clients 2\n";
        assert_eq!(changes(&Facts::new(), &first), told);
        assert_eq!(changes(&first, &first), "");
        let second = facts(&[("/a", "listeners", "2"), ("/a", "title", "x"), (GLOBAL, "clients", "2")]);
        assert_eq!(changes(&first, &second), "EVENT /a listeners 2\n");
        let third = facts(&[("/b", "listeners", "0"), (GLOBAL, "clients", "2")]);
        assert_eq!(changes(&second, &third), "NEW /b\nEVENT /b listeners 0\nDELETE /a\n");
    }
}
