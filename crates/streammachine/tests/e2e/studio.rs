//! Real encoders that record from a sound card: DarkIce and, with a screen, BUTT. The card plays a tone.

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use testkit::process::Process;
use testkit::sound_card::{DEVICE, SoundCard};
use testkit::tone::{self, Heard};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{Host, PASSWORD, pump_all, status, wait_for_buffer};
use crate::programs::{TITLE, decode, program, titled, wait_for_title};

/// Waits for two seconds on `/test`, whose frames must be whole, and listens to them.
#[track_caller]
fn hear_two_seconds(host: &Host, directory: &TempDir) -> Heard {
    wait_for_buffer(host, "test", 2.5);
    tone::hear(&decode(directory, &pump_all(host)))
}

/// DarkIce, which sends what `card` hears to `/test`. It has no way to set a title.
fn darkice(host: &Host, directory: &TempDir, card: &SoundCard, password: &str) -> Option<Command> {
    let (mut command, address) = (program("darkice")?, host.sources());
    let text = format!(
        "[general]\nduration = 0\nbufferSecs = 1\nreconnect = no\nrealtime = no\n\
         [input]\ndevice = {DEVICE}\nsampleRate = {}\nbitsPerSample = 16\nchannel = 2\n\
         [icecast2-0]\nbitrateMode = cbr\nbitrate = 64\nformat = mp3\nname = Test\nmountPoint = test\n\
         server = {}\nport = {}\npassword = {password}\n",
        tone::SAMPLE_RATE_HZ,
        address.ip(),
        address.port()
    );
    let config = directory.path().join("darkice.cfg");
    fs::write(&config, text).expect("a new directory takes a file");
    command.arg("-c").arg(config);
    card.attach(&mut command);
    Some(command)
}

/// A screen that nobody sees.
struct Screen {
    _server: Process,
    /// As `DISPLAY` names it.
    name: String,
}

impl Screen {
    fn start() -> Option<Self> {
        let mut command = program("Xvfb")?;
        // It finds a free display, and writes its number to standard output once it is there.
        command.args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]);
        let mut server = Process::start_group(command);
        let number = eventually(DEADLINE, || {
            assert!(server.is_running(), "{}", server.output());
            server.stdout().trim().parse::<u32>().ok()
        });
        Some(Self { _server: server, name: format!(":{number}") })
    }
}

/// A room with a screen and a sound card.
struct Studio {
    directory: TempDir,
    card: SoundCard,
    screen: Screen,
}

impl Studio {
    /// None when there is no screen to be had.
    fn start() -> Option<Self> {
        let (directory, screen) = (TempDir::new().expect("a directory is made"), Screen::start()?);
        let card = SoundCard::start(directory.path());
        Some(Self { directory, card, screen })
    }

    /// What BUTT has logged so far.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("butt.log")).unwrap_or_default()
    }
}

/// BUTT, which sends what the card hears to `/test`, with the title that is in a file. `server` is 0 for SHOUTcast, 1 for
/// Icecast.
fn butt(studio: &Studio, host: &Host, server: u8, password: &str) -> Option<Command> {
    let Studio { directory, card, screen } = studio;
    let (mut command, address) = (program("butt")?, host.sources());
    let (song, log) = (directory.path().join("song.txt"), directory.path().join("butt.log"));
    fs::write(&song, format!("{TITLE}\n")).expect("a new directory takes a file");
    let text = format!(
        "[main]\nserver = s\nsrv_ent = s\nnum_of_srv = 1\nnum_of_icy = 0\nconnect_at_startup = 1\ngain = 1.0\n\
         check_for_update = 0\nsong_update = 1\nsong_path = {}\nlog_file = {}\n\
         [audio]\ndevice = default\nsamplerate = {}\nbitrate = 64\nchannel = 2\ncodec = mp3\n\
         [s]\ntype = {server}\nusr = source\nmount = test\naddress = {}\nport = {}\npassword = {password}\n",
        song.display(),
        log.display(),
        tone::SAMPLE_RATE_HZ,
        address.ip(),
        address.port()
    );
    let config = directory.path().join("butt.cfg");
    fs::write(&config, text).expect("a new directory takes a file");
    // Without a server for commands, which would need a free port.
    command.arg("-x").arg("-c").arg(config).env("DISPLAY", &screen.name).env("HOME", directory.path());
    card.attach(&mut command);
    Some(command)
}

#[test]
fn the_tone_of_darkice_is_heard() {
    let directory = TempDir::new().unwrap();
    let (host, card) = (titled(), SoundCard::start(directory.path()));
    let Some(command) = darkice(&host, &directory, &card, PASSWORD) else { return };
    let _encoder = Process::start_group(command);
    let heard = hear_two_seconds(&host, &directory);
    assert!(heard.is_tone(2.0), "{heard:?}");
}

#[test]
fn a_wrong_password_is_what_darkice_complains_of() {
    let directory = TempDir::new().unwrap();
    let (host, card) = (titled(), SoundCard::start(directory.path()));
    let Some(command) = darkice(&host, &directory, &card, "wrong") else { return };
    let mut encoder = Process::start_group(command);
    let end = encoder.wait(DEADLINE);
    assert!(encoder.output().contains("Icecast2 - wrong password"), "{}", encoder.output());
    assert_eq!(end.code(), Some(255), "{}", encoder.output());
    assert_eq!(status(&host, "test")["rewind"]["buffer_length"], 0.0);
}

#[test]
fn the_sound_and_the_title_of_butt_are_heard() {
    assert_butt_heard(&titled(), 1);
}

/// Runs BUTT, with `server` as in [`butt`]. It reads the card's pipe in pieces of its own, so what it takes from there is loud, but no clean tone.
#[track_caller]
pub fn assert_butt_heard(host: &Host, server: u8) {
    let Some(studio) = Studio::start() else { return };
    let Some(command) = butt(&studio, host, server, PASSWORD) else { return };
    let _encoder = Process::start_group(command);
    let heard = hear_two_seconds(host, &studio.directory);
    assert!(heard.seconds >= 2.0, "{heard:?}");
    wait_for_title(host);
}

#[test]
fn a_wrong_password_is_what_butt_complains_of() {
    assert_butt_complains(&titled(), 1, "connect: invalid user/password!");
}

/// Runs BUTT with a wrong password. It stays, with its complaint in its window and its log.
#[track_caller]
pub fn assert_butt_complains(host: &Host, server: u8, complaint: &str) {
    let Some(studio) = Studio::start() else { return };
    let Some(command) = butt(&studio, host, server, "wrong") else { return };
    let _encoder = Process::start_group(command);
    eventually(DEADLINE, || studio.log().contains(complaint).then_some(()));
    assert_eq!(status(host, "test")["rewind"]["buffer_length"], 0.0);
}
