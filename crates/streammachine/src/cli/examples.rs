//! The examples that `--help` shows. Text only.

pub const MAIN: &str = "\
Every setting can be given as an option, nested ones with colons; these win over the file, the environment wins over both.

Examples:
  streammachine --config /etc/streammachine.conf
  streammachine --port=9000 --hls:segment_duration=6 --no-log:stdout
  streammachine --config FILE config check
  streammachine source --port 8002 --stream test music.mp3
  streammachine rewind inspect /var/lib/streammachine";

pub const SERVE: &str = "\
Examples:
  streammachine serve --config /etc/streammachine.conf
  streammachine serve --streams:test:source_password=testing
  port=9000 streammachine serve";

pub const RUNNER: &str = "\
SIGHUP starts a new server, which takes everything over from the old one; if it fails, the old one goes on.
SIGTERM and SIGINT end all.

Examples:
  streammachine runner --config /etc/streammachine.conf
  streammachine runner --config FILE --watch /usr/local/bin/streammachine
  streammachine runner --config FILE --title news -- --port=9000 --log:stdout:level=debug
  systemctl reload streammachine";

pub const SOURCE: &str = "\
Examples:
  STREAMMACHINE_PASSWORD=testing streammachine source --port 8002 --stream test music.mp3
  streammachine source --host radio.example --mount /live --password-file secret --loop news.aac
  streammachine source --stream test --password testing --burst 30 --title 'Night music' music.mp3";

pub const LISTEN: &str = "\
Examples:
  streammachine listen http://127.0.0.1:8001/test --icy
  streammachine listen --port 8001 --stream test --offset 3600 --seconds 60 --output hour-ago.mp3
  streammachine listen --port 8001 --stream test --start 09:00
  streammachine listen --port 8001 --stream test --count 100 --json";

pub const CONFIG: &str = "\
Examples:
  streammachine --config FILE config check
  streammachine --config FILE config show --origins
  streammachine config import /etc/icecast2/icecast.xml --output streammachine.json
  streammachine config schema > streammachine.schema.json
  streammachine config reference > configuration.md";

pub const IMPORT: &str = "\
What cannot be taken over is told on standard error, with its line and what to do instead. The result holds passwords.

Examples:
  streammachine config import /etc/icecast2/icecast.xml --output streammachine.json
  streammachine config import icecast.xml --mount /live.mp3 --mount /news.mp3 -o streammachine.json
  streammachine --config streammachine.json config check";

pub const REWIND: &str = "\
Fails with 1 where inspection finds damage, and with 2 where something cannot be done.

Examples:
  streammachine rewind inspect /var/lib/streammachine
  streammachine rewind export /var/lib/streammachine --stream news --start 09:00 --end 09:30 -o news.mp3
  streammachine rewind import /var/lib/streammachine --stream news news.dump";

pub const REWIND_INSPECT: &str = "\
Nothing is written and no lock is taken. Succeeds if all is well, fails with 1 if there is damage, with 2 if the directory
cannot be read or holds no stream. What a server would do about damage when it opens the directory is told with it.

Examples:
  streammachine rewind inspect /var/lib/streammachine
  streammachine rewind inspect /var/lib/streammachine/news --titles
  streammachine rewind inspect /var/lib/streammachine --timezone Europe/Berlin
  streammachine rewind inspect /var/lib/streammachine --json | jq '.streams[].damage'";

pub const REWIND_EXPORT: &str = "\
The span is what a listener gets for start=INSTANT&end=INSTANT: the whole frames that start in it. Without --start and
--end it is everything.

Examples:
  streammachine rewind export /var/lib/streammachine --stream news --start 09:00 --end 09:30 -o news.mp3
  streammachine rewind export DIR --stream news --start 2026-11-23T09:00:00Z --end 2026-11-23T09:30:00Z -o - | mpv -
  streammachine rewind export DIR --stream news --start -3600 -o last-hour.mp3 --force
  streammachine rewind export DIR --stream news --format dump -o news.dump";

pub const REWIND_IMPORT: &str = "\
What overlaps the audio that is there is left out. A running server has its directory locked: give the dump to its API then,
by PUT /api/streams/KEY/rewind.

Examples:
  streammachine rewind import /var/lib/streammachine --stream news news.dump
  streammachine rewind export OLD --stream news --format dump -o - | streammachine rewind import NEW --stream news -";

pub const COMPLETIONS: &str = "\
Examples:
  streammachine completions bash > /usr/share/bash-completion/completions/streammachine
  streammachine completions zsh > \"${fpath[1]}/_streammachine\"
  streammachine completions fish > ~/.config/fish/completions/streammachine.fish";

pub const MAN: &str = "\
Examples:
  streammachine man > /usr/share/man/man1/streammachine.1
  streammachine man | man -l -";
