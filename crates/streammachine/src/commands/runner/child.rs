//! One server as a child process: how it is started, what it says, how it is ended.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::plan::Number;
use crate::base::service::LIFELINE;
use crate::base::task;

/// Longest message of a server; systemd takes no longer ones either.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How servers are started.
#[derive(Debug)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it is called in lists of processes.
    pub title: Option<String>,
}

/// A running server.
#[derive(Debug)]
pub struct Child {
    /// Its number.
    pub number: Number,
    /// Its process.
    pub pid: Pid,
    /// The server ends when this is closed: by us or, should we be killed, by the kernel.
    _lifeline: Option<ChildStdin>,
    _ear: AbortOnDropHandle<()>,
}

/// What a server says as `sd_notify` has it; the rest of it is of no use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It serves.
    Ready,
    /// It is alive.
    Alive,
}

impl Child {
    /// Starts a server. What it says is received at the socket `ear`, which must be its own, and goes to `words`.
    ///
    /// # Errors
    /// The socket cannot be made, or the program cannot be started.
    pub fn start(
        recipe: &Recipe,
        number: Number,
        ear: &Path,
        words: mpsc::Sender<(Number, Word)>,
    ) -> anyhow::Result<Self> {
        let socket =
            UnixDatagram::bind(ear).with_context(|| format!("cannot listen at {}", ear.display()))?;
        let mut command = Command::new(&recipe.program);
        if let Some(title) = &recipe.title {
            command.arg0(format!("streammachine: {title}"));
        }
        command
            .args(&recipe.arguments)
            .env("NOTIFY_SOCKET", ear)
            .env(LIFELINE, "stdin")
            // The time is for us, and the servers are to give signs of life as often; our number is not theirs.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::piped())
            // Signals of a terminal are for us alone, and what a server has started ends with it.
            .process_group(0);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", recipe.program.display()))?;
        // The handle is not waited for: whoever collects the dead of all processes has no use for it.
        let ear = AbortOnDropHandle::new(task::spawn("words of a server", hear(socket, number, words)));
        Ok(Child { number, pid: Pid::from_child(&child), _lifeline: child.stdin.take(), _ear: ear })
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        // Fails only if it has ended, which is told otherwise.
        let _ = kill_process(self.pid, Signal::TERM);
    }

    /// Ends it, and what it has started.
    pub fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

async fn hear(socket: UnixDatagram, number: Number, words: mpsc::Sender<(Number, Word)>) {
    let mut message = [0; MESSAGE_BYTES_MAX];
    loop {
        match socket.recv(&mut message).await {
            Ok(length) => {
                for word in Word::read(&message[..length]) {
                    if words.send((number, word)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return tracing::error!(%error, "a server cannot be heard any more"),
        }
    }
}

impl Word {
    /// The words of a message, of which each line is one.
    fn read(message: &[u8]) -> impl Iterator<Item = Word> {
        message.split(|byte| *byte == b'\n').filter_map(|line| match line {
            b"READY=1" => Some(Word::Ready),
            b"WATCHDOG=1" => Some(Word::Alive),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_lines() {
        let words: Vec<Word> = Word::read(b"STATUS=READY=1\nREADY=1\nREADY=11\n\nWATCHDOG=1").collect();
        assert_eq!(words, [Word::Ready, Word::Alive]);
        assert_eq!(Word::read(b"\xff").next(), None);
    }
}
