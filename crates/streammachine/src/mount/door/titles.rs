//! Encoders that tell what they play, on whichever port they come: a source may set the titles of its mount, a user of the
//! server those of all.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use wire::auth::Credentials;
use wire::head::Head;
use wire::metadata::{Dialect, MetadataRequest};
use wire::source::{SourceRequest, answers, classify};

use super::Door;
use crate::base::head::{self, BodyFailure, Request, answer_and_close};
use crate::base::net::{Role, Stray};
use crate::base::throttle::Account;
use crate::mount::admission::{self, Denied};
use crate::mount::history;
use crate::mount::{Mount, Sender};

/// Longest form with a title: the longest title in the widest encoding takes 12,000 bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// The user that is meant by a SHOUTcast password alone.
const ADMIN: &str = "admin";

impl Door {
    /// Serves a request of metadata. `peer` is whose wrong passwords are counted: behind a proxy not the proxy.
    pub async fn take_metadata(&self, mut socket: TcpStream, peer: SocketAddr, mut request: Request) {
        let answer = match classify(&request.head) {
            _ if is_foreign(&request.head) => {
                Some(answers::refusal(403, "Forbidden", "A page of another origin sets no titles.\n"))
            }
            SourceRequest::Metadata(asked) => self.set_title(&request, &asked, peer).await,
            SourceRequest::MetadataForm(dialect) => {
                match head::read_body(&mut socket, &request, FORM_BYTES_MAX).await {
                    Ok(body) => {
                        request.rest = body;
                        self.set_title_by_form(&request, dialect, peer).await
                    }
                    Err(failure) => Some(refuse_body(&failure)),
                }
            }
            _ => Some(answers::bad_request("this is no request to set a title")),
        };
        match answer {
            Some(answer) => answer_and_close(socket, &answer).await,
            None => {
                let bytes = request.bytes();
                self.gate.stray(Stray { role: Role::Sources, socket, peer, bytes, is_kept: false });
            }
        }
    }

    async fn set_title_by_form(
        &self,
        request: &Request,
        dialect: Dialect,
        peer: SocketAddr,
    ) -> Option<Bytes> {
        match MetadataRequest::decode_form(&request.head.target, &request.rest, dialect) {
            Ok(asked) => self.set_title(request, &asked, peer).await,
            Err(error) => Some(answers::bad_request(&error.to_string())),
        }
    }

    /// The answer; none if all mounts have been given away.
    async fn set_title(&self, request: &Request, asked: &MetadataRequest, peer: SocketAddr) -> Option<Bytes> {
        if self.throttle.is_crowded(peer.ip()) {
            return Some(answers::unauthorized());
        }
        let given = wire::auth::basic(request.head.header("authorization"));
        let found = match asked.dialect {
            Dialect::Icecast => self.find_named(asked, given.as_ref()),
            Dialect::Shoutcast => self.find_by_login(asked, given.as_ref()),
        };
        let (mount, dj) = match found {
            Ok(found) => found,
            Err(Unfit::NoMount) => return Some(answers::metadata_unknown_mount()),
            Err(Unfit::NoCredentials) => return Some(answers::unauthorized()),
            Err(Unfit::Denied(denied)) => {
                let reason = history::cut(&denied.refusal.to_string());
                tracing::info!(%peer, reason, "a title was refused");
                self.throttle.punish(peer.ip(), Account::Unknown, self.clock.mono()).await;
                return Some(answers::unauthorized());
            }
        };
        if !asked.is_update() {
            return Some(answers::metadata_unknown_action());
        }
        let agent = Some(request.head.header("user-agent").unwrap_or_default().to_owned());
        let _inside = self.gate.enter().await?;
        mount.set_metadata(Sender { dj, ip: Some(peer.ip()), agent }, asked.metadata(mount.charset())).await;
        Some(match asked.dialect {
            Dialect::Icecast => answers::metadata_done(),
            Dialect::Shoutcast => answers::metadata_done_shoutcast(),
        })
    }

    fn find_named(&self, asked: &MetadataRequest, given: Option<&Credentials>) -> Found {
        let path = asked.mount.as_deref().ok_or(Unfit::NoMount)?;
        let given = given.ok_or(Unfit::NoCredentials)?;
        match admission::by_path(&self.mounts, path, Some(given)) {
            Ok(admitted) => Ok((admitted.mount, admitted.person.into_dj())),
            Err(_) if self.users.know(given) => {
                self.mounts.find_path(path).map(|mount| (mount, None)).ok_or(Unfit::NoMount)
            }
            Err(denied) => Err(Unfit::Denied(denied)),
        }
    }

    fn find_by_login(&self, asked: &MetadataRequest, given: Option<&Credentials>) -> Found {
        let login = asked.login(given).ok_or(Unfit::NoCredentials)?;
        let denied = match admission::by_login(&self.mounts, &login) {
            Ok(admitted) => return Ok((admitted.mount, admitted.person.into_dj())),
            Err(denied) => denied,
        };
        let claims = login.claims().into_iter().map(|mut claim| {
            if claim.credentials.user.is_empty() {
                claim.credentials.user = ADMIN.to_owned();
            }
            claim
        });
        for claim in claims {
            if self.users.know(&claim.credentials) {
                match admission::find_place(&self.mounts, &claim.place) {
                    Some(mount) => return Ok((mount, None)),
                    None if asked.mount.is_some() => return Err(Unfit::NoMount),
                    // It was not meant as a place.
                    None => {}
                }
            }
        }
        Err(Unfit::Denied(denied))
    }
}

/// True if a browser asks for a page of another origin, perhaps with a password that it remembers. No encoder says so.
fn is_foreign(head: &Head) -> bool {
    let is_other = |origin: &str| {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        !head.header("host").is_some_and(|own| own.eq_ignore_ascii_case(host))
    };
    matches!(head.header("sec-fetch-site"), Some("cross-site" | "same-site"))
        || head.header("origin").is_some_and(is_other)
}

/// The mount whose title is set, and the DJ who sets it.
type Found = Result<(Arc<Mount>, Option<String>), Unfit>;

/// Why a title is not set.
enum Unfit {
    /// No mount is named, or none that is there.
    NoMount,
    /// Without a password.
    NoCredentials,
    /// With a wrong one.
    Denied(Denied),
}

fn refuse_body(failure: &BodyFailure) -> Bytes {
    let (status, reason) = match failure {
        BodyFailure::NoLength => (411, "Length Required"),
        BodyFailure::TooLong(_) => (413, "Content Too Large"),
        BodyFailure::Missing => (408, "Request Timeout"),
    };
    answers::refusal(status, reason, &format!("{failure}\n"))
}
