//! `streammachine rewind inspect`: what a directory holds, and what is wrong with it.

use std::io::{self, Write};
use std::process::ExitCode;

use audio::{Format, Time};
use jiff::tz::TimeZone;
use rewind::{Finding, Log, Look, Outcome, Position, Segments, StreamDirectory};
use serde_json::{Value, json};

use super::{local, streams_at, zone};
use crate::base::clock::iso;
use crate::cli::InspectArgs;

/// Exit code where there is damage.
const DAMAGED: u8 = 1;

/// Audio without a break: one format, and times and positions without a gap.
struct Span {
    start: Time,
    end: Time,
    first: Position,
    end_position: Position,
    format: Format,
    chunks: u64,
    /// Set if it says that it does not continue what is before.
    discontinuity: bool,
    /// Microseconds without audio before it.
    gap_us: i64,
}

/// A stream as it is reported.
struct Report {
    key: String,
    look: Look,
    spans: Vec<Span>,
    segments: Option<Segments>,
    titles: Vec<Title>,
}

struct Title {
    set: Time,
    position: Position,
    title: String,
    url: String,
}

/// Writes the report on what `args` name.
///
/// # Errors
/// A directory that cannot be read or holds no stream, and those of `out`.
pub fn run(args: &InspectArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let streams = streams_at(&args.dir, args.stream.as_deref())?;
    let zone = zone(args.timezone.as_ref());
    let mut documents = Vec::new();
    let mut is_damaged = false;
    for stream in &streams {
        let report = Report::of(stream)?;
        is_damaged |= !report.look.recovery.findings.is_empty();
        if args.json {
            documents.push(report.document(args.titles, &zone));
        } else {
            report.print(args.titles, &zone, out)?;
        }
    }
    if args.json {
        writeln!(out, "{:#}", json!({ "damaged": is_damaged, "streams": documents }))?;
    }
    Ok(if is_damaged { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS })
}

impl Report {
    fn of(stream: &StreamDirectory) -> anyhow::Result<Self> {
        let look = Log::look(&stream.dir, &stream.key)?;
        let spans = spans_of(&look.log);
        let titles = titles_of(&look.log);
        Ok(Report { key: stream.key.clone(), spans, titles, segments: look.log.segments(), look })
    }

    fn print(&self, with_titles: bool, zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
        let Look { log, recovery, holder } = &self.look;
        match holder {
            Some(process) => writeln!(out, "stream {}, in use by process {process}", self.key)?,
            None => writeln!(out, "stream {}, not in use", self.key)?,
        }
        match log.span() {
            None => writeln!(out, "  no audio")?,
            Some(span) => {
                let (seconds, bytes, blocks) = (seconds(span.duration_us), span.bytes, recovery.blocks);
                writeln!(out, "  from {}  ({})", iso(span.start), local(span.start, zone))?;
                writeln!(out, "  to   {}  ({})", iso(span.end), local(span.end, zone))?;
                writeln!(
                    out,
                    "  {seconds:.3} s of audio, {bytes} bytes, {} chunks, {blocks} blocks",
                    recovery.chunks
                )?;
            }
        }
        if let Some(Segments { first, last, count, .. }) = &self.segments {
            writeln!(out, "  {count} segments, {first} to {last}")?;
        }
        writeln!(out, "  {} titles", self.titles.len())?;
        for span in &self.spans {
            span.print(zone, out)?;
        }
        for title in self.titles.iter().filter(|_| with_titles) {
            writeln!(out, "  title {}  ({})  {}", iso(title.set), local(title.set, zone), title.text())?;
        }
        for finding in &recovery.findings {
            let when = outcome(finding);
            writeln!(out, "  damage in block {:020}: {}; {when}", finding.position.0, finding.fault)?;
        }
        for name in &recovery.others {
            writeln!(out, "  no file of ours, left alone: {name:?}")?;
        }
        Ok(())
    }

    fn document(&self, with_titles: bool, zone: &TimeZone) -> Value {
        let Look { log, recovery, holder } = &self.look;
        let span = log.span();
        let titles = self.titles.iter().map(Title::document);
        let mut document = json!({
            "key": self.key,
            "used_by": holder,
            "start": span.map(|span| iso(span.start)),
            "end": span.map(|span| iso(span.end)),
            "start_local": span.map(|span| local(span.start, zone)),
            "end_local": span.map(|span| local(span.end, zone)),
            "seconds": seconds(span.map_or(0, |span| span.duration_us)),
            "bytes": recovery.bytes,
            "chunks": recovery.chunks,
            "blocks": recovery.blocks,
            "segments": self.segments.map(|it| json!({ "first": it.first.0, "last": it.last.0, "count": it.count })),
            "title_count": self.titles.len(),
            "spans": self.spans.iter().map(|span| span.document(zone)).collect::<Vec<_>>(),
            "damage": recovery.findings.iter().map(damage).collect::<Vec<_>>(),
            "other_files": recovery.others,
        });
        if with_titles {
            document["titles"] = titles.collect();
        }
        document
    }
}

impl Span {
    fn print(&self, zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
        if self.gap_us > 0 {
            writeln!(out, "  gap of {:.3} s", self.gap_us as f64 / 1e6)?;
        }
        let mark = if self.discontinuity { ", discontinuity" } else { "" };
        let (start, end, format) = (self.start, self.end, self.format);
        writeln!(
            out,
            "  span {} to {}  ({} to {})  {:.3} s, {} bytes, {format}, position {}{mark}",
            iso(start),
            iso(end),
            local(start, zone),
            local(end, zone),
            seconds(end.micros_since(start) as u64),
            self.end_position.since(self.first),
            self.first,
        )
    }

    fn document(&self, zone: &TimeZone) -> Value {
        json!({
            "start": iso(self.start),
            "end": iso(self.end),
            "start_local": local(self.start, zone),
            "end_local": local(self.end, zone),
            "seconds": seconds(self.end.micros_since(self.start) as u64),
            "gap_seconds": self.gap_us as f64 / 1e6,
            "discontinuity": self.discontinuity,
            "format": self.format.stream_key(),
            "position": self.first.0,
            "bytes": self.end_position.since(self.first),
            "chunks": self.chunks,
        })
    }
}

impl Title {
    /// In quotes, so that no control character reaches a terminal.
    fn text(&self) -> String {
        let Title { title, url, .. } = self;
        if url.is_empty() { format!("{title:?}") } else { format!("{title:?} {url:?}") }
    }

    fn document(&self) -> Value {
        json!({ "set": iso(self.set), "position": self.position.0, "title": self.title, "url": self.url })
    }
}

fn spans_of(log: &Log) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for chunk in log.chunks(Position(0)) {
        let gap_us = spans.last().map_or(0, |span| chunk.time.micros_since(span.end));
        match spans.last_mut() {
            Some(span)
                if !chunk.discontinuity
                    && gap_us == 0
                    && span.end_position == chunk.position
                    && span.format.continues_as(&chunk.format) =>
            {
                span.end = chunk.end_time();
                span.end_position = chunk.end();
                span.chunks += 1;
            }
            _ => spans.push(Span {
                start: chunk.time,
                end: chunk.end_time(),
                first: chunk.position,
                end_position: chunk.end(),
                format: chunk.format,
                chunks: 1,
                discontinuity: chunk.discontinuity,
                gap_us,
            }),
        }
    }
    spans
}

/// The titles that are on in the log's audio; no title at the beginning is none.
fn titles_of(log: &Log) -> Vec<Title> {
    let Some(span) = log.span() else { return Vec::new() };
    let first = log.metadata_at(span.first);
    let later =
        std::iter::successors(log.metadata_after(span.first), |(position, _)| log.metadata_after(*position));
    let changes = std::iter::once((span.first, first)).chain(later);
    let told = changes.map(|(position, entry)| Title {
        set: entry.time,
        position,
        title: entry.metadata.title.clone(),
        url: entry.metadata.url.clone(),
    });
    told.skip_while(|title| title.title.is_empty() && title.url.is_empty()).collect()
}

fn damage(finding: &Finding) -> Value {
    let (audio_bytes, index_bytes) = match finding.outcome {
        Outcome::Cut { audio_bytes, index_bytes } => (Some(audio_bytes), Some(index_bytes)),
        Outcome::Dropped | Outcome::LeftAlone => (None, None),
    };
    json!({
        "block": finding.position.0,
        "fault": finding.fault.name(),
        "message": finding.fault.to_string(),
        "outcome": match finding.outcome {
            Outcome::Cut { .. } => "cut",
            Outcome::Dropped => "dropped",
            Outcome::LeftAlone => "left_alone",
        },
        "audio_bytes": audio_bytes,
        "index_bytes": index_bytes,
    })
}

/// What a server makes of it.
fn outcome(finding: &Finding) -> String {
    match finding.outcome {
        Outcome::Cut { audio_bytes, index_bytes } => {
            format!("cannot be used: {audio_bytes} bytes of audio, {index_bytes} of its index")
        }
        Outcome::Dropped => "a server that opens it deletes the block".to_owned(),
        Outcome::LeftAlone => "a server leaves the block alone and does not use it".to_owned(),
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
