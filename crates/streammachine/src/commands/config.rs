//! `streammachine config`: checks, shows and describes the configuration.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::cli::ConfigAction;
use crate::commands::import;
use crate::config::{ConfigError, Finding, Loaded, Severity, Sources, load, schema};

/// Does what `action` says with the configuration of `sources` and writes to `out`. Fails on errors, and a check also on
/// unknown keys.
///
/// # Errors
/// Those of `out`.
pub fn run(action: &ConfigAction, sources: &Sources, out: &mut impl Write) -> io::Result<ExitCode> {
    match action {
        ConfigAction::Check => check(load(sources), out),
        ConfigAction::Show { origins } => show(load(sources), *origins, out),
        ConfigAction::Import(args) => import::run(args, out, &mut io::stderr().lock()),
        ConfigAction::Schema => print(&schema::json_schema(), out),
        ConfigAction::Reference => {
            out.write_all(schema::reference().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(loaded: Result<Loaded, ConfigError>, out: &mut impl Write) -> io::Result<ExitCode> {
    let (findings, file) = match loaded {
        Ok(loaded) => (loaded.warnings, loaded.file),
        Err(ConfigError::Invalid { findings }) => (findings, None),
        Err(error) => return fail(&error, out),
    };
    // An unknown key only warns at the start; whoever asks wants it found.
    let is_error = |finding: &Finding| matches!(finding.severity, Severity::Error | Severity::Unknown);
    for finding in &findings {
        let severity = if is_error(finding) { Severity::Error } else { finding.severity };
        writeln!(out, "{severity}: {finding}")?;
    }
    match findings.iter().filter(|finding| is_error(finding)).count() {
        0 => {
            let name = file.map_or("the configuration".to_owned(), |file| file.display().to_string());
            writeln!(out, "{name} is fine")?;
            Ok(ExitCode::SUCCESS)
        }
        1 => writeln!(out, "1 error").map(|()| ExitCode::FAILURE),
        errors => writeln!(out, "{errors} errors").map(|()| ExitCode::FAILURE),
    }
}

fn show(
    loaded: Result<Loaded, ConfigError>,
    with_origins: bool,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, out),
    };
    if !with_origins {
        return print(&loaded.shown, out);
    }
    let origins = loaded.origins.into_iter();
    let origins: Map<String, Value> =
        origins.map(|(path, origin)| (path, origin.to_string().into())).collect();
    print(&json!({ "settings": loaded.shown, "origins": origins }), out)
}

fn print(value: &Value, out: &mut impl Write) -> io::Result<ExitCode> {
    writeln!(out, "{value:#}")?;
    Ok(ExitCode::SUCCESS)
}

fn fail(error: &ConfigError, out: &mut impl Write) -> io::Result<ExitCode> {
    for line in error.to_string().lines() {
        writeln!(out, "error: {line}")?;
    }
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;

    /// What `action` writes about a file that holds `text`, and whether it succeeds.
    fn told(action: &ConfigAction, text: &str) -> (String, bool) {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        let mut out = Vec::new();
        let code = run(action, &sources, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap().replace(&file.path().display().to_string(), "FILE");
        (out, code == ExitCode::SUCCESS)
    }

    #[test]
    fn a_check_tells_everything_and_fails_on_errors_and_unknown_keys() {
        for (text, out, succeeds) in [
            ("{port: 1}", "FILE is fine\n", true),
            (
                "{streams: {a: {preroll: 'x'}}}",
                "note: FILE:1:15: streams.a.source_password: is not set: no source can connect\n\
                 warning: FILE:1:16: streams.a.preroll: recognised but not implemented in this version; it has no effect\n\
                 FILE is fine\n",
                true,
            ),
            ("{prot: 1}", "error: FILE:1:2: prot: unknown key; did you mean \"port\"?\n1 error\n", false),
            (
                "{port: 'x', prot: 1}",
                "error: FILE:1:8: port: expected a port from 0 to 65,535, found \"x\"\n\
                 error: FILE:1:13: prot: unknown key; did you mean \"port\"?\n2 errors\n",
                false,
            ),
            ("{port 1}", "error: FILE:1:7: expected colon\n", false),
        ] {
            assert_eq!(told(&ConfigAction::Check, text), (out.to_owned(), succeeds), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_json_without_secrets() {
        let text = "{port: 1, streams: {a: {source_password: 'hush'}}}";
        let (plain, succeeds) = told(&ConfigAction::Show { origins: false }, text);
        assert!(succeeds && !plain.contains("hush"));
        let plain: Value = serde_json::from_str(&plain).unwrap();
        assert_eq!((&plain["port"], &plain["source_port"]), (&json!(1), &json!(8001)));
        assert_eq!(plain["streams"]["a"]["source_password"], json!("***"));

        let (with_origins, _) = told(&ConfigAction::Show { origins: true }, text);
        let with_origins: Value = serde_json::from_str(&with_origins).unwrap();
        assert_eq!(with_origins["settings"], plain);
        let origins = json!({"port": "FILE:1:8", "streams.a.source_password": "FILE:1:42"});
        assert_eq!(with_origins["origins"], origins);

        assert!(!told(&ConfigAction::Show { origins: false }, "{port: 'x'}").1);
    }

    #[test]
    fn an_upstream_is_shown_without_what_may_be_secret() {
        let text = |scheme: &str| {
            format!(
                "{{streams: {{a: {{djs: {{x: 'y'}}, fallback: '{scheme}://jo:hush@radio.example/a?hush'}}}}}}"
            )
        };
        let (shown, _) = told(&ConfigAction::Show { origins: false }, &text("http"));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["streams"]["a"]["fallback"], "http://***@radio.example/a?***");
        let error = "error: FILE:1:41: streams.a.fallback: expected \"builtin:programme\", \"file:///PATH\" or \
                     \"http://HOST/PATH\", found something else\n1 error\n";
        assert_eq!(told(&ConfigAction::Check, &text("ftp")), (error.to_owned(), false));
    }

    #[test]
    fn descriptions_need_no_configuration() {
        let (schema, succeeds) = told(&ConfigAction::Schema, "broken");
        assert!(
            succeeds && serde_json::from_str::<Value>(&schema).unwrap()["properties"]["port"].is_object()
        );
        assert_eq!(told(&ConfigAction::Reference, "broken"), (schema::reference(), true));
    }
}
