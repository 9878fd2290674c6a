// The page's script: it asks for the figures again and again, and draws them.
// All that comes from the server is set as text, never as HTML.

const POLL_MS = 5_000;
const TIMEOUT_MS = 30_000;
const HEIGHT = 180;

const byId = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const round = (value) =>
  value === null || value === undefined
    ? "–"
    : value >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString("en")
    : value >= 1
    ? value.toFixed(1)
    : value.toPrecision(2);

let status;
let minutes = 10;
let isPaused = false;
let isAsking = false;
let answeredAt;
let charts = [];

function draw() {
  for (const { plot } of charts) plot.destroy();
  const series = (label, stroke, fill) => ({
    label,
    stroke: color(stroke),
    width: 2,
    ...(fill && { fill: `${color(stroke).trim()}22` }),
    points: { show: false },
    value: (_, value) => round(value),
  });
  const axis = {
    stroke: color("soft"),
    grid: { stroke: color("line"), width: 1 },
    ticks: { show: false },
  };
  const chart = (id, lines, values) => {
    const target = byId(id);
    const plot = new uPlot(
      {
        width: target.clientWidth,
        height: HEIGHT,
        series: [{}, ...lines],
        axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map(round) }],
        scales: { y: { range: (_, min, max) => [0, Math.max(max, min, 1) * 1.1] } },
        cursor: { points: { size: 6 } },
      },
      [[], ...lines.map(() => [])],
      target,
    );
    return { plot, values, target };
  };
  charts = [
    chart("rate", [series("responses", "first", true), series("failures", "bad")], [
      ({ responses, seconds }) => responses / seconds,
      ({ failures, seconds }) => failures / seconds,
    ]),
    chart("latency", [series("median", "first"), series("99 %", "second")], [
      ({ p50 }) => p50,
      ({ p99 }) => p99,
    ]),
    chart("in-flight", [series("in flight", "first", true)], [({ inFlight }) => inFlight]),
  ];
  fill();
}

function fill() {
  if (status === undefined) return;
  const { samples } = status;
  const end = status.now / 1000;
  for (const { plot, values } of charts) {
    plot.setData([
      samples.map(({ at }) => at / 1000),
      ...values.map((value) => samples.map(value)),
    ]);
    plot.setScale("x", { min: end - minutes * 60, max: end });
  }
}

function tile(name, value, note = "") {
  const box = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  const small = document.createElement("small");
  term.textContent = name;
  small.textContent = note;
  text.append(value, " ", small);
  box.append(term, text);
  return box;
}

function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

function show() {
  const { queue, readiness, reason, broker, product, samples, failures } = status;
  const last = samples.at(-1);
  document.title = `${readiness} · ${queue} · fibrpc`;
  byId("queue").textContent = queue;
  byId("readiness").textContent = readiness.replaceAll("_", " ");
  byId("readiness").className = `pill ${readiness === "ready" ? "ready" : "not-ready"}`;
  byId("broker").textContent = [broker, product, reason].filter(Boolean).join(" · ");
  byId("version").textContent = `fibrpc ${status.version}, up for ${
    duration(status.now - status.startedAt)
  }`;
  byId("tiles").replaceChildren(
    tile("Responses", round(last ? last.responses / last.seconds : 0), "a second"),
    tile("In flight", round(status.inFlight), `of ${round(status.prefetch)}`),
    tile("Median", round(last?.p50), "ms"),
    tile("99 %", round(last?.p99), "ms"),
    tile("Responses", round(status.totals.responses), "in all"),
    tile("Errors", round(status.totals.errors), "in all"),
  );
  byId("no-failures").hidden = failures.length > 0;
  byId("failures").hidden = failures.length === 0;
  byId("failures").tBodies[0].replaceChildren(...failures.map((failure) => {
    const row = document.createElement("tr");
    const { at, outcome, ms, requestId = "–", traceId = "–" } = failure;
    for (
      const text of [new Date(at).toLocaleTimeString(), outcome, round(ms), requestId, traceId]
    ) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
}

async function ask() {
  if (isAsking || isPaused || document.hidden) return;
  isAsking = true;
  try {
    const response = await fetch("status.json", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    status = await response.json();
    answeredAt = new Date();
    byId("stale").hidden = true;
    show();
    fill();
  } catch {
    byId("stale").textContent = answeredAt === undefined
      ? "The server does not answer."
      : `The server has not answered since ${answeredAt.toLocaleTimeString()}.`;
    byId("stale").hidden = false;
  } finally {
    isAsking = false;
  }
}

for (const button of document.querySelectorAll("button[data-minutes]")) {
  button.addEventListener("click", () => {
    minutes = Number(button.dataset.minutes);
    for (const other of document.querySelectorAll("button[data-minutes]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    fill();
  });
}
byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  ask();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", () => {
  for (const { plot, target } of charts) {
    plot.setSize({ width: target.clientWidth, height: HEIGHT });
  }
});
document.addEventListener("visibilitychange", ask);
draw();
ask();
setInterval(ask, POLL_MS);
