//! Headers that an Icecast is told to send. Those that Radio-Browser reads are settings here; others are not sent.

use super::draft::Draft;
use super::xml::Element;

/// What becomes of a header.
enum Fate {
    /// It is sent when this setting of the stream is set.
    Setting(&'static str),
    /// It is sent anyway, or means nothing here.
    Moot,
    /// Which pages may play the streams is a setting of the server.
    Origin,
    /// It is not sent.
    Lost,
}

fn fate(name: &str) -> Fate {
    match name {
        "icy-index-metadata" => Fate::Setting("index_metadata"),
        "icy-do-not-index" => Fate::Setting("do_not_index"),
        "icy-main-stream-url" => Fate::Setting("main_stream_url"),
        "icy-logo" => Fate::Setting("logo_url"),
        "icy-country-code" => Fate::Setting("country_code"),
        // The standard misspells it, and not everybody follows.
        "icy-country-subdivison-code" | "icy-country-subdivision-code" => {
            Fate::Setting("country_subdivision_code")
        }
        "icy-language-codes" => Fate::Setting("language_codes"),
        "icy-name" => Fate::Setting("name"),
        "icy-description" => Fate::Setting("description"),
        "icy-genre" => Fate::Setting("genre"),
        "icy-url" => Fate::Setting("url"),
        "icy-version" | "x-content-type-options" => Fate::Moot,
        "access-control-allow-origin" => Fate::Origin,
        _ if name.starts_with("access-control-") => Fate::Moot,
        _ => Fate::Lost,
    }
}

/// Names in lower case, and values without blanks around.
fn headers(list: Element<'_>) -> impl Iterator<Item = (Element<'_>, String, &str)> {
    list.all("header").map(|header| {
        let name = header.attribute("name").unwrap_or_default().trim().to_ascii_lowercase();
        (header, name, header.attribute("value").unwrap_or_default().trim())
    })
}

/// Sets what the headers of `list` say about the stream `key`.
pub fn set_facts(list: Element<'_>, draft: &mut Draft, key: &str) {
    for (header, name, value) in headers(list) {
        if let Fate::Setting(setting) = fate(&name)
            && !value.is_empty()
        {
            draft.set(header, &["streams", key, setting], value);
        }
    }
}

/// Tells of the headers of `list` that nothing becomes of. `origin` takes the one about pages of other origins, where it can
/// be taken.
pub fn leave_rest(list: Element<'_>, draft: &mut Draft, origin: Option<fn(Element<'_>, &mut Draft, &str)>) {
    for (header, name, value) in headers(list) {
        match (fate(&name), origin) {
            (Fate::Origin, Some(take)) => take(header, draft, value),
            (Fate::Origin, None) if value != "*" => {
                draft.warn(header, "is left out: `cors.origin` is one for all streams");
            }
            (Fate::Lost, _) => draft.warn(header, "is left out: headers of your own are not sent"),
            (Fate::Setting(_) | Fate::Moot | Fate::Origin, _) => {}
        }
    }
}
