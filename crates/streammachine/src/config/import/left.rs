//! Elements of Icecast's configuration that become no setting: why, and what to do instead. Rows only.

/// What an element means that becomes no setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Something is lost with it.
    Lost(&'static str),
    /// Something is lost if it is switched on.
    LostIfOn(&'static str),
    /// Nothing is lost, but this is worth knowing.
    Moot(&'static str),
    /// Nothing is lost.
    Silent,
}

use Left::{Lost, LostIfOn, Moot, Silent};

const STATUS_PAGE: &str = "there is no status page that shows it";
const MASTER: &str = "there are no masters and slaves in this version; name the streams of the other server here, with its \
                      addresses as their `fallback`";
const TLS: &str = "there is no TLS in this version; let nginx or HAProxy speak it in front of `port`, and set `behind_proxy`";
const BANS: &str = "addresses are not refused here; let the firewall do it";
const PLACES: &str = "pages are built in";
const HOOK: &str = "no programs are started; watch `/api/streams` instead";
const LOG_FILE: &str = "the log goes to standard error: systemd keeps it, or redirect it to a file";
const ROTATION: &str = "files are not rotated here; systemd or logrotate does it";
const PER_MOUNT: &str = "there is only one limit for all streams: `limits.listeners_max`";
const FIXED_TIME: &str = "this time is fixed: 10 s for a request, 30 s between requests";

/// Paths below the outermost element, and what they mean.
const LEFT: &[(&str, Left)] = &[
    ("location", Moot(STATUS_PAGE)),
    ("admin", Moot(STATUS_PAGE)),
    ("server-id", Moot("the server calls itself StreamMachine")),
    ("prng-seed", Silent),
    ("fileserve", LostIfOn("files are not served, but for `fallback`; let a web server do it")),
    ("relays-on-demand", LostIfOn("an upstream is connected while no source is there")),
    ("master-server", Lost(MASTER)),
    ("master-server-port", Silent),
    ("master-update-interval", Silent),
    ("master-username", Silent),
    ("master-password", Silent),
    ("master-relay-auth", Silent),
    ("master-redirect", LostIfOn("listeners are not sent on to other servers")),
    ("event-bindings", Lost(HOOK)),
    ("limits/client-timeout", Moot(FIXED_TIME)),
    ("limits/header-timeout", Moot(FIXED_TIME)),
    ("limits/body-timeout", Moot(FIXED_TIME)),
    ("limits/body-size-limit", Moot("the bodies of requests have fixed bounds")),
    ("limits/threadpool", Silent),
    ("limits/min-queue-size", Silent),
    ("limits/queue-size-limit", Silent),
    ("limits/workers", Silent),
    ("limits/max-bandwidth", Lost("bandwidth is not limited; set `limits.listeners_max`")),
    ("limits/max-listener-duration", Lost("listeners may stay as long as they like")),
    ("authentication/relay-user", Silent),
    ("authentication/relay-password", Moot("other servers need no password to relay a stream")),
    ("authentication/role", Lost("users have no roles; sources have passwords, and the API has `users`")),
    ("directory/yp-url-timeout", Moot("a directory has 10 s to answer")),
    ("directory/touch-interval", Moot("the directory says how often it is told")),
    ("yp-directory/option", Moot("a directory has 10 s to answer, and says how often it is told")),
    ("listen-socket/tls", Silent),
    ("listen-socket/ssl", Silent),
    ("listen-socket/so-sndbuf", Silent),
    ("listen-socket/listen-backlog", Silent),
    ("listen-socket/on-behalf-of", Silent),
    ("listen-socket/http-headers", Lost("headers of your own are not sent")),
    ("listen-socket/shoutcast-compat", Silent),
    ("max-redirect-slaves", Silent),
    ("slave", Lost(MASTER)),
    ("paths/basedir", Moot("there is no change of the root directory")),
    ("paths/logdir", Moot(LOG_FILE)),
    ("paths/webroot", Silent),
    ("paths/adminroot", Moot(PLACES)),
    ("paths/reportxmldb", Moot(PLACES)),
    ("paths/pidfile", Moot("no such file is written; systemd knows the process")),
    ("paths/mime-types", Silent),
    ("paths/allow-ip", Lost(BANS)),
    ("paths/deny-ip", Lost(BANS)),
    ("paths/deny-agents", Lost("put what the file holds into `ua_skip`, as regular expressions")),
    ("paths/ssl-certificate", Lost(TLS)),
    ("paths/ssl-private-key", Lost(TLS)),
    ("paths/ssl-allowed-ciphers", Silent),
    ("paths/tls-certificate", Lost(TLS)),
    ("paths/tls-allowed-ciphers", Silent),
    ("tls-context", Lost(TLS)),
    (
        "logging/accesslog",
        Lost("listeners are not logged in this version; see `listeners` of `/api/streams`"),
    ),
    ("logging/playlistlog", Lost("titles are not logged; they are kept with the audio")),
    ("logging/errorlog", Moot(LOG_FILE)),
    ("logging/logsize", Moot(ROTATION)),
    ("logging/logarchive", Moot(ROTATION)),
    ("logging/accesslog_ip", Silent),
    ("security/chroot", LostIfOn("use systemd's `RootDirectory=`")),
    ("security/changeowner", Moot("start it as that user: systemd's `User=`")),
    ("security/tls-context", Lost(TLS)),
    ("mount/mount-name", Silent),
    ("mount/bitrate", Silent),
    ("mount/subtype", Silent),
    ("mount/max-listeners", Lost(PER_MOUNT)),
    ("mount/max-bandwidth", Lost(PER_MOUNT)),
    (
        "mount/dump-file",
        Lost("nothing is recorded as one file; `rewind.dir` keeps the audio of `seconds` on disk"),
    ),
    ("mount/intro", Lost("nothing is played to a listener before the stream in this version")),
    ("mount/fallback-override", Silent),
    ("mount/fallback-when-full", LostIfOn("a listener without a seat gets 503")),
    ("mount/hidden", LostIfOn("streams are not hidden: `/streams.json` and the player page list them")),
    ("mount/no-mount", LostIfOn("each stream can be listened to")),
    ("mount/max-listener-duration", Lost("listeners may stay as long as they like")),
    (
        "mount/authentication",
        Lost("listeners and sources are not checked by others; listeners need no password"),
    ),
    ("mount/on-connect", Lost(HOOK)),
    ("mount/on-disconnect", Lost(HOOK)),
    ("mount/event-bindings", Lost(HOOK)),
    ("mount/source-timeout", Lost("there is only one time for all sources: `source_timeout`")),
    ("mount/limit-rate", Moot("the audio itself sets the rate")),
    ("mount/filter-theora", Silent),
    ("mount/allow-url-ogg-metadata", Silent),
    ("mount/allow-direct-access", Silent),
    ("mount/ogg-passthrough", Silent),
    ("mount/cluster-password", Lost("directories are not told to join streams")),
    ("mount/wait-time", Silent),
    ("mount/redirect", Lost("listeners are not sent on to other servers")),
    ("mount/redirect-to", Lost("listeners are not sent on to other servers")),
    ("mount/hijack", LostIfOn("a second source waits until the first one ends")),
    ("mount/linger-for", Silent),
    ("mount/skip-accesslog", Silent),
    ("mount/file-seekable", Silent),
    ("mount/allow-chunked", Silent),
    ("mount/max-send-size", Silent),
    ("mount/qblock-size", Silent),
    ("mount/so-sndbuf", Silent),
    ("mount/admin_comments_only", Silent),
    ("mount/intro-skip-replay", Silent),
    ("mount/ban-client", Lost(BANS)),
    ("mount/access_log", Lost("listeners are not logged in this version")),
    ("mount/playlist", Lost("playlists of files are not read; use Liquidsoap as the source")),
    ("relay/on-demand", LostIfOn("an upstream is always connected")),
    ("relay/username", Silent),
    ("relay/password", Silent),
    ("relay/run-on", Silent),
    ("relay/retry-delay", Silent),
    ("relay/enable", Silent),
    ("relay/timeout", Silent),
];

/// What the element at `path` means, which is no setting; none if it is not known at all.
pub fn find(path: &str) -> Option<Left> {
    LEFT.iter().find(|(known, _)| *known == path).map(|(_, left)| *left)
}
