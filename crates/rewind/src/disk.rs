//! The thread that touches a stream's directory, so that a disk that hangs does not stop the audio. The writer waits for it
//! for a moment, and no longer: what is not done by then has failed like on a full disk, and until the thread has come back
//! nothing more is asked of it. What the jobs do is decided in `block_writer.rs` and `store.rs`.
//!
//! ```text
//!   writer ──ask──▶ │ job │ job │ ──▶ thread ──▶ file system
//!          ◀─ done, failed, or not in time ─┘
//! ```

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::store::Directory;

/// How long audio waits for the disk: half of the shortest usual chunk, so that a disk that always takes as long still
/// keeps up. The page cache takes a write in microseconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// It is counted in so many turns: while the whole process does not run, on a machine that is paused or has no processor for
/// it, one of them passes, and the thread gets the others.
const TURNS: u32 = 10;
/// How long the end of a log waits for what is still to be done. What is not done then is mended at the next start.
const PATIENCE_AT_END: Duration = Duration::from_secs(2);
/// Jobs that wait. While the disk hangs, only blocks that are evicted add to them; of more than these the files are
/// found at the next start, and deleted then.
const JOBS_MAX: usize = 1_024;

type Job = Box<dyn FnOnce() + Send>;

/// The thread of one directory. When it is dropped the thread ends, and with it our hold of the directory.
#[derive(Debug)]
pub(crate) struct Disk {
    /// None once the end has begun.
    jobs: Option<SyncSender<Job>>,
    /// Jobs that are not done.
    pending: Arc<AtomicUsize>,
    /// Set when a job was not done in time; the disk is believed again when nothing is pending.
    stalled: AtomicBool,
    /// Disconnected when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// Where a job's result is left.
enum Answer<T> {
    Waiting,
    Done(io::Result<T>),
    /// Nobody waits any more.
    Abandoned,
}

impl Disk {
    /// Starts the thread. It holds `directory` for as long as it runs: another process must not get the lock while a write
    /// hangs that may still land.
    pub fn start(directory: Arc<Directory>) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(JOBS_MAX);
        let (ends, ended) = sync_channel::<()>(0);
        let pending = Arc::new(AtomicUsize::new(0));
        let counted = pending.clone();
        thread::Builder::new().name(format!("disk-{}", directory.key)).spawn(move || {
            for job in queue {
                job();
                counted.fetch_sub(1, Ordering::AcqRel);
            }
            drop(directory);
            drop(ends);
        })?;
        Ok(Disk { jobs: Some(jobs), pending, stalled: AtomicBool::new(false), ended: Mutex::new(ended) })
    }

    /// Does `job` and gives its result. Where it is not done in time it has failed; `undo` then takes back what it still
    /// achieves later. Fails at once while the disk hangs.
    pub fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
        undo: impl FnOnce(T) + Send + 'static,
    ) -> io::Result<T> {
        if self.is_stalled() {
            return Err(stalled());
        }
        let answer = Arc::new((Mutex::new(Answer::Waiting), Condvar::new()));
        let (theirs, ours) = (answer.clone(), answer);
        self.hand_over(move || {
            let result = job();
            let mut place = theirs.0.lock();
            match (&*place, result) {
                (Answer::Abandoned, Ok(done)) => undo(done),
                (Answer::Abandoned, Err(_)) => {}
                (_, result) => *place = Answer::Done(result),
            }
            theirs.1.notify_one();
        })?;
        let mut place = ours.0.lock();
        for _ in 0..TURNS {
            ours.1.wait_while_for(&mut place, |place| matches!(place, Answer::Waiting), PATIENCE / TURNS);
        }
        match std::mem::replace(&mut *place, Answer::Abandoned) {
            Answer::Done(result) => result,
            Answer::Waiting | Answer::Abandoned => {
                self.stalled.store(true, Ordering::Relaxed);
                Err(stalled())
            }
        }
    }

    /// Has `job` done, sooner or later, and waits for it unless the disk hangs.
    pub fn tell(&self, job: impl FnOnce() + Send + 'static) {
        if self.is_stalled() {
            let _ = self.hand_over(job);
            return;
        }
        let done = move || {
            job();
            Ok(())
        };
        let _ = self.ask(done, drop);
    }

    fn is_stalled(&self) -> bool {
        let is_stalled = self.stalled.load(Ordering::Relaxed) && self.pending.load(Ordering::Acquire) > 0;
        self.stalled.store(is_stalled, Ordering::Relaxed);
        is_stalled
    }

    fn hand_over(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Some(jobs) = &self.jobs else { return Err(stalled()) };
        self.pending.fetch_add(1, Ordering::AcqRel);
        jobs.try_send(Box::new(job)).map_err(|_| {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            stalled()
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.jobs = None;
        // Nothing is ever sent: this waits for the thread's end.
        let _ = self.ended.get_mut().recv_timeout(PATIENCE_AT_END);
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")
}

#[cfg(test)]
impl Disk {
    /// Makes the thread hang until what this gives is dropped.
    pub fn hang(&self) -> SyncSender<()> {
        let (release, gate) = sync_channel::<()>(0);
        let hanging = move || {
            let _ = gate.recv();
        };
        self.hand_over(hanging).expect("there is room for one job");
        release
    }

    /// Waits until the thread has nothing left to do.
    pub fn settle(&self) {
        testkit::wait::eventually(testkit::wait::DEADLINE, || {
            (self.pending.load(Ordering::Acquire) == 0).then_some(())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{env, path::Path, process::Command, sync::mpsc::channel};

    use rustix::process::Signal;
    use testkit::{
        process::Process,
        wait::{DEADLINE, eventually},
    };

    use super::*;

    /// Names the file at which a process ends that does nothing but ask.
    const UNTIL: &str = "ASK_UNTIL";
    /// The test that such a process runs, by its name in this program.
    const ASKING: &str = "disk::tests::a_process_that_does_not_run_for_a_while_has_no_disk_that_hangs";

    fn disk() -> (tempfile::TempDir, Arc<Directory>, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::open(dir.path(), "test").unwrap());
        let disk = Disk::start(directory.clone()).unwrap();
        (dir, directory, disk)
    }

    fn say(word: &'static str, to: &std::sync::mpsc::Sender<&'static str>) -> impl FnOnce() + Send + 'static {
        let to = to.clone();
        move || to.send(word).unwrap()
    }

    #[test]
    fn a_job_is_done_and_its_result_given() {
        let (_dir, _directory, disk) = disk();
        assert_eq!(disk.ask(|| Ok(7), |_| panic!("nothing to undo")).unwrap(), 7);
        let failed = disk.ask(|| Err::<(), _>(io::Error::other("full")), drop);
        assert_eq!(failed.unwrap_err().to_string(), "full");
    }

    #[test]
    fn a_disk_that_hangs_is_not_asked_again_until_it_comes_back() {
        let (_dir, _directory, disk) = disk();
        let (told, heard) = channel();
        let hangs = disk.hang();
        let (late, undone) = (say("late", &told), say("undone", &told));
        let job = move || {
            late();
            Ok("late")
        };
        let error = disk.ask(job, move |_| undone()).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::TimedOut, "the disk does not answer")
        );
        let never = say("never", &told);
        let job = move || {
            never();
            Ok(())
        };
        assert!(disk.ask(job, drop).is_err());
        // What must be done once it is back is kept.
        disk.tell(say("told", &told));
        assert_eq!(heard.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
        drop(hangs);
        disk.settle();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["late", "undone", "told"]);
        assert!(disk.ask(|| Ok(()), drop).is_ok());
    }

    /// Asks all the time, for work that takes a processor; says so each time.
    fn ask_until(end: &Path) {
        let (_dir, _directory, disk) = disk();
        let audio: Arc<[u8]> = vec![7; 1 << 20].into();
        while !end.exists() {
            let audio = audio.clone();
            disk.ask(move || Ok(crc32fast::hash(&audio)), drop).expect("the disk does not hang");
            println!("answered");
        }
    }

    #[test]
    fn a_process_that_does_not_run_for_a_while_has_no_disk_that_hangs() {
        if let Some(end) = env::var_os(UNTIL) {
            return ask_until(Path::new(&end));
        }
        let dir = tempfile::tempdir().unwrap();
        let end = dir.path().join("end");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", ASKING, "--nocapture"]).env(UNTIL, &end);
        let mut asking = Process::start(command);
        let answers = |asking: &Process| asking.stdout().matches("answered").count();
        for _ in 0..5 {
            let before = answers(&asking);
            eventually(DEADLINE, || (answers(&asking) > before || !asking.is_running()).then_some(()));
            assert!(asking.is_running(), "{}", asking.stderr());
            asking.signal(Signal::STOP);
            // Not a wait for anything: this is what happens to it.
            thread::sleep(PATIENCE * 2);
            asking.signal(Signal::CONT);
        }
        std::fs::write(&end, "").unwrap();
        let status = asking.wait(DEADLINE);
        assert!(status.success(), "{}{}", asking.stdout(), asking.stderr());
    }

    #[test]
    fn jobs_that_wait_are_bounded() {
        let (_dir, _directory, disk) = disk();
        let (told, heard) = channel();
        let hangs = disk.hang();
        assert!(disk.ask(|| Ok(()), drop).is_err());
        (0..2 * JOBS_MAX).for_each(|_| disk.tell(say("told", &told)));
        drop(hangs);
        disk.settle();
        let done = heard.try_iter().count();
        // One more fits if the thread has taken the hanging job out of the queue already.
        assert!((JOBS_MAX - 1..=JOBS_MAX).contains(&done), "{done}");
    }

    #[test]
    fn the_directory_is_held_as_long_as_a_write_may_still_land() {
        let (dir, directory, disk) = disk();
        let hangs = disk.hang();
        drop(directory);
        drop(disk);
        assert!(matches!(Directory::open(dir.path(), "test"), Err(crate::OpenError::Locked { .. })));
        drop(hangs);
        eventually(DEADLINE, || Directory::open(dir.path(), "test").ok());
    }
}
