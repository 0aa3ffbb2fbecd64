//! Puts the parts together: the only file that names all rooms.

use std::io::Write as _;
use std::net::TcpListener as StdListener;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::admin::icecast::lines;
use crate::admin::reload::Reload;
use crate::base::clock::Clock;
use crate::base::descriptors::{self, Budget};
use crate::base::gate::Gate;
use crate::base::net::{Role, bind};
use crate::base::{service, task};
use crate::config::{self, Settings};
use crate::directory::Directories;
use crate::handoff::faults;
use crate::handoff::give::{Giver, Socket};
use crate::handoff::ports::Ports;
use crate::handoff::take::{Given, Taker};
use crate::handoff::taking::{self, Host};
use crate::hls::Hls;
use crate::http::{App, sources};
use crate::listener::Audience;
use crate::listener::delivery::Delivery;
use crate::listener::roster::Roster;
use crate::mount::door::{Door, DoorSettings};
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

/// Serves until `stop`, or until everything has been given to another process.
pub async fn run(settings: Settings, reload: Arc<Reload>, stop: CancellationToken) -> anyhow::Result<()> {
    let handoff_socket = settings.handoff_socket.as_deref().map(Socket::prepare).transpose()?;
    let mut taker = match &settings.handoff_socket {
        Some(path) => block_in_place(|| Taker::find(path))?,
        None => None,
    };
    let clock = taker.as_ref().map_or_else(Clock::start, |taker| taker.clock);
    let limit = descriptors::raise_limit();
    let budget = Budget::divide(limit, BLOCKS_PER_STREAM * settings.streams.len() as u64);
    if settings.behind_proxy && settings.users.is_empty() {
        tracing::warn!("behind a proxy the API and the admin requests need a user: there is none in `users`");
    }
    // From here on the old process rests, until this one serves or gives up.
    let mut given = match &mut taker {
        Some(taker) => block_in_place(|| taker.take())?,
        None => Given::default(),
    };
    let ports = Arc::new(open_ports(&settings, std::mem::take(&mut given.ports))?);
    let mounts = start_mounts(&settings, clock);
    let paused = taking::restore_mounts(&mounts, &mut given).await;
    let streams = start_streams(&settings, &mounts, clock, &mut given).await?;
    let heads = Arc::new(Semaphore::new(budget.heads_max));
    let (app, door) = build(&settings, &reload, &budget, clock, &mounts, &streams, &ports)?;
    let listeners = taking::readmit(&app, &mut given);
    let channel = match taker {
        Some(_) if stop.is_cancelled() => bail!("stopped before it served"),
        Some(taker) if given.is_whole => block_in_place(|| taker.commit())?,
        _ => None,
    };
    // Nothing that fails from here on may end this process: there is no other. The next one asks this one, from before
    // anybody is told that it is ready.
    let handoff_socket = handoff_socket.map(Socket::listen);
    streams.all().iter().for_each(|stream| stream.go_on());
    mounts.go_on().await;
    app.delivery.admit(listeners);
    for source in paused {
        door.resume(source).await;
    }
    ports.open(&app, &door, &heads);
    announce(&settings, &ports, &streams);
    faults::at("announced");
    task::spawn("reload", Arc::clone(&app.admin).reload_when_wanted());
    tracing::info!(listeners_max = app.audience.seats(), descriptors = limit, "ready");
    if let Some(channel) = channel {
        Host::new(&app, &door, &heads, settings.api_port.is_some()).take_strays(channel);
    }
    let directories = Directories::start(&streams, app.audience.seats(), clock);
    let given_away = CancellationToken::new();
    if let Some(socket) = handoff_socket {
        let (ports, mounts, given_away) = (Arc::clone(&ports), Arc::clone(&mounts), given_away.clone());
        offer(Giver { ports, heads, app, door, mounts, given_away }, socket, stop.clone());
    }
    service::ready("serving");
    tokio::select! {
        () = stop.cancelled() => {}
        () = given_away.cancelled() => return Ok(()),
    }
    ports.close().await;
    tokio::join!(finish(&mounts, &streams), directories.finish());
    Ok(())
}

/// Lets the next process take over from this one.
fn offer(giver: Giver, socket: anyhow::Result<UnixListener>, stop: CancellationToken) {
    match socket {
        Ok(socket) => drop(task::spawn("handoff", giver.run(socket, stop))),
        Err(error) => tracing::error!(
            reason = format!("{error:#}"),
            "no other process will be able to take over from this one"
        ),
    }
}

/// Everything that serves listeners and sources, not yet serving.
fn build(
    settings: &Settings,
    reload: &Arc<Reload>,
    budget: &Budget,
    clock: Clock,
    mounts: &Arc<mount::registry::Registry>,
    streams: &Arc<stream::registry::Registry>,
    ports: &Ports,
) -> anyhow::Result<(Arc<App>, Arc<Door>)> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // The other half is for what the kernel does with the bytes, for the sources and for the HTTP server.
    let delivery = Delivery::start(cores.div_ceil(2), settings.chunk_duration, clock)
        .context("cannot start delivery threads")?;
    let audience = Audience::new(budget.listeners_max);
    audience.set_limit(settings.limits.listeners_max);
    let roster = Roster::new(clock);
    let gate = Arc::new(Gate::default());
    let hls = Arc::new(Hls::new(reload.live.hls.clone(), Arc::clone(&gate)));
    let admin = Arc::new(Admin {
        streams: Arc::clone(streams),
        mounts: Arc::clone(mounts),
        access: reload.live.access.clone(),
        reload: Arc::clone(reload),
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
    let listeners_port = ports.address(Role::Listeners).context("port")?.port();
    let door = make_door(&admin, budget.heads_max, listeners_port, Arc::clone(&gate));
    let app = Arc::new(App {
        clock,
        streams: Arc::clone(streams),
        admin,
        gate: Arc::clone(&gate),
        door: Arc::clone(&door),
        audience,
        http_reserve: Arc::new(Semaphore::new(HTTP_RESERVE)),
        roster,
        delivery,
        cors: reload.live.cors.clone(),
        ua_skip: reload.live.ua_skip.clone(),
        behind_proxy: settings.behind_proxy,
        hls,
        zone: settings.timezone.clone(),
        heads_max: budget.heads_max,
        log_requests: reload.live.log_requests.clone(),
    });
    Ok((app, door))
}

/// Sockets that listen: those of the old process where they are as is set, else new ones.
fn open_ports(settings: &Settings, mut given: Vec<(Role, StdListener)>) -> anyhow::Result<Ports> {
    let is_wanted = |address: SocketAddr, port: u16| {
        address.port() == port
            && settings.listen.map_or(address.ip().is_unspecified(), |ip| ip == address.ip())
    };
    let mut open = |role: Role, port: u16| -> anyhow::Result<StdListener> {
        // By address, whatever it was for; a port of the system's choice by what it is for.
        let found = given.iter().position(|(of, socket)| match port {
            0 => *of == role,
            port => socket.local_addr().is_ok_and(|address| is_wanted(address, port)),
        });
        match found {
            Some(place) => Ok(given.swap_remove(place).1),
            None => Ok(bind(settings.listen, port)?.into_std()?),
        }
    };
    let mut sockets = vec![
        (Role::Listeners, open(Role::Listeners, settings.port).context("port")?),
        (Role::Sources, open(Role::Sources, settings.source_port).context("source_port")?),
    ];
    if let Some(port) = settings.api_port {
        sockets.push((Role::Api, open(Role::Api, port).context("api_port")?));
    }
    // Last, as it may do without: the others are named in the configuration. Encoders of SHOUTcast v1 add one to the port
    // that they are told.
    let port = if settings.source_port == 0 { Some(0) } else { settings.source_port.checked_add(1) };
    match port.map(|port| open(Role::Shoutcast, port)) {
        Some(Ok(socket)) => sockets.push((Role::Shoutcast, socket)),
        Some(Err(error)) => {
            let reason = format!("{error:#}");
            tracing::warn!(
                reason,
                "no second source port: SHOUTcast encoders that add one to the port cannot connect"
            );
        }
        None => {}
    }
    Ok(Ports::new(sockets)?)
}

fn make_door(admin: &Arc<Admin>, heads_max: usize, listeners_port: u16, gate: Arc<Gate>) -> Arc<Door> {
    let live = &admin.reload.live;
    let settings = DoorSettings {
        reception: sources::reception(Arc::clone(admin), live.cors.clone(), listeners_port),
        users: Box::new(live.users.clone()),
        throttle: Arc::clone(&admin.throttle),
        heads_max,
        sources_max: live.sources_max.clone(),
        gate,
    };
    Door::new(Arc::clone(&admin.mounts), settings, admin.clock)
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
    given: &mut Given,
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
        let opened = match given.streams.get_mut(&config.key).and_then(|given| given.take()) {
            Some((state, files)) => {
                Stream::resume(config.clone(), &keeping, mount, clock, state, files).await
            }
            None => Stream::start(config.clone(), &keeping, mount, clock).await,
        };
        let (stream, recovery) =
            opened.with_context(|| format!("cannot open the rewind buffer of {}", config.key))?;
        for finding in &recovery.findings {
            tracing::warn!(stream = stream.key(), %finding, "the rewind buffer was mended");
        }
        if recovery.chunks > 0 {
            let (chunks, bytes) = (recovery.chunks, recovery.bytes);
            tracing::info!(stream = stream.key(), chunks, bytes, "the rewind buffer was opened");
        }
        streams.insert(stream);
    }
    Ok(streams)
}

/// Tells on standard output where to listen and where to send, for people and for programs that started us.
fn announce(settings: &Settings, ports: &Ports, streams: &stream::registry::Registry) {
    let host = settings.listen.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let at = |role| ports.address(role).map(|address| SocketAddr::new(host, address.port()));
    let Some(listeners) = at(Role::Listeners) else { return };
    let mut text = format!("listeners on http://{listeners}/\n");
    for (role, what) in [(Role::Sources, "sources"), (Role::Shoutcast, "shoutcast sources")] {
        if let Some(address) = at(role) {
            text.push_str(&format!("{what} on {address}\n"));
        }
    }
    if let Some(api) = at(Role::Api) {
        text.push_str(&format!("api on http://{api}/api/streams\n"));
    }
    for stream in streams.all() {
        let (key, mount) = (stream.key(), stream.mount().key());
        text.push_str(&format!("stream {key}: play http://{listeners}/{key}, send to mount /{mount}\n"));
    }
    text.push_str("ready\n");
    let mut out = std::io::stdout().lock();
    // Whoever started us may not listen.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
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
