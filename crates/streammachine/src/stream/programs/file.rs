//! The file that keeps programmes over a restart: `programs.json` beside the blocks of the stream. It is written anew in
//! one piece, and put in the place of the old one when it is whole.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audio::Time;
use serde::{Deserialize, Serialize};

use super::timeline::{Maker, PROGRAMS_MAX, Program, Timeline};

/// Name of the file.
const NAME: &str = "programs.json";
/// Version of what is in it.
const VERSION: u32 = 1;
/// No file of ours is longer: so many programmes with all their texts at their longest.
const BYTES_MAX: u64 = 16 << 20;

/// What is in the file. Instants are microseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    scheduled_until_us: Option<i64>,
    last_serial: u64,
    programs: Vec<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    serial: u64,
    name: String,
    start_us: i64,
    end_us: Option<i64>,
    description: Option<String>,
    url: Option<String>,
    image: Option<String>,
    made_by: Maker,
}

/// The file of the stream whose directory is `dir`.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Reads the file; nothing if there is none. One that cannot be read is set aside, so that it is not lost, and named by
/// the error.
pub(super) fn read(path: &Path) -> Result<Timeline, String> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Timeline::default()),
        Err(error) => return Err(set_aside(path, &error.to_string())),
    };
    decode(&text).map_err(|reason| set_aside(path, &reason))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn set_aside(path: &Path, reason: &str) -> String {
    let aside = path.with_extension("json.damaged");
    match fs::rename(path, &aside) {
        Ok(()) => format!("{reason}; it was set aside as {}", aside.display()),
        Err(error) => format!("{reason}; it could not be set aside: {error}"),
    }
}

/// Writes the file. Blocks for as long as the disk takes.
pub(super) fn write(path: &Path, timeline: &Timeline) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(encode(timeline).as_bytes())?;
    // Without it a power failure could leave the name with nothing behind it.
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The text that is kept.
pub(super) fn encode(timeline: &Timeline) -> String {
    let record = |program: &Arc<Program>| {
        let program = Program::clone(program);
        let Program { id, serial, name, start, end, description, url, image, made_by } = program;
        let (start_us, end_us) = (start.0, end.map(|end| end.0));
        Record { id, serial, name, start_us, end_us, description, url, image, made_by }
    };
    let kept = Kept {
        version: VERSION,
        scheduled_until_us: timeline.scheduled_until.map(|until| until.0),
        last_serial: timeline.last_serial,
        programs: timeline.programs.iter().map(record).collect(),
    };
    serde_json::to_string_pretty(&kept).expect("texts and numbers can be written as JSON")
}

/// Reads what was kept.
pub(super) fn decode(text: &str) -> Result<Timeline, String> {
    let kept: Kept = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if kept.version != VERSION {
        return Err(format!("it has version {}, not {VERSION}", kept.version));
    }
    if kept.programs.len() > PROGRAMS_MAX {
        return Err(format!("it has more than {PROGRAMS_MAX} programmes"));
    }
    let mut timeline = Timeline { scheduled_until: kept.scheduled_until_us.map(Time), ..Timeline::default() };
    timeline.last_serial = kept.programs.iter().map(|it| it.serial).fold(kept.last_serial, u64::max);
    for record in kept.programs {
        let Record { id, serial, name, start_us, end_us, description, url, image, made_by } = record;
        if end_us.is_some_and(|end_us| end_us <= start_us) {
            return Err(format!("the programme {id:?} ends before it starts"));
        }
        let (start, end) = (Time(start_us), end_us.map(Time));
        let program = Program { id, serial, name, start, end, description, url, image, made_by };
        // There is room for each: no instant is needed to tell which has ended.
        timeline.place(program, Time(0)).map_err(|error| error.to_string())?;
    }
    timeline.revision = 0;
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{
  "version": 1,
  "scheduled_until_us": 1000,
  "last_serial": 9,
  "programs": [
    {
      "id": "a",
      "serial": 7,
      "name": "Ä",
      "start_us": 10,
      "end_us": null,
      "description": null,
      "url": "http://a.example/",
      "image": null,
      "made_by": "api"
    }
  ]
}"#;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        assert_eq!(read(&path), Ok(Timeline::default()));
        let timeline = decode(GOLDEN).unwrap();
        assert_eq!((timeline.last_serial, timeline.scheduled_until), (9, Some(Time(1_000))));
        assert_eq!(encode(&timeline), GOLDEN);
        write(&path, &timeline).unwrap();
        assert_eq!(read(&path), Ok(timeline));
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, [NAME]);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_as_it_is() {
        for (damage, reason) in [
            (&GOLDEN[..100], "EOF"),
            ("", "EOF"),
            (&GOLDEN.replace("\"version\": 1", "\"version\": 2"), "it has version 2, not 1"),
            (&GOLDEN.replace("\"end_us\": null", "\"end_us\": 10"), "the programme \"a\" ends before"),
            (&GOLDEN.replace("\"api\"", "\"nobody\""), "unknown variant"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = path(dir.path());
            fs::write(&path, damage).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(dir.path().join("programs.json.damaged")).unwrap(), damage);
        }
    }
}
