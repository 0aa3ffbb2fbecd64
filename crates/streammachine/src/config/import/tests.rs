//! What becomes of configurations as people have them.

mod refused;

use std::path::Path;

use serde_json::{Value, json};

use super::{ImportError, Imported, Surroundings, icecast};
use crate::config::findings::Severity;
use crate::config::load_text;

/// Imports `xml`; hashes are marked, and there are the files of `files`.
fn import_with(xml: &str, mounts: &[&str], files: &[&str]) -> Result<Imported, ImportError> {
    let mounts: Vec<String> = mounts.iter().map(ToString::to_string).collect();
    let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
    let hash = |password: &str| format!("sha1$salt$1${:0>40}", password.len());
    icecast(xml.as_bytes(), &Surroundings { mounts: &mounts, hash: &hash, exists: &exists })
}

/// Imports `xml` into settings that are without error, and lines of what is told. No line holds a password of `xml`.
#[track_caller]
fn import(xml: &str) -> (Value, Vec<String>) {
    import_around(xml, &[], &[])
}

#[track_caller]
fn import_around(xml: &str, mounts: &[&str], files: &[&str]) -> (Value, Vec<String>) {
    let imported = import_with(xml, mounts, files).unwrap();
    let settings = Value::Object(imported.settings);
    let loaded =
        load_text("result", &settings.to_string()).unwrap_or_else(|error| panic!("{error}: {settings:#}"));
    let unknown = loaded.warnings.iter().filter(|finding| finding.severity == Severity::Unknown);
    assert_eq!(unknown.count(), 0, "{:?}", loaded.warnings);
    let told: Vec<_> = imported.notes.iter().map(|note| format!("{} {note}", note.severity)).collect();
    assert!(!told.iter().any(|line| line.contains("pw-")), "{told:?}");
    (settings, told)
}

/// An Icecast with one socket and `more`.
fn with(more: &str) -> String {
    format!(
        "<icecast>\n<listen-socket><port>8000</port></listen-socket>\n<authentication><source-password>pw-all\
         </source-password></authentication>\n{more}</icecast>"
    )
}

/// What is told besides what is told of every file.
fn told(xml: &str) -> Vec<String> {
    let usual = ["mounts that encoders made by themselves", "listeners go on connecting"];
    let (_, told) = import(xml);
    told.into_iter().filter(|line| !usual.iter().any(|usual| line.contains(usual))).collect()
}

#[track_caller]
fn check_told(xml: &str, expected: &[&str]) {
    let told = told(xml);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, expected) in told.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nis not\n{expected}");
    }
}

#[test]
fn a_plain_configuration_becomes_this() {
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<icecast>
  <!-- the <password> in a comment is none -->
  <hostname>radio.example</hostname>
  <limits>
    <clients>250</clients><sources>3</sources><queue-size>600000</queue-size>
    <source-timeout>12</source-timeout><burst-size>64000</burst-size>
  </limits>
  <authentication>
    <source-password>pw-all</source-password>
    <admin-user>boss</admin-user><admin-password>pw-boss</admin-password>
  </authentication>
  <listen-socket><port>8010</port><bind-address>192.0.2.7</bind-address></listen-socket>
  <http-headers><header name="Access-Control-Allow-Origin" value="https://page.example"/></http-headers>
  <directory><yp-url>http://dir.xiph.org/cgi-bin/yp-cgi</yp-url></directory>
  <mount type="default">
    <genre>Jazz</genre><public>1</public><mp3-metadata-interval>8192</mp3-metadata-interval>
  </mount>
  <mount>
    <mount-name>/one.mp3</mount-name>
    <username>dj</username><password>pw-&lt;one&gt; &amp; <![CDATA[<more>]]></password>
    <stream-name>One
      and only</stream-name>
    <stream-description>Düsseldorf</stream-description><stream-url>http://radio.example/</stream-url>
    <bitrate>64</bitrate>
  </mount>
  <mount type="normal">
    <mount-name>/two</mount-name><type>audio/aacp</type><genre>Talk</genre><public>0</public>
    <burst-size>0</burst-size><listenurl>https://cdn.example/two</listenurl>
  </mount>
  <paths><alias source="/" destination="/two"/></paths>
  <logging><loglevel>4</loglevel></logging>
</icecast>"#;
    let (settings, told) = import(xml);
    assert_eq!(
        settings,
        json!({
            "port": 8010, "source_port": 8011, "listen": "192.0.2.7", "source_timeout": 12,
            "limits": {"listeners_max": 250, "sources_max": 3},
            "cors": {"origin": "https://page.example"},
            "users": {"boss": "sha1$salt$1$0000000000000000000000000000000000000007"},
            "admin": {"require_auth": true},
            "log": {"stdout": {"level": "debug"}},
            "streams": {
                "one.mp3": {
                    "source_password": "pw-<one> & <more>", "name": "One and only", "description": "Düsseldorf",
                    "url": "http://radio.example/", "genre": "Jazz", "public": true, "host": "radio.example:8010",
                    "directories": ["http://dir.xiph.org/cgi-bin/yp-cgi"], "meta_interval": 8192, "burst": 8,
                    "max_buffer": 600000,
                },
                "two": {
                    "source_password": "pw-all", "genre": "Talk", "public": false, "host": "radio.example:8010",
                    "listen_url": "https://cdn.example/two", "format": "aac", "meta_interval": 8192, "burst": 0,
                    "max_buffer": 600000, "root_route": true,
                },
            },
        })
    );
    assert_eq!(
        told,
        [
            "note 2: /icecast: mounts that encoders made by themselves are not named here and are refused: import again \
             with `--mount /NAME` for each of them",
            "note 11: /icecast/authentication/admin-password: the administrator is a user of the API, `/api`, and of \
             Icecast's requests under `/admin`; there are no pages",
            "note 13: /icecast/listen-socket: listeners go on connecting to port 8010; encoders must be set to port \
             8011, `source_port`",
            "note 21: /icecast/mount[2]/username: any user name of a source is taken; only the password counts",
        ]
    );
}

#[test]
fn what_azuracast_writes_becomes_this() {
    let xml = r#"<?xml version="1.0"?>
<icecast>
  <location>AzuraCast</location><admin>icemaster@localhost</admin><hostname>radio.example</hostname>
  <limits><clients>2500</clients><max-listeners>2000</max-listeners><sources>7</sources><queue-size>524288</queue-size>
    <client-timeout>30</client-timeout><burst-size>65535</burst-size></limits>
  <authentication><source-password>pw-s</source-password><relay-password>pw-r</relay-password>
    <admin-user>admin</admin-user><admin-password>pw-a</admin-password></authentication>
  <listen-socket><port>8000</port></listen-socket>
  <mount type="normal"><mount-name>/radio.mp3</mount-name><charset>UTF8</charset><stream-name>My Station</stream-name>
    <hidden>1</hidden><fallback-mount>/fallback-[128].mp3</fallback-mount><fallback-override>1</fallback-override>
    <intro>/intro.mp3</intro><authentication type="url"><option name="listener_add" value="http://pw-u@a/b"/>
    </authentication></mount>
  <relay><server>up.example</server><port>8010</port><mount>/x.mp3</mount><local-mount>/relay.mp3</local-mount></relay>
  <fileserve>0</fileserve>
  <paths><webroot>/usr/share/web</webroot><deny-ip>/d</deny-ip><x-forwarded-for>127.0.0.1</x-forwarded-for></paths>
  <logging><errorlog>/dev/stderr</errorlog><loglevel>2</loglevel></logging>
  <security><chroot>0</chroot></security>
</icecast>"#;
    let (settings, _) = import(xml);
    assert_eq!(
        settings["streams"],
        json!({
            "radio.mp3": {
                "source_password": "pw-s", "name": "My Station", "host": "radio.example:8000", "burst": 4,
                "max_buffer": 524288, "fallback": "file:///usr/share/web/fallback-[128].mp3",
            },
            "relay.mp3": {
                "source_password": "pw-s", "host": "radio.example:8000", "burst": 4, "max_buffer": 524288,
                "fallback": "http://up.example:8010/x.mp3",
            },
        })
    );
    let of_server = ["limits", "behind_proxy", "log"].map(|name| &settings[name]);
    let expected =
        [json!({"listeners_max": 2000, "sources_max": 7}), json!(true), json!({"stdout": {"level": "warn"}})];
    assert_eq!(of_server, expected.each_ref());
    check_told(
        xml,
        &[
            "note 3: /icecast/location: ",
            "note 3: /icecast/admin: ",
            "note 5: /icecast/limits/client-timeout: ",
            "note 6: /icecast/authentication/relay-password: ",
            "note 7: /icecast/authentication/admin-password: ",
            "warning 10: /icecast/mount/hidden: is left out: ",
            "note 10: /icecast/mount/fallback-mount: the file must be MP3 or AAC",
            "warning 11: /icecast/mount/intro: is left out: ",
            "warning 11: /icecast/mount/authentication: is left out: ",
            "warning 15: /icecast/paths/deny-ip: is left out: ",
            "note 15: /icecast/paths/x-forwarded-for: ",
            "note 16: /icecast/logging/errorlog: ",
        ],
    );
}

#[test]
fn what_the_newer_and_the_other_icecast_say_is_understood() {
    let xml = with(
        r#"<yp-directory url="http://dir.example/yp"><option name="timeout" value="15"/></yp-directory>
<hostname>radio.example</hostname>
<mount><mount-name>/a</mount-name><public>yes</public><max-listeners>10</max-listeners><on-connect>/x</on-connect></mount>
<relay><local-mount>/b</local-mount><upstream type="normal"><uri>https://up.example/live</uri></upstream></relay>
<relay><local-mount>/c</local-mount><server>one.example</server><master><port>80</port><mount>/c</mount></master>
<master><server>two.example</server></master></relay>
<relay><local-mount>/d</local-mount><enable>0</enable></relay>
<relay><local-mount>/a</local-mount><server>::1</server><username>u</username><password>pw-x</password>
<relay-shoutcast-metadata>1</relay-shoutcast-metadata></relay>
<master-server>m.example</master-server><master-password>pw-m</master-password>
<event-bindings/><nonsense>1</nonsense>"#,
    );
    let (settings, _) = import(&xml);
    let streams = &settings["streams"];
    assert_eq!(streams["a"]["directories"], json!(["http://dir.example/yp"]));
    let upstreams: Vec<_> = ["a", "b", "c"].iter().map(|key| &streams[key]["fallback"]).collect();
    assert_eq!(
        upstreams,
        ["http://u:pw%2Dx@[::1]:8000/", "https://up.example/live", "http://one.example:80/c"]
    );
    assert_eq!((&streams["a"]["acceptSourceMeta"], &streams["d"]), (&json!(true), &Value::Null));
    check_told(
        &xml,
        &[
            "note 4: /icecast/yp-directory/option: ",
            "warning 6: /icecast/mount/max-listeners: is left out: there is only one limit for all streams",
            "warning 6: /icecast/mount/on-connect: is left out: ",
            "warning 9: /icecast/relay[2]/master[2]: is left out: a stream has one upstream",
            "note 10: /icecast/relay[3]: is left out: it is switched off",
            "warning 13: /icecast/master-server: is left out: ",
            "warning 14: /icecast/event-bindings: is left out: ",
            "warning 14: /icecast/nonsense: is left out: it is not known to the import",
        ],
    );
}

#[test]
fn ports_are_those_of_the_first_two_plain_sockets() {
    let socket = |text: &str| format!("<listen-socket>{text}</listen-socket>");
    for (sockets, ports, listen, warnings) in [
        (String::new(), (8000, 8001), Value::Null, 0),
        ("<port>8080</port>".to_owned(), (8080, 8081), Value::Null, 0),
        (format!("<port>8080</port>{}", socket("<port>8000</port>")), (8000, 8001), Value::Null, 0),
        (socket("<port>80</port>") + &socket("<port>81</port>"), (80, 81), Value::Null, 0),
        (
            socket("<port>8443</port><ssl>1</ssl>") + &socket("<port>8442</port>"),
            (8442, 8444),
            Value::Null,
            1,
        ),
        (socket("<port>443</port><tls>rfc2818</tls>"), (8000, 8001), Value::Null, 1),
        (socket("<port>65535</port>"), (65535, 65534), Value::Null, 0),
        (
            socket("<port>x</port>") + &socket("<port>0</port>") + &socket("<port>9</port>"),
            (9, 10),
            Value::Null,
            2,
        ),
        (
            socket("<port>1</port>") + &socket("<port>2</port>") + &socket("<port>3</port>"),
            (1, 2),
            Value::Null,
            1,
        ),
        (socket("<port>1</port>") + &socket("<port>1</port>"), (1, 2), Value::Null, 0),
        (socket("<port>1</port><shoutcast-compat>1</shoutcast-compat>"), (8000, 8001), Value::Null, 0),
        (socket("<port>1</port><bind-address>::1</bind-address>"), (1, 2), json!("::1"), 0),
        (
            socket("<port>1</port><bind-address>::1</bind-address>") + &socket("<port>2</port>"),
            (1, 2),
            Value::Null,
            1,
        ),
        (socket("<port>1</port><bind-address>radio.example</bind-address>"), (1, 2), Value::Null, 1),
    ] {
        let xml = format!(
            "<icecast>{sockets}<authentication><source-password>pw-a</source-password></authentication>\
             <mount><mount-name>/a</mount-name></mount></icecast>"
        );
        let (settings, told) = import(&xml);
        assert_eq!(
            (&settings["port"], &settings["source_port"]),
            (&json!(ports.0), &json!(ports.1)),
            "{sockets}"
        );
        assert_eq!(settings["listen"], listen, "{sockets}");
        let count = told.iter().filter(|line| line.starts_with("warning")).count();
        assert_eq!(count, warnings, "{sockets}: {told:?}");
    }
}

#[test]
fn names_that_no_stream_can_have_are_changed_and_told() {
    let mount = |name: &str| format!("<mount><mount-name>{name}</mount-name></mount>\n");
    let names =
        ["/live/main.mp3", "/live main", "/api", "/admin/x", "/live-main.mp3", "/é", "noslash", "/noslash"];
    let xml = with(&names.map(mount).concat());
    let (settings, _) = import(&xml);
    let streams = settings["streams"].as_object().unwrap();
    let sources: Vec<_> =
        streams.iter().map(|(key, stream)| (key.as_str(), stream["source"].as_str())).collect();
    assert_eq!(
        sources,
        [
            ("-", None),
            ("admin-x", Some("admin/x")),
            ("live-main", None),
            ("live-main.mp3", Some("live/main.mp3")),
            ("live-main.mp3-2", Some("live-main.mp3")),
            ("noslash", None),
            ("stream-api", Some("api")),
        ]
    );
    assert_eq!(settings["sources"]["live/main.mp3"], json!({"password": "pw-all"}));
    assert_eq!(streams["live-main.mp3"]["source_password"], Value::Null);
    let told = told(&xml);
    assert_eq!(
        told[0],
        "warning 4: /icecast/mount[1]: its name cannot be that of a stream: listeners must go to `/live-main.mp3`, \
         encoders to the mount `/live/main.mp3`"
    );
    assert_eq!(told.len(), 7, "{told:#?}");
    assert_eq!(told[6], "warning 11: /icecast/mount[8]: is left out: a mount of this name is there before");
}

#[test]
fn mounts_that_the_file_does_not_name_can_be_added() {
    let xml = with(
        "<mount type=\"default\"><genre>Jazz</genre><hidden>1</hidden><fallback-mount>/b</fallback-mount></mount>",
    );
    let (settings, told) = import(&xml);
    assert_eq!(settings["streams"], json!({}));
    let lines: Vec<_> = told.iter().filter(|line| line.starts_with("warning")).collect();
    assert!(lines[0].starts_with("warning 1: /icecast: no mount is named here."), "{lines:?}");
    assert!(lines[1].starts_with("warning 4: /icecast/mount/hidden: is left out: "), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");

    let (settings, told) = import_around(&xml, &["/a.mp3", "b", "/a.mp3", "/*"], &[]);
    let stream = json!({"source_password": "pw-all", "genre": "Jazz"});
    let mut falling = stream.clone();
    falling["fallback"] = json!("http://127.0.0.1:8000/b");
    assert_eq!(settings["streams"], json!({"a.mp3": falling, "b": stream}));
    assert!(!told.iter().any(|line| line.contains("--mount /NAME` for each of them")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("it names no single mount")), "{told:?}");
}

#[test]
fn fallbacks_are_files_or_streams_and_lead_to_an_end() {
    let mount = |name: &str, fallback: &str| {
        format!(
            "<mount><mount-name>/{name}</mount-name><fallback-mount>{fallback}</fallback-mount></mount>\n"
        )
    };
    let mounts = [
        mount("a", "/b"),
        mount("b", "/jingle.mp3"),
        mount("c", "/d"),
        mount("d", "/c"),
        mount("e", "/e"),
        mount("f", "/../etc/passwd"),
        mount("g", "/gone.mp3"),
    ];
    let xml = with(&format!("{}<paths><webroot>/web</webroot></paths>", mounts.concat()));
    let (settings, told) =
        import_around(&xml, &[], &["/web/jingle.mp3", "/etc/passwd", "/web/../etc/passwd"]);
    let fallbacks: Vec<_> =
        "abcdefg".chars().map(|key| &settings["streams"][key.to_string()]["fallback"]).collect();
    let none = Value::Null;
    let (stream, file) = (json!("http://127.0.0.1:8000/b"), json!("file:///web/jingle.mp3"));
    assert_eq!(fallbacks, [&stream, &file, &none, &none, &none, &none, &none]);
    for (line, text) in [
        (6, "is left out: it leads back to the stream itself, or too far"),
        (7, "is left out: it leads back to the stream itself, or too far"),
        (8, "is left out: it leads back to the stream itself, or too far"),
        (9, "is left out: it is neither a mount that is named here nor a file"),
        (10, "is left out: it is neither a mount that is named here nor a file"),
    ] {
        let start = format!("warning {line}: ");
        assert!(told.iter().any(|told| told.starts_with(&start) && told.contains(text)), "{line}: {told:#?}");
    }
}

#[test]
fn values_that_no_setting_can_have_are_told_and_the_rest_is_taken() {
    let xml = with(
        "<limits><clients>many</clients><sources>0</sources><source-timeout>-1</source-timeout>\
         <burst-size>x</burst-size><queue-size>1</queue-size></limits>\n<hostname>a b</hostname>\n\
         <mount><mount-name>/a</mount-name><public>maybe</public><type>application/ogg</type><charset>EBCDIC</charset>\
         <password>pw-1\npw-2</password><listenurl>radio</listenurl></mount>\n\
         <mount><mount-name>/b.ogg</mount-name><public>-1</public></mount>\n<mount><type>x</type></mount>\n\
         <logging><loglevel>9</loglevel></logging>\n<paths><alias source=\"/x\" dest=\"/a\"/></paths>",
    );
    let (settings, _) = import(&xml);
    assert_eq!(settings["streams"], json!({"a": {}, "b.ogg": {"source_password": "pw-all"}}));
    assert_eq!((&settings["limits"], &settings["source_timeout"]), (&Value::Null, &Value::Null));
    let told = told(&xml);
    for text in [
        "4: /icecast/limits/clients: cannot become `limits.listeners_max`: expected a whole number of listeners",
        "4: /icecast/limits/sources: cannot become `limits.sources_max`: expected a whole number of sources",
        "4: /icecast/limits/source-timeout: cannot become `source_timeout`: expected a number of seconds",
        "4: /icecast/limits/burst-size: is left out: it is no number of bytes",
        "4: /icecast/limits/queue-size: is left out of streams.a: it is less than the burst",
        "5: /icecast/hostname: is left out: it is no name of a host",
        "6: /icecast/mount[1]/public: cannot become `streams.KEY.public`: expected true or false, found \"maybe\"",
        "6: /icecast/mount[1]/type: application/ogg is not understood in this version",
        "6: /icecast/mount[1]/charset: cannot become `streams.KEY.charset`: expected a character set such as",
        "6: /icecast/mount[1]/password: cannot become `streams.KEY.source_password`: expected a password in one line, \
         found something else",
        "6: /icecast/mount[1]: there is no password for it: set `streams.a.source_password`",
        "7: /icecast/mount[1]/listenurl: cannot become `streams.KEY.listen_url`: expected a web address",
        "8: /icecast/mount[2]: application/ogg is not understood in this version",
        "8: /icecast/mount[2]/public: what the encoder says about it does not count: set `public`",
        "9: /icecast/mount[3]: is left out: it has no `mount-name`",
        "10: /icecast/logging/loglevel: is left out: expected a level from 1 to 4",
        "11: /icecast/paths/alias: is left out: a stream of its own with `source` \"a\" does the same",
    ] {
        assert!(told.iter().any(|line| line.contains(text)), "{text}\nis not in\n{told:#?}");
    }
}

#[test]
fn a_character_set_of_titles_is_that_of_the_mount() {
    let mount = |name: &str, charset: &str| {
        format!("<mount><mount-name>{name}</mount-name><charset>{charset}</charset></mount>")
    };
    let mounts = [
        ("/a", "KOI8-R"),
        ("/b", "ISO8859-2"),
        ("/c", "UTF8"),
        ("/d", "iso-8859-1"),
        ("/e/f", "Windows-1251"),
    ];
    let (settings, _) = import(&with(&mounts.map(|(name, charset)| mount(name, charset)).concat()));
    let of_stream = |key: &str| settings["streams"][key]["charset"].clone();
    assert_eq!(
        ["a", "b", "c", "d", "e-f"].map(of_stream),
        [json!("KOI8-R"), json!("ISO-8859-2"), Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(settings["sources"]["e/f"]["charset"], "windows-1251");
}

#[test]
fn headers_that_radio_browser_reads_become_settings() {
    let header = |name: &str, value: &str| format!("<header name=\"{name}\" value=\"{value}\"/>\n");
    let of_server = [
        header("Access-Control-Allow-Origin", "*"),
        header("Access-Control-Allow-Headers", "Range"),
        header("icy-country-code", "at"),
        header("icy-logo", "https://radio.example/logo.png"),
        header("X-Own", "1"),
    ];
    let of_mount = [
        header("icy-version", "2"),
        header("Icy-Index-Metadata", "1"),
        header("icy-logo", "https://radio.example/a.png"),
        header("icy-country-subdivision-code", "at-9"),
        header("icy-language-codes", "en,DE"),
        header("icy-main-stream-url", "nowhere"),
        header("icy-name", "Of the header"),
        header("Access-Control-Allow-Origin", "https://page.example"),
    ];
    let xml = with(&format!(
        "<http-headers>\n{}</http-headers>\n<mount><mount-name>/a</mount-name><genre>Jazz</genre><http-headers>\n{}\
         </http-headers></mount>\n<mount><mount-name>/b</mount-name><stream-name>Own</stream-name></mount>",
        of_server.concat(),
        of_mount.concat()
    ));
    let (settings, _) = import(&xml);
    assert_eq!(settings["cors"], Value::Null);
    assert_eq!(
        settings["streams"],
        json!({
            "a": {
                "source_password": "pw-all", "genre": "Jazz", "name": "Of the header", "index_metadata": true,
                "logo_url": "https://radio.example/a.png", "country_code": "AT", "country_subdivision_code": "AT-9",
                "language_codes": ["en", "de"],
            },
            "b": {
                "source_password": "pw-all", "name": "Own", "country_code": "AT",
                "logo_url": "https://radio.example/logo.png",
            },
        })
    );
    check_told(
        &xml,
        &[
            "warning 9: /icecast/http-headers/header[5]: is left out: headers of your own are not sent",
            "warning 17: /icecast/mount[1]/http-headers/header[6]: cannot become `streams.KEY.main_stream_url`: ",
            "warning 19: /icecast/mount[1]/http-headers/header[8]: is left out: `cors.origin` is one for all streams",
        ],
    );
}
