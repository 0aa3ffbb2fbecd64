//! A handoff asks those who hold a connection to stop where they are and to give it away.

use tokio::sync::watch;

/// Asks for a pause, and takes that back.
#[derive(Debug)]
pub struct Pauser(watch::Sender<bool>);

/// Whether a pause is asked for.
#[derive(Clone, Debug)]
pub struct Pause(watch::Receiver<bool>);

impl Default for Pauser {
    fn default() -> Self {
        Pauser(watch::Sender::new(false))
    }
}

impl Pauser {
    /// Asks for a pause, or for no pause any more.
    pub fn ask(&self, wanted: bool) {
        self.0.send_replace(wanted);
    }

    /// What those who may be asked look at.
    pub fn pause(&self) -> Pause {
        Pause(self.0.subscribe())
    }
}

impl Pause {
    /// True while a pause is asked for.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when a pause is asked for.
    pub async fn asked(&mut self) {
        self.is(true).await;
    }

    /// Resolves when no pause is asked for any more.
    pub async fn over(&mut self) {
        self.is(false).await;
    }

    async fn is(&mut self, state: bool) {
        if self.0.wait_for(|wanted| *wanted == state).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}
