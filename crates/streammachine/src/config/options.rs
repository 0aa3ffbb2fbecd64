//! Takes settings out of a command line: `--port=9000`, `--log:stdout:level debug`, `--no-log:stdout`.
//!
//! What is left is for the command line's own parser. Values are judged where all settings are.

use std::ffi::OsString;

use super::coerce::Kind;
use super::keys::{self, Found};

/// An own option is at most this far from a mistyped one: swaps, losses, additions and changes of a letter.
const TYPOS_MAX: usize = 2;

/// An option that is no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// As it is written: `--config`, `-c`.
    pub spelling: String,
    /// True if a value follows.
    pub takes_value: bool,
}

/// A command line without its settings, and those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// What is no setting, in order.
    pub rest: Vec<OsString>,
    /// Paths joined by `:`, and values, in order.
    pub settings: Vec<(String, String)>,
}

/// Why an option is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Neither a setting nor an own option.
    #[error("there is no option or setting --{name}{}", meant.as_ref().map(|it| format!("; did you mean {it}?")).unwrap_or_default())]
    Unknown {
        /// As written.
        name: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// A setting that is last on the line.
    #[error("--{name} needs a value: {expected}")]
    NoValue {
        /// As written.
        name: String,
        /// What the value can be.
        expected: String,
    },
}

/// Splits `args`, program name first. Nothing is taken out after one of `commands`, which have options of their own.
///
/// # Errors
/// An option that is neither `own` nor a setting, or has no value.
pub fn split(
    args: impl IntoIterator<Item = OsString>,
    own: &[Own],
    commands: &[&str],
) -> Result<Split, OptionError> {
    let mut args = args.into_iter().peekable();
    let mut split = Split { rest: args.next().into_iter().collect(), ..Split::default() };
    while let Some(arg) = args.next() {
        let text = arg.to_str().unwrap_or_default();
        let (spelling, inline) =
            text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if let Some(own) = own.iter().find(|own| own.spelling == spelling) {
            let takes_next = own.takes_value && inline.is_none();
            split.rest.push(arg);
            split.rest.extend(takes_next.then(|| args.next()).flatten());
        } else if let Some(name) = spelling.strip_prefix("--").filter(|name| !name.is_empty()) {
            let next = args.next_if(|next| inline.is_none() && takes(name, next.to_str()));
            let value = inline.or_else(|| next.as_ref().and_then(|next| next.to_str()));
            split.settings.push(setting(name, value, own)?);
        } else {
            let ends = text == "--" || commands.contains(&text);
            split.rest.push(arg);
            if ends {
                split.rest.extend(args.by_ref());
            }
        }
    }
    Ok(split)
}

/// True if `next` is the value of the setting `name`, which has none of its own. Switches need none.
fn takes(name: &str, next: Option<&str>) -> bool {
    match (keys::find(&path(name)), next) {
        (Found::Key(key), Some(next)) if key.kind == Kind::Flag => matches!(next, "true" | "false"),
        (Found::Key(_) | Found::Section, Some(next)) => !next.starts_with("--"),
        _ => false,
    }
}

fn setting(name: &str, value: Option<&str>, own: &[Own]) -> Result<(String, String), OptionError> {
    let is_flag = |name: &str| matches!(keys::find(&path(name)), Found::Key(key) if key.kind == Kind::Flag);
    let negated = name.strip_prefix("no-").filter(|name| value.is_none() && is_flag(name));
    if let Some(name) = negated {
        return Ok((name.to_owned(), "false".to_owned()));
    }
    let expected = match keys::find(&path(name)) {
        Found::Nothing => {
            return Err(OptionError::Unknown { name: name.to_owned(), meant: meant(name, own) });
        }
        Found::Key(key) => key.kind.expected(),
        Found::Section => "an object of settings as JSON".to_owned(),
    };
    let value = value.map(str::to_owned).or_else(|| is_flag(name).then(|| "true".to_owned()));
    let value = value.ok_or_else(|| OptionError::NoValue { name: name.to_owned(), expected })?;
    Ok((name.to_owned(), value))
}

fn meant(name: &str, own: &[Own]) -> Option<String> {
    let written = format!("--{name}");
    let near = |own: &&Own| strsim::damerau_levenshtein(&own.spelling, &written) <= TYPOS_MAX;
    if let Some(own) = own.iter().filter(|own| own.spelling.starts_with("--")).find(near) {
        return Some(own.spelling.clone());
    }
    let path = path(name);
    let last = keys::suggest(&path)?;
    // A sibling's name takes the place of the last one; a full path stands for all.
    let meant = match path.split_last() {
        Some((_, parent)) if !last.contains('.') => [parent, &[last.as_str()]].concat().join(":"),
        _ => last.replace('.', ":"),
    };
    Some(format!("--{meant}"))
}

fn path(name: &str) -> Vec<&str> {
    name.split(':').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Own> {
        [("--config", true), ("-c", true), ("--help", false), ("--origins", false)]
            .map(|(spelling, takes_value)| Own { spelling: spelling.to_owned(), takes_value })
            .to_vec()
    }

    fn run(line: &str) -> Result<(String, String), String> {
        let args = line.split(' ').map(OsString::from);
        let split = split(args, &own(), &["source"]).map_err(|error| error.to_string())?;
        let rest: Vec<_> = split.rest.iter().map(|arg| arg.to_str().unwrap()).collect();
        let settings: Vec<_> = split.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok((rest.join(" "), settings.join(" ")))
    }

    #[test]
    fn settings_are_taken_out_and_the_rest_is_left() {
        for (line, rest, settings) in [
            ("sm", "sm", ""),
            ("sm --port=9000", "sm", "port=9000"),
            ("sm --port 9000 serve", "sm serve", "port=9000"),
            ("sm --config a.json --hls:segment_duration=6", "sm --config a.json", "hls:segment_duration=6"),
            ("sm --config=a.json config show --origins", "sm --config=a.json config show --origins", ""),
            ("sm -c source --port=1", "sm -c source", "port=1"),
            ("sm --no-log:stdout --behind_proxy serve", "sm serve", "log:stdout=false behind_proxy=true"),
            ("sm --behind_proxy false serve", "sm serve", "behind_proxy=false"),
            ("sm --log:stdout:level debug", "sm", "log:stdout:level=debug"),
            ("sm --streams:a:metaTitle=x=y", "sm", "streams:a:metaTitle=x=y"),
            ("sm --hls {segment_duration:6}", "sm", "hls={segment_duration:6}"),
            ("sm source --port 9 --port=8", "sm source --port 9 --port=8", ""),
            ("sm --port=1 source --port=8", "sm source --port=8", "port=1"),
            ("sm -- --port=8", "sm -- --port=8", ""),
        ] {
            assert_eq!(run(line), Ok((rest.to_owned(), settings.to_owned())), "{line}");
        }
    }

    #[test]
    fn an_option_that_is_none_is_told_with_what_was_meant() {
        for (line, error) in [
            ("sm --prot=1", "there is no option or setting --prot; did you mean --port?"),
            ("sm --confg x", "there is no option or setting --confg; did you mean --config?"),
            (
                "sm --streams:a:sceonds=1",
                "there is no option or setting --streams:a:sceonds; did you mean --streams:a:seconds?",
            ),
            (
                "sm --segment_duration 6",
                "there is no option or setting --segment_duration; did you mean --hls:segment_duration?",
            ),
            ("sm --xyzzy", "there is no option or setting --xyzzy"),
            ("sm --no-port", "there is no option or setting --no-port; did you mean --port?"),
            ("sm --port", "--port needs a value: a port from 0 to 65,535"),
            ("sm --port --behind_proxy", "--port needs a value: a port from 0 to 65,535"),
        ] {
            assert_eq!(run(line), Err(error.to_owned()), "{line}");
        }
    }
}
