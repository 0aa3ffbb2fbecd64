//! `streammachine rewind import`: puts a dump behind the oldest audio of a stream.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use rewind::{Config, Log, OpenError, dump, find_streams};

use crate::base::clock::Clock;
use crate::cli::RewindImportArgs;

/// The longest dump that is read, into memory: more than a week of 192 kbit/s.
const DUMP_BYTES_MAX: u64 = 16 << 30;

/// Puts the dump that `args` name into their stream and tells on `err`.
///
/// # Errors
/// A file that cannot be read or is no dump, a directory that is missing or in use, and a dump whose audio cannot be put
/// there; the directory then holds what it held.
pub fn run(args: &RewindImportArgs, err: &mut impl Write) -> anyhow::Result<()> {
    let name = args.file.display();
    let bytes = read(&args.file).with_context(|| format!("{name}: cannot be read"))?;
    let segment = Duration::from_secs_f64(args.segment);
    let dump = dump::read(&bytes, segment).with_context(|| {
        format!(
            "{name}: is no dump; expected what rewind export --format dump, the API or the original writes"
        )
    })?;
    if dump.chunks.is_empty() {
        bail!("{name}: holds no audio");
    }
    let config = Config {
        key: args.stream.clone(),
        dir: Some(directory(args)?),
        // What is too old or too much is the server's matter, which knows how much is kept.
        keep: Duration::MAX,
        bytes_max: u64::MAX,
        segment,
    };
    let (mut writer, log, recovery) =
        Log::open(config, Clock::start().now().wall).map_err(|error| explain(error, args))?;
    for finding in &recovery.findings {
        writeln!(err, "warning: the rewind buffer was mended: {finding}")?;
    }
    let skipped_bytes = dump.skipped_bytes;
    let put = writer
        .prepend_lasting(dump.chunks)
        .with_context(|| format!("{name}: cannot be put into {}", args.stream))?;
    if skipped_bytes > 0 {
        writeln!(err, "warning: {skipped_bytes} bytes of {name} were left out: damaged or no audio")?;
    }
    let held = log.span().map_or(0, |span| span.duration_us) / 1_000_000;
    writeln!(
        err,
        "{:.3} s of audio, {} bytes were put into {}, which now holds {held} s",
        put.seconds, put.bytes, args.stream
    )?;
    Ok(())
}

fn read(file: &Path) -> io::Result<Bytes> {
    let mut input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(file)?) };
    let mut bytes = Vec::new();
    input.by_ref().take(DUMP_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DUMP_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {DUMP_BYTES_MAX} bytes")));
    }
    Ok(bytes.into())
}

/// The directory around the stream's, which may be there or not.
fn directory(args: &RewindImportArgs) -> anyhow::Result<PathBuf> {
    let name = args.dir.display();
    let found = find_streams(&args.dir).with_context(|| format!("{name}: cannot be read"))?;
    let itself = found
        .iter()
        .find(|stream| args.dir.canonicalize().is_ok_and(|path| path == stream.dir.join(&stream.key)));
    match itself {
        None => Ok(args.dir.clone()),
        Some(stream) if stream.key == args.stream => Ok(stream.dir.clone()),
        Some(stream) => {
            bail!("{name}: is the directory of the stream {}, not of {}", stream.key, args.stream)
        }
    }
}

fn explain(error: OpenError, args: &RewindImportArgs) -> anyhow::Error {
    let OpenError::Locked { .. } = error else { return error.into() };
    let file = args.file.display();
    anyhow!(
        "{error}; a server that runs takes the dump over its API: curl -T {file} http://HOST:PORT/api/streams/{}/rewind",
        args.stream
    )
}
