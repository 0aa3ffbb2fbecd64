//! Every setting takes the values of its kind and refuses others.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::admit::admit;
use crate::config::coerce::Kind;
use crate::config::keys::{Key, Status};
use crate::config::settings::Settings;
use crate::config::table::KEYS;
use crate::config::tree::{Tree, fill, get, insert};
use crate::config::{Finding, Severity};

/// Values that a kind takes, as given and as they become; and values that it refuses.
fn samples(kind: &Kind) -> (Vec<(Value, Value)>, Vec<Value>) {
    match kind {
        Kind::Flag => {
            let words = |words: [&str; 5], flag: bool| words.map(|word| (json!(word), json!(flag)));
            let mut good = same(vec![json!(true), json!(false)]);
            good.extend([(json!(1), json!(true)), (json!(0), json!(false))]);
            good.extend(words(["true", "1", "yes", "ON", " true "], true));
            good.extend(words(["false", "0", "no", "off", "False"], false));
            (good, vec![json!("maybe"), json!(2), json!(-1), json!(""), json!([])])
        }
        Kind::Port => number_samples(0.0, 65_535.0, 1.0),
        Kind::Whole { min, max, .. } => number_samples(*min as f64, *max as f64, 1.0),
        Kind::Seconds { min, max } => {
            let (mut good, bad) = number_samples(*min, *max, 0.001);
            let middle = min + 0.5;
            good.push((json!(middle.to_string()), json!(middle)));
            (good, bad.into_iter().filter(|value| value != &json!(1.5)).collect())
        }
        Kind::Text => {
            texts(&["Ünïcode", &"x".repeat(1000), "it's \"{fine}\""], &["a\nb", "\u{7f}", &"x".repeat(1001)])
        }
        Kind::Secret => texts(&["p:w", "***", " "], &["a\r\nb", "\0", &"x".repeat(1001)]),
        Kind::Hash => texts(
            &["sha1$4910774a$1$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e3"],
            &[
                "plain",
                "md5$4910774a$1$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e3",
                "sha1$$1$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e3",
                "sha1$4910774a$0$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e3",
                "sha1$4910774a$1$d9ad69e6b7be6dd2fd4767dda957ed47a582c7e",
                "sha1$4910774a$1$g9ad69e6b7be6dd2fd4767dda957ed47a582c7e3",
            ],
        ),
        Kind::Choice(words) => texts(words, &["", "MP3", "other"]),
        Kind::Pattern => texts(&["^Bot.*(a|b)$", ""], &["(", "a(?=b)"]),
        Kind::Patterns => {
            let mut good = same(vec![json!([]), json!(["a", "^b$"]), json!(vec!["x"; 1000])]);
            good.extend([(json!(false), json!([])), (json!("a"), json!(["a"]))]);
            (good, vec![json!(true), json!(1), json!(["("]), json!([1]), json!("("), json!(vec!["x"; 1001])])
        }
        Kind::Address => texts(&["127.0.0.1", "::", "::1"], &["localhost", "127.0.0.1:80", "256.0.0.1", ""]),
        Kind::Zone => texts(
            &["UTC", "Europe/Berlin", "America/Los_Angeles"],
            &["Europe/Bielefeld", "", "../etc/passwd"],
        ),
        Kind::Fallback => texts(
            &["builtin:programme", "file:///a b.mp3", "http://radio.example/live", "https://radio.example"],
            &["builtin:other", "file://a", "http://", "/a.mp3", "http://a b", "ftp://radio.example"],
        ),
        Kind::Path => texts(&["/var/lib/x", "relative"], &["", "a\0b"]),
        Kind::Name => {
            texts(&["test", "a.b-c_d", &"k".repeat(64)], &["", "api", ".x", "a/b", &"k".repeat(65)])
        }
        Kind::MountName => texts(&["test", "live/main"], &["", "/live", "a b", "a/../b"]),
        Kind::Origin => {
            let (mut good, bad) = texts(&["https://radio.example", "*"], &["radio.example", ""]);
            good.retain(|(value, _)| value != &json!("reflect"));
            (good, bad.into_iter().filter(|value| value != &json!(true)).collect())
        }
        Kind::Charset => texts(&["ISO-8859-2", "KOI8-R", "UTF-8"], &["latin-x", "UTF-16LE", "ISO-2022-JP"]),
        Kind::MediaType => {
            texts(&["audio/mpeg", "audio/aac; codecs=mp4a.40.2"], &["audio", "audio/", "/x", "ä/b", ""])
        }
        Kind::WebAddress | Kind::WebAddresses | Kind::Country | Kind::Subdivision | Kind::Languages => {
            station_samples(kind)
        }
        Kind::Schedule => schedule_samples(),
        Kind::Anything => (same(vec![json!(1), json!({"a": [1]}), json!("x")]), Vec::new()),
    }
}

/// The same for what stations tell about themselves.
fn station_samples(kind: &Kind) -> (Vec<(Value, Value)>, Vec<Value>) {
    match kind {
        Kind::WebAddress => texts(
            &["http://radio.example/", "https://radio.example:8443/a?b=c&d=%20#e"],
            &[
                "radio.example",
                "ftp://radio.example/",
                "http:///a",
                "http://a/b c",
                "http://a/\"",
                "http://ä.example",
                "http://u:p@a.example/",
            ],
        ),
        Kind::WebAddresses => {
            let one = "http://dir.example/cgi-bin/yp-cgi";
            let mut good = same(vec![json!([]), json!([one, "https://b.example/"]), json!(vec![one; 8])]);
            good.extend([(json!(false), json!([])), (json!(one), json!([one]))]);
            let bad = vec![json!(true), json!(["dir.example"]), json!([1]), json!("x"), json!(vec![one; 9])];
            (good, bad)
        }
        Kind::Country => {
            let (mut good, bad) = texts(&["DE", "GB"], &["D", "DEU", "D1", "ÄÖ", "12"]);
            good.push((json!("de"), json!("DE")));
            (good, bad)
        }
        Kind::Subdivision => {
            let (mut good, bad) = texts(
                &["DE-BE", "GB-ENG", "FR-75", "FR-7"],
                &["DE", "DE-", "DE-ABCD", "DEU-BE", "DE_BE", "DE-B-E"],
            );
            good.push((json!("de-be"), json!("DE-BE")));
            (good, bad)
        }
        Kind::Languages => {
            let mut good = same(vec![json!([]), json!(["de", "eng"]), json!(vec!["de"; 20])]);
            good.extend([
                (json!(false), json!([])),
                (json!(""), json!([])),
                (json!("de, EN"), json!(["de", "en"])),
                (json!(["DE"]), json!(["de"])),
            ]);
            let bad = ["d", "deut", "de-DE", "d1", "ää", "de;en"].map(|code| json!([code])).to_vec();
            (good, [bad, vec![json!(true), json!(1), json!([1]), json!(vec!["de"; 21])]].concat())
        }
        _ => unreachable!("{kind:?}"),
    }
}

fn schedule_samples() -> (Vec<(Value, Value)>, Vec<Value>) {
    let entry = json!({"name": "A", "days": "mon-fri", "start": "06:00", "end": "09:00"});
    let mut good = same(vec![json!([]), json!([entry])]);
    good.push((json!(false), json!([])));
    // What is wrong in one of them is told with its place: see `schedule`.
    (good, vec![json!(true), json!("mon"), json!({})])
}

/// Values that stay as they are.
fn same(values: Vec<Value>) -> Vec<(Value, Value)> {
    values.into_iter().map(|value| (value.clone(), value)).collect()
}

/// Texts that stay as they are, and texts that are refused, with what is no text.
fn texts(good: &[&str], bad: &[&str]) -> (Vec<(Value, Value)>, Vec<Value>) {
    let values = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    (same(values(good)), [values(bad), vec![json!([]), json!(["x"]), json!(true)]].concat())
}

fn number_samples(min: f64, max: f64, step: f64) -> (Vec<(Value, Value)>, Vec<Value>) {
    let proper = |number: f64| if number.fract() == 0.0 { json!(number as i64) } else { json!(number) };
    let mut good = Vec::new();
    for number in [min, max] {
        good.push((json!(number), proper(number)));
        good.push((json!(format!(" {number} ")), proper(number)));
    }
    let mut bad =
        vec![json!(min - step), json!(max + step), json!("1x"), json!(""), json!("inf"), json!("NaN")];
    bad.extend([json!(true), json!([]), json!({"a": 1}), json!(1.5)]);
    (good, bad)
}

fn path_of(key: &Key) -> Vec<String> {
    key.path.split('.').map(|name| if name == "*" { "x" } else { name }.to_owned()).collect()
}

/// What becomes of `value` at `key`.
fn admit_one(key: &Key, value: Value) -> (Map<String, Value>, Vec<Finding>) {
    let mut tree = Tree::default();
    insert(&mut tree.root, &path_of(key), value);
    admit(&tree)
}

fn live() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| !matches!(key.status, Status::Dead(_)))
}

#[test]
fn every_setting_takes_what_its_kind_says_and_the_server_can_hold_it() {
    for key in live() {
        let path = match key.status {
            Status::Alias(target) => path_of(KEYS.iter().find(|key| key.path == target).unwrap()),
            _ => path_of(key),
        };
        for (value, becomes) in samples(&key.kind).0 {
            let (mut taken, findings) = admit_one(key, value.clone());
            let wrong = findings.iter().any(|it| matches!(it.severity, Severity::Error | Severity::Unknown));
            assert!(!wrong, "{} = {value}: {findings:?}", key.path);
            assert_eq!(get(&taken, &path), Some(&becomes), "{} = {value}", key.path);
            fill(&mut taken);
            let read = Settings::read(&taken);
            assert!(read.is_ok(), "{} = {value}: {:?}", key.path, read.err());
        }
    }
}

#[test]
fn every_setting_refuses_what_its_kind_does_not_say() {
    for key in live() {
        for value in samples(&key.kind).1 {
            // An object below a switch is its settings.
            if key.path == "log.stdout" && value.is_object() {
                continue;
            }
            let (_, findings) = admit_one(key, value.clone());
            let errors: Vec<_> =
                findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
            assert_eq!(errors.len(), 1, "{} = {value}: {findings:?}", key.path);
            assert_eq!(errors[0].path, path_of(key).join("."));
            let expected = format!("expected {}, found ", key.kind.expected());
            assert!(errors[0].message.starts_with(&expected), "{}", errors[0].message);
        }
    }
}

#[test]
fn null_and_what_stands_for_none_unset_a_setting() {
    for key in live() {
        let none = match key.kind {
            Kind::Secret => vec![json!(null), json!(false), json!("")],
            Kind::Fallback => vec![json!(null), json!(false), json!("")],
            Kind::Origin => vec![json!(null), json!(false), json!(true), json!("reflect")],
            Kind::Text | Kind::Path | Kind::Pattern => vec![json!(null), json!(false)],
            _ => vec![json!(null)],
        };
        for value in none {
            let (taken, findings) = admit_one(key, value.clone());
            assert_eq!(get(&taken, &path_of(key)), None, "{} = {value}", key.path);
            assert_eq!(findings, [], "{} = {value}", key.path);
        }
    }
}

#[test]
fn every_default_is_what_its_setting_takes() {
    for key in live() {
        let default = key.default_value();
        if default != json!("") {
            assert_eq!(key.kind.coerce(&default), Ok(default), "{}", key.path);
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{1,8}", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_admitted_the_server_can_hold(index in 0..KEYS.len(), value in any_value()) {
        let (mut taken, _) = admit_one(&KEYS[index], value);
        fill(&mut taken);
        if let Err((path, error)) = Settings::read(&taken) {
            // Many patterns together may be too large for one automaton; nothing else may fail.
            prop_assert_eq!(path, "ua_skip", "{}", error);
        }
    }
}
