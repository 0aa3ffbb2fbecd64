//! `streammachine rewind export`: a span of a stream as an audio file or a dump.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use audio::{Format, Time};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rewind::{Log, Position, dump};
use wire::instant;

use super::{keys_of, streams_at, zone};
use crate::base::clock::{self, Clock, iso};
use crate::cli::{ExportArgs, ExportFormat};
use crate::commands::output;

/// Who may read the file is the user's matter (`umask`).
const MODE: u32 = 0o666;
/// Time between two lines about the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What is exported: whole frames.
struct Span {
    from: Position,
    to: Position,
    start: Time,
    end: Time,
    bytes: u64,
}

/// Writes what `args` name to their file or to `out`, and tells on `err`.
///
/// # Errors
/// What cannot be read or written, instants that are none, a span without audio, and one of several formats that is to be
/// an audio file.
pub fn run(args: &ExportArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<()> {
    let streams = streams_at(&args.dir, args.stream.as_deref())?;
    let [stream] = streams.as_slice() else {
        bail!("{}: holds {}; say which one with --stream", args.dir.display(), keys_of(&streams));
    };
    let look = Log::look(&stream.dir, &stream.key)?;
    for finding in &look.recovery.findings {
        writeln!(
            err,
            "warning: left out where it is damaged: block {:020}: {}",
            finding.position.0, finding.fault
        )?;
    }
    let zone = zone(args.timezone.as_ref());
    let now = clock::timestamp(Clock::start().now().wall);
    let start = parse(args.start.as_deref(), now, &zone)?;
    let end = parse(args.end.as_deref(), now, &zone)?;
    let span = span(&look.log, start, end).with_context(|| format!("stream {}", stream.key))?;
    match args.format {
        ExportFormat::Audio => {
            check_formats(&look.log, &span)?;
            let pieces = look.log.chunks_between(span.from, span.to).map(|chunk| chunk.data);
            write(args, pieces, span.bytes, out, err)?;
        }
        ExportFormat::Dump => {
            write(args, dump::write_span(&look.log, span.from, span.to), span.bytes, out, err)?;
        }
    }
    writeln!(err, "{} bytes of audio, from {} to {}", span.bytes, iso(span.start), iso(span.end))?;
    Ok(())
}

fn parse(text: Option<&str>, now: Timestamp, zone: &TimeZone) -> anyhow::Result<Option<Time>> {
    Ok(text.map(|text| instant::parse(text, now, zone, false)).transpose()?.map(clock::time))
}

/// The frames that start at `start` or later and before `end`, as far as there are any.
fn span(log: &Arc<Log>, start: Option<Time>, end: Option<Time>) -> anyhow::Result<Span> {
    let Some(held) = log.span() else { bail!("holds no audio") };
    if let (Some(start), Some(end)) = (start, end)
        && start >= end
    {
        bail!("the span is empty: its start {} is not before its end {}", iso(start), iso(end));
    }
    let from = start.map_or(held.first, |start| log.position_of_time(start).position);
    let to = end.map_or(held.end_position, |end| log.position_of_time(end).position);
    let mut span = Span { from, to, start: held.end, end: held.end, bytes: 0 };
    for chunk in log.chunks_between(from, to) {
        span.start = if span.bytes == 0 { chunk.time } else { span.start };
        span.end = chunk.end_time();
        span.bytes += chunk.data.len() as u64;
    }
    if span.bytes == 0 {
        bail!(
            "no audio in the span that is asked for; there is some from {} to {}",
            iso(held.start),
            iso(held.end)
        );
    }
    Ok(span)
}

/// A file has one format: players do not follow another one.
fn check_formats(log: &Log, span: &Span) -> anyhow::Result<()> {
    let mut runs: Vec<(Format, Time)> = Vec::new();
    for chunk in log.chunks_between(span.from, span.to) {
        if !runs.last().is_some_and(|(format, _)| format.continues_as(&chunk.format)) {
            runs.push((chunk.format, chunk.time));
        }
    }
    if runs.len() < 2 {
        return Ok(());
    }
    let told: Vec<String> =
        runs.iter().map(|(format, start)| format!("{format} from {}", iso(*start))).collect();
    bail!(
        "the span holds several formats, which one audio file cannot: {}; choose one with --start and --end, or use --format dump",
        told.join(", ")
    )
}

/// Writes `pieces`, of which `bytes` are audio, to the file of `args` or to `out`.
fn write(
    args: &ExportArgs,
    pieces: impl Iterator<Item = Bytes>,
    bytes: u64,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<()> {
    if args.output == Path::new("-") {
        copy(pieces, bytes, out, err).and_then(|()| out.flush()).context("standard output")
    } else {
        output::write(&args.output, args.force, MODE, |file| copy(pieces, bytes, file, err))
            .with_context(|| format!("{}: cannot be written", args.output.display()))
    }
}

fn copy(
    pieces: impl Iterator<Item = Bytes>,
    bytes: u64,
    to: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<()> {
    let tells = io::stderr().is_terminal();
    let mut told = Instant::now();
    let mut done = 0;
    for piece in pieces {
        to.write_all(&piece)?;
        done += piece.len() as u64;
        if tells && told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            writeln!(err, "{} % of {} MB", (done * 100 / bytes.max(1)).min(100), bytes / 1_000_000)?;
        }
    }
    Ok(())
}
