//! What is found in a configuration: mistakes, keys without effect, and where each stands.
//!
//! Only words and places; what is looked for is in `admit` and `check`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::locate::Place;

/// Where a setting comes from; later ones win over earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It is nowhere; the default holds.
    Default,
    /// A file.
    File(Arc<str>, Place),
    /// An option of the command line.
    CommandLine(String),
    /// An environment variable.
    Environment(String),
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The server does not start.
    Error,
    /// A key that is not known: it has no effect, and most likely should have one.
    Unknown,
    /// It does not do what it says.
    Warning,
    /// Worth knowing.
    Note,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Where it stands.
    pub origin: Origin,
    /// The key, segments joined by dots; empty for the whole.
    pub path: String,
    /// What is found, and what is allowed instead.
    pub message: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The file is no JSON, not even with comments.
    #[error("{file}:{place}: {reason}")]
    Syntax {
        /// The file.
        file: Arc<str>,
        /// Where reading ended.
        place: Place,
        /// What was expected there.
        reason: String,
    },
    /// Settings have values that they cannot have. Displayed as one line for each error.
    #[error("{}", lines(findings))]
    Invalid {
        /// Everything found, errors and others.
        findings: Vec<Finding>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(file, place) => write!(f, "{file}:{place}"),
            Origin::CommandLine(name) => write!(f, "option --{name}"),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Unknown | Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

fn lines(findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(Finding::to_string).collect::<Vec<_>>().join("\n")
}
