//! What is not as a writer leaves it in a stream's directory, and what becomes of it. Who finds it is `recover.rs`.

use std::fmt;

use crate::Position;

/// Something that is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The position that the block's files are named after.
    pub position: Position,
    /// What is wrong.
    pub fault: Fault,
    /// What becomes of the block when the log is opened.
    pub outcome: Outcome,
}

/// What can be wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Audio behind the last record: what a killed writer leaves.
    AudioBeyondIndex,
    /// A record that ends too early: what a killed writer leaves.
    TornRecord,
    /// A record that is not what was written.
    DamagedRecord,
    /// A chunk is not in the audio file, or not all of it.
    ShortAudio,
    /// Audio that is not what was written.
    DamagedAudio,
    /// A chunk is dated before the end of the one before.
    OutOfOrder,
    /// Its index tells of no chunk.
    Empty,
    /// Audio without an index.
    NoIndex,
    /// An index without audio.
    NoAudio,
    /// The start of the index is not what was written.
    DamagedHeader,
    /// It lies where the block before lies.
    Overlap,
    /// Written in the layout of another version.
    OtherVersion,
    /// Written for another stream.
    OtherStream,
    /// What the system says of a file of it.
    System(String),
}

/// What becomes of a block with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ends before the fault.
    Cut {
        /// Bytes of audio behind that.
        audio_bytes: u64,
        /// Bytes of its index behind that.
        index_bytes: u64,
    },
    /// Its files are deleted.
    Dropped,
    /// Its files stay as they are, and new blocks are not put in their place.
    LeftAlone,
}

impl Fault {
    /// A word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::AudioBeyondIndex => "audio_beyond_index",
            Fault::TornRecord => "torn_record",
            Fault::DamagedRecord => "damaged_record",
            Fault::ShortAudio => "short_audio",
            Fault::DamagedAudio => "damaged_audio",
            Fault::OutOfOrder => "out_of_order",
            Fault::Empty => "empty",
            Fault::NoIndex => "no_index",
            Fault::NoAudio => "no_audio",
            Fault::DamagedHeader => "damaged_header",
            Fault::Overlap => "overlap",
            Fault::OtherVersion => "other_version",
            Fault::OtherStream => "other_stream",
            Fault::System(_) => "system",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::AudioBeyondIndex => "audio behind the last record",
            Fault::TornRecord => "a torn record in its index",
            Fault::DamagedRecord => "a damaged record in its index",
            Fault::ShortAudio => "less audio than its index says",
            Fault::DamagedAudio => "audio that differs from its checksum",
            Fault::OutOfOrder => "a chunk dated before the end of the one before",
            Fault::Empty => "an index without chunks",
            Fault::NoIndex => "audio without an index",
            Fault::NoAudio => "index without audio",
            Fault::DamagedHeader => "damaged index header",
            Fault::Overlap => "overlaps the block before",
            Fault::OtherVersion => "written by another version",
            Fault::OtherStream => "written for another stream",
            Fault::System(message) => message,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Cut { audio_bytes, index_bytes } => {
                write!(f, "cut {audio_bytes} bytes of audio, {index_bytes} of its index")
            }
            Outcome::Dropped => f.write_str("dropped"),
            Outcome::LeftAlone => f.write_str("left alone"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}: {}: {}", self.position.0, self.outcome, self.fault)
    }
}
