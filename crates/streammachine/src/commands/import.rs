//! `streammachine config import`: makes a configuration from an Icecast's and tells what cannot be taken over.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::admin::password;
use crate::cli::ImportArgs;
use crate::commands::output;
use crate::config::import::{self, BYTES_MAX, Surroundings};
use crate::config::{Severity, load_text};

/// Only the owner reads and writes: the file holds passwords.
const MODE: u32 = 0o600;

/// Reads what `args` name, writes the configuration to a file or to `out`, and tells on `err` what is left out. Fails with
/// nothing written where it cannot be read or written.
///
/// # Errors
/// Those of `out` and `err`.
pub fn run(args: &ImportArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<ExitCode> {
    let name = args.file.display();
    let bytes = match read(&args.file) {
        Ok(bytes) => bytes,
        Err(error) => return fail(err, &format!("{name}: cannot be read: {error}")),
    };
    let around = Surroundings { mounts: &args.mounts, hash: &password::hash, exists: &Path::is_file };
    let imported = match import::icecast(&bytes, &around) {
        Ok(imported) => imported,
        Err(error) => return fail(err, &format!("{name}:{error}")),
    };
    let text = format!("{:#}\n", Value::Object(imported.settings));
    let loaded = match load_text("result", &text) {
        Ok(loaded) => loaded,
        Err(error) => {
            return fail(err, &format!("{name}: a mistake of the import, please report it: {error}"));
        }
    };
    for note in &imported.notes {
        writeln!(err, "{}: {name}:{note}", note.severity)?;
    }
    match &args.output {
        None => out.write_all(text.as_bytes())?,
        Some(file) => {
            let written = output::write(file, args.force, MODE, |out| out.write_all(text.as_bytes()));
            if let Err(error) = written {
                return fail(err, &format!("{}: cannot be written: {error}", file.display()));
            }
        }
    }
    let lost = imported.notes.iter().filter(|note| note.severity == Severity::Warning).count();
    writeln!(err, "streams: {}, warnings: {lost}", loaded.settings.streams.len())?;
    if let Some(file) = &args.output {
        writeln!(err, "next: streammachine --config {} config check", file.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fail(err: &mut impl Write, message: &str) -> io::Result<ExitCode> {
    writeln!(err, "error: {message}")?;
    Ok(ExitCode::FAILURE)
}

/// One byte more than is read of a configuration shows that it is too long.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
