//! Containers from outside: frames in, and what comes out read by other code and by ffmpeg.

mod fmp4;
mod mpegts;
mod programs;
mod support;
