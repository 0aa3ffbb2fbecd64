//! Handoffs: a new process takes over sockets, sources, rewind buffers and listeners from the old one, and nobody hears it.
//!
//! The new one is ready before the old one stops; the old one can take everything back until the new one serves.

pub mod channel;
pub mod faults;
pub mod give;
pub mod message;
pub mod ports;
pub mod take;
pub mod taking;
