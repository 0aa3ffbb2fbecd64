//! The sockets that listen, and the tasks that accept from them: they stop for a handoff, and may go on.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::net::{Acceptor, Role};
use crate::base::task;
use crate::http::App;
use crate::http::front::{Port, serve};
use crate::mount::door::Door;

/// All listening sockets of the server.
#[derive(Debug)]
pub struct Ports {
    sockets: Vec<(Role, Arc<TcpListener>)>,
    accepting: Mutex<Option<Accepting>>,
}

/// The tasks that accept.
#[derive(Debug)]
struct Accepting {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Ports {
    /// Sockets that listen; nothing is accepted yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(sockets: Vec<(Role, StdListener)>) -> io::Result<Self> {
        let sockets =
            sockets.into_iter().map(|(role, socket)| Ok((role, Arc::new(TcpListener::from_std(socket)?))));
        Ok(Ports { sockets: sockets.collect::<io::Result<_>>()?, accepting: Mutex::default() })
    }

    /// All sockets.
    pub fn sockets(&self) -> &[(Role, Arc<TcpListener>)] {
        &self.sockets
    }

    /// Address of the socket in this role.
    pub fn address(&self, role: Role) -> Option<SocketAddr> {
        let (_, socket) = self.sockets.iter().find(|(of, _)| *of == role)?;
        socket.local_addr().ok()
    }

    /// Starts to accept; `heads` bounds the connections whose heads are read at once. It cannot fail: there may be no other
    /// process to go on.
    pub fn open(&self, app: &Arc<App>, door: &Arc<Door>, heads: &Arc<Semaphore>) {
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        let api = self.address(Role::Api).is_none();
        for (role, socket) in &self.sockets {
            let (acceptor, stop) = (Acceptor::new(Arc::clone(socket), Arc::clone(heads)), stop.clone());
            let (app, door) = (Arc::clone(app), Arc::clone(door));
            tasks.push(match role {
                Role::Listeners => {
                    task::spawn("listener port", serve(app, acceptor, Port::Listeners { api }, stop))
                }
                Role::Api => task::spawn("api port", serve(app, acceptor, Port::Api, stop)),
                Role::Sources => task::spawn("source port", door.serve(acceptor, stop)),
                Role::Shoutcast => task::spawn("second source port", door.serve(acceptor, stop)),
            });
        }
        *self.accepting.lock() = Some(Accepting { stop, tasks });
    }

    /// Accepts nothing any more; who knocks waits in the kernel.
    pub async fn close(&self) {
        let Some(accepting) = self.accepting.lock().take() else { return };
        accepting.stop.cancel();
        for task in accepting.tasks {
            // A task that panicked accepts nothing either.
            let _ = task.await;
        }
    }
}
