//! Tests of loading: what wins, what is told, and that nothing secret is.

mod described;
mod values;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tempfile::NamedTempFile;

use super::*;
use crate::base::cors::Cors;

/// Loads `text` as the file, with these variables and options.
fn load_all(text: &str, env: &[(&str, &str)], args: &[(&str, &str)]) -> Result<Loaded, String> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let sources = Sources {
        file: Some(file.path().to_owned()),
        default_file: PathBuf::new(),
        env: pairs(env),
        args: pairs(args),
    };
    let name = file.path().display().to_string();
    load(&sources).map_err(|error| error.to_string().replace(&name, "FILE"))
}

/// What is found in `text` that does not stop the start.
fn warnings(text: &str) -> Vec<String> {
    let loaded = load_all(text, &[], &[]).unwrap();
    let file = loaded.file.unwrap().display().to_string();
    loaded.warnings.iter().map(|finding| finding.to_string().replace(&file, "FILE")).collect()
}

fn errors(text: &str) -> Vec<String> {
    load_all(text, &[], &[]).unwrap_err().lines().map(str::to_owned).collect()
}

#[test]
fn nothing_configured_is_the_defaults() {
    let settings = load_all("{}", &[], &[]).unwrap().settings;
    assert_eq!(
        (settings.port, settings.source_port, settings.api_port, settings.listen),
        (8000, 8001, None, None)
    );
    assert_eq!(
        (settings.cors.clone(), settings.behind_proxy, settings.require_auth),
        (Cors::Reflect, false, false)
    );
    assert_eq!(
        (settings.chunk_duration, settings.segment_duration),
        (Duration::from_secs(2), Duration::from_secs(10))
    );
    assert_eq!((settings.source_timeout, settings.rewind_dir.clone()), (Duration::from_secs(30), None));
    assert_eq!((settings.limits.listeners_max, settings.limits.sources_max), (None, 256));
    assert_eq!((settings.timezone.iana_name(), settings.log_level()), (Some("UTC"), Some("info")));
    assert!(settings.streams.is_empty() && settings.mounts().is_empty() && settings.ua_skip.is_empty());
}

#[test]
fn environment_wins_over_command_line_over_file_over_defaults() {
    let file = "{port: 1, source_port: 2, api_port: 3, streams: {a: {seconds: 10, burst: 1}}}";
    let env = [
        ("port", "31"),
        ("streams__a__burst", "3"),
        ("hls:segment_duration", "6"),
        ("PORT", "99"),
        ("PATH", "x"),
    ];
    let args = [("port", "21"), ("source_port", "22"), ("streams:a:burst", "2"), ("source_port", "23")];
    let loaded = load_all(file, &env, &args).unwrap();
    let settings = &loaded.settings;
    assert_eq!((settings.port, settings.source_port, settings.api_port), (31, 23, Some(3)));
    assert_eq!(
        (settings.streams["a"].seconds, settings.streams["a"].burst),
        (Duration::from_secs(10), Duration::from_secs(3))
    );
    assert_eq!(settings.segment_duration, Duration::from_secs(6));

    let name = loaded.file.unwrap().display().to_string();
    let origins: Vec<_> = loaded
        .origins
        .iter()
        .map(|(path, origin)| (path.as_str(), origin.to_string().replace(&name, "FILE")))
        .collect();
    let expected = [
        ("api_port", "FILE:1:37"),
        ("hls.segment_duration", "environment variable hls:segment_duration"),
        ("port", "environment variable port"),
        ("source_port", "option --source_port"),
        ("streams.a.burst", "environment variable streams__a__burst"),
        ("streams.a.seconds", "FILE:1:63"),
    ];
    assert_eq!(origins, expected.map(|(path, origin)| (path, origin.to_owned())));
}

#[test]
fn the_file_is_the_named_one_or_else_the_environments_or_else_the_default() {
    let file = |port: u16| {
        let mut file = NamedTempFile::new().unwrap();
        write!(file, "{{port: {port}}}").unwrap();
        file
    };
    let (named, lower, upper, default) = (file(1), file(2), file(3), file(4));
    let variable = |name: &str, file: &NamedTempFile| (name.to_owned(), file.path().display().to_string());
    let both = vec![variable("CONFIG", &upper), variable("config", &lower)];
    for (file, env, port) in [
        (Some(named.path().to_owned()), both.clone(), 1),
        (None, both, 2),
        (None, vec![variable("CONFIG", &upper)], 3),
        (None, vec![("config".to_owned(), String::new())], 4),
    ] {
        let sources = Sources { file, default_file: default.path().to_owned(), env, args: Vec::new() };
        assert_eq!(load(&sources).unwrap().settings.port, port);
    }
}

#[test]
fn only_the_default_file_may_be_missing() {
    let missing = PathBuf::from("/nonexistent/streammachine.conf");
    let sources = Sources { default_file: missing.clone(), ..Sources::default() };
    let loaded = load(&sources).unwrap();
    let notes: Vec<String> = loaded.warnings.iter().map(Finding::to_string).collect();
    assert_eq!(
        notes,
        ["there is no configuration file /nonexistent/streammachine.conf; defaults are in effect"]
    );
    assert_eq!(loaded.file, None);

    let error = load(&Sources { file: Some(missing), ..sources }).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/streammachine.conf: cannot be read: No such file"), "{error}");
}

#[test]
fn broken_json_is_told_with_its_place() {
    for (text, error) in [
        ("{\n  port: 1,\n  x y: 2\n}", "FILE:3:5: expected colon"),
        ("{port: 1", "FILE:1:1: the file ends inside what begins here"),
        ("{streams: {a: 'x", "FILE:1:11: the file ends inside what begins here"),
        ("", "FILE:1:1: the file ends inside what begins here"),
        ("[]", "FILE:1:1: expected an object of settings"),
        ("{port: 1} {", "FILE:1:11: trailing characters"),
    ] {
        assert_eq!(load_all(text, &[], &[]).unwrap_err(), error, "{text}");
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"{port: \"\xff\"}").unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    assert!(matches!(load(&sources), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_file_has_its_longest() {
    let blanks = " ".repeat(super::load::FILE_BYTES_MAX as usize - 2);
    assert!(load_all(&format!("{{}}{blanks}"), &[], &[]).is_ok());
    let error = load_all(&format!("{{}} {blanks}"), &[], &[]).unwrap_err();
    assert_eq!(error, "FILE: cannot be read: it is longer than 4194304 bytes");
}

#[test]
fn a_long_value_is_shortened_where_it_is_told() {
    for (length, shown) in [(58, format!("\"{}\"", "ä".repeat(58))), (59, format!("\"{}…", "ä".repeat(59)))]
    {
        let text = format!("{{port: '{}'}}", "ä".repeat(length));
        assert_eq!(
            errors(&text),
            [format!("FILE:1:8: port: expected a port from 0 to 65,535, found {shown}")]
        );
    }
}

#[test]
fn all_wrong_values_are_told_at_once_with_place_key_and_what_is_allowed() {
    let text = r#"{
  // ports
  "port": 65536,
  "source_port": "80O1",
  "streams": {
    "test": {
      "seconds": "abc", "format": "ogg",
      "source_password": ["hidden"]
    },
    "a b": {}
  },
  "hls": 5,
  "mode": "slave",
  "users": { "jo": "plain-password" }
}"#;
    assert_eq!(
        errors(text),
        [
            "FILE:3:11: port: expected a port from 0 to 65,535, found 65536",
            "FILE:4:18: source_port: expected a port from 0 to 65,535, found \"80O1\"",
            "FILE:7:18: streams.test.seconds: expected a number of seconds from 1 to 31,536,000, found \"abc\"",
            "FILE:7:35: streams.test.format: expected \"mp3\" or \"aac\", found \"ogg\"",
            "FILE:8:26: streams.test.source_password: expected a password in one line, found a list",
            "FILE:10:12: streams.a b: a key is 1 to 64 letters, digits, '.', '_' or '-', and does not begin with '.'",
            "FILE:12:10: hls: expected an object, found 5",
            "FILE:13:11: mode: \"slave\" is not implemented in this version; only \"standalone\" is",
            "FILE:14:20: users.jo: expected a hash of the form sha1$SALT$ITERATIONS$HEX, found something else",
        ]
    );
}

#[test]
fn wrong_values_of_options_and_variables_name_them() {
    let error =
        load_all("{}", &[("port", "x"), ("users:jo", "secret")], &[("streams:a:burst", "3601")]).unwrap_err();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "option --streams:a:burst: streams.a.burst: expected a number of seconds from 0 to 3,600, found \"3601\"",
            "environment variable port: port: expected a port from 0 to 65,535, found \"x\"",
            "environment variable users:jo: users.jo: expected a hash of the form sha1$SALT$ITERATIONS$HEX, \
             found something else",
        ]
    );
}

#[test]
fn unknown_dead_and_later_keys_only_warn() {
    let text = r#"{
  "prot": 1, "segment_duration": 6, "xyzzy": 1,
  "log": { "level": "debug", "campfire": { "room": 1 }, "w3c": { "file": "/var/log/w3c.log", "level": "request" } },
  "streams": { "test": {
    "sceonds": 5, "preroll": "http://ads.example", "transcoder": "", "bandwidth": "0",
    "source_password": "x",
  } },
  "port": 1, "port": 2,
}"#;
    assert_eq!(
        warnings(text),
        [
            "FILE:2:3: prot: unknown key; did you mean \"port\"?",
            "FILE:2:14: segment_duration: unknown key; did you mean \"hls.segment_duration\"?",
            "FILE:2:37: xyzzy: unknown key",
            "FILE:3:12: log.level: has no effect. Levels are set for each log: use `log.stdout.level`.",
            "FILE:3:30: log.campfire: has no effect. The service is gone.",
            "FILE:3:66: log.w3c.file: recognised but not implemented in this version; it has no effect",
            "FILE:5:5: streams.test.sceonds: unknown key; did you mean \"seconds\"?",
            "FILE:5:19: streams.test.preroll: recognised but not implemented in this version; it has no effect",
            "FILE:8:14: port: is here twice; the last one counts",
        ]
    );
}

#[test]
fn unknown_settings_of_the_environment_are_told_only_where_they_are_clearly_meant_for_us() {
    let env = [
        ("hls__segment_duraton", "6"),
        ("HOME", "/root"),
        ("session", "c2"),
        ("port", ""),
        ("a__b", "1"),
        ("log:x", "1"),
    ];
    let loaded = load_all("{}", &env, &[]).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(Finding::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment variable hls__segment_duraton: hls.segment_duraton: unknown key; did you mean \"segment_duration\"?",
            "environment variable log:x: log.x: unknown key",
        ]
    );
    assert_eq!(loaded.settings.port, 8000);
}

#[test]
fn settings_that_do_not_go_together_are_told() {
    for (text, expected) in [
        ("{port: 8001}", "FILE: source_port: 8001 is taken by `port`; each needs its own port"),
        ("{port: 1, api_port: 1}", "FILE:1:21: api_port: 1 is taken by `port`; each needs its own port"),
        (
            "{streams: {a: {root_route: true}, b: {root_route: true}}}",
            "FILE:1:51: streams.b.root_route: only one stream can be served at `/`, and streams.a is",
        ),
        (
            "{streams: {a: {source: 'b'}, b: {source: 'c'}}, sources: {c: {}}}",
            "FILE:1:24: streams.a.source: there is no mount \"b\": name one of `sources`, or a stream that makes its own",
        ),
        ("{streams: {api: {}}}", "FILE:1:17: streams.api: this name is a route of the server"),
        (
            "{sources: {'a//b': {}}}",
            "FILE:1:20: sources.a//b: a key is 1 to 64 letters, digits, '.', '_' or '-', and does not begin with '.'",
        ),
        (
            "{rewind: {dir: '/a'}, rewind_dump: {dir: '/b'}}",
            "FILE:1:42: rewind_dump.dir: is another name of rewind.dir and says something else",
        ),
        (
            "{sources: {a: {sid: 2}}, streams: {b: {sid: 2}}}",
            "FILE:1:45: streams.b.sid: 2 is the number of the mount \"a\" already",
        ),
        (
            "{streams: {a: {djs: {'x:y': 'pw'}}}}",
            "FILE:1:29: streams.a.djs.x:y: a name has 1 to 64 characters and no colon",
        ),
        (
            "{mode: 'master'}",
            "FILE:1:8: mode: \"master\" is not implemented in this version; only \"standalone\" is",
        ),
    ] {
        // What has no place of its own is told without one.
        assert_eq!(errors(text), [expected.replace("FILE: ", "")], "{text}");
    }
    assert!(load_all("{port: 0, source_port: 0, api_port: 0}", &[], &[]).is_ok());
}

#[test]
fn doubtful_settings_warn() {
    for (text, expected) in [
        ("{streams: {a: {}}}", "FILE:1:15: streams.a.source_password: is not set: no source can connect"),
        (
            "{streams: {a: {source: 'm'}, b: {source: 'm'}}, sources: {m: {}}}",
            "FILE:1:62: sources.m.password: is not set: no source can connect",
        ),
        (
            "{streams: {a: {source_password: 'x'}}, sources: {a: {password: 'y'}}}",
            "FILE:1:33: streams.a.source_password: has no effect: the password of its mount is sources.a.password",
        ),
        (
            "{streams: {a: {djs: {jo: 'x'}}}, sources: {a: {password: 'y'}}}",
            "FILE:1:21: streams.a.djs: has no effect: the mount \"a\" has its own",
        ),
        (
            "{streams: {a: {key: 'b', source_password: 'x'}}}",
            "FILE:1:21: streams.a.key: has no effect: the key is the name it is listed under, \"a\"",
        ),
        (
            "{admin: {require_auth: true}}",
            "FILE:1:24: admin.require_auth: is true and `users` is empty: nobody can use the API",
        ),
        (
            "{streams: {a: {source_password: 'x', fallback: 'file:///a'}, \
             b: {source: 'a', fallback: 'builtin:programme'}}}",
            "FILE:1:89: streams.b.fallback: has no effect: their mount \"a\" has the fallback of streams.a",
        ),
        (
            "{rewind_dump: {dir: '/a', frequency: 60}}",
            "FILE:1:27: rewind_dump.frequency: has no effect. Audio is written to `rewind.dir` as it comes.",
        ),
    ] {
        assert_eq!(warnings(text), [expected], "{text}");
    }
}

#[test]
fn a_stream_without_a_mount_makes_its_own() {
    let text = "{
        streams: {
            a: {source_password: 'pa', format: 'aac', monitored: true, fallback: 'file:///a'},
            b: {source: 'm', fallback: 'builtin:programme'},
            c: {source: 'a'},
            d: {source_password: 'ignored'},
        },
        sources: {m: {password: 'pm'}, d: {source_password: 'pd'}, unused: {}},
    }";
    let mounts = load_all(text, &[], &[]).unwrap().settings.mounts();
    let summary: Vec<_> = mounts
        .iter()
        .map(|it| {
            let password = it.password.as_ref().map(|password| password.expose());
            (it.key.as_str(), password, it.format.extension(), it.monitored, it.fallback.clone())
        })
        .collect();
    assert_eq!(
        summary,
        [
            ("a", Some("pa"), "aac", true, Some(Fallback::File("/a".into()))),
            ("d", Some("pd"), "mp3", false, None),
            ("m", Some("pm"), "mp3", false, Some(Fallback::Programme)),
            ("unused", None, "mp3", false, None),
        ]
    );
}

#[test]
fn djs_are_read_at_mounts_and_at_streams_that_make_their_own() {
    let text = "{streams: {a: {djs: {anna: 'x', ben: 7}}}, sources: {m: {djs: {cleo: 'z'}, sid: 3}}}";
    let loaded = load_all(text, &[], &[]).unwrap();
    // Passwords of DJs are enough: nobody is told that no source can connect.
    assert_eq!(loaded.warnings, []);
    let shown: Vec<String> = loaded
        .settings
        .mounts()
        .iter()
        .map(|mount| {
            let djs: Vec<String> =
                mount.djs.iter().map(|(name, password)| format!("{name}={}", password.expose())).collect();
            format!("{} {:?} {}", mount.key, mount.sid, djs.join(" "))
        })
        .collect();
    assert_eq!(shown, ["a None anna=x ben=7", "m Some(3) cleo=z"]);
}

#[test]
fn other_names_and_switches_are_read() {
    let text = "{
        rewind_dump: {dir: '/var/lib/sm'}, cors: {origin: 'https://a.example'}, log: {stdout: {level: 'silly'}},
        ua_skip: ['^Bot', 'Spider$'], listen: '127.0.0.1', timezone: 'Europe/Berlin', session: false, alerts: null,
        users: {jo: 'sha1$4910774a$1$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e3'},
    }";
    let settings = load_all(text, &[], &[]).unwrap().settings;
    assert_eq!(settings.rewind_dir, Some(PathBuf::from("/var/lib/sm")));
    assert_eq!(settings.cors, Cors::Only("https://a.example".into()));
    assert_eq!((settings.log_level(), settings.timezone.iana_name()), (Some("trace"), Some("Europe/Berlin")));
    assert_eq!(settings.listen, Some("127.0.0.1".parse().unwrap()));
    assert!(settings.ua_skip.is_match("Bot/1") && !settings.ua_skip.is_match("a Bot"));
    assert!(settings.users["jo"].expose().starts_with("sha1$"));

    let off = load_all("{cors: {enabled: 'no'}, log: {stdout: false}}", &[], &[]).unwrap().settings;
    assert_eq!((off.cors.clone(), off.log_level()), (Cors::Off, None));
    let on = load_all("{log: {stdout: false}}", &[("log:stdout:level", "alert")], &[]).unwrap().settings;
    assert_eq!(on.log_level(), Some("warn"));
}

#[test]
fn secrets_are_neither_shown_nor_told() {
    let text = "{
        streams: {a: {source_password: 'hush', burst: 'x'}}, sources: {m: {password: 'hush'}},
        users: {jo: 'hush'}, master: {password: 'hush\\u0007'}, redis: {server: 'redis://:hush@a'},
        slave: {master: 'ws://a?password=hush'}, alerts: {email: {mailer_options: {pass: 'hush'}}},
    }";
    let told = load_all(text, &[], &[]).unwrap_err();
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(!told.contains("hush"), "{told}");

    let sound = text.replace("\\u0007", "").replace("'x'", "1").replace("jo: 'hush'", "");
    let loaded = load_all(&sound, &[], &[]).unwrap();
    let everything = format!("{loaded:?} {}", loaded.shown);
    assert!(!everything.contains("hush"), "{everything}");
    assert_eq!(loaded.shown["streams"]["a"]["source_password"], json!("***"));
    assert_eq!(loaded.shown["master"]["password"], json!("***"));
    assert_eq!(loaded.shown["streams"]["a"]["host"], json!(null));
}

/// Files as people have them from the original: tabs, numbers as texts, keys of forks and of services long gone.
#[test]
fn configurations_of_the_original_load() {
    let standalone = "{\n\t\"port\":\t\t\"8001\",\n\t\"source_port\":\t8002,\n\t\"log\": { \"stdout\": true },\n\t\"streams\": {\n\
        \t\t\"live\": { \"key\": \"live\", \"root_route\": true, \"format\": \"mp3\", \"seconds\": \"3600\", \
        \"metaTitle\": \"Live\", \"host\": \"localhost\", \"source_password\": \"pw\" },\n\
        \t\t\"live-aac\": { \"key\": \"live-aac\", \"root_route\": false, \"format\": \"aac\", \"seconds\": 3600, \
        \"source\": \"live\", \"ffmpeg_args\": \"-c:a aac|-b:a 48k|-f adts\", \"codec\": \"mp4a.40.2\", \"group\": \"g\" }\n\t},\n\
        \t\"users\": { \"admin\": \"sha1$4910774a$1$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e3\" }\n}\n";
    let loaded = load_all(standalone, &[], &[]).unwrap();
    assert!(loaded.settings.streams["live"].root_route);
    assert!(
        loaded.warnings.iter().all(|finding| finding.severity == Severity::Warning),
        "{:?}",
        loaded.warnings
    );

    let without_streams = r#"{
      "source_port": 8016, "master": { "port": 8020, "password": "pw" },
      "log": { "stdout": true, "json": { "file": "/var/log/sm.log", "level": "info" },
        "campfire": { "level": "alert", "account": "a", "token": "t", "room": "r" },
        "pagerduty": { "level": "alert", "serviceKey": "k" } },
      "alerts": { "email": { "mailer_type": "SES", "mailer_options": { "AWSAccessKeyID": "k" },
        "email_options": { "from": "a@a.example", "to": "b@a.example" } } },
      "analytics": { "es_uri": "http://localhost:9200", "es_prefix": "sm", "finalize_secs": "300" },
      "redis": { "server": "redis://localhost:6379/3" }
    }"#;
    let loaded = load_all(without_streams, &[], &[]).unwrap();
    assert!(
        loaded.warnings.iter().all(|finding| finding.severity == Severity::Warning),
        "{:?}",
        loaded.warnings
    );

    let slave = r#"{ "mode": "slave", "slave": { "master": "ws://localhost:8020?password=pw" }, "cluster": 1, "port": 8021,
      "log": { "stdout": true, "level": "debug" }, "behind_proxy": true, "geolock": { "enabled": true } }"#;
    let message = "mode: \"slave\" is not implemented in this version; only \"standalone\" is";
    assert_eq!(errors(slave), [format!("FILE:1:11: {message}")]);
}

#[test]
fn directories_need_an_address_for_listeners() {
    let of = |more: &str| {
        format!("{{streams: {{a: {{source_password: 'x', directories: 'http://dir.example/yp', {more}}}}}}}")
    };
    let message = "needs the address where listeners reach the stream: set `listen_url` or `host`";
    assert_eq!(errors(&of("public: true")), [format!("FILE:1:51: streams.a.directories: {message}")]);
    let told = errors(&of("public: true, host: 'radio example'"));
    assert!(told[0].contains("streams.a.host: is no host such as"), "{told:?}");
    for address in ["host: 'radio.example:8000'", "listen_url: 'https://radio.example/a'"] {
        assert_eq!(warnings(&of(&format!("public: true, {address}"))), [""; 0]);
        let told = warnings(&of(address));
        assert_eq!(told, ["FILE:1:51: streams.a.directories: has no effect until `public` is true"]);
    }
    let settings = load_all(&of("host: 'radio.example:8000'"), &[], &[]).unwrap().settings;
    assert_eq!(settings.streams["a"].listen_url().unwrap(), "http://radio.example:8000/a");
}
