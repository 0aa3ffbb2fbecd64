//! Loads the configuration: reads its sources, lays them together, judges them, and makes the settings.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path as FilePath, PathBuf};

use serde_json::{Map, Value};

use super::admit::admit;
use super::changes::InEffect;
use super::check::check;
use super::findings::{ConfigError, Finding, Origin, Severity};
use super::keys::{self, Found};
use super::settings::Settings;
use super::tree::{Tree, fill, mask, parse_text};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/streammachine.conf";

/// The longest file that is read.
pub(super) const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where settings may come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// The file that is read when none is named; it may be missing.
    pub default_file: PathBuf,
    /// The environment: names and values.
    pub env: Vec<(String, String)>,
    /// Settings of the command line: paths joined by `:`, and values. Of two for one path, the later counts.
    pub args: Vec<(String, String)>,
}

/// A configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What was found that does not stop the start.
    pub warnings: Vec<Finding>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// The same as names and values, to be compared.
    pub in_effect: InEffect,
    /// All settings in effect as JSON, secrets masked.
    pub shown: Value,
    /// Where each setting that is not a default comes from, by path.
    pub origins: Vec<(String, Origin)>,
}

impl Sources {
    /// The sources of this process: its environment, beside what its command line says.
    pub fn of_process(file: Option<PathBuf>, args: Vec<(String, String)>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Sources { file, default_file: DEFAULT_FILE.into(), env: env.collect(), args }
    }

    /// The file that must be there, named on the command line or else in the environment.
    fn named_file(&self) -> Option<PathBuf> {
        let variable = |name| self.env.iter().find(|(key, value)| key == name && !value.is_empty());
        let named =
            || variable("config").or_else(|| variable("CONFIG")).map(|(_, value)| PathBuf::from(value));
        self.file.clone().or_else(named)
    }
}

/// Loads the configuration from `sources`: environment over command line over file over defaults.
///
/// # Errors
/// A file that cannot be read, or anything found that settings cannot be; all of it at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut findings = Vec::new();
    let named = sources.named_file();
    let file = named.clone().unwrap_or_else(|| sources.default_file.clone());
    let text = read(&file, named.is_some())?;
    let mut tree = match &text {
        Some(text) => Tree::parse(&file.display().to_string().into(), text)?,
        None => {
            let message =
                format!("there is no configuration file {}; defaults are in effect", file.display());
            findings.push(Finding {
                severity: Severity::Note,
                origin: Origin::Default,
                path: String::new(),
                message,
            });
            Tree::default()
        }
    };
    for (name, value) in &sources.args {
        let path: Vec<String> = name.split(':').map(str::to_owned).collect();
        let value = parse_text(&path, value).unwrap_or_else(|| value.as_str().into());
        tree.set(&path, value, &Origin::CommandLine(name.clone()));
    }
    for (name, value) in &sources.env {
        set_variable(&mut tree, name, value);
    }
    judge(&tree, findings, text.map(|_| file))
}

/// Judges a file's text alone, as [`load`] does with all sources.
///
/// # Errors
/// As [`load`].
pub fn load_text(name: &str, text: &str) -> Result<Loaded, ConfigError> {
    judge(&Tree::parse(&name.into(), text)?, Vec::new(), None)
}

/// Takes an environment variable that is named as a setting: `port`, `hls:segment_duration`, `hls__segment_duration`.
/// An empty one, and one that is only named as a group of settings, is somebody else's.
fn set_variable(tree: &mut Tree, name: &str, value: &str) {
    let separator = if name.contains(':') { ":" } else { "__" };
    let path: Vec<String> = name.split(separator).map(str::to_owned).collect();
    let ours = match keys::find(&path) {
        Found::Nothing => path.len() > 1 && matches!(keys::find(&path[..1]), Found::Section),
        Found::Key(_) | Found::Section => true,
    };
    if !ours || value.is_empty() {
        return;
    }
    let parsed = parse_text(&path, value);
    let unknown = matches!(keys::find(&path), Found::Nothing);
    if let Some(value) = parsed.or_else(|| unknown.then(|| value.into())) {
        tree.set(&path, value, &Origin::Environment(name.to_owned()));
    }
}

fn judge(tree: &Tree, mut findings: Vec<Finding>, file: Option<PathBuf>) -> Result<Loaded, ConfigError> {
    let (mut taken, found) = admit(tree);
    findings.extend(found);
    fill(&mut taken);
    let settings = Settings::read(&taken).map_err(|(path, error)| Finding {
        severity: Severity::Error,
        origin: tree.origin(&path.split('.').map(str::to_owned).collect::<Vec<_>>()),
        path: path.to_owned(),
        message: error.to_string(),
    });
    match &settings {
        Ok(settings) => findings.extend(check(settings, tree)),
        Err(finding) => findings.push(finding.clone()),
    }
    findings.sort_by(|a, b| a.origin.cmp(&b.origin));
    match settings {
        Ok(settings) if findings.iter().all(|finding| finding.severity != Severity::Error) => Ok(Loaded {
            settings,
            warnings: findings,
            file,
            in_effect: InEffect::new(taken.clone()),
            shown: show(taken),
            origins: tree.origins().map(|(path, origin)| (path, origin.clone())).collect(),
        }),
        _ => Err(ConfigError::Invalid { findings }),
    }
}

fn show(mut taken: Map<String, Value>) -> Value {
    mask(&mut taken, &mut Vec::new());
    Value::Object(taken)
}

/// The text of `file`; none if it is not there and need not be.
fn read(file: &FilePath, must_exist: bool) -> Result<Option<String>, ConfigError> {
    let unreadable = |reason| ConfigError::Unreadable { file: file.to_owned(), reason };
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = String::new();
    let length = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes"))));
    }
    Ok(Some(text))
}
