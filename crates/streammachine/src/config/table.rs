//! Every setting, one row each: place, kind, default, what it does. Loading, suggestions, the schema and the reference
//! page are made from these rows.
//!
//! Rows hold no logic. A setting that gets its effect loses `later()` here and gains a field in `settings`.

use super::coerce::Kind;
use super::keys::Key;

/// Seconds of a year, the longest rewind buffer.
const YEAR: f64 = 31_536_000.0;

const FORMATS: Kind = Kind::Choice(&["mp3", "aac"]);
const LEVELS: Kind = Kind::Choice(&[
    "error",
    "alert",
    "warn",
    "event",
    "info",
    "request",
    "interaction",
    "minute",
    "debug",
    "silly",
    "trace",
]);
const MODES: Kind = Kind::Choice(&["standalone", "master", "slave"]);
const BYTES_1: Kind = Kind::Whole { unit: "bytes", min: 1, max: 16_777_216 };
const SID: Kind = Kind::Whole { unit: "streams", min: 1, max: 65_535 };
const MILLIS: Kind = Kind::Whole { unit: "milliseconds", min: 0, max: 86_400_000 };

/// All settings, in the order of the reference page.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    // Where the server listens.
    Key::new("mode", MODES, "\"standalone\"", "What this server does; only `standalone` in this version."),
    Key::new("listen", Kind::Address, "null", "Address to listen on; `null` is all addresses, IPv4 and IPv6."),
    Key::new("port", Kind::Port, "8000", "Listeners connect here; 0 is any free port."),
    Key::new("source_port", Kind::Port, "8001", "Sources connect here, SHOUTcast ones also to the next port; 0 is any free port."),
    Key::new("api_port", Kind::Port, "null", "The API's own port; `null` is `/api` on `port`."),
    Key::new("behind_proxy", Kind::Flag, "false", "Believe `X-Forwarded-*` headers, as a proxy in front sets them."),
    Key::new("cors.enabled", Kind::Flag, "true", "Let pages of other sites play the streams."),
    Key::new("cors.origin", Kind::Origin, "null", "The one site that may; `null` is any."),
    Key::new("ua_skip", Kind::Patterns, "[]", "Regular expressions; listeners whose user agent matches one are refused."),
    Key::new("limits.listeners_max", Kind::Whole { unit: "listeners", min: 1, max: 1_000_000 }, "null",
        "Listeners at once; `null` is as many as open files allow."),
    Key::new("limits.sources_max", Kind::Whole { unit: "sources", min: 1, max: 10_000 }, "256", "Sources at once."),

    // Time.
    Key::new("timezone", Kind::Zone, "\"UTC\"", "Zone of clock times in addresses and playlists."),
    Key::new("chunk_duration", Kind::Seconds { min: 0.1, max: 30.0 }, "2",
        "Seconds between deliveries to a listener; longer costs less, players hide it behind the burst."),
    Key::new("hls.segment_duration", Kind::Seconds { min: 1.0, max: 60.0 }, "10", "Seconds of an HLS segment."),
    Key::new("hls.limit_full_index", Kind::Pattern, "null",
        "Regular expression; user agents that match get the whole playlist, others its last two minutes."),
    Key::new("hls.window", Kind::Seconds { min: 1.0, max: YEAR }, "null",
        "Seconds of the past that a playlist shows unless the player asks for more; `null` is the whole rewind buffer."),
    Key::new("source_timeout", Kind::Seconds { min: 1.0, max: 3600.0 }, "30", "A source that is silent for so many seconds is dropped."),

    // The rewind buffer's place.
    Key::new("rewind.dir", Kind::Path, "null", "Directory that keeps the rewind buffers over a restart; `null` is memory only."),
    Key::new("handoff.socket", Kind::Path, "null", "Socket at which a new process takes over from this one: whoever starts with the same path gets everything. `null` is no handoff."),
    Key::new("rewind_dump.dir", Kind::Path, "null", "Older name of `rewind.dir`.").alias("rewind.dir"),
    Key::dead("rewind_dump.frequency", "Audio is written to `rewind.dir` as it comes."),

    // Streams.
    Key::new("streams.*.key", Kind::Name, "null", "The stream's key; in a file it is the name that the stream is listed under."),
    Key::new("streams.*.name", Kind::Text, "null", "Station name shown by players; `null` is what the encoder announces, then the title, then the key."),
    Key::new("streams.*.description", Kind::Text, "null", "Description shown by players; `null` is what the encoder announces."),
    Key::new("streams.*.genre", Kind::Text, "null", "Genre shown by players; `null` is what the encoder announces."),
    Key::new("streams.*.url", Kind::Text, "null",
        "Station's web address shown by players; `null` is `metaUrl`, then what the encoder announces, then that of the title."),
    Key::new("streams.*.format", FORMATS, "\"mp3\"", "Format of the audio: `mp3` or `aac`."),
    Key::new("streams.*.content_type", Kind::MediaType, "null", "Media type told to listeners; `null` follows the format."),
    Key::new("streams.*.seconds", Kind::Seconds { min: 1.0, max: YEAR }, "14400", "Length of the rewind buffer."),
    Key::new("streams.*.bytes_max", Kind::Whole { unit: "bytes", min: 1_048_576, max: 1 << 50 }, "null",
        "Most bytes of audio in the rewind buffer; `null` is what `seconds` of 384 kbit/s take."),
    Key::new("streams.*.burst", Kind::Seconds { min: 0.0, max: 3600.0 }, "30", "Seconds of audio sent at once to a new listener."),
    Key::new("streams.*.source_password", Kind::Secret, "null", "Password of sources, unless the mount has its own."),
    Key::new("streams.*.djs.*", Kind::Secret, "null", "Password of one more user who may connect as a source; the API tells who is on air."),
    Key::new("streams.*.sid", SID, "null", "Number of the stream for SHOUTcast sources; see `sources.MOUNT.sid`."),
    Key::new("streams.*.charset", Kind::Charset, "null", "Character set of titles from sources; see `sources.MOUNT.charset`."),
    Key::new("streams.*.source", Kind::MountName, "null", "Mount that feeds the stream; `null` is the mount named as the stream."),
    Key::new("streams.*.fallback", Kind::Fallback, "null",
        "Plays while no source is there: `builtin:programme`, `file:///PATH`, again and again, or another server's stream at `http://` or `https://`."),
    Key::new("streams.*.metaTitle", Kind::Text, "\"\"", "Title while the source on air has told none and the API has set none."),
    Key::new("streams.*.metaUrl", Kind::Text, "\"\"", "Web address sent with the title."),
    Key::new("streams.*.acceptSourceMeta", Kind::Flag, "null",
        "Titles from sources: `null` takes those of authenticated requests, `true` also those in the audio of an upstream, `false` none."),
    Key::new("streams.*.meta_interval", BYTES_1, "32768", "Bytes of audio between two titles."),
    Key::new("streams.*.max_buffer", Kind::Whole { unit: "bytes", min: 1024, max: 1_073_741_824 }, "4194304",
        "A listener that is so many bytes late is closed."),
    Key::new("streams.*.host", Kind::Text, "null", "Host in playlists for clients that name none."),
    Key::new("streams.*.listen_url", Kind::WebAddress, "null",
        "Where listeners elsewhere reach the stream, as told to directories; `null` is `http://HOST/KEY` with the stream's `host`."),
    Key::new("streams.*.public", Kind::Flag, "false", "Let directories list the stream; told to players as `icy-pub`."),
    Key::new("streams.*.directories", Kind::WebAddresses, "[]",
        "Xiph directories (YP) that the stream is announced to while a source is on air and `public` is true."),
    Key::new("streams.*.index_metadata", Kind::Flag, "false",
        "Let Radio-Browser take the station's facts from the stream's headers (`icy-index-metadata`)."),
    Key::new("streams.*.do_not_index", Kind::Flag, "false", "Ask Radio-Browser not to list the stream (`icy-do-not-index`)."),
    Key::new("streams.*.main_stream_url", Kind::WebAddress, "null",
        "Address of the station's main stream, where this is a variant of it (`icy-main-stream-url`)."),
    Key::new("streams.*.logo_url", Kind::WebAddress, "null", "Address of the station's logo (`icy-logo`)."),
    Key::new("streams.*.country_code", Kind::Country, "null", "The station's country (`icy-country-code`)."),
    Key::new("streams.*.country_subdivision_code", Kind::Subdivision, "null",
        "The part of its country (`icy-country-subdivison-code`)."),
    Key::new("streams.*.language_codes", Kind::Languages, "[]", "Languages that are spoken in it (`icy-language-codes`)."),
    Key::new("streams.*.timezone", Kind::Zone, "null", "Zone of this stream's clock times; `null` is the server's."),
    Key::new("streams.*.schedule", Kind::Schedule, "[]",
        "Programmes that come again; times are in the stream's zone, an end no later than its start is on the next day."),
    Key::new("streams.*.programs_from_metadata", Kind::Flag, "false", "Make each title a programme of its own."),
    Key::new("streams.*.root_route", Kind::Flag, "false", "Also served at `/`; one stream at most."),
    Key::new("streams.*.monitored", Kind::Flag, "false", "Tell when the stream's mount has no source.").later(),
    Key::new("streams.*.group", Kind::Text, "null", "Group of streams that this one is a variant of: `/sg/GROUP.m3u8`."),
    Key::new("streams.*.bandwidth", Kind::Whole { unit: "bits per second", min: 0, max: 1_000_000_000 }, "0",
        "Bandwidth told in the group's playlist; 0 is what is measured."),
    Key::new("streams.*.codec", Kind::Text, "null", "Codec told in the group's playlist, as RFC 6381 names it; `null` is that of the audio."),
    Key::new("streams.*.ffmpeg_args", Kind::Text, "null", "Options of the ffmpeg that makes this stream from its mount.").later(),
    Key::new("streams.*.preroll", Kind::Text, "\"\"", "Address of the ad server for audio before the stream.").later(),
    Key::new("streams.*.preroll_key", Kind::Text, "\"\"", "Name of the stream for the ad server.").later(),
    Key::new("streams.*.transcoder", Kind::Text, "\"\"", "Address of the service that transcodes ads.").later(),
    Key::new("streams.*.stream_key", Kind::Text, "null", "Format told to the ad server.").later(),
    Key::new("streams.*.impression_delay", MILLIS, "5000", "Milliseconds until a heard ad is reported.").later(),
    Key::new("streams.*.log_interval", MILLIS, "30000", "Milliseconds between two listen events.").later(),
    Key::new("streams.*.log_minutes", Kind::Flag, "true", "Log listen events.").later(),

    // Mounts.
    Key::new("sources.*.key", Kind::MountName, "null", "The mount's key; in a file it is the name that the mount is listed under."),
    Key::new("sources.*.password", Kind::Secret, "null", "Password of sources."),
    Key::new("sources.*.source_password", Kind::Secret, "null", "Other name of `password`.").alias("sources.*.password"),
    Key::new("sources.*.djs.*", Kind::Secret, "null", "Password of one more user who may connect as a source; the API tells who is on air."),
    Key::new("sources.*.sid", SID, "null",
        "Number of the mount for SHOUTcast sources (`password:#SID`); `null` counts the mounts in the order of their keys, from 1."),
    Key::new("sources.*.charset", Kind::Charset, "null",
        "Character set of titles that are no UTF-8 and for which the encoder names none; `null` is Windows-1252."),
    Key::new("sources.*.format", FORMATS, "\"mp3\"", "Format that sources send: `mp3` or `aac`."),
    Key::new("sources.*.monitored", Kind::Flag, "false", "Tell when the mount has no source.").later(),

    // Administration and logs.
    Key::new("admin.require_auth", Kind::Flag, "false", "Ask for a user of `users` on every API call; without, only this machine may call."),
    Key::new("users.*", Kind::Hash, "null", "A user of the API: the hash of the password, `sha1$SALT$ITERATIONS$HEX`."),
    Key::new("debug_incoming_requests", Kind::Flag, "false", "Log every request."),
    Key::new("log.stdout", Kind::Flag, "true", "Log to standard error: `true`, `false` or the settings below."),
    Key::new("log.stdout.level", LEVELS, "\"info\"", "Least urgent level that is logged."),
    Key::new("log.stdout.colorize", Kind::Flag, "null", "Colours; they are on where the log is a terminal.").later(),
    Key::new("log.stdout.timestamp", Kind::Flag, "true", "Start each line with its time.").later(),
    Key::new("log.stdout.ignore", Kind::Anything, "null", "Kinds of lines to leave out.").later(),
    Key::new("log.json.file", Kind::Path, "null", "File that gets the log as JSON.").later(),
    Key::new("log.json.level", LEVELS, "\"info\"", "Least urgent level in it.").later(),
    Key::new("log.w3c.file", Kind::Path, "null", "File that gets one line for each listen event, in W3C form.").later(),
    Key::new("log.w3c.level", LEVELS, "\"request\"", "Least urgent level in it.").later(),
    Key::dead("log.level", "Levels are set for each log: use `log.stdout.level`."),
    Key::dead("log.campfire", "The service is gone."),
    Key::dead("log.pagerduty", "Alerts have their own settings: use `alerts.pagerduty`."),

    // What later versions do.
    Key::new("cluster", Kind::Whole { unit: "processes", min: 0, max: 1024 }, "2",
        "Worker processes of a slave; one process serves all listeners.").later(),
    Key::new("master.port", Kind::Port, "null", "Master: API and slaves connect here.").later(),
    Key::new("master.password", Kind::Secret, "null", "Master: password of slaves.").later(),
    Key::new("slave.master", Kind::Secret, "null", "Slave: its master, `ws://HOST:PORT?password=PASSWORD`.").later(),
    Key::new("session.key", Kind::Text, "null", "Name of the cookie with the listener's user id.").later(),
    Key::new("session.secret", Kind::Secret, "null", "Secret that signs the cookie.").later(),
    Key::new("preroll", Kind::Text, "\"\"", "Default of the streams' `preroll`.").later(),
    Key::new("transcoder", Kind::Text, "\"\"", "Default of the streams' `transcoder`.").later(),
    Key::new("log_interval", MILLIS, "30000", "Default of the streams' `log_interval`.").later(),
    Key::new("redis.server", Kind::Secret, "null", "Redis that holds streams, mounts and users.").later(),
    Key::new("redis.key", Kind::Text, "\"StreamMachine\"", "Prefix of the keys in Redis.").later(),
    Key::new("analytics.es_uri", Kind::Secret, "null", "Elasticsearch that takes listen events.").later(),
    Key::new("analytics.es_prefix", Kind::Text, "null", "Prefix of its indices.").later(),
    Key::new("analytics.es_api_version", Kind::Text, "null", "Version of its API.").later(),
    Key::new("analytics.finalize_secs", Kind::Seconds { min: -1.0, max: 86_400.0 }, "300", "Quiet seconds that end a session.").later(),
    Key::new("analytics.index_batch", Kind::Whole { unit: "events", min: 1, max: 100_000 }, "1000", "Events sent at once.").later(),
    Key::new("analytics.index_latency", MILLIS, "500", "Milliseconds an event waits for others.").later(),
    Key::new("analytics.request_timeout", MILLIS, "null", "Milliseconds until a request fails.").later(),
    Key::new("alerts.email.mailer_type", Kind::Text, "null", "How mail is sent: `SMTP`.").later(),
    Key::new("alerts.email.mailer_options", Kind::Anything, "null", "Host, port and user for sending mail.").later(),
    Key::new("alerts.email.email_options", Kind::Anything, "null", "Sender and receiver of alerts.").later(),
    Key::new("alerts.pagerduty.serviceKey", Kind::Secret, "null", "Service that gets alerts.").later(),
    Key::dead("geolock", "Streams are not bound to countries."),
    Key::dead("streams.*.geolock", "Streams are not bound to countries."),
];
