// The page: finds its elements, joins them to the views, and the views to the server.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { Budget, put } from "./budget";
import { Connection, type LinkState } from "./connection";
import { Decisions } from "./decisions";
import { Events } from "./events";
import { clock, count, duration, factor, metric, plain, significant } from "./format";
import { Power } from "./power";
import { Signals, timeBases, type Motion } from "./signals";
import { Throughput } from "./throughput";
import { Kind, type Frame, type Hello, type Message, type Report } from "./wire";

function get<T extends HTMLElement = HTMLElement>(id: string): T {
  const e = document.getElementById(id);
  if (!e) throw new Error(`the page has no element ${id}`);
  return e as T;
}

const signals: Signals = new Signals(
  get<HTMLCanvasElement>("traces"),
  get<HTMLCanvasElement>("grid"),
  get<HTMLCanvasElement>("overlay"),
  get<HTMLCanvasElement>("labels"),
  get("cursor"),
  () => showSignalControls(),
);
const decisions = new Decisions({
  decision: get("decision"),
  command: get("command"),
  truth: get("truth"),
  bars: get("bars"),
  strip: get("strip"),
  tally: get("tally"),
  empty: get("decisions-empty"),
  body: get("decisions-body"),
});
const power: Power = new Power(get<HTMLCanvasElement>("power"), () => showPowerControls());
const budget = new Budget(get<HTMLTableSectionElement>("latency-stages"), get<HTMLTableSectionElement>("latency-totals"), get("delay-total"), get("delay-bar"));
const events = new Events(get("events"), get("event-kinds"), get("events-empty"));
const throughput = new Throughput(get, get("rings"));

let session = -1;
let report: Report | null = null;
let lostHere = 0; // frames that this page lost

// What the server says.

function onFrame(f: Frame): void {
  if (f.session !== session) return;
  if (f.kind === Kind.Signals) signals.frame(f);
  else if (f.kind === Kind.Decisions) decisions.frame(f);
  else power.frame(f);
}

function onMessage(m: Message): void {
  switch (m.type) {
    case "hello":
      onHello(m);
      break;
    case "status":
      onReport(m);
      break;
    case "marks":
      if (m.session === session) signals.addMarks(m.marks);
      break;
    case "outcomes":
      if (m.session === session) decisions.addOutcomes(m.outcomes);
      break;
    case "events":
      events.add(m.events);
      break;
    case "lost":
      lostHere += m.frames;
      notice(`This page lost ${count(m.frames)} frames because it could not keep up (${count(lostHere)} in all). The engine was not slowed down.`);
      break;
  }
}

function onHello(h: Hello): void {
  session = h.session;
  signals.hello(h);
  decisions.hello(h);
  power.hello(h);
  events.clear();
  throughput.reset();
  get("signals-empty").hidden = !!h.signals;
  get("power-empty").hidden = !!h.power;
  get("power").hidden = !h.power;
  const s = h.signals;
  put(get("signals-sub"), s ? `${plain(s.rate_hz)} Hz${s.planes > 1 ? ", drawn min to max" : ""}` : "");
  put(get("s-stream"), s ? `${s.name || "unnamed"}, ${s.channels.length} channels at ${plain(s.rate_hz)} Hz` : "–");
  put(get("s-classes"), h.decisions ? h.decisions.classes.map((c) => (c === h.idle ? `${c} (idle)` : c)).join(", ") : "–");
  get("scope").setAttribute("aria-label", s ? `scrolling signals of ${s.channels.length} channels` : "scrolling signals");
  showSignalControls();
}

function onReport(r: Report): void {
  report = r;
  const s = r.status;
  decisions.setOrigin(r.server.origin_s);
  events.setOrigin(r.server.origin_s);
  decisions.setTally(r.tally);
  budget.update(s);
  events.update(s);
  throughput.update(r);
  showFigures(r);
  pill("state", s.state || "no engine", s.state === "running" ? "good" : s.state === "failed" ? "bad" : "warn");
  put(get("session-line"), [s.pipeline, s.source].filter(Boolean).join("  ·  ") || "waiting for the engine");
  put(get("s-pipeline"), s.pipeline || "–");
  put(get("s-source"), s.source || "–");
  put(get("s-digest"), s.digest || "–");
}

function showFigures(r: Report): void {
  const s = r.status;
  put(get("k-engine"), s.engine_us.n ? duration(s.engine_us.p99) : "–");
  put(get("k-engine-more"), s.engine_us.n ? `p50 ${duration(s.engine_us.p50)}` : "");
  put(get("k-age"), s.age_us.n ? duration(s.age_us.p99) : "–");
  put(get("k-age-more"), s.age_us.n ? `p50 ${duration(s.age_us.p50)}` : "");
  put(get("k-delay"), `${significant(s.delay_s * 1000)} ms`);
  put(get("k-realtime"), s.realtime ? `× ${factor(s.realtime)}` : "–");
  put(get("k-realtime-more"), `${clock(s.data_s)} of data`);
  put(get("k-samples"), Number.isFinite(throughput.rate) ? `${metric(throughput.rate)}/s` : "–");
  put(get("k-samples-more"), `${count(s.chunks)} chunks`);
  const dropped = (s.rings ?? []).reduce((a, g) => a + g.dropped, 0);
  const other = (s.events ?? []).reduce((a, e) => a + e.n, 0);
  put(get("k-lost"), dropped ? `${count(dropped)} columns` : "none");
  get("k-lost").classList.toggle("bad", dropped > 0);
  put(get("k-lost-more"), `${count(other)} events`);
}

function pill(id: string, words: string, level: string): void {
  const e = get(id);
  put(e, words);
  e.dataset["level"] = level;
}

function notice(words: string): void {
  put(get("notice-text"), words);
  get("notice").hidden = false;
}

function onLink(state: LinkState, detail: string): void {
  if (state === "live") pill("link", "connected", "good");
  else if (state === "connecting") pill("link", "connecting", "warn");
  else pill("link", `disconnected, ${detail}`, "bad");
}

// Controls.

function showSignalControls(): void {
  const u = signals.unit;
  put(get("gain"), signals.total ? `${plain(signals.sensitivity)} ${u}/row${signals.perRow ? "" : " auto"}` : "auto");
  get<HTMLSelectElement>("time-base").value = String(signals.seconds);
  const pager = get("pager");
  pager.hidden = signals.pages < 2;
  const shown = get<HTMLSelectElement>("shown");
  const options = [8, 16, 32, 64].filter((n) => n < signals.total || n === 8).concat(signals.total > 8 && signals.total <= 64 ? [signals.total] : signals.total > 64 ? [64] : []);
  const key = [...new Set(options)].join();
  if (shown.dataset["key"] !== key) {
    shown.dataset["key"] = key;
    shown.replaceChildren(...key.split(",").map((n) => new Option(n === String(signals.total) ? `all ${n} channels` : `${n} channels`, n)));
    // A telephone has no room for 64 rows that can be told apart.
    const fitting = key.split(",").map(Number).filter((n) => n <= (innerWidth < 560 ? 32 : 64));
    signals.shown = fitting[fitting.length - 1];
    signals.build();
  }
  shown.value = String(signals.shown);
}

function showPowerControls(): void {
  const band = get<HTMLSelectElement>("band");
  band.replaceChildren(...power.bands.map((b) => new Option(b || "all", b)));
  band.value = power.band;
  get("band-label").hidden = power.bands.length < 2;
  put(get("power-sub"), [power.band, power.unit].filter(Boolean).join(" · "));
  get("view-map").setAttribute("aria-pressed", String(power.view === "map" && power.mappable));
  get("view-bars").setAttribute("aria-pressed", String(power.view === "bars" || !power.mappable));
  get<HTMLButtonElement>("view-map").disabled = !power.mappable;
}

function setView(view: "map" | "bars"): void {
  power.view = view;
  power.redraw();
  showPowerControls();
}

function togglePause(): void {
  const paused = (signals.paused = decisions.paused = !signals.paused);
  get("pause").setAttribute("aria-pressed", String(paused));
  put(get("pause"), paused ? "Resume" : "Pause");
}

function timeBase(step: number): void {
  const i = timeBases.indexOf(signals.seconds) + step;
  if (i >= 0 && i < timeBases.length) signals.seconds = timeBases[i];
  signals.refresh();
  showSignalControls();
}

get("pause").onclick = togglePause;
get("gain-up").onclick = () => signals.louder(1);
get("gain-down").onclick = () => signals.louder(-1);
get("gain").onclick = () => signals.autoGain();
get("page-up").onclick = () => signals.setPage(signals.page - 1);
get("page-down").onclick = () => signals.setPage(signals.page + 1);
get("view-map").onclick = () => setView("map");
get("view-bars").onclick = () => setView("bars");
get("notice-close").onclick = () => (get("notice").hidden = true);
get<HTMLSelectElement>("time-base").replaceChildren(...timeBases.map((s) => new Option(`${s} s`, String(s))));
get("time-base").onchange = (e) => {
  signals.seconds = Number((e.target as HTMLSelectElement).value);
  signals.refresh();
};
get("motion").onchange = (e) => {
  signals.motion = (e.target as HTMLSelectElement).value as Motion;
  signals.refresh();
};
get("shown").onchange = (e) => signals.setShown(Number((e.target as HTMLSelectElement).value));
get("band").onchange = (e) => power.select((e.target as HTMLSelectElement).value);
get("strip-seconds").onchange = (e) => (decisions.seconds = Number((e.target as HTMLSelectElement).value));

const keys: Record<string, () => void> = {
  " ": togglePause,
  "+": () => signals.louder(1),
  "=": () => signals.louder(1),
  "-": () => signals.louder(-1),
  "0": () => signals.autoGain(),
  "[": () => timeBase(-1),
  "]": () => timeBase(1),
  m: () => setView(power.view === "map" ? "bars" : "map"),
  PageUp: () => signals.setPage(signals.page - 1),
  PageDown: () => signals.setPage(signals.page + 1),
};

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const target = e.target as HTMLElement;
  if (target.closest("select, input") || (e.key === " " && target.closest("button"))) return;
  if (e.key.startsWith("Page") && signals.pages < 2) return;
  const act = keys[e.key];
  if (!act) return;
  e.preventDefault();
  act();
});

// Space scrolls at the key press, not at the key's going down.
document.addEventListener("keypress", (e) => {
  if (e.key === " " && !(e.target as HTMLElement).closest("button, select, input")) e.preventDefault();
});

setInterval(() => {
  put(get("fps"), document.hidden ? "" : signals.drawable ? `${Math.round(signals.fps)} frames/s, ${significant(signals.cost, 2)} ms each` : "WebGL is not available: no traces");
}, 1000);

showSignalControls();
new Connection(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, {
  frame: onFrame,
  message: onMessage,
  link: onLink,
  roundTrip: (ms) => put(get("s-roundtrip"), duration(ms * 1000)),
});

// For tests and the curious: what the page last heard.
Object.assign(window, { neurostream: { report: () => report, signals: () => signals } });
