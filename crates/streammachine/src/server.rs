//! Puts the parts together: the only file that names all rooms.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::admin::access::Access;
use crate::admin::icecast::lines;
use crate::base::clock::Clock;
use crate::base::descriptors::{self, Budget};
use crate::base::net::{Acceptor, bind};
use crate::base::task;
use crate::config::{self, Settings};
use crate::directory::Directories;
use crate::hls::{Hls, HlsConfig};
use crate::http::front::{Port, serve};
use crate::http::{App, sources};
use crate::listener::Audience;
use crate::listener::delivery::Delivery;
use crate::listener::roster::Roster;
use crate::mount::door::Door;
use crate::mount::{self, Mount};
use crate::source::reader::Limits;
use crate::stream::{self, Keeping, Stream};

/// How much of the built-in programme a fresh server has already "sent", so that rewinding can be tried at once.
const LEAD_IN: Duration = Duration::from_secs(300);
/// Descriptors of one stream's block files, mapped and open.
const BLOCKS_PER_STREAM: u64 = 160;
/// How long sources may take to end, and streams to write what they hold, when the server ends.
const FINISH_TIME: Duration = Duration::from_secs(2);

/// Kept HTTP connections that need no listener's seat; a part of the descriptors that are left alone.
const HTTP_RESERVE: usize = 64;

/// Sockets that listen, before anything is served.
struct Ports {
    listeners: TcpListener,
    sources: TcpListener,
    /// The port behind that, where SHOUTcast encoders connect.
    shoutcast: Option<TcpListener>,
    api: Option<TcpListener>,
}

/// Serves until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let clock = Clock::start();
    let limit = descriptors::raise_limit();
    let budget = Budget::divide(limit, BLOCKS_PER_STREAM * settings.streams.len() as u64);
    if settings.behind_proxy && settings.users.is_empty() {
        tracing::warn!("behind a proxy the API and the admin requests need a user: there is none in `users`");
    }
    let ports = open_ports(&settings)?;
    let mounts = start_mounts(&settings, clock);
    let streams = start_streams(&settings, &mounts, clock).await?;

    let heads = Arc::new(Semaphore::new(budget.heads_max));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // The other half is for what the kernel does with the bytes, for the sources and for the HTTP server.
    let delivery = Delivery::start(cores.div_ceil(2), settings.chunk_duration, clock)
        .context("cannot start delivery threads")?;
    let listeners_max =
        settings.limits.listeners_max.map_or(budget.listeners_max, |max| max.min(budget.listeners_max));
    let audience = Audience::new(listeners_max);
    let roster = Roster::new(clock);
    let hls = Arc::new(Hls::new(HlsConfig {
        segment: settings.segment_duration,
        window: settings.hls_window,
        full_index: settings.hls_full_index.clone(),
    }));
    let admin = Arc::new(Admin {
        streams: Arc::clone(&streams),
        mounts: Arc::clone(&mounts),
        access: access(&settings),
        chunk: settings.chunk_duration,
        clock,
        started: clock.now().wall,
        behind_proxy: settings.behind_proxy,
        audience: Arc::clone(&audience),
        roster: Arc::clone(&roster),
        hls: Arc::clone(&hls),
        delivery: Arc::clone(&delivery),
        throttle: Arc::default(),
        followers: Semaphore::new(lines::FOLLOWERS_MAX),
    });
    let listeners_port = ports.listeners.local_addr().context("port")?.port();
    let door = make_door(&settings, &admin, budget.heads_max, listeners_port);
    let app = Arc::new(App {
        clock,
        streams: Arc::clone(&streams),
        admin,
        door: Arc::clone(&door),
        audience,
        http_reserve: Arc::new(Semaphore::new(HTTP_RESERVE)),
        roster,
        delivery,
        cors: settings.cors.clone(),
        ua_skip: settings.ua_skip.clone(),
        behind_proxy: settings.behind_proxy,
        hls,
        zone: settings.timezone.clone(),
        tick: settings.chunk_duration,
        heads_max: budget.heads_max,
        log_requests: settings.debug_incoming_requests,
    });
    announce(&settings, &ports, &streams)?;
    tracing::info!(listeners_max, descriptors = limit, "ready");
    let directories = Directories::start(&streams, listeners_max, clock);

    let served = serve_ports(ports, &app, &door, &heads, &stop);
    stop.cancelled().await;
    for port in served {
        port.await.context("a port's task failed")?;
    }
    tokio::join!(finish(&mounts, &streams), directories.finish());
    Ok(())
}

fn open_ports(settings: &Settings) -> anyhow::Result<Ports> {
    let listeners = bind(settings.listen, settings.port).context("port")?;
    let sources = bind(settings.listen, settings.source_port).context("source_port")?;
    let api = settings.api_port.map(|port| bind(settings.listen, port)).transpose().context("api_port")?;
    // Last, as it may do without: the others are named in the configuration.
    let shoutcast = open_shoutcast_port(settings);
    Ok(Ports { listeners, sources, shoutcast, api })
}

/// Encoders of SHOUTcast v1 add one to the port that they are told.
fn open_shoutcast_port(settings: &Settings) -> Option<TcpListener> {
    let port = if settings.source_port == 0 { Some(0) } else { settings.source_port.checked_add(1) };
    bind(settings.listen, port?)
        .inspect_err(|error| {
            let reason = format!("{error:#}");
            tracing::warn!(
                reason,
                "no second source port: SHOUTcast encoders that add one to the port cannot connect"
            );
        })
        .ok()
}

fn make_door(settings: &Settings, admin: &Arc<Admin>, heads_max: usize, listeners_port: u16) -> Arc<Door> {
    let reception = sources::reception(Arc::clone(admin), settings.cors.clone(), listeners_port);
    let users = Box::new(Access::Users(settings.users.clone()));
    let (mounts, throttle) = (Arc::clone(&admin.mounts), Arc::clone(&admin.throttle));
    Door::new(mounts, users, admin.clock, throttle, heads_max, settings.limits.sources_max, reception)
}

fn serve_ports(
    ports: Ports,
    app: &Arc<App>,
    door: &Arc<Door>,
    heads: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let acceptor = |listener| Acceptor::new(listener, Arc::clone(heads));
    let api_here = ports.api.is_none();
    let listeners =
        serve(Arc::clone(app), acceptor(ports.listeners), Port::Listeners { api: api_here }, stop.clone());
    let sources = Arc::clone(door).serve(acceptor(ports.sources), stop.clone());
    let mut served = vec![task::spawn("listener port", listeners), task::spawn("source port", sources)];
    if let Some(listener) = ports.shoutcast {
        let shoutcast = Arc::clone(door).serve(acceptor(listener), stop.clone());
        served.push(task::spawn("second source port", shoutcast));
    }
    if let Some(listener) = ports.api {
        let api = serve(Arc::clone(app), acceptor(listener), Port::Api, stop.clone());
        served.push(task::spawn("api port", api));
    }
    served
}

fn start_mounts(settings: &Settings, clock: Clock) -> Arc<mount::registry::Registry> {
    let root = settings.streams.values().find(|stream| stream.root_route);
    let default = root.map(|stream| stream.mount_key().to_owned());
    let mounts = Arc::new(mount::registry::Registry::with_default(default));
    for config in settings.mounts() {
        let fallback = config.fallback.as_ref().map(|fallback| match fallback {
            config::Fallback::Programme => mount::Fallback::Programme {
                zone: settings.timezone.clone(),
                // Audio that was kept from an earlier run must not be followed by audio from before its end.
                lead_in: if settings.rewind_dir.is_none() { LEAD_IN } else { Duration::ZERO },
            },
            config::Fallback::File(path) => mount::Fallback::File(path.clone()),
            config::Fallback::Upstream(upstream) => mount::Fallback::Proxy {
                upstream: upstream.clone(),
                limits: Limits { silence_max: settings.source_timeout, hint: config.format },
            },
        });
        mounts.insert(Mount::start(
            mount::Settings { config, silence_max: settings.source_timeout, fallback },
            clock,
        ));
    }
    mounts
}

async fn start_streams(
    settings: &Settings,
    mounts: &mount::registry::Registry,
    clock: Clock,
) -> anyhow::Result<Arc<stream::registry::Registry>> {
    let streams = Arc::new(stream::registry::Registry::default());
    let keeping = Keeping {
        dir: settings.rewind_dir.clone(),
        zone: settings.timezone.clone(),
        segment: settings.segment_duration,
    };
    for config in settings.streams.values() {
        let mount = mounts
            .find(config.mount_key())
            .expect("the configuration was checked: each stream has its mount");
        let opened = Stream::start(config.clone(), &keeping, mount, clock).await;
        let (stream, recovery) =
            opened.with_context(|| format!("cannot open the rewind buffer of {}", config.key))?;
        for note in &recovery.notes {
            tracing::warn!(stream = stream.key(), note, "the rewind buffer was mended");
        }
        if recovery.chunks > 0 {
            let (chunks, bytes) = (recovery.chunks, recovery.bytes);
            tracing::info!(stream = stream.key(), chunks, bytes, "the rewind buffer was opened");
        }
        streams.insert(stream);
    }
    Ok(streams)
}

fn access(settings: &Settings) -> Access {
    // Behind a proxy everybody comes from this machine.
    if settings.require_auth || settings.behind_proxy {
        Access::Users(settings.users.clone())
    } else {
        Access::Loopback
    }
}

/// Tells on standard output where to listen and where to send, for people and for programs that started us.
fn announce(settings: &Settings, ports: &Ports, streams: &stream::registry::Registry) -> anyhow::Result<()> {
    let host = settings.listen.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let at = |listener: &TcpListener| listener.local_addr().map(|it| SocketAddr::new(host, it.port()));
    let listeners = at(&ports.listeners)?;
    let mut text = format!("listeners on http://{listeners}/\nsources on {}\n", at(&ports.sources)?);
    if let Some(shoutcast) = &ports.shoutcast {
        text.push_str(&format!("shoutcast sources on {}\n", at(shoutcast)?));
    }
    if let Some(api) = &ports.api {
        text.push_str(&format!("api on http://{}/api/streams\n", at(api)?));
    }
    for stream in streams.all() {
        let (key, mount) = (stream.key(), stream.mount().key());
        text.push_str(&format!("stream {key}: play http://{listeners}/{key}, send to mount /{mount}\n"));
    }
    text.push_str("ready\n");
    let mut out = std::io::stdout().lock();
    // Whoever started us may not listen.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

async fn finish(mounts: &mount::registry::Registry, streams: &stream::registry::Registry) {
    for mount in mounts.all() {
        if tokio::time::timeout(FINISH_TIME, mount.end()).await.is_err() {
            tracing::warn!(mount = mount.key(), "a source did not end in time");
        }
    }
    for stream in streams.all() {
        if tokio::time::timeout(FINISH_TIME, stream.finish()).await.is_err() {
            tracing::warn!(stream = stream.key(), "the newest audio was not written in time");
        }
    }
}
