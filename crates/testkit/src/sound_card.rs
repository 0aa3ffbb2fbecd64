//! A sound card that is none: ALSA's `file` device reads samples from a pipe, into which a thread writes the tone in real
//! time. Encoders that record from a sound card record from it.
//!
//! No ALSA library is used here, only its configuration file.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};

use crate::tone;

/// Name of the device in ALSA; it is the default too.
pub const DEVICE: &str = "tone";
/// Pause between two writes.
const PAUSE: Duration = Duration::from_millis(10);
/// Samples of one write: 4096 bytes, which a pipe takes as a whole or not at all. A recording program that reads no more
/// at once never gets a part of what it wants, which ALSA would pass on as if it were all.
const BLOCK_SAMPLES: u64 = 1024;

/// A running sound card; dropping it ends the tone.
#[derive(Debug)]
pub struct SoundCard {
    config: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SoundCard {
    /// A sound card with its files in `directory`.
    #[track_caller]
    pub fn start(directory: &Path) -> Self {
        let (config, pipe) = (directory.join("asound.conf"), directory.join("microphone"));
        rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a new directory takes a pipe");
        // `null` gives time, `file` puts its samples over those; the tone has one format, `plug` offers all.
        let text = format!(
            "pcm.null {{ type null }}\nctl.{DEVICE} {{ type null }}\nctl.!default {{ type null }}\n\
             pcm.{DEVICE} {{ type file slave.pcm null file /dev/null infile {} format raw }}\n\
             pcm.!default {{ type plug slave {{ pcm {DEVICE} format S16_LE rate {} channels 2 }} }}\n",
            pipe.display(),
            tone::SAMPLE_RATE_HZ
        );
        fs::write(&config, text).expect("a new directory takes a file");
        // Open for reading as well: encoders open and close it as they like, and it stays.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&pipe);
        let pipe = pipe.expect("a new pipe opens");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || sound(pipe, &stopped));
        Self { config, stop, thread: Some(thread) }
    }

    /// Makes `command` find this card and no other.
    pub fn attach(&self, command: &mut Command) {
        command.env("ALSA_CONFIG_PATH", &self.config);
    }
}

impl Drop for SoundCard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Writes the tone until stopped. A block that a full pipe does not take is written later, so the tone has no gap.
fn sound(mut pipe: File, stop: &AtomicBool) {
    let start = Instant::now();
    let mut next = 0;
    while !stop.load(Ordering::Acquire) {
        let played = (start.elapsed().as_secs_f64() * f64::from(tone::SAMPLE_RATE_HZ)) as u64;
        while next + BLOCK_SAMPLES <= played {
            match pipe.write(&tone::pcm(next, BLOCK_SAMPLES as usize)) {
                Ok(_) => next += BLOCK_SAMPLES,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn whoever_reads_the_pipe_hears_the_tone() {
        let directory = std::env::temp_dir().join(format!("testkit-card-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let card = SoundCard::start(&directory);
        let mut pipe = File::open(directory.join("microphone")).unwrap();
        let mut samples = vec![0; 44_100];
        pipe.read_exact(&mut samples).unwrap();
        let config = fs::read_to_string(&card.config).unwrap();
        drop(card);
        fs::remove_dir_all(&directory).unwrap();
        assert!(tone::hear(&samples).is_tone(0.2), "{:?}", tone::hear(&samples));
        assert!(config.contains("pcm.tone "), "{config}");
    }
}
