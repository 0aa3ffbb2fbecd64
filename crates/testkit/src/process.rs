//! A child process whose output is collected and that never outlives its test.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::poll;

/// Most bytes kept of each output; what comes later is read and dropped.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A running child; dropping it kills it, and the children of one started with [`Process::start_group`].
#[derive(Debug)]
pub struct Process {
    child: Child,
    leads_group: bool,
    stdout: Output,
    stderr: Output,
}

impl Process {
    /// Starts `command` with both outputs collected; panics when the program cannot be started.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child =
            started.unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
        let stdout = Output::collect(child.stdout.take().expect("stdout is piped"));
        let stderr = Output::collect(child.stderr.take().expect("stderr is piped"));
        Self { child, leads_group: false, stdout, stderr }
    }

    /// The same in a process group of its own, for programs that start others: all of them end with it.
    #[track_caller]
    pub fn start_group(mut command: Command) -> Self {
        command.process_group(0);
        let mut process = Self::start(command);
        process.leads_group = true;
        process
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far, in whole lines.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far, in whole lines.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal; nothing happens when it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).expect("a child that was not waited for takes signals");
        }
    }

    /// Waits for its end and for the end of its output; panics with the output when it runs on after `deadline`.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let status = poll(deadline, || self.child.try_wait().ok().flatten());
        let Some(status) = status else {
            panic!("still running after {deadline:?}\n{}", self.output());
        };
        self.stdout.finish(deadline);
        self.stderr.finish(deadline);
        status
    }

    /// Kills it as a crash would, with SIGKILL, and waits; `None` when it ended in another way before.
    pub fn kill(&mut self) -> Option<i32> {
        if self.leads_group {
            // Fails only when nobody is left in it.
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        }
        // Fails only when it has ended.
        self.child.kill().ok();
        self.child.wait().ok().and_then(|status| status.signal())
    }

    /// Both outputs, for the message of a failed test.
    pub fn output(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lines collected by a thread.
#[derive(Debug)]
struct Output {
    text: Arc<Mutex<String>>,
    thread: JoinHandle<()>,
}

impl Output {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let thread = std::thread::spawn(move || read_lines(pipe, &shared));
        Self { text, thread }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end of the pipe; a grandchild may hold it open, so not for ever.
    fn finish(&self, deadline: Duration) {
        poll(deadline, || self.thread.is_finished().then_some(()));
    }
}

fn read_lines(pipe: impl Read, text: &Mutex<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while matches!(pipe.read_until(b'\n', &mut line), Ok(count) if count > 0) {
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + line.len() <= OUTPUT_BYTES_MAX {
            text.push_str(&String::from_utf8_lossy(&line));
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{DEADLINE, eventually};

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command)
    }

    #[test]
    fn outputs_and_status_are_collected() {
        let mut process = shell("echo out; echo err >&2; exit 3");
        assert_eq!(process.wait(DEADLINE).code(), Some(3));
        assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("out\n", "err\n"));
        assert!(!process.is_running());
    }

    #[test]
    fn output_is_there_while_it_runs() {
        let mut process = shell("echo ready; exec sleep 60");
        eventually(DEADLINE, || process.stdout().contains("ready\n").then_some(()));
        assert!(process.is_running());
        process.signal(Signal::TERM);
        assert_eq!(process.wait(DEADLINE).signal(), Some(15));
    }

    #[test]
    fn dropping_kills_it() {
        let process = shell("exec sleep 60");
        let pid = process.pid();
        drop(process);
        assert!(crate::proc::cpu_seconds(pid).is_err());
    }

    #[test]
    fn a_group_ends_with_its_first_process() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]);
        let process = Process::start_group(command);
        let child = eventually(DEADLINE, || process.stdout().trim().parse::<u32>().ok());
        assert!(crate::proc::cpu_seconds(child).is_ok());
        drop(process);
        // Whoever adopts it may take its time to bury it: a dead process has no command line any more.
        eventually(DEADLINE, || {
            let line = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.is_empty().then_some(())
        });
    }

    #[test]
    #[should_panic(expected = "still running after 0ns")]
    fn a_missed_deadline_panics() {
        shell("exec sleep 60").wait(Duration::ZERO);
    }
}
