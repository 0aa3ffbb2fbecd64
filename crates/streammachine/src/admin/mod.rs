//! The API: what operators and their programs see and change. Reads everything, owns nothing.

pub mod access;
pub mod api;
mod connections;
mod password;
mod show;

use std::sync::Arc;
use std::time::Duration;

use crate::admin::access::Access;
use crate::{mount, stream};

/// What the API works on.
#[derive(Debug)]
pub struct Admin {
    /// All streams.
    pub streams: Arc<stream::registry::Registry>,
    /// All mounts.
    pub mounts: Arc<mount::registry::Registry>,
    /// Who may use it.
    pub access: Access,
    /// Audio in an original's chunk, which its API tells.
    pub chunk: Duration,
}
