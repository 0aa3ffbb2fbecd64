//! What the value of a setting may be, and how near misses become it: `"8000"` is 8000, `"yes"` is true.
//!
//! Works on JSON values of any origin. Which setting has which kind is `table`'s.

use std::net::IpAddr;

use regex::Regex;
use serde_json::{Number, Value, json};
use wire::auth::Secret;
use wire::text::Charset;

use super::fallback::Fallback;
use super::{schedule, station};

/// Longest text of a setting, in characters.
const TEXT_CHARS_MAX: usize = 1000;
/// Longest value shown in a message, in characters.
const SHOWN_CHARS_MAX: usize = 60;
/// Most regular expressions in a list.
const PATTERNS_MAX: usize = 1000;

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// A TCP port; 0 is any free one.
    Port,
    /// A whole number of `unit` from `min` to `max`.
    Whole {
        /// What is counted.
        unit: &'static str,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// A number of seconds from `min` to `max`, fractions included.
    Seconds {
        /// Least.
        min: f64,
        /// Most.
        max: f64,
    },
    /// One line of text.
    Text,
    /// The same, never shown.
    Secret,
    /// A password's hash as the original makes it, never shown.
    Hash,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A regular expression.
    Pattern,
    /// A list of regular expressions.
    Patterns,
    /// An IP address.
    Address,
    /// The name of a time zone.
    Zone,
    /// What plays while no source is there.
    Fallback,
    /// A path in the file system.
    Path,
    /// A stream's key.
    Name,
    /// A mount's key.
    MountName,
    /// An origin of web pages, or any.
    Origin,
    /// A media type.
    MediaType,
    /// A character set.
    Charset,
    /// An address on the web.
    WebAddress,
    /// A list of addresses on the web.
    WebAddresses,
    /// A country.
    Country,
    /// A part of a country.
    Subdivision,
    /// A list of languages.
    Languages,
    /// A list of programmes that come again.
    Schedule,
    /// Whatever it is; never shown, as it may hold secrets.
    Anything,
}

impl Kind {
    /// `value` in the form that settings have, or what was expected and what was found. Null unsets.
    pub fn coerce(&self, value: &Value) -> Result<Value, String> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        if *self == Kind::Schedule {
            return schedule::coerce(value);
        }
        self.accept(value).ok_or_else(|| format!("expected {}, found {}", self.expected(), self.found(value)))
    }

    fn accept(&self, value: &Value) -> Option<Value> {
        match self {
            Kind::Flag => flag(value).map(Value::Bool),
            Kind::Port => whole(value, 0, u64::from(u16::MAX)),
            Kind::Whole { min, max, .. } => whole(value, *min, *max),
            Kind::Seconds { min, max } => seconds(value, *min, *max),
            Kind::Patterns => patterns(value),
            Kind::WebAddresses => station::urls(value),
            Kind::Languages => station::languages(value),
            Kind::Anything => Some(value.clone()),
            Kind::Origin if *value == Value::Bool(true) => Some(Value::Null),
            _ if *value == Value::Bool(false) => Some(Value::Null),
            _ => self.accept_text(&text(value)?),
        }
    }

    fn accept_text(&self, text: &str) -> Option<Value> {
        let fits = match self {
            Kind::Secret if text.is_empty() => return Some(Value::Null),
            Kind::Choice(words) => words.contains(&text),
            Kind::Hash => is_hash(text),
            Kind::Pattern => Regex::new(text).is_ok(),
            Kind::Address => text.parse::<IpAddr>().is_ok(),
            Kind::Zone => jiff::tz::TimeZone::get(text).is_ok(),
            Kind::Fallback | Kind::WebAddress | Kind::Country | Kind::Subdivision | Kind::Charset
                if text.is_empty() =>
            {
                return Some(Value::Null);
            }
            Kind::Fallback => Fallback::parse(text).is_some(),
            Kind::Path => !text.is_empty(),
            Kind::Name => wire::key::check(text).is_ok(),
            Kind::MountName => wire::key::check_mount(text).is_ok(),
            Kind::Origin if text == "reflect" => return Some(Value::Null),
            Kind::Origin => is_url(text) || text == "*",
            Kind::MediaType => is_media_type(text),
            Kind::Charset => return Charset::find(text).map(|charset| charset.name().into()),
            Kind::WebAddress => station::is_web_address(text),
            Kind::Country => return station::country(text).map(Value::from),
            Kind::Subdivision => return station::subdivision(text).map(Value::from),
            _ => true,
        };
        fits.then(|| Value::from(text))
    }

    /// Hides what may be secret in `value`, which was accepted.
    pub fn mask(&self, value: &mut Value) {
        match (self, &*value) {
            (_, Value::Null) => {}
            (Kind::Secret | Kind::Hash | Kind::Anything, _) => *value = Secret::MASK.into(),
            (Kind::Fallback, Value::String(text)) => {
                *value = Fallback::parse(text).map(|fallback| fallback.to_string()).into();
            }
            _ => {}
        }
    }

    /// What is accepted, in words.
    pub fn expected(&self) -> String {
        match self {
            Kind::Flag => "true or false".into(),
            Kind::Port => "a port from 0 to 65,535".into(),
            Kind::Whole { unit, min, max } => {
                format!("a whole number of {unit} from {} to {}", grouped(*min as f64), grouped(*max as f64))
            }
            Kind::Seconds { min, max } => {
                format!("a number of seconds from {} to {}", grouped(*min), grouped(*max))
            }
            Kind::Text => {
                format!("one line of text of at most {} characters", grouped(TEXT_CHARS_MAX as f64))
            }
            Kind::Secret => "a password in one line".into(),
            Kind::Hash => "a hash of the form sha1$SALT$ITERATIONS$HEX".into(),
            Kind::Choice(words) => alternatives(words),
            Kind::Pattern => "a regular expression".into(),
            Kind::Patterns => "false or a list of regular expressions".into(),
            Kind::Address => "an IP address".into(),
            Kind::Zone => "a time zone such as \"Europe/Berlin\"".into(),
            Kind::Fallback => "\"builtin:programme\", \"file:///PATH\" or \"http://HOST/PATH\"".into(),
            Kind::Path => "a path".into(),
            Kind::Name => {
                "a key of 1 to 64 letters, digits, dots, dashes and underscores that is not reserved".into()
            }
            Kind::MountName => "a mount's key: a stream's key, or several joined by slashes".into(),
            Kind::Origin => "true or one origin such as \"https://radio.example\"".into(),
            Kind::MediaType => "a media type such as \"audio/mpeg\"".into(),
            Kind::Charset => "a character set such as \"ISO-8859-2\" or \"KOI8-R\"".into(),
            Kind::WebAddress => "a web address such as \"https://radio.example/logo.png\"".into(),
            Kind::WebAddresses => "a list of at most 8 web addresses".into(),
            Kind::Country => "a country as two letters of ISO 3166-1, such as \"DE\"".into(),
            Kind::Subdivision => "a part of a country by ISO 3166-2, such as \"DE-BE\"".into(),
            Kind::Languages => "a list of at most 20 languages by ISO 639, such as [\"de\", \"en\"]".into(),
            Kind::Schedule => schedule::EXPECTED.into(),
            Kind::Anything => "any value".into(),
        }
    }

    /// True for what holds several values.
    pub fn is_list(&self) -> bool {
        matches!(self, Kind::Patterns | Kind::WebAddresses | Kind::Languages | Kind::Schedule)
    }

    fn found(&self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Object(_)) => "an object".into(),
            (_, Value::Array(_)) if !self.is_list() => "a list".into(),
            (Kind::Secret | Kind::Hash, _) => "something else".into(),
            // An address with a user and a password, which are shown to nobody.
            (Kind::Fallback, Value::String(text)) if text.contains('@') => "something else".into(),
            _ => shown(value),
        }
    }
}

/// `value` as JSON, shortened.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) if number.as_u64() == Some(0) => Some(false),
        Value::Number(number) if number.as_u64() == Some(1) => Some(true),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if text.contains(|c: char| c.is_ascii_digit()) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn whole(value: &Value, min: u64, max: u64) -> Option<Value> {
    let number = number(value)?;
    let fits = number.fract() == 0.0 && (min as f64..=max as f64).contains(&number);
    fits.then(|| Value::from(number as u64))
}

fn seconds(value: &Value, min: f64, max: f64) -> Option<Value> {
    let number = number(value)?;
    let value = if number.fract() == 0.0 { Number::from(number as i64) } else { Number::from_f64(number)? };
    (min..=max).contains(&number).then_some(Value::Number(value))
}

/// One line without control characters; numbers are their digits.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control);
    fits.then_some(text)
}

fn patterns(value: &Value) -> Option<Value> {
    let list = match value {
        Value::Bool(false) => return Some(json!([])),
        Value::String(text) => vec![Value::from(text.as_str())],
        Value::Array(list) => list.clone(),
        _ => return None,
    };
    let fits = list.len() <= PATTERNS_MAX
        && list.iter().all(|it| it.as_str().is_some_and(|it| Regex::new(it).is_ok()));
    fits.then_some(Value::Array(list))
}

fn is_hash(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    match parts[..] {
        ["sha1", salt, iterations, hex] => {
            !salt.is_empty()
                && iterations.parse::<u32>().is_ok_and(|it| it > 0)
                && hex.len() == 40
                && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        _ => false,
    }
}

/// True for an `http` or `https` address with a host.
pub fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' '))
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
    };
    text.is_ascii() && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A number with its thousands parted by commas.
fn grouped(number: f64) -> String {
    let text = number.to_string();
    let (whole, fraction) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let digits = whole.trim_start_matches('-');
    let mut grouped = if digits.len() < whole.len() { String::from("-") } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}
