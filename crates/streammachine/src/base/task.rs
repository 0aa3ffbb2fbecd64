//! Named tasks whose panics end only themselves, and are logged.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

/// Starts a task. Should it panic, the panic ends there.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        // What the task owned is dropped with it; nothing that outlives it is left half changed under a lock, since no
        // lock is held across an await.
        if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
            tracing::error!(task = name, reason = reason(&*panic), "a task panicked");
        }
    })
}

fn reason(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_task_and_goes_no_further() {
        assert!(spawn("test", async { panic!("on purpose") }).await.is_ok());
    }

    #[test]
    fn the_reason_is_told_whatever_it_is() {
        assert_eq!(reason(&"text"), "text");
        assert_eq!(reason(&"text".to_owned()), "text");
        assert_eq!(reason(&5), "unknown");
    }
}
