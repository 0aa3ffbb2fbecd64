//! How the types of settings are written in JSON, for serde's `with`.

/// Seconds, fractions included.
pub mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match value.subsec_nanos() {
            0 => serializer.serialize_u64(value.as_secs()),
            _ => serializer.serialize_f64(value.as_secs_f64()),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

/// A text that is shown to nobody.
pub mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use wire::auth::Secret;

    pub fn serialize<S: Serializer>(value: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(_) => serializer.serialize_str(Secret::MASK),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

/// Texts by name that are shown to nobody.
pub mod secrets {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use wire::auth::Secret;

    pub fn serialize<S: Serializer>(
        value: &BTreeMap<String, Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Secret>, D::Error> {
        let texts = Option::<BTreeMap<String, String>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(texts.into_iter().map(|(name, text)| (name, Secret::new(text))).collect())
    }
}

/// What plays while no source is there: shown without what may be secret in it.
pub mod fallback {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::config::Fallback;

    pub fn serialize<S: Serializer>(value: &Option<Fallback>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(fallback) => serializer.collect_str(fallback),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fallback>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parse =
            |text: String| Fallback::parse(&text).ok_or_else(|| serde::de::Error::custom("no fallback"));
        text.map(parse).transpose()
    }
}

/// A codec by the name that streams have for their format.
pub mod codec {
    use audio::Codec;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Codec, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.extension())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Codec, D::Error> {
        let name = String::deserialize(deserializer)?;
        let codecs = [Codec::Mp3, Codec::Aac];
        let codec = codecs.into_iter().find(|codec| codec.extension() == name);
        codec.ok_or_else(|| serde::de::Error::custom(format!("no format is called {name:?}")))
    }
}

/// A character set by its name, if there is one.
pub mod charset {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use wire::text::Charset;

    pub fn serialize<S: Serializer>(value: &Option<Charset>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Charset::name).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Charset>, D::Error> {
        let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let unknown = || serde::de::Error::custom(format!("no character set is called {name:?}"));
        Charset::find(&name).ok_or_else(unknown).map(Some)
    }
}
