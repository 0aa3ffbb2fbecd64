//! Killed with -9 at any moment, again and again: what was acknowledged is there, byte for byte, at the same positions.

use std::{
    env,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use rewind::{Log, Position, Writer};
use wire::icy::Metadata;

use crate::common::{SECOND_US, START, chunk, chunks, open, seconds};

const ROUNDS: u32 = 100;
const DIR_VARIABLE: &str = "REWIND_CRASH_DIR";
const SEED_VARIABLE: &str = "REWIND_CRASH_SEED";
/// A new title comes with every so many chunks.
const TITLE_CHUNKS: u64 = 50;

/// Lengths differ, but each chunk has its own.
fn numbered(number: u64) -> audio::Chunk {
    chunk(number, 1 + (number as usize * 7_919) % 3_000)
}

fn title_of(number: u64) -> Metadata {
    Metadata { title: format!("title {}", number / TITLE_CHUNKS), url: String::new() }
}

fn next_number(writer: &Writer) -> u64 {
    writer.last_end().map_or(0, |end| (end.micros_since(START) / SECOND_US) as u64)
}

#[test]
#[ignore = "the child of the test below: it writes until it is killed"]
fn child_writes_until_it_is_killed() {
    let dir = env::var_os(DIR_VARIABLE).expect("started by its parent");
    let (mut writer, ..) = open(Some(Path::new(&dir)));
    for number in next_number(&writer).. {
        if number.is_multiple_of(TITLE_CHUNKS) {
            writer.set_metadata(title_of(number), seconds(number as i64));
        }
        writer.append(&numbered(number));
        std::io::stderr().write_all(&number.to_le_bytes()).unwrap();
    }
}

fn start(dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["crash::child_writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
        .env(DIR_VARIABLE, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child after `acks` acknowledged chunks; gives the last one acknowledged, if any was.
fn kill_after(mut child: Child, acks: u64) -> Option<u64> {
    let mut pipe = child.stderr.take().unwrap();
    let mut seen = vec![0; acks as usize * 8];
    pipe.read_exact(&mut seen).unwrap();
    child.kill().unwrap();
    pipe.read_to_end(&mut seen).unwrap();
    child.wait().unwrap();
    let last = seen.chunks_exact(8).next_back()?;
    Some(u64::from_le_bytes(last.try_into().unwrap()))
}

/// Every chunk in the log is the true one of its number, at its position; gives the number of the last.
fn check(log: &Log, position_of: &mut Vec<u64>) -> Option<u64> {
    let found = chunks(log);
    for chunk in &found {
        let number = chunk.time.micros_since(START) / SECOND_US;
        let number = number as u64;
        while position_of.len() as u64 <= number {
            let next = position_of.len() as u64 - 1;
            position_of.push(position_of[next as usize] + numbered(next).data.len() as u64);
        }
        assert_eq!(chunk.data, numbered(number).data, "chunk {number}");
        assert_eq!(chunk.position, Position(position_of[number as usize]), "chunk {number}");
        assert_eq!(log.metadata_at(chunk.position).metadata, title_of(number), "chunk {number}");
    }
    for pair in found.windows(2) {
        assert_eq!(pair[0].end(), pair[1].position, "no hole");
    }
    found.last().map(|chunk| (chunk.time.micros_since(START) / SECOND_US) as u64)
}

#[test]
fn a_killed_writer_loses_at_most_the_chunk_being_written() {
    let seed = env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
    let mut random = seed.unwrap_or_else(|| u64::from(std::process::id()) | 1 << 32);
    eprintln!("{SEED_VARIABLE}={random}");
    let dir = tempfile::tempdir().unwrap();
    let mut position_of = vec![Position::FRESH.0];
    let mut last_kept = None;
    for round in 0..ROUNDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let acked = kill_after(start(dir.path()), random % 200).or(last_kept);
        let (writer, log, recovery) = open(Some(dir.path()));
        let kept = check(&log, &mut position_of);
        let lost_or_unheard = next_number(&writer) as i64 - acked.map_or(0, |acked| acked as i64 + 1);
        assert!(
            (0..=1).contains(&lost_or_unheard),
            "round {round}: acknowledged {acked:?}, kept {kept:?}, {:?}",
            recovery.findings
        );
        last_kept = kept;
    }
    assert!(last_kept > Some(1_000), "the writers got on");
}
