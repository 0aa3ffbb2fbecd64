//! Who may send to which mount, and, in words that the user of an encoder understands, why not.
//!
//! Decides only; answers and delays are the door's.

use std::sync::Arc;

use wire::auth::Credentials;
use wire::shoutcast::{Claim, Login, Place};

use crate::base::throttle::Account;
use crate::config::Person;
use crate::mount::Mount;
use crate::mount::registry::Registry;

/// A mount that is asked for under another name is suggested if its name is at most this far from that one.
/// Bytes of the longest path that may be a mistyped key: a key has 64 at most.
const PATH_BYTES_MAX: usize = 100;
const TYPOS_MAX: usize = 2;

/// Who was let in where.
#[derive(Debug)]
pub struct Admitted {
    /// The mount.
    pub mount: Arc<Mount>,
    /// Who.
    pub person: Person,
}

/// Why somebody was not let in.
#[derive(Debug)]
pub struct Denied {
    /// The mount that was meant, if there is one.
    pub mount: Option<Arc<Mount>>,
    /// Why.
    pub refusal: Refusal,
}

impl Admitted {
    /// Runs `with` the account whose password was given.
    pub fn account<T>(&self, with: impl FnOnce(Account<'_>) -> T) -> T {
        match self.person {
            Person::Source => with(Account::Mount(&self.mount.path())),
            Person::Dj(_) => with(Account::Unknown),
        }
    }
}

impl Refusal {
    /// The account at which a wrong password, said for a mount by its path, was a guess. A DJ's name is none: with it, the
    /// password may be the mount's as well.
    pub fn account(&self) -> Account<'_> {
        match self {
            Refusal::WrongPassword { is_dj: false, path, .. } => Account::Mount(path),
            _ => Account::Unknown,
        }
    }
}

/// Why a source is refused, as its user is told. Mounts are named by their paths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Without user and password.
    #[error("no user and password were sent for {0} (libshout always asks like this first)")]
    NoCredentials(String),
    /// No such mount.
    #[error("no mount {path}{}", suggestion(.similar.as_deref()))]
    NoMount {
        /// What was asked for.
        path: String,
        /// What was perhaps meant.
        similar: Option<String>,
    },
    /// Nobody can connect.
    #[error("{0} has no password set, so no source can connect")]
    Closed(String),
    /// A wrong password.
    #[error("wrong password{} on {path}", of_user(.user, *.is_dj))]
    WrongPassword {
        /// User name; empty if there was none.
        user: String,
        /// True if a DJ of the mount has that name.
        is_dj: bool,
        /// The mount.
        path: String,
    },
    /// No stream of this number.
    #[error("no stream has the number {number}: they are numbered from 1 to {count} unless `sid` is set")]
    NoStream {
        /// What was asked for.
        number: u16,
        /// How many mounts there are.
        count: usize,
    },
    /// A SHOUTcast password of no mount, where none is the default.
    #[error("the password is that of no mount")]
    Unknown,
    /// A SHOUTcast password of several mounts.
    #[error("the password fits several mounts: write /mount:password or password:#number as the password")]
    Ambiguous,
}

fn suggestion(similar: Option<&str>) -> String {
    similar.map_or(String::new(), |similar| format!("; did you mean {similar}?"))
}

fn of_user(user: &str, is_dj: bool) -> String {
    match (user, is_dj) {
        ("", _) => String::new(),
        (dj, true) => format!(" for DJ '{dj}'"),
        (user, false) => format!(" for user '{user}'"),
    }
}

/// Lets in whoever names a mount by its path.
///
/// # Errors
/// Who is not let in, and why.
pub fn by_path(mounts: &Registry, path: &str, given: Option<&Credentials>) -> Result<Admitted, Denied> {
    let Some(mount) = mounts.find_path(path) else { return Err(no_mount(mounts, path)) };
    let Some(given) = given else {
        let refusal = Refusal::NoCredentials(mount.path());
        return Err(Denied { mount: Some(mount), refusal });
    };
    match mount.config().admit(given) {
        Some(person) => Ok(Admitted { mount, person }),
        None => Err(wrong_password(mount, &given.user)),
    }
}

/// Lets in whoever has said a password as SHOUTcast v1 has it: the first claim that fits counts.
///
/// # Errors
/// Who is not let in, and why.
pub fn by_login(mounts: &Registry, login: &Login) -> Result<Admitted, Denied> {
    let claims = login.claims();
    let names_mount = claims.iter().any(|claim| match &claim.place {
        Place::Mount(path) => mounts.find_path(path).is_some(),
        Place::Stream(_) | Place::Any => false,
    });
    for claim in &claims {
        let candidates = match &claim.place {
            Place::Any => mounts.all(),
            place => find_place(mounts, place).into_iter().collect(),
        };
        // In `news:pw` news is the mount, if there is one: the password does not lead to another. DJs may be called so.
        let only_djs = claim.place == Place::Any && names_mount && !claim.credentials.user.is_empty();
        let fitting = candidates.into_iter().filter_map(|mount| {
            let person = mount.config().admit(&claim.credentials)?;
            (!only_djs || person != Person::Source).then_some(Admitted { mount, person })
        });
        match choose(mounts, fitting.collect()) {
            Ok(Some(admitted)) => return Ok(admitted),
            Ok(None) => {}
            Err(refusal) => return Err(Denied { mount: None, refusal }),
        }
    }
    Err(explain(mounts, &claims))
}

/// The mount at `place`; for a source that may go anywhere, the default one.
pub fn find_place(mounts: &Registry, place: &Place) -> Option<Arc<Mount>> {
    match place {
        Place::Mount(path) => mounts.find_path(path),
        Place::Stream(number) => mounts.find_number(*number),
        Place::Any => mounts.default_mount(),
    }
}

/// The only mount that fits, or the default one of several.
fn choose(mounts: &Registry, mut fitting: Vec<Admitted>) -> Result<Option<Admitted>, Refusal> {
    if fitting.len() <= 1 {
        return Ok(fitting.pop());
    }
    let default = mounts.default_mount().map(|mount| mount.key().to_owned());
    let chosen = fitting.into_iter().find(|it| Some(it.mount.key()) == default.as_deref());
    chosen.map(Some).ok_or(Refusal::Ambiguous)
}

/// Why none of the claims fits. User names are told only where they are those of DJs: others may be half a password.
fn explain(mounts: &Registry, claims: &[Claim]) -> Denied {
    let dj_of = |mount: &Mount| {
        let users = claims.iter().map(|claim| claim.credentials.user.as_str());
        users.into_iter().find(|user| mount.config().djs.contains_key(*user)).unwrap_or_default()
    };
    // `jo:pw` may name a mount called jo; if there is none, that is not what it means.
    for claim in claims {
        match &claim.place {
            Place::Stream(number) if mounts.find_number(*number).is_none() => {
                let refusal = Refusal::NoStream { number: *number, count: mounts.all().len() };
                return Denied { mount: None, refusal };
            }
            Place::Mount(path) if mounts.find_path(path).is_none() => {
                if is_named_apart(claims, path) {
                    return no_mount(mounts, path);
                }
            }
            place => {
                return match find_place(mounts, place) {
                    Some(mount) => {
                        let user = dj_of(&mount).to_owned();
                        wrong_password(mount, &user)
                    }
                    None => Denied { mount: None, refusal: Refusal::Unknown },
                };
            }
        }
    }
    Denied { mount: None, refusal: Refusal::Unknown }
}

/// True if `path` was surely meant as a mount: it is the only place of all claims, or it was written with its slash.
fn is_named_apart(claims: &[Claim], path: &str) -> bool {
    let start = format!("{path}:");
    let with_slash = claims
        .iter()
        .any(|claim| claim.place == Place::Any && claim.credentials.password.starts_with(&start));
    with_slash || claims.iter().all(|claim| claim.place == Place::Mount(path.to_owned()))
}

fn wrong_password(mount: Arc<Mount>, user: &str) -> Denied {
    let config = mount.config();
    let refusal = if config.is_closed() {
        Refusal::Closed(mount.path())
    } else {
        let is_dj = config.djs.contains_key(user);
        Refusal::WrongPassword { user: user.to_owned(), is_dj, path: mount.path() }
    };
    Denied { mount: Some(mount), refusal }
}

fn no_mount(mounts: &Registry, path: &str) -> Denied {
    let wanted = path.to_ascii_lowercase();
    // What is longer than any key is no mistyped one.
    let all = if wanted.len() <= PATH_BYTES_MAX { mounts.all() } else { Vec::new() };
    let near = all.into_iter().map(|mount| {
        let path = mount.path();
        (strsim::damerau_levenshtein(&path.to_ascii_lowercase(), &wanted), path)
    });
    let similar = near.min().filter(|(distance, _)| *distance <= TYPOS_MAX).map(|(_, path)| path);
    Denied { mount: None, refusal: Refusal::NoMount { path: path.to_owned(), similar } }
}
