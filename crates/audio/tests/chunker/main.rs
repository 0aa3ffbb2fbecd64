//! What the chunker promises: exact cuts, honest dates, a time line that holds for months. No clock, no parser: batches
//! and readings of the clocks are made by hand.

mod carrying;
mod cutting;
mod dating;
mod discipline;
mod properties;
mod support;
