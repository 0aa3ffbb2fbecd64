//! The options of `streammachine rewind`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

use super::{examples, seconds};

/// Options of `streammachine rewind`.
#[derive(Clone, Debug, Args)]
pub struct RewindArgs {
    /// What to do with it
    #[command(subcommand)]
    pub action: RewindAction,
}

/// What `streammachine rewind` does.
#[derive(Clone, Debug, Subcommand)]
pub enum RewindAction {
    /// Report what a directory holds, and damage; changes nothing, beside a running server too
    #[command(after_help = examples::REWIND_INSPECT)]
    Inspect(InspectArgs),
    /// Write a span of a stream as an audio file, or as a dump that can be imported; beside a running server too
    #[command(after_help = examples::REWIND_EXPORT)]
    Export(ExportArgs),
    /// Put a dump behind the oldest audio of a stream; no server may have the directory meanwhile
    #[command(after_help = examples::REWIND_IMPORT)]
    Import(ImportArgs),
}

/// Options of `streammachine rewind inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// The setting rewind.dir, or the directory of one stream in it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Report this stream only
    #[arg(long, value_name = "KEY")]
    pub stream: Option<String>,
    /// List the titles too
    #[arg(long)]
    pub titles: bool,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
    /// Zone of local times [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub timezone: Option<TimeZone>,
}

/// Options of `streammachine rewind export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The setting rewind.dir, or the directory of one stream in it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Key of the stream; needed if there are several
    #[arg(long, value_name = "KEY")]
    pub stream: Option<String>,
    /// First instant: RFC 3339, unix seconds, -3600 or HH:MM [default: the oldest]
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    pub start: Option<String>,
    /// Instant before which it ends [default: the newest]
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    pub end: Option<String>,
    /// File to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Audio)]
    pub format: ExportFormat,
    /// Write the file even if it is there
    #[arg(long)]
    pub force: bool,
    /// Zone of local times [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub timezone: Option<TimeZone>,
}

/// What `streammachine rewind export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Frames and nothing else: an MP3 or AAC (ADTS) file
    Audio,
    /// Audio with its times, breaks and titles, for import
    Dump,
}

/// Options of `streammachine rewind import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The setting rewind.dir
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Key of the stream to put it into
    #[arg(long, value_name = "KEY")]
    pub stream: String,
    /// A dump: of rewind export, of the API or of the original; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The setting hls.segment_duration of the server
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub segment: f64,
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text)
        .map_err(|_| "expected a zone of the tz database, such as Europe/Berlin or UTC".to_owned())
}
