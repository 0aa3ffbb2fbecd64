//! `streammachine listen`: a test listener that reports rate, gaps, titles and frame errors.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use audio::{Batch, Format, Parser, ParserStats};
use serde_json::json;
use wire::icy::{Event, Reader};

use crate::cli::ListenArgs;

/// Time between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Nothing for so long between two reads is reported as a gap: longer than any usual delivery tick.
const GAP: Duration = Duration::from_millis(4_500);
/// A server that says nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest response head that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What one listener has met so far.
#[derive(Debug, Default)]
struct Tally {
    bytes: u64,
    audio_bytes: u64,
    media: Duration,
    gaps: u64,
    titles: u64,
    format: Option<Format>,
    parser: ParserStats,
}

/// Listens as told, on as many connections as told, and reports.
pub fn run(args: &ListenArgs) -> anyhow::Result<()> {
    if args.count == 1 {
        return Listener::connect(args, 1)?.listen(args);
    }
    let threads: Vec<_> = (1..=args.count)
        .map(|number| {
            let args = args.clone();
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || Listener::connect(&args, number)?.listen(&args))
        })
        .collect::<io::Result<_>>()?;
    let failed = threads.into_iter().filter_map(|thread| match thread.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(anyhow::anyhow!("a listener panicked")),
    });
    match failed.inspect(|error| eprintln!("{error:#}")).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} listeners failed", args.count),
    }
}

struct Listener {
    number: u32,
    socket: TcpStream,
    rest: Vec<u8>,
    reader: Option<Reader>,
    parser: Parser,
    tally: Tally,
    output: Option<File>,
}

impl Listener {
    fn connect(args: &ListenArgs, number: u32) -> anyhow::Result<Self> {
        let target = args.target()?;
        let address = (target.host.as_str(), target.port);
        let mut socket = TcpStream::connect(address)
            .with_context(|| format!("cannot connect to {}:{}", target.host, target.port))?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        let icy = if args.icy { "Icy-MetaData: 1\r\n" } else { "" };
        write!(
            socket,
            "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: streammachine-listen/{}\r\nAccept: */*\r\n{icy}\
             Connection: close\r\n\r\n",
            target.path,
            target.host,
            target.port,
            env!("CARGO_PKG_VERSION")
        )?;
        let (head, rest) = read_head(&mut socket)?;
        let status = head.lines().next().unwrap_or_default();
        if !status.contains(" 200") {
            bail!("the server answered {status}: {}", String::from_utf8_lossy(&rest).trim());
        }
        if number == 1 {
            head.lines().filter(|line| is_telling(line)).for_each(|line| eprintln!("{line}"));
        }
        let metaint = header(&head, "icy-metaint").and_then(|value| value.parse().ok());
        let output = match &args.output {
            Some(path) if number == 1 => {
                Some(File::create(path).with_context(|| path.display().to_string())?)
            }
            _ => None,
        };
        Ok(Listener {
            number,
            socket,
            rest,
            reader: metaint.map(Reader::new),
            parser: Parser::new(None),
            tally: Tally::default(),
            output,
        })
    }

    fn listen(mut self, args: &ListenArgs) -> anyhow::Result<()> {
        let started = Instant::now();
        let end = args.seconds.map(|seconds| started + Duration::from_secs_f64(seconds));
        let (mut last_read, mut reported) = (started, started);
        let mut buffer = vec![0; 64 * 1024];
        let rest = std::mem::take(&mut self.rest);
        self.take(&rest, args)?;
        while end.is_none_or(|end| Instant::now() < end) {
            let read = match self.socket.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    bail!("nothing for {SILENCE_MAX:?}")
                }
                Err(error) => return Err(error).context("the connection broke"),
            };
            self.tally.gaps += u64::from(last_read.elapsed() > GAP);
            last_read = Instant::now();
            self.take(&buffer[..read], args)?;
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.report(started, args);
            }
        }
        let mut last = Vec::new();
        self.parser.finish(&mut last);
        self.count(&last);
        self.report(started, args);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], args: &ListenArgs) -> anyhow::Result<()> {
        self.tally.bytes += bytes.len() as u64;
        let (mut audio, mut titles) = (Vec::with_capacity(bytes.len()), Vec::new());
        match &mut self.reader {
            None => audio.extend_from_slice(bytes),
            Some(reader) => reader.read(bytes, |event| match event {
                Event::Audio(piece) => audio.extend_from_slice(piece),
                Event::Metadata(metadata) => titles.push(metadata.title),
                // The frames behind it tell.
                Event::Garbage => {}
            }),
        }
        for title in titles {
            self.tally.titles += 1;
            self.say(args, &json!({ "title": title }), &format!("title: {title}"));
        }
        if let Some(output) = &mut self.output {
            output.write_all(&audio)?;
        }
        self.tally.audio_bytes += audio.len() as u64;
        let mut batches = Vec::new();
        self.parser.push(&audio, &mut batches);
        self.count(&batches);
        Ok(())
    }

    fn count(&mut self, batches: &[Batch]) {
        for batch in batches {
            self.tally.media += Duration::from_micros(batch.format.micros(batch.samples()));
            self.tally.format = Some(batch.format);
        }
        self.tally.parser = self.parser.stats();
    }

    fn report(&self, started: Instant, args: &ListenArgs) {
        let tally = &self.tally;
        let seconds = started.elapsed().as_secs_f64();
        let format = tally.format.map_or("unknown format".to_owned(), |format| format.stream_key());
        let facts = json!({
            "listener": self.number,
            "seconds": seconds,
            "media_seconds": tally.media.as_secs_f64(),
            "bytes": tally.bytes,
            "audio_bytes": tally.audio_bytes,
            "format": format,
            "frames": tally.parser.frames,
            "skipped_bytes": tally.parser.skipped_bytes,
            "resyncs": tally.parser.resyncs,
            "gaps": tally.gaps,
            "titles": tally.titles,
        });
        let text = format!(
            "{seconds:.0} s: {format}, {:.1} s of audio in {} frames, {} bytes no audio, {} resyncs, {} gaps",
            tally.media.as_secs_f64(),
            tally.parser.frames,
            tally.parser.skipped_bytes,
            tally.parser.resyncs,
            tally.gaps
        );
        self.say(args, &facts, &text);
    }

    fn say(&self, args: &ListenArgs, facts: &serde_json::Value, text: &str) {
        match (args.json, args.count) {
            (true, _) => println!("{facts}"),
            (false, 1) => println!("{text}"),
            (false, _) => println!("{}: {text}", self.number),
        }
    }
}

fn read_head(socket: &mut TcpStream) -> anyhow::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = socket.read(&mut buffer).context("no answer from the server")?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if read == 0 || bytes.len() > HEAD_BYTES_MAX {
            bail!("the answer is not HTTP");
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value.trim()))
}

/// The headers worth showing: what the station says of itself, and where in time the audio starts.
fn is_telling(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["content-type:", "icy-", "x-content-start", "x-content-behind"]
        .iter()
        .any(|start| line.starts_with(start))
}
