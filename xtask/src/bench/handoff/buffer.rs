//! Rewind buffers of a wanted size: a dump of numbered frames, older than all that a source sends, given to the API of a
//! running server or to the directory of one that is still to start.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testkit::listener::ListenerClient;
use testkit::wait::DEADLINE;

use super::super::peer::server_path;
use crate::load;

/// Frames of a dump's chunk: two seconds, and less than the 64 KiB that a chunk may have.
const CHUNK_FRAMES: u32 = 76;
/// The dump ends so long ago: before all that a source has sent at once.
const AGE: Duration = Duration::from_secs(700);
/// A server has read and stored a dump within this.
const PUT_TIME: Duration = Duration::from_secs(120);
/// Places in the past that are listened to.
const PLACES: u32 = 8;
/// Seconds of each of them.
const PLACE_S: f64 = 20.0;

/// A dump in a file: frames from 0 on.
pub struct Dump<'a> {
    file: &'a Path,
    /// Its frames; the source goes on with the next.
    pub frames: u32,
}

impl<'a> Dump<'a> {
    /// Writes a dump of so many bytes of audio.
    pub fn write(file: &'a Path, bytes: u64) -> anyhow::Result<Self> {
        let audio = load::audio();
        let seconds = bytes as f64 / audio.position(1_000) as f64 * audio.duration(1_000).as_secs_f64();
        let frames = audio.count_in(Duration::from_secs_f64(seconds)).next_multiple_of(CHUNK_FRAMES);
        let end = SystemTime::now() - AGE;
        let start_ms = (end.duration_since(UNIX_EPOCH)? - audio.duration(frames)).as_secs_f64() * 1e3;
        let at = |frame: u32| start_ms + audio.start_us(frame) as f64 / 1e3;
        let mut out = BufWriter::new(File::create(file)?);
        let head = json!({
            "start_ts": at(0),
            "end_ts": at(frames),
            "secs_per_chunk": audio.duration(CHUNK_FRAMES).as_secs_f64(),
            "stream_key": "mp3-44100-128-s",
        });
        write_text(&mut out, &head, |length| (length as u32).to_le_bytes().to_vec())?;
        for first in (0..frames).step_by(CHUNK_FRAMES as usize).rev() {
            let end = first + CHUNK_FRAMES;
            let head =
                json!({"ts": at(first), "duration": at(end) - at(first), "meta": {"StreamTitle": "Past"}});
            write_text(&mut out, &head, |length| vec![length as u8])?;
            let data = audio.bytes(first..end);
            out.write_all(&u16::try_from(data.len())?.to_le_bytes())?;
            out.write_all(&data)?;
        }
        out.flush()?;
        Ok(Dump { file, frames })
    }

    /// Bytes of its audio.
    pub fn bytes(&self) -> u64 {
        load::audio().position(self.frames)
    }

    /// How long its audio is.
    pub fn length(&self) -> Duration {
        load::audio().duration(self.frames)
    }

    /// Puts it into the directory of a server that does not run.
    pub fn import(&self, directory: &Path, key: &str) -> anyhow::Result<()> {
        let mut command = Command::new(server_path());
        command.args(["rewind", "import"]).arg(directory).arg(self.file).args(["--stream", key]);
        let output = command.output().context("cannot start the import")?;
        ensure!(output.status.success(), "no import: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Puts it into the buffer of a server that runs.
    pub fn put(&self, api: SocketAddr, key: &str) -> anyhow::Result<()> {
        let mut file = File::open(self.file)?;
        let length = file.metadata()?.len();
        let mut connection = TcpStream::connect(api)?;
        connection.set_read_timeout(Some(PUT_TIME))?;
        write!(
            connection,
            "PUT /api/streams/{key}/rewind HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )?;
        io::copy(&mut file, &mut connection).context("the server does not take the dump")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).context("the dump is not answered")?;
        ensure!(answer.split(' ').nth(1) == Some("200"), "the dump is refused: {answer}");
        Ok(())
    }

    /// Fails unless the buffer still has all of it; some places of it are listened to.
    pub fn check(&self, server: SocketAddr, api: SocketAddr, key: &str) -> anyhow::Result<()> {
        let held = held(api, key).context("the stream is not there")?;
        let wanted = self.length().as_secs_f64();
        ensure!(held > wanted, "{key} holds {held} s of more than {wanted} s");
        for place in 0..PLACES {
            let ago = held - wanted * f64::from(place) / f64::from(PLACES) - 1.0;
            let target = format!("/{key}?from={ago:.0}&pump={PLACE_S}");
            let mut answer = ListenerClient::get(server, &target, &[("Connection", "close")]);
            answer.body.set_deadline(DEADLINE);
            let report = load::audio().scan(&answer.read_body());
            let seconds = load::audio().duration(report.frames as u32).as_secs_f64();
            ensure!(
                report.is_whole() && report.is_continuous() && seconds > PLACE_S - 3.0,
                "{target}: {report:?}"
            );
        }
        Ok(())
    }
}

/// Seconds from the oldest audio of a buffer to the newest.
pub fn held(api: SocketAddr, key: &str) -> Option<f64> {
    let mut answer = ListenerClient::get(api, &format!("/api/streams/{key}"), &[("Connection", "close")]);
    let status: Value = serde_json::from_str(&answer.read_text()).ok()?;
    status["rewind"]["buffer_length"].as_f64()
}

/// A text behind its length.
fn write_text(out: &mut impl Write, text: &Value, length: fn(usize) -> Vec<u8>) -> io::Result<()> {
    let text = text.to_string();
    out.write_all(&length(text.len()))?;
    out.write_all(text.as_bytes())
}
