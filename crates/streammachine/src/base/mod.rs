//! What every room of the server stands on: clocks, descriptors, sockets, request heads, tasks, throttles.
//!
//! Nothing here knows what a mount, a stream or a listener is.

pub mod clock;
pub mod cors;
pub mod descriptors;
pub mod gate;
pub mod head;
pub mod live;
pub mod net;
pub mod pause;
pub mod reach;
pub mod seldom;
pub mod service;
pub mod task;
pub mod throttle;
