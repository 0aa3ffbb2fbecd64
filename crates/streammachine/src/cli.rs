//! The command line: its subcommands, their options, and what the options say together.
//!
//! Settings given as options are taken out by `config::options`; what a subcommand does is under `commands`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wire::auth::Secret;

use crate::config::options::{self, Own};

mod examples;
mod rewind;

pub use rewind::{
    ExportArgs, ExportFormat, ImportArgs as RewindImportArgs, InspectArgs, RewindAction, RewindArgs,
};

/// Longest password file that is read; a longer one is no password.
const PASSWORD_BYTES_MAX: u64 = 4096;
/// Environment variable that holds a source's password.
const PASSWORD_VARIABLE: &str = "STREAMMACHINE_PASSWORD";

/// A live audio server for radio that keeps hours of each stream, so that listeners can start anywhere in them.
#[derive(Debug, Parser)]
#[command(name = "streammachine", version, after_help = examples::MAIN)]
pub struct Cli {
    /// Configuration file (JSON, comments allowed) [default: /etc/streammachine.conf]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take sources and serve listeners (the default)
    #[command(after_help = examples::SERVE)]
    Serve,
    /// Keep a server running: start it again after a crash, and replace it by a new one that takes over
    #[command(after_help = examples::RUNNER)]
    Runner(RunnerArgs),
    /// Send an audio file to a server at its real pace, as an encoder does
    #[command(after_help = examples::SOURCE)]
    Source(SourceArgs),
    /// Listen to a stream and report rate, gaps, titles and frame errors
    #[command(alias = "listener", after_help = examples::LISTEN)]
    Listen(ListenArgs),
    /// Check, show or describe the configuration
    #[command(after_help = examples::CONFIG)]
    Config(ConfigArgs),
    /// Inspect, export or fill the rewind buffers that a directory keeps
    #[command(after_help = examples::REWIND)]
    Rewind(RewindArgs),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = examples::MAN)]
    Man,
}

/// Options of `streammachine runner`.
#[derive(Clone, Debug, Args)]
pub struct RunnerArgs {
    /// Start a new server, which takes over, whenever this file changes; if it is not there, wait for it first
    #[arg(long, value_name = "FILE")]
    pub watch: Option<PathBuf>,
    /// What the processes are called in lists of them
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Settings for the server, as for `serve`
    #[arg(last = true, value_name = "OPTIONS")]
    pub server: Vec<OsString>,
}

/// Options of `streammachine source`.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Server to send to
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,
    /// Its source port
    #[arg(long, default_value_t = 8001, value_name = "PORT")]
    pub port: u16,
    /// Key of the stream to feed; the mount is /KEY
    #[arg(long, value_name = "KEY", required_unless_present = "mount", conflicts_with = "mount")]
    pub stream: Option<String>,
    /// Mount to feed
    #[arg(long, value_name = "PATH")]
    pub mount: Option<String>,
    /// Source password; others on this machine can see it, prefer the variable STREAMMACHINE_PASSWORD or a file
    #[arg(long, value_name = "PASSWORD", conflicts_with = "password_file", value_parser = secret)]
    pub password: Option<Secret>,
    /// File that holds the source password in its first line
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// How to send
    #[arg(long, value_enum, default_value_t = SourceProtocol::Put)]
    pub protocol: SourceProtocol,
    /// Start the file again at its end
    #[arg(long = "loop")]
    pub repeat: bool,
    /// Title to set once connected
    #[arg(long, value_name = "TITLE")]
    pub title: Option<String>,
    /// Seconds of audio to send at once before the real pace
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", value_parser = seconds)]
    pub burst: f64,
    /// MP3 or AAC (ADTS) file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// How `streammachine source` speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceProtocol {
    /// HTTP PUT, as current Icecast encoders
    Put,
    /// SOURCE, as older Icecast encoders
    Source,
}

/// Options of `streammachine listen`.
#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// Address to listen to, for example http://127.0.0.1:8000/test
    #[arg(value_name = "URL", required_unless_present = "stream", conflicts_with_all = ["host", "port", "stream"])]
    pub url: Option<String>,
    /// Server to listen to
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,
    /// Its listener port
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    pub port: u16,
    /// Key of the stream
    #[arg(long, value_name = "KEY")]
    pub stream: Option<String>,
    /// Ask for titles and report them
    #[arg(long)]
    pub icy: bool,
    /// Start so many seconds ago
    #[arg(long, value_name = "SECONDS", conflicts_with = "start", value_parser = seconds)]
    pub offset: Option<f64>,
    /// Start at this instant: RFC 3339, unix seconds, -3600 or HH:MM
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    pub start: Option<String>,
    /// Stop after so many seconds [default: at the end of the stream]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Listen so many times at once
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: u32,
    /// Report as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Write the audio to this file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `streammachine config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// What to do with it
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What `streammachine config` does.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// Report every mistake; fails on errors and unknown keys
    Check,
    /// Print the settings in effect, secrets masked
    Show {
        /// Print where each setting that is not a default comes from
        #[arg(long)]
        origins: bool,
    },
    /// Make a configuration from an Icecast's, and tell what cannot be taken over
    #[command(after_help = examples::IMPORT)]
    Import(ImportArgs),
    /// Print a JSON Schema for editors
    Schema,
    /// Print the reference of all settings, in Markdown
    Reference,
}

/// Options of `streammachine config import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// Icecast's configuration (2.4, 2.5, icecast-kh, AzuraCast)
    #[arg(value_name = "ICECAST.XML")]
    pub file: PathBuf,
    /// Write to this file, which only its owner may read [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the file even if it is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// A mount that encoders use and the file does not name; may be given several times
    #[arg(long = "mount", value_name = "/NAME")]
    pub mounts: Vec<String>,
}

/// A command line: its settings, and the rest.
#[derive(Debug)]
pub struct Invocation {
    /// What is no setting.
    pub cli: Cli,
    /// Paths joined by `:`, and values.
    pub settings: Vec<(String, String)>,
}

/// A stream on a server, as a listener asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

/// Reads a command line, program name first.
///
/// # Errors
/// As clap's; exits of `--help` and `--version` are among them.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let mut command = Cli::command();
    command.build();
    let with_own_options = ["source", "listen", "listener", "rewind", "completions", "man", "help"];
    let mut own = Vec::new();
    own_options(&command, &with_own_options, &mut own);
    let split = options::split(args, &own, &with_own_options).map_err(|error| {
        let kind = match error {
            options::OptionError::Unknown { .. } => ErrorKind::UnknownArgument,
            options::OptionError::NoValue { .. } => ErrorKind::InvalidValue,
        };
        command.error(kind, error)
    })?;
    let cli = Cli::from_arg_matches(&command.try_get_matches_from(split.rest)?)?;
    Ok(Invocation { cli, settings: split.settings })
}

/// The options of `command` and of its subcommands, those left out that see no settings.
fn own_options(command: &clap::Command, without: &[&str], own: &mut Vec<Own>) {
    for arg in command.get_arguments() {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        let takes_value = arg.get_action().takes_values();
        own.extend(long.into_iter().chain(short).map(|spelling| Own { spelling, takes_value }));
    }
    for subcommand in command.get_subcommands().filter(|it| !without.contains(&it.get_name())) {
        own_options(subcommand, without, own);
    }
}

impl SourceArgs {
    /// The mount's path on the server.
    pub fn mount_path(&self) -> String {
        let name =
            self.mount.as_ref().or(self.stream.as_ref()).map_or("", |name| name.trim_start_matches('/'));
        format!("/{name}")
    }

    /// The source password: the option's, else the file's, else that of the environment.
    ///
    /// # Errors
    /// None is given, or the file cannot be read.
    pub fn secret(&self) -> anyhow::Result<Secret> {
        self.secret_or(std::env::var(PASSWORD_VARIABLE).ok())
    }

    fn secret_or(&self, variable: Option<String>) -> anyhow::Result<Secret> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        if let Some(path) = &self.password_file {
            let name = path.display();
            let file = File::open(path).with_context(|| format!("cannot open the password file {name}"))?;
            let mut line = String::new();
            let mut file = BufReader::new(file.take(PASSWORD_BYTES_MAX));
            file.read_line(&mut line).with_context(|| format!("cannot read the password file {name}"))?;
            return Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()));
        }
        match variable {
            Some(password) => Ok(Secret::new(password)),
            None => {
                bail!("a password is needed: set {PASSWORD_VARIABLE}, or use --password-file or --password")
            }
        }
    }
}

impl ListenArgs {
    /// Where to listen, from the address or from host, port and stream.
    ///
    /// # Errors
    /// The address is none of `http`.
    pub fn target(&self) -> anyhow::Result<Target> {
        let mut target = match (&self.url, &self.stream) {
            (Some(url), _) => parse_url(url)?,
            (None, Some(stream)) => Target {
                host: self.host.clone(),
                port: self.port,
                path: format!("/{}", stream.trim_start_matches('/')),
            },
            (None, None) => bail!("an address or --stream is needed"),
        };
        let offset = self.offset.map(|seconds| format!("offset={seconds}"));
        let start = self
            .start
            .as_ref()
            .map(|start| format!("start={}", utf8_percent_encode(start, NON_ALPHANUMERIC)));
        if let Some(parameter) = offset.or(start) {
            target.path.push(if target.path.contains('?') { '&' } else { '?' });
            target.path.push_str(&parameter);
        }
        Ok(target)
    }
}

fn parse_url(url: &str) -> anyhow::Result<Target> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not start with http://"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // An IPv6 address has colons of its own, in brackets.
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => {
            (host, port.parse().with_context(|| format!("{url} has no port but \"{port}\""))?)
        }
        None => (authority, 80),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        bail!("{url} has no host");
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target { host: host.to_owned(), port, path })
}

/// Longest time that an option can say: a year.
const SECONDS_MAX: f64 = 31_536_000.0;

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    seconds.ok_or_else(|| "expected a number of seconds from 0 to 31,536,000".to_owned())
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
