//! `cargo xtask fuzz`: every target in `fuzz/`, one after the other, and what came of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

/// Options of `cargo xtask fuzz`.
#[derive(Debug, Args)]
pub struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs all targets; an error when one fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = crate::repository();
    let targets = find_targets(&root.join("fuzz/fuzz_targets"))?;
    ensure!(!targets.is_empty(), "there are no fuzz targets");
    let mut failed = Vec::new();
    println!("| target | result | last line |\n| --- | --- | --- |");
    for target in &targets {
        let time = format!("-max_total_time={}", options.seconds);
        let output = Command::new("cargo")
            .args(["+nightly", "fuzz", "run", target, "--", &time])
            .current_dir(&root)
            .output()
            .context("cannot start cargo fuzz")?;
        let log = String::from_utf8_lossy(&output.stderr);
        println!(
            "| {target} | {} | {} |",
            if output.status.success() { "ok" } else { "FAILED" },
            last_line(&log)
        );
        if !output.status.success() {
            eprintln!("{log}");
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// Names of the targets in a directory, sorted.
fn find_targets(directory: &Path) -> anyhow::Result<Vec<String>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

/// The fuzzer's own summary, else whatever it said last.
fn last_line(log: &str) -> &str {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    lines().rfind(|line| line.starts_with("Done ")).or_else(|| lines().next_back()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_the_fuzzer_is_preferred() {
        assert_eq!(
            last_line("#1 INITED\nDone 5 runs in 1 second(s)\nstat: x\n\n"),
            "Done 5 runs in 1 second(s)"
        );
        assert_eq!(last_line("a\n  b \n\n"), "b");
        assert_eq!(last_line(""), "");
    }

    #[test]
    fn targets_are_the_rust_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.rs", "a.rs", "corpus.txt"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(find_targets(directory.path()).unwrap(), ["a", "b"]);
    }
}
