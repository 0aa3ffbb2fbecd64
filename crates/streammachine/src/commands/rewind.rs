//! `streammachine rewind`: inspects, exports and fills the directories of rewind buffers.

mod export;
mod inspect;
mod load;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use jiff::Zoned;
use jiff::tz::TimeZone;
use rewind::{StreamDirectory, find_streams};

use crate::cli::RewindAction;

/// What cannot be done ends so; 1 means damage.
const FAILED: u8 = 2;

/// Does what `action` says, with `out` as standard output.
pub fn run(action: &RewindAction, out: &mut impl Write) -> ExitCode {
    let err = &mut io::stderr().lock();
    let done = match action {
        RewindAction::Inspect(args) => inspect::run(args, out),
        RewindAction::Export(args) => export::run(args, out, err).map(|()| ExitCode::SUCCESS),
        RewindAction::Import(args) => load::run(args, err).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        // Nobody is there to be told if that fails.
        let _ = writeln!(err, "error: {error:#}");
        ExitCode::from(FAILED)
    })
}

/// The streams at `dir`, or the one of them that is asked for; never none.
fn streams_at(dir: &Path, key: Option<&str>) -> anyhow::Result<Vec<StreamDirectory>> {
    let name = dir.display();
    let mut streams = find_streams(dir).with_context(|| format!("{name}: cannot be read"))?;
    if streams.is_empty() {
        bail!(
            "{name}: holds no stream; expected the directory that rewind.dir names, or that of a stream in it"
        );
    }
    if let Some(key) = key {
        let known = keys_of(&streams);
        streams.retain(|stream| stream.key == key);
        if streams.is_empty() {
            bail!("{name}: has no stream {key}; it holds {known}");
        }
    }
    Ok(streams)
}

fn keys_of(streams: &[StreamDirectory]) -> String {
    streams.iter().map(|stream| stream.key.as_str()).collect::<Vec<_>>().join(", ")
}

/// The zone of local times: the one that is asked for, or the system's.
fn zone(asked: Option<&TimeZone>) -> TimeZone {
    asked.cloned().unwrap_or_else(TimeZone::system)
}

/// `time` in `zone`, with its distance from UTC.
fn local(time: audio::Time, zone: &TimeZone) -> String {
    let zoned: Zoned = crate::base::clock::timestamp(time).to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
}
