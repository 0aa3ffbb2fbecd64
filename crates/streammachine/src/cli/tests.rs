//! Tests of the command line.

use std::io::Write as _;

use super::*;

fn parse_line(line: &str) -> Invocation {
    parse(line.split(' ').map(OsString::from)).unwrap()
}

fn source(line: &str) -> SourceArgs {
    match parse_line(line).cli.command {
        Some(Command::Source(args)) => args,
        other => panic!("{other:?}"),
    }
}

fn target(line: &str) -> Result<(String, u16, String), String> {
    let Some(Command::Listen(args)) = parse_line(line).cli.command else { panic!("{line}") };
    args.target().map(|it| (it.host, it.port, it.path)).map_err(|error| error.to_string())
}

#[test]
fn the_definitions_agree_with_each_other() {
    Cli::command().debug_assert();
}

#[test]
fn serving_is_the_default_and_settings_may_stand_anywhere() {
    let invocation = parse_line("streammachine --port=9000 --config a.json --no-log:stdout");
    assert!(invocation.cli.command.is_none());
    assert_eq!(invocation.cli.config, Some(PathBuf::from("a.json")));
    let settings = [("port", "9000"), ("log:stdout", "false")];
    assert_eq!(invocation.settings, settings.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let invocation = parse_line("streammachine config show --port 1 --origins -c b.json");
    let Some(Command::Config(args)) = invocation.cli.command else { panic!() };
    assert!(matches!(args.action, ConfigAction::Show { origins: true }));
    assert_eq!(invocation.cli.config, Some(PathBuf::from("b.json")));
    assert_eq!(invocation.settings, [("port".to_owned(), "1".to_owned())]);
}

#[test]
fn a_runner_takes_settings_and_leaves_what_is_behind_the_dashes_to_the_server() {
    let invocation =
        parse_line("streammachine runner --watch w --port 1 --title t -c a.json -- --port=2 -c b");
    let Some(Command::Runner(args)) = invocation.cli.command else { panic!() };
    assert_eq!((args.watch, args.title.as_deref()), (Some(PathBuf::from("w")), Some("t")));
    assert_eq!(args.server, ["--port=2", "-c", "b"]);
    assert_eq!(invocation.cli.config, Some(PathBuf::from("a.json")));
    assert_eq!(invocation.settings, [("port".to_owned(), "1".to_owned())]);
}

#[test]
fn a_wrong_option_is_an_error_of_usage_with_what_was_meant() {
    let error = parse(["streammachine", "--prot=1"].map(OsString::from)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownArgument);
    let text = error.to_string();
    assert!(
        text.starts_with("error: there is no option or setting --prot; did you mean --port?\n"),
        "{text}"
    );
    for line in [
        "streammachine --help",
        "streammachine -V",
        "streammachine listen --help",
        "streammachine help source",
    ] {
        assert!(!parse(line.split(' ').map(OsString::from)).unwrap_err().use_stderr(), "{line}");
    }
}

#[test]
fn the_original_test_source_still_starts() {
    let args = source("streammachine source --port 8002 --stream test --password testing music.mp3");
    assert_eq!((args.host.as_str(), args.port, args.mount_path().as_str()), ("127.0.0.1", 8002, "/test"));
    assert_eq!(args.secret_or(Some("other".into())).unwrap().expose(), "testing");
    assert_eq!((args.protocol, args.burst, args.repeat), (SourceProtocol::Put, 0.0, false));
    assert!(!format!("{args:?}").contains("testing"));
}

#[test]
fn a_password_comes_from_a_file_or_the_environment() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"pass:word \r\nmore").unwrap();
    let line = format!("streammachine source --mount /live --password-file {} a.mp3", file.path().display());
    let args = source(&line);
    assert_eq!(args.mount_path(), "/live");
    assert_eq!(args.secret_or(Some("other".into())).unwrap().expose(), "pass:word ");

    let args = source("streammachine source --mount live a.mp3");
    assert_eq!(args.mount_path(), "/live");
    assert_eq!(args.secret_or(Some("from env".into())).unwrap().expose(), "from env");
    let error = args.secret_or(None).unwrap_err().to_string();
    assert_eq!(
        error,
        "a password is needed: set STREAMMACHINE_PASSWORD, or use --password-file or --password"
    );
}

#[test]
fn where_to_listen_is_an_address_or_host_port_and_stream() {
    for (line, expected) in [
        ("http://radio.example/test", Ok(("radio.example", 80, "/test"))),
        ("http://[::1]:8001/test?x=1 --offset 60", Ok(("::1", 8001, "/test?x=1&offset=60"))),
        ("http://[::1]", Ok(("::1", 80, "/"))),
        ("http://a:1?x", Ok(("a", 1, "/?x"))),
        ("--port 8001 --stream test --start -3600", Ok(("127.0.0.1", 8001, "/test?start=%2D3600"))),
        ("--stream /test --host h", Ok(("h", 8000, "/test"))),
        ("https://radio.example/", Err("https://radio.example/ does not start with http://")),
        ("http://a:b/", Err("http://a:b/ has no port but \"b\"")),
        ("http://:80/", Err("http://:80/ has no host")),
    ] {
        let expected = expected.map(|(host, port, path)| (host.to_owned(), port, path.to_owned()));
        assert_eq!(
            target(&format!("streammachine listen {line}")),
            expected.map_err(str::to_owned),
            "{line}"
        );
    }
}

#[test]
fn times_are_bounded() {
    assert_eq!(seconds("31536000"), Ok(31_536_000.0));
    assert_eq!(seconds("0"), Ok(0.0));
    for text in ["31536000.1", "-1", "NaN", "inf", "", "1h"] {
        assert!(seconds(text).is_err(), "{text}");
    }
}
