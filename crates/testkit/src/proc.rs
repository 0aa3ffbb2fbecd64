//! What the kernel tells about a process in `/proc`: processor time, memory, threads and descriptors.

use std::io;
use std::path::PathBuf;

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages, shared ones in full.
    pub rss_bytes: u64,
    /// Resident pages, shared ones by their share.
    pub pss_bytes: u64,
    /// Resident pages of its own that no file holds: heap and stacks, not a mapped rewind buffer.
    pub anonymous_bytes: u64,
}

/// Processor time that `pid` has used so far, all its threads, user and system, in seconds; exact to a tick of 10 ms.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = read(pid, "stat")?;
    let ticks = parse_cpu_ticks(&stat).ok_or_else(|| odd("stat", &stat))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Memory of `pid`; walks its page tables, so not for every millisecond.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let rollup = read(pid, "smaps_rollup")?;
    parse_memory(&rollup).ok_or_else(|| odd("smaps_rollup", &rollup))
}

/// Resident bytes of `pid`.
pub fn rss_bytes(pid: u32) -> io::Result<u64> {
    Ok(memory(pid)?.rss_bytes)
}

/// Threads of `pid`.
pub fn threads(pid: u32) -> io::Result<usize> {
    count(pid, "task")
}

/// Open descriptors of `pid`.
pub fn descriptors(pid: u32) -> io::Result<usize> {
    count(pid, "fd")
}

fn path(pid: u32, name: &str) -> PathBuf {
    format!("/proc/{pid}/{name}").into()
}

fn read(pid: u32, name: &str) -> io::Result<String> {
    std::fs::read_to_string(path(pid, name))
}

fn count(pid: u32, name: &str) -> io::Result<usize> {
    Ok(std::fs::read_dir(path(pid, name))?.count())
}

fn odd(name: &str, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name} reads {text:?}"))
}

/// Fields 14 and 15 of proc_pid_stat(5); the name in field 2 may hold blanks and brackets.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn parse_memory(rollup: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some(Memory { rss_bytes: bytes("Rss")?, pss_bytes: bytes("Pss")?, anonymous_bytes: bytes("Anonymous")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_an_odd_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 1 0 5 1000 10";
        assert_eq!(parse_cpu_ticks(stat), Some(281));
        assert_eq!(parse_cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_from_its_lines() {
        let rollup =
            "0-f ---p 0 00:00 0 [rollup]\nRss:     12 kB\nPss:   8 kB\nPss_Dirty: 7 kB\nAnonymous:   4 kB\n";
        let memory = Memory { rss_bytes: 12_288, pss_bytes: 8192, anonymous_bytes: 4096 };
        assert_eq!(parse_memory(rollup), Some(memory));
        assert_eq!(parse_memory("Rss: 12 kB\n"), None);
    }

    #[test]
    fn this_process_has_all_readings() {
        let pid = std::process::id();
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
        let memory = memory(pid).unwrap();
        assert!(memory.anonymous_bytes > 0 && memory.anonymous_bytes <= memory.rss_bytes);
        assert!(threads(pid).unwrap() >= 1);
        let before = descriptors(pid).unwrap();
        assert!(before >= 3, "{before} descriptors");
    }

    #[test]
    fn an_absent_process_is_an_error() {
        // Above the highest pid that Linux gives out.
        assert!(cpu_seconds(1 << 30).is_err());
    }
}
