// The player page: plays a stream from any instant of its rewind buffer. What is on offer comes from streams.json.
//
// An <audio> element tells no response headers, so a HEAD request beside it asks which instant the audio begins with.

const POLL_MS = 5_000;
const RETRY_MS_MAX = 15_000;
// Without progress for so long, a connection counts as broken.
const STALL_MS = 20_000;
// Nearer to the live edge than this, a chosen instant is live.
const LIVE_MS = 3_000;
// Keys move the slider in many small steps: only where it comes to rest is played.
const SETTLE_MS = 350;

const byId = (id) => document.getElementById(id);
const audio = new Audio();
audio.preload = "none";

let streams = [];
let stream = null;
// The stream's programmes, latest first.
let programs = [];
// When the server was asked last, and what its clock is ahead of this one.
let polledAt = 0;
let aheadMs = 0;
// What is wanted: null, or from when it plays (null is live), where that audio begins and how often it was tried.
let play = null;
// Where a pause was made; play goes on there.
let pausedAt = null;
let progress = { seconds: 0, at: 0 };
let retryTimer, settleTimer;
let sliding = false;

const now = () => Date.now() + aheadMs;
const oldest = () => Date.parse(stream.start);
// While a source feeds the stream, its edge moves on between two polls.
const edge = () => Date.parse(stream.end) + (stream.live ? Date.now() - polledAt : 0);
const hasAudio = () => Boolean(stream && stream.start && stream.end);
const heard = () => (play ? play.origin + audio.currentTime * 1000 : pausedAt);
const isLive = () => Boolean(play) && play.from === null;

function formatTime(ms, seconds = true) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: stream.zone || undefined };
  if (seconds) options.second = "2-digit";
  return new Intl.DateTimeFormat("en-GB", options).format(ms);
}

function formatDate(ms) {
  const options = { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: stream.zone || undefined }).format(ms);
}

function formatSpan(ms) {
  const total = Math.max(0, Math.round(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds} s` : `${seconds} s`;
}

function say(text, kind = "") {
  const message = byId("message");
  if (message.textContent !== text) message.textContent = text;
  message.dataset.kind = kind;
}

// Playing

// Plays from an instant in ms, or live for null.
function start(from, tries = 0) {
  clearTimeout(retryTimer);
  if (!hasAudio()) {
    stop();
    return say("The stream has no audio yet.");
  }
  if (from !== null) {
    from = Math.max(from, oldest());
    if (from > edge() - LIVE_MS) from = null;
  }
  const url = from === null ? stream.url : `${stream.url}?start=${new Date(from).toISOString()}`;
  const current = { from, tries, origin: from ?? edge() };
  play = current;
  pausedAt = null;
  progress = { seconds: 0, at: Date.now() };
  audio.src = url;
  audio.play().catch((error) => {
    if (play !== current || error.name === "AbortError") return;
    if (error.name === "NotAllowedError") return stop();
    retry();
  });
  if (!tries) say("");
  askOrigin(current, url);
  render();
}

async function askOrigin(current, url) {
  try {
    const response = await fetch(url, { method: "HEAD", cache: "no-store" });
    const origin = Date.parse(response.headers.get("X-Content-Start") ?? "");
    if (play === current && Number.isFinite(origin)) current.origin = origin;
  } catch {
    // The estimate stays; the audio element reports what is wrong with the connection.
  }
}

function stop() {
  clearTimeout(retryTimer);
  play = null;
  // Only without a source does an audio element stop loading an endless stream.
  audio.removeAttribute("src");
  audio.load();
  render();
}

function pause() {
  const at = heard();
  stop();
  pausedAt = at;
  render();
}

function retry() {
  if (!play) return;
  clearTimeout(retryTimer);
  const tries = play.tries + 1;
  const from = isLive() ? null : heard();
  const wait = Math.min(RETRY_MS_MAX, 500 * 2 ** tries);
  play.tries = tries;
  say("The connection was lost. Trying again…", "trouble");
  retryTimer = setTimeout(() => start(from, tries), wait);
  progress.at = Date.now() + wait;
}

function skip(seconds) {
  if (hasAudio()) start((heard() ?? edge()) + seconds * 1000);
}

// The latest HH:MM that is not in the future, in the zone that the page shows.
function latest(clock) {
  const minute = 60_000;
  let at = Math.floor(now() / minute) * minute;
  for (let tried = 0; tried < 1500; tried += 1, at -= minute) {
    if (formatTime(at, false) === clock) return at;
  }
  return null;
}

function startAt(clock) {
  if (!hasAudio()) return;
  const at = latest(clock);
  if (at === null || at > edge()) return say(`The stream has no audio of ${clock}.`);
  start(at);
  if (at < oldest()) say(`Before ${formatDate(oldest())} nothing is kept: playing from there.`);
}

// Showing

function render() {
  const ready = hasAudio();
  for (const control of document.querySelectorAll("#player button, #slider, #at")) control.disabled = !ready;
  const loading = play && (audio.paused || audio.readyState < 3);
  const button = byId("play");
  button.dataset.state = play ? (loading ? "loading" : "playing") : "stopped";
  button.setAttribute("aria-label", play ? "Pause" : "Play");
  byId("live").setAttribute("aria-pressed", String(isLive()));
  byId("newest").textContent = ready && stream.live ? "Live" : ready ? formatTime(edge()) : "";
  byId("oldest").textContent = ready ? formatDate(oldest()) : "";
  byId("zone").textContent = ready ? `${formatSpan(edge() - oldest())} kept${stream.zone ? `, ${stream.zone} time` : ""}` : "";
  if (!ready) {
    byId("clock").textContent = "--:--:--";
    byId("behind").textContent = "";
  } else if (!sliding) {
    renderInstant(heard() ?? edge());
  }
}

function renderInstant(at) {
  const span = Math.max(1, Math.round((edge() - oldest()) / 1000));
  const slider = byId("slider");
  slider.max = span;
  if (!sliding) slider.value = Math.round((at - oldest()) / 1000);
  const behind = Math.max(0, edge() - at);
  const idle = heard() === null && !sliding;
  const text = idle ? "press play" : isLive() && !sliding ? "live" : behind < LIVE_MS ? "at the live edge" : `${formatSpan(behind)} behind`;
  byId("clock").textContent = formatTime(at);
  byId("behind").textContent = text;
  slider.style.setProperty("--fill", `${(100 * slider.value) / span}%`);
  slider.setAttribute("aria-valuetext", `${formatTime(at)}, ${text}`);
}

function renderStream() {
  byId("name").textContent = stream.name || stream.key;
  byId("title").textContent = stream.title || "–";
  byId("link-raw").href = stream.url;
  for (const kind of ["pls", "m3u", "xspf"]) byId(`link-${kind}`).href = `${stream.url}.${kind}`;
  byId("format").textContent = stream.format || "";
  document.title = stream.title ? `${stream.title} – StreamMachine` : "StreamMachine";
  if ("mediaSession" in navigator) {
    navigator.mediaSession.metadata = new MediaMetadata({ title: stream.title || "", artist: stream.name || stream.key });
  }
  if (!hasAudio()) say("The stream has no audio yet.");
  else if (!play && byId("message").textContent === "The stream has no audio yet.") say("");
}

function renderPicker() {
  const select = byId("stream");
  const keys = streams.map((each) => each.key);
  if (keys.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
    select.replaceChildren(...streams.map((each) => new Option(each.name || each.key, each.key)));
  }
  select.value = stream.key;
  byId("picker").hidden = streams.length < 2;
  byId("name").hidden = streams.length > 1;
}

// Only where they have changed: a click must not miss its button.
function renderPrograms() {
  const list = byId("program-list");
  const text = JSON.stringify([stream.key, stream.zone, programs]);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...programs.map(renderProgram));
  byId("programs").hidden = !programs.length;
}

function renderProgram(program) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const time = document.createElement("time");
  const name = document.createElement("span");
  button.type = "button";
  time.className = "quiet";
  time.dateTime = program.start;
  const end = program.end ? formatTime(Date.parse(program.end), false) : "";
  time.textContent = `${formatDate(Date.parse(program.start))} – ${end}`;
  name.textContent = program.name;
  if (program.running) item.setAttribute("aria-current", "true");
  if (program.description) button.title = program.description;
  button.append(time, name);
  button.addEventListener("click", () => {
    start(Date.parse(program.start));
    if (!program.complete && Date.parse(program.start) < oldest()) say("Its beginning is not kept any more: playing what is there.");
  });
  item.append(button);
  return item;
}

function showEmpty(title, text) {
  byId("empty-title").textContent = title;
  byId("empty-text").textContent = text;
  byId("empty").hidden = false;
  byId("player").hidden = byId("links").hidden = true;
}

// The server's state

async function poll() {
  try {
    const response = await fetch("streams.json", { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const list = await response.json();
    polledAt = Date.now();
    if (list[0]?.now) aheadMs = Date.parse(list[0].now) - polledAt;
    take(list);
    if (stream) pollPrograms(stream);
  } catch {
    if (stream) say("The server does not answer. Trying again…", "trouble");
    else showEmpty("The server does not answer", "This page tries again every few seconds.");
  }
  setTimeout(poll, POLL_MS);
}

async function pollPrograms(asked) {
  try {
    const response = await fetch(`${asked.url}/programs.json`);
    const list = response.ok ? await response.json() : [];
    if (stream?.key !== asked.key) return;
    programs = list.reverse();
    renderPrograms();
  } catch {
    // What was shown stays; that the server does not answer is said already.
  }
}

function take(list) {
  streams = list;
  const wanted = stream ? stream.key : decodeURIComponent(location.hash.slice(1));
  const next = streams.find((each) => each.key === wanted) ?? streams[0];
  if (stream && next?.key !== stream.key) leave();
  stream = next ?? null;
  if (!stream) return showEmpty("No streams yet", "Add a stream to the configuration, and it can be heard here.");
  if (byId("message").textContent.startsWith("The server does not")) say("");
  byId("empty").hidden = true;
  byId("player").hidden = byId("links").hidden = false;
  renderPicker();
  renderStream();
  renderPrograms();
  render();
}

function leave() {
  stop();
  programs = [];
  pausedAt = null;
  say("");
}

function tick() {
  if (!stream) return;
  if (play && audio.currentTime !== progress.seconds) {
    progress = { seconds: audio.currentTime, at: Date.now() };
    if (play.tries) {
      play.tries = 0;
      say("");
    }
  } else if (play && Date.now() - progress.at > STALL_MS) {
    retry();
  }
  render();
}

// What the listener does

byId("play").addEventListener("click", () => (play ? pause() : start(pausedAt)));
byId("live").addEventListener("click", () => start(null));
for (const button of document.querySelectorAll("[data-skip]")) {
  button.addEventListener("click", () => skip(Number(button.dataset.skip)));
}
byId("slider").addEventListener("input", () => {
  clearTimeout(settleTimer);
  sliding = true;
  renderInstant(oldest() + Number(byId("slider").value) * 1000);
});
byId("slider").addEventListener("change", () => {
  clearTimeout(settleTimer);
  settleTimer = setTimeout(() => {
    sliding = false;
    start(oldest() + Number(byId("slider").value) * 1000);
  }, SETTLE_MS);
});
byId("at-form").addEventListener("submit", (event) => {
  event.preventDefault();
  startAt(byId("at").value.slice(0, 5));
});
byId("volume").addEventListener("input", (event) => (audio.volume = Number(event.target.value)));
byId("stream").addEventListener("change", (event) => {
  leave();
  stream = streams.find((each) => each.key === event.target.value);
  history.replaceState(null, "", `#${encodeURIComponent(stream.key)}`);
  take(streams);
  pollPrograms(stream);
});
for (const event of ["playing", "waiting", "pause"]) audio.addEventListener(event, render);
for (const event of ["error", "ended"]) audio.addEventListener(event, () => play && retry());
if ("mediaSession" in navigator) {
  navigator.mediaSession.setActionHandler("play", () => start(pausedAt));
  navigator.mediaSession.setActionHandler("pause", pause);
  navigator.mediaSession.setActionHandler("seekbackward", () => skip(-15));
  navigator.mediaSession.setActionHandler("seekforward", () => skip(15));
}

poll();
setInterval(tick, 500);
