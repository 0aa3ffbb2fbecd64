//! `cargo xtask check-layers`: who may name whom, and how long a file may be. `cargo test` runs it too.
//!
//! Reads texts, not types: comments are cut off, paths that start with `crate::` are found, manifests are read by
//! line. A path through `super::super` is not followed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Modules of the server; each may name itself and those before it.
const MODULES: &[&str] = &[
    "base",
    "config",
    "source",
    "mount",
    "stream",
    "listener",
    "hls",
    "directory",
    "admin",
    "http",
    "handoff",
    "server",
    "cli",
    "commands",
];
/// Crates; each may depend on those before it.
const CRATES: &[&str] = &["audio", "wire", "rewind", "streammachine"];
/// The crate that all may use in tests, none otherwise, and that uses none.
const TEST_CRATE: &str = "testkit";
/// Most lines of a file.
const LINES_MAX: usize = 600;
/// Directories with source files.
const ROOMS: &[&str] = &["crates", "xtask", "fuzz/fuzz_targets"];

/// Prints all violations; an error when there is one.
pub fn run() -> anyhow::Result<()> {
    let violations = check(&crate::repository())?;
    for violation in &violations {
        println!("{violation}");
    }
    ensure!(violations.is_empty(), "{} violations", violations.len());
    Ok(())
}

/// All violations in the repository at `root`, one line each.
fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut violations = Vec::new();
    for room in ROOMS {
        for file in find_sources(&root.join(room))? {
            let text = read(&file)?;
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            violations.extend(check_size(&name, &text));
            if let Some(module) = server_module(&name) {
                violations.extend(check_module(&name, module, &text));
            }
        }
    }
    for name in CRATES.iter().chain([&TEST_CRATE]) {
        let manifest = read(&root.join("crates").join(name).join("Cargo.toml"))?;
        violations.extend(check_crate(name, &manifest));
    }
    Ok(violations)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All `.rs` files below `directory`, sorted; build output is not entered.
fn find_sources(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries =
            std::fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn check_size(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{name}: {lines} lines, more than {LINES_MAX}"))
}

/// The module that a file of the server belongs to; none for `main.rs`, which declares them all.
fn server_module(name: &str) -> Option<&str> {
    let inside = name.strip_prefix("crates/streammachine/src/")?;
    let module = inside.split('/').next()?;
    let module = module.strip_suffix(".rs").unwrap_or(module);
    (module != "main").then_some(module)
}

fn check_module(name: &str, module: &str, text: &str) -> Vec<String> {
    let Some(own) = place(module) else {
        return vec![format!("{name}: module {module} has no place in the layer order")];
    };
    let mut violations = Vec::new();
    for (line, named) in find_named(&without_comments(text)) {
        match place(&named) {
            Some(other) if other <= own => {}
            Some(_) => {
                violations.push(format!("{name}:{line}: {module} names {named}, which comes behind it"))
            }
            None => violations.push(format!("{name}:{line}: {named} has no place in the layer order")),
        }
    }
    violations
}

fn place(module: &str) -> Option<usize> {
    MODULES.iter().position(|&known| known == module)
}

/// The text with each line cut at its comment, so that line numbers stay.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// First names behind every `crate::`, groups included, with their line numbers from 1.
fn find_named(text: &str) -> Vec<(usize, String)> {
    const ROOT: &str = "crate::";
    let mut found = Vec::new();
    for (start, _) in text.match_indices(ROOT) {
        let is_longer_name = text[..start].ends_with(is_name);
        if is_longer_name {
            continue;
        }
        let rest = &text[start + ROOT.len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group_names(group),
            None => vec![(0, first_name(rest))],
        };
        let line = text[..start].matches('\n').count() + 1;
        found.extend(names.into_iter().map(|(lines, name)| (line + lines, name.to_owned())));
    }
    found
}

/// First names of the members of `{a::b, c::{d, e}}`, from behind its bracket, with the lines before each.
fn group_names(group: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut expected = true;
    for (place, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && is_name(character) => {
                names.push((group[..place].matches('\n').count(), first_name(&group[place..])));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

fn first_name(text: &str) -> &str {
    text.split(|character| !is_name(character)).next().unwrap_or_default()
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn check_crate(name: &str, manifest: &str) -> Vec<String> {
    let before = CRATES.iter().take_while(|&&known| known != name);
    let allowed: Vec<&str> = if name == TEST_CRATE { Vec::new() } else { before.copied().collect() };
    let mut violations = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let is_tests_only = section == "dev-dependencies" && name != TEST_CRATE;
        let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let is_ours = section.ends_with("dependencies") && (CRATES.contains(&key) || key == TEST_CRATE);
        let is_allowed = allowed.contains(&key) || (is_tests_only && key == TEST_CRATE);
        if is_ours && !is_allowed {
            violations.push(format!("crates/{name}/Cargo.toml: [{section}] must not name {key}"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_order() {
        let violations = check(&crate::repository()).unwrap();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    #[track_caller]
    fn check_text(module: &str, text: &str, expected: &[&str]) {
        assert_eq!(check_module("x.rs", module, text), expected);
    }

    #[test]
    fn a_module_may_name_itself_and_those_before_it() {
        check_text(
            "mount",
            "use crate::base::x;\nuse crate::{config, source::{a, stream}};\ncrate::mount::f();",
            &[],
        );
        check_text("commands", "use crate::cli; use crate::server;", &[]);
    }

    #[test]
    fn a_module_behind_is_a_violation_wherever_it_is_named() {
        check_text(
            "source",
            "\nuse crate::mount::Mount;",
            &["x.rs:2: source names mount, which comes behind it"],
        );
        check_text(
            "base",
            "fn f() { crate::http::g(); }",
            &["x.rs:1: base names http, which comes behind it"],
        );
        check_text(
            "source",
            "use crate::{\n    base::{a, b},\n    stream::{c},\n    http,\n};",
            &[
                "x.rs:3: source names stream, which comes behind it",
                "x.rs:4: source names http, which comes behind it",
            ],
        );
    }

    #[test]
    fn unknown_modules_are_violations() {
        check_text("cluster", "", &["x.rs: module cluster has no place in the layer order"]);
        check_text("base", "use crate::cluster;", &["x.rs:1: cluster has no place in the layer order"]);
    }

    #[test]
    fn comments_and_longer_names_are_not_paths() {
        check_text(
            "base",
            "//! crate::http\n/// [`crate::http`]\nlet a = 1; // crate::http\nother_crate::http();",
            &[],
        );
    }

    #[test]
    fn files_of_the_server_belong_to_their_module() {
        for (name, module) in [
            ("crates/streammachine/src/base/net.rs", Some("base")),
            ("crates/streammachine/src/server.rs", Some("server")),
            ("crates/streammachine/src/main.rs", None),
            ("crates/streammachine/tests/e2e/main.rs", None),
            ("crates/audio/src/lib.rs", None),
        ] {
            assert_eq!(server_module(name), module, "{name}");
        }
    }

    #[test]
    fn a_crate_may_depend_on_those_before_it() {
        let manifest = "[dependencies]\naudio.workspace = true\nwire = { path = \"x\" }\n\n[dev-dependencies]\ntestkit.workspace = true\n";
        assert_eq!(check_crate("rewind", manifest), [""; 0]);
        assert_eq!(
            check_crate("wire", manifest),
            ["crates/wire/Cargo.toml: [dependencies] must not name wire"]
        );
    }

    #[test]
    fn the_test_crate_uses_none_and_is_for_tests() {
        let used = "[dependencies]\ntestkit.workspace = true\n";
        assert_eq!(
            check_crate("audio", used),
            ["crates/audio/Cargo.toml: [dependencies] must not name testkit"]
        );
        let uses = "[dev-dependencies]\naudio.workspace = true\n";
        assert_eq!(
            check_crate("testkit", uses),
            ["crates/testkit/Cargo.toml: [dev-dependencies] must not name audio"]
        );
    }

    #[test]
    fn a_file_of_the_most_lines_passes_and_one_more_fails() {
        assert_eq!(check_size("x.rs", &"\n".repeat(LINES_MAX)), None);
        assert_eq!(
            check_size("x.rs", &"\n".repeat(LINES_MAX + 1)).unwrap(),
            "x.rs: 601 lines, more than 600"
        );
    }
}
