//! The configuration: from file, command line and environment to typed settings.
//!
//! Loading goes `tree` (lay together) → `admit` (each key against the table) → `check` (keys together) → `settings`.
//! `table` lists every key; suggestions, schema and reference page derive from it. Nothing here opens a socket or knows
//! what settings are for.

mod admit;
pub mod changes;
mod check;
mod coerce;
mod fallback;
mod findings;
pub mod import;
pub mod keys;
mod load;
mod locate;
mod mount;
pub mod options;
mod patch;
mod schedule;
pub mod schema;
mod settings;
mod station;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod upstream;
mod values;

pub use fallback::Fallback;
pub use findings::{ConfigError, Finding, Severity};
pub use load::{Loaded, Sources, load, load_text};
pub use mount::{MountConfig, Person};
pub use schedule::{PROGRAM_NAME_CHARS_MAX, ScheduleEntry};
pub use settings::Settings;
pub use station::is_web_address;
pub use stream::{StationFacts, StreamConfig};
pub use upstream::Upstream;
