//! Disks that are full or hang under a running server: the audio does not notice. They are real file systems, mounted for
//! the test, which needs root.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use testkit::audio::Scanner;
use testkit::programs;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    BINARY, Host, PASSWORD, api, count, dump, frames, listen, merge, on_air, play, pump_all, test_stream,
    wait_for_frame, wait_for_sources,
};

/// Mounts a file system and obeys words on its standard input. It undoes everything when that ends, so that a test that is
/// killed leaves no frozen disk behind.
const KEEPER: &str = r#"
    trap '' TERM INT
    mount $1 "$2" "$3" || exit 1
    echo mounted
    while read -r word; do
        case "$word" in
            freeze) fsfreeze --freeze "$3" ;;
            thaw) fsfreeze --unfreeze "$3" ;;
        esac && echo "$word"
    done
    fsfreeze --unfreeze "$3" 2>/dev/null
    umount --lazy "$3"
"#;

/// A mounted file system.
struct Disk {
    path: PathBuf,
    keeper: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _directory: TempDir,
}

impl Disk {
    /// A tmpfs of `size`; none where that cannot be mounted.
    fn memory(size: &str) -> Option<Self> {
        Self::mount(&format!("-t tmpfs -o size={size}"), |_| Some("tmpfs".into()))
    }

    /// An ext4 that can be frozen.
    fn freezable() -> Option<Self> {
        let (mkfs, _) = (programs::find_or_skip("mkfs.ext4")?, programs::find_or_skip("fsfreeze")?);
        Self::mount("-t ext4 -o loop", |directory| {
            let image = directory.join("image");
            let file = std::fs::File::create(&image).expect("there is room for a file");
            file.set_len(32 << 20).expect("a file can be sparse");
            let made = Command::new(mkfs).arg("-q").arg(&image).status().expect("mkfs starts");
            made.success().then_some(image)
        })
    }

    fn mount(options: &str, device: impl FnOnce(&Path) -> Option<PathBuf>) -> Option<Self> {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let path = directory.path().join("disk");
        std::fs::create_dir(&path).expect("there is room for a directory");
        let device = device(directory.path())?;
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper", options]).arg(&device).arg(&path).process_group(0);
        let mut keeper =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell starts");
        let words = keeper.stdin.take();
        let answers = BufReader::new(keeper.stdout.take().expect("it is piped"));
        let mut disk = Disk { path, keeper, words, answers, _directory: directory };
        if disk.answer() == "mounted\n" {
            return Some(disk);
        }
        writeln!(std::io::stderr(), "skipped: nothing can be mounted here").ok();
        None
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the keeper speaks text");
        line
    }

    /// Says a word to the keeper and waits until it is done.
    #[track_caller]
    fn say(&mut self, word: &str) {
        let line = format!("{word}\n");
        let words = self.words.as_mut().expect("it is taken at the end only");
        words.write_all(line.as_bytes()).expect("the keeper listens");
        assert_eq!(self.answer(), line);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.words = None;
        self.keeper.wait().ok();
    }
}

/// A server and the disk under it. The system ends no process before its hanging write has ended, so the disk goes first.
struct OnDisk {
    disk: Disk,
    host: Host,
}

const IN_MEMORY: &str = "the rewind buffer cannot be written to disk: kept in memory only";
const ON_DISK: &str = "the rewind buffer is written to disk again";

fn times(host: &Host, message: &str) -> usize {
    host.logs().matches(message).count()
}

#[test]
fn a_full_disk_costs_no_audio_one_alarm_and_mends_itself() {
    let Some(disk) = Disk::memory("2m") else { return };
    let directory = disk.path.join("store");
    let mut host = Host::with_directory(&directory);
    let filler = disk.path.join("filler");
    std::fs::write(&filler, vec![0; 1_550_000]).unwrap();
    let minute = count(60);
    for (number, alarms) in [(0, 0), (1, 1), (2, 1)] {
        play(&host, number * minute..(number + 1) * minute);
        frames().scan(&pump_all(&host)).assert_exactly(0..(number + 1) * minute);
        assert_eq!(times(&host, IN_MEMORY), alarms, "after {} min: {}", number + 1, host.logs());
    }
    assert!(host.logs().contains("No space left on device"), "{}", host.logs());
    assert_eq!(times(&host, ON_DISK), 0);
    std::fs::remove_file(&filler).unwrap();
    play(&host, 3 * minute..4 * minute);
    frames().scan(&pump_all(&host)).assert_exactly(0..4 * minute);
    assert_eq!((times(&host, IN_MEMORY), times(&host, ON_DISK)), (1, 1), "{}", host.logs());
    assert!(host.terminate().success());

    // What had to stay in memory is gone; what is there is whole, and in order.
    let host = Host::with_directory(&directory);
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_whole() && report.breaks.len() == 1, "{report:?}");
    assert_eq!((report.first, report.last), (Some(0), Some(4 * minute - 1)));
    assert!(!host.logs().contains("mended"), "{}", host.logs());
}

#[test]
fn an_import_that_does_not_fit_leaves_nothing_behind() {
    let Some(disk) = Disk::memory("1m") else { return };
    let host = Host::with_stream(json!({}));
    play(&host, 0..count(180));
    let file = disk.path.parent().unwrap().join("dump");
    std::fs::write(&file, dump(&host)).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["rewind", "import"]).arg(&disk.path).args(["--stream", "test"]).arg(&file);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("could not be stored: No space left on device"), "{told}");
    let left: Vec<_> =
        std::fs::read_dir(disk.path.join("test")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn a_disk_that_hangs_is_heard_by_nobody() {
    let Some(disk) = Disk::freezable() else { return };
    let directory = disk.path.join("store");
    let other = json!({"streams": {"other": {"source_password": PASSWORD}}});
    let settings =
        merge(merge(test_stream(json!({"burst": 1})), other), json!({"rewind": {"dir": directory}}));
    let mut on = OnDisk { host: Host::start(settings), disk };
    let host = &on.host;
    let source = on_air(host, 20);
    let mut listener = listen(host, "/test");
    let mut scanner = Scanner::new(frames());
    let mut hear_until = |number: u32| {
        let report = eventually(DEADLINE, || {
            scanner.push(&listener.body.read_exact(2000));
            Some(scanner.report()).filter(|report| report.last >= Some(number))
        });
        assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    };
    hear_until(source.next_frame());
    on.disk.say("freeze");
    hear_until(source.next_frame() + 120);
    eventually(DEADLINE, || (times(host, IN_MEMORY) == 1).then_some(()));
    assert!(host.logs().contains("the disk does not answer"), "{}", host.logs());
    // What was written before is heard, the API answers, and titles are set.
    let report = frames().scan(&pump_all(host));
    assert!(report.is_whole() && report.is_continuous() && report.first == Some(0), "{report:?}");
    assert_eq!(api(host, "POST", "/api/streams/test/metadata", Some(&json!({"title": "x"}))).0, 200);
    let last = source.next_frame() + 40;
    hear_until(last);

    on.disk.say("thaw");
    drop(source);
    wait_for_sources(host, "test", 0);
    let next = frames().scan(&pump_all(host)).last.unwrap() + 1;
    play(host, next..next + count(60));
    frames().scan(&pump_all(host)).assert_exactly(0..next + count(60));
    assert_eq!((times(host, IN_MEMORY), times(host, ON_DISK)), (1, 1), "{}", host.logs());
    on.host.kill9();

    let host = Host::start(
        json!({"streams": {"test": {"source_password": PASSWORD}}, "rewind": {"dir": directory}}),
    );
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_whole() && report.breaks.len() == 1, "{report:?}");
    assert_eq!(report.first, Some(0));
    play(&host, 100_000..100_050);
    wait_for_frame(&host, "test", 100_049);
}

#[test]
fn a_server_told_to_end_while_its_disk_hangs_ends_with_the_hanging_write() {
    let Some(disk) = Disk::freezable() else { return };
    let directory = disk.path.join("store");
    let mut on = OnDisk { host: Host::with_directory(&directory), disk };
    let source = on_air(&on.host, 5);
    on.disk.say("freeze");
    eventually(DEADLINE, || (times(&on.host, IN_MEMORY) == 1).then_some(()));
    on.host.signal(rustix::process::Signal::TERM);
    on.host.wait_for_log("stopping");
    on.disk.say("thaw");
    assert!(on.host.wait(DEADLINE).success());
    drop((source, on.host));
    let host = Host::with_directory(&directory);
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_whole() && report.is_continuous() && report.first == Some(0), "{report:?}");
}
