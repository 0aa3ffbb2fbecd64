//! The parser from outside: bytes in, frames out.

mod build;
mod change;
mod free;
mod golden;
mod random;
mod sync;
mod tags;
