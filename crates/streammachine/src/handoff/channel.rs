//! Messages with descriptors over a Unix socket. What they say is in `message.rs`.
//!
//! ```text
//!   length of the text, 4 bytes │ number of descriptors, 4 bytes │ text (JSON)
//!   the descriptors follow in groups, each with one byte that is acknowledged by one
//! ```
//!
//! Groups are acknowledged because the system counts descriptors that are on their way, and refuses more than a process
//! may have.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handoff::faults;

/// The other process is given up after so long without a word.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Longest text of a message.
const TEXT_BYTES_MAX: usize = 256 << 20;
/// Most descriptors of a message.
const FILES_MAX: usize = 1 << 20;
/// Descriptors in a group; the system takes at most 253.
const GROUP: usize = 200;

/// [`PATIENCE`], unless a test wants less.
pub fn patience() -> Duration {
    faults::patience().unwrap_or(PATIENCE)
}

/// One end of the conversation.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
}

/// Ends a conversation that nobody may wait for any more.
#[derive(Debug)]
pub struct Breaker(Option<UnixStream>);

impl Drop for Breaker {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Channel {
    /// A conversation over `socket`, each word within [`PATIENCE`].
    ///
    /// # Errors
    /// What the system says.
    pub fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(patience()))?;
        socket.set_write_timeout(Some(patience()))?;
        Ok(Channel { socket })
    }

    /// Gives the conversation up when it is dropped, from another thread too.
    pub fn breaker(&self) -> Breaker {
        Breaker(self.socket.try_clone().ok())
    }

    /// Waits for the next message without a limit, or again with one.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(patience)
    }

    /// Sends `message` and `files` with it.
    ///
    /// # Errors
    /// What the system says; `TimedOut` or `WouldBlock` after [`PATIENCE`].
    pub fn send(&mut self, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut bytes = Vec::with_capacity(8 + text.len());
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend((files.len() as u32).to_le_bytes());
        bytes.extend(text);
        self.socket.write_all(&bytes)?;
        for group in files.chunks(GROUP) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(GROUP))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(group)) {
                return Err(io::Error::other("no room for a group of descriptors"));
            }
            sendmsg(&self.socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
            self.socket.read_exact(&mut [0])?;
        }
        Ok(())
    }

    /// The next message and what came with it.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end is closed, `InvalidData` for what is no message, else what the system says.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<OwnedFd>)> {
        let mut head = [0; 8];
        self.socket.read_exact(&mut head)?;
        let [length, count] = [&head[..4], &head[4..]].map(|half| {
            let number = half.try_into().map_or(u32::MAX, u32::from_le_bytes);
            number as usize
        });
        if length > TEXT_BYTES_MAX || count > FILES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message beyond its bounds"));
        }
        let mut text = vec![0; length];
        self.socket.read_exact(&mut text)?;
        let mut files = Vec::with_capacity(count);
        while files.len() < count {
            let wanted = (count - files.len()).min(GROUP);
            self.receive_group(wanted, &mut files)?;
            self.socket.write_all(&[0])?;
        }
        Ok((serde_json::from_slice(&text)?, files))
    }

    fn receive_group(&mut self, wanted: usize, files: &mut Vec<OwnedFd>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(GROUP))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = files.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                files.extend(rights);
            }
        }
        if files.len() - before != wanted {
            // The system leaves out those for which this process has no room.
            return Err(io::Error::other(format!(
                "{} of {wanted} descriptors came: the limit on open files is too low",
                files.len() - before
            )));
        }
        Ok(())
    }

    /// The process at the other end; none if it is another user's.
    ///
    /// # Errors
    /// What the system says.
    pub fn peer(&self) -> io::Result<Option<Pid>> {
        let peer = rustix::net::sockopt::socket_peercred(self.socket.as_fd())?;
        Ok((peer.uid == rustix::process::geteuid()).then_some(peer.pid))
    }

    /// Says no more and hears no more, but for what has come already: the other end is told so.
    pub fn give_up(&self) {
        // An end that is gone needs no telling.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::*;

    fn pair() -> [Channel; 2] {
        let (one, other) = UnixStream::pair().unwrap();
        [one, other].map(|socket| Channel::new(socket).unwrap())
    }

    #[test]
    fn messages_come_with_their_descriptors_in_order() {
        let [mut one, mut other] = pair();
        let files: Vec<File> = (0..450)
            .map(|number| {
                let file = tempfile::tempfile().unwrap();
                file.set_len(number).unwrap();
                file
            })
            .collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let borrowed: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
                one.send(&"many", &borrowed).unwrap();
                one.send(&("none", 1), &[]).unwrap();
            });
            let (text, received): (String, _) = other.receive().unwrap();
            assert_eq!((text.as_str(), received.len()), ("many", 450));
            for (number, file) in received.into_iter().enumerate() {
                assert_eq!(File::from(file).metadata().unwrap().len(), number as u64);
            }
            let (text, received): ((String, u8), _) = other.receive().unwrap();
            assert_eq!((text, received.len()), (("none".to_owned(), 1), 0));
        });
    }

    #[test]
    fn an_end_that_closes_and_nonsense_are_errors() {
        let [one, mut other] = pair();
        drop(one);
        assert_eq!(other.receive::<u8>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(other.send(&1, &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let [one, mut other] = pair();
        (&one.socket).write_all(&[0xFF; 8]).unwrap();
        assert_eq!(other.receive::<u8>().unwrap_err().kind(), io::ErrorKind::InvalidData);
        let [one, mut other] = pair();
        (&one.socket).write_all(b"\x02\0\0\0\0\0\0\0{]").unwrap();
        assert_eq!(other.receive::<u8>().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn who_gives_up_is_noticed_and_what_was_said_before_is_heard() {
        let [mut one, mut other] = pair();
        one.send(&7, &[]).unwrap();
        other.give_up();
        assert!(one.send(&8, &[]).is_err());
        assert_eq!(other.receive::<u8>().unwrap().0, 7);
        assert!(other.receive::<u8>().is_err());
    }
}
