//! `streammachine source`: sends an audio file to a server at its real pace, as an encoder does.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use audio::{Batch, Parser};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wire::auth::Secret;

use crate::base::clock::Clock;
use crate::cli::{SourceArgs, SourceProtocol};
use crate::source::pace::Pace;

/// Bytes read from the file at once: half a second of 128 kbit/s, so that no write runs far ahead.
const READ_BYTES: usize = 8 * 1024;
/// The server's answer must come within this.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Sends the file to its end, or for ever with `--loop`.
pub fn run(args: &SourceArgs) -> anyhow::Result<()> {
    let password = args.secret()?;
    let mount = args.mount_path();
    let file = args.file.display();
    let mut socket = connect(args, &mount, &password)?;
    eprintln!("sending {file} to {mount} on {}:{}", args.host, args.port);
    if let Some(title) = &args.title {
        set_title(args, &mount, &password, title)?;
    }
    let clock = Clock::start();
    let burst = Duration::from_secs_f64(args.burst);
    let mut pace = Pace::start(clock.mono());
    loop {
        let frames = send_once(args, &mut socket, &clock, burst, &mut pace)?;
        if frames == 0 {
            bail!("{file} holds no MP3 or AAC (ADTS) frames");
        }
        if !args.repeat {
            eprintln!("sent {:.1} s of audio", pace.media().as_secs_f64());
            return Ok(());
        }
    }
}

fn connect(args: &SourceArgs, mount: &str, password: &Secret) -> anyhow::Result<TcpStream> {
    let address = format!("{}:{}", args.host, args.port);
    let mut socket = TcpStream::connect(&address).with_context(|| format!("cannot connect to {address}"))?;
    let request = match args.protocol {
        SourceProtocol::Put => format!("PUT {mount} HTTP/1.1\r\n"),
        SourceProtocol::Source => format!("SOURCE {mount} HTTP/1.0\r\n"),
    };
    let head = format!(
        "{request}Host: {address}\r\nAuthorization: Basic {}\r\nUser-Agent: streammachine/{}\r\n\
         Content-Type: {}\r\n\r\n",
        STANDARD.encode(format!("source:{}", password.expose())),
        env!("CARGO_PKG_VERSION"),
        if args.file.extension().is_some_and(|it| it == "aac") { "audio/aac" } else { "audio/mpeg" },
    );
    socket.write_all(head.as_bytes())?;
    let status = read_status(&mut socket)?;
    if !status.contains(" 200 ") {
        bail!(
            "{address} refused the source: {status} (is the mount {mount} configured, and the password right?)"
        );
    }
    Ok(socket)
}

/// The status line of the answer, with its head read to the end.
fn read_status(socket: &mut TcpStream) -> anyhow::Result<String> {
    socket.set_read_timeout(Some(ANSWER_TIME))?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < ANSWER_BYTES_MAX {
        if socket.read(&mut byte).context("no answer from the server")? == 0 {
            break;
        }
        answer.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or("no answer").to_owned())
}

fn set_title(args: &SourceArgs, mount: &str, password: &Secret, title: &str) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect((args.host.as_str(), args.port))?;
    let pairs = [("mode", "updinfo"), ("charset", "UTF-8"), ("mount", mount), ("song", title)];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let credentials = STANDARD.encode(format!("source:{}", password.expose()));
    let target = wire::path::encode_target("/admin/metadata", &pairs);
    write!(socket, "GET {target} HTTP/1.0\r\nAuthorization: Basic {credentials}\r\n\r\n")?;
    let status = read_status(&mut socket)?;
    if !status.contains(" 200 ") {
        bail!("the server refused the title: {status}");
    }
    Ok(())
}

/// Sends the file once; how many frames it held.
fn send_once(
    args: &SourceArgs,
    socket: &mut TcpStream,
    clock: &Clock,
    burst: Duration,
    pace: &mut Pace,
) -> anyhow::Result<usize> {
    let mut file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let mut parser = Parser::new(None);
    let mut buffer = vec![0; READ_BYTES];
    let mut frames = 0;
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("cannot read {}", args.file.display()))?;
        let mut batches = Vec::new();
        parser.push(&buffer[..read], &mut batches);
        if read == 0 {
            parser.finish(&mut batches);
        }
        frames += send(socket, &batches, pace).context("the server ended the connection")?;
        if read == 0 {
            return Ok(frames);
        }
        std::thread::sleep(pace.ahead(clock.mono()).saturating_sub(burst));
    }
}

fn send(socket: &mut TcpStream, batches: &[Batch], pace: &mut Pace) -> io::Result<usize> {
    for batch in batches {
        socket.write_all(&batch.data)?;
        pace.add(batch);
    }
    Ok(batches.iter().map(|batch| batch.frames.len()).sum())
}
