// The report's script: it draws what is in the document. All of it is set as
// text, never as HTML.

const HEIGHT = 220;

const color = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const round = (value) =>
  value === null || value === undefined
    ? "–"
    : value >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString("en")
    : value.toPrecision(3);

const { about, queue, runs } = JSON.parse(document.getElementById("data").textContent);
document.getElementById("queue").textContent = queue;
document.getElementById("about").textContent = about;
document.title = `fibrpc bench · ${queue}`;

const plots = [];

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** A figure with a chart, drawn when it is in the document. */
function chart(title, x, lines, scales) {
  const figure = element("figure");
  const target = element("div");
  figure.append(element("figcaption", title), target);
  const draw = () => {
    const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 } };
    const value = (_, value) => round(value);
    const options = {
      width: target.clientWidth,
      height: HEIGHT,
      series: [
        { label: x.label, value: x.value ?? value },
        ...lines.map(({ label, stroke }) => ({
          ...{ label, value, stroke: color(stroke), width: 2, points: { show: x.points } },
        })),
      ],
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => x.tick?.(tick) ?? round(tick)) },
        { ...axis, size: 60, values: (_, ticks) => ticks.map(round) },
      ],
      scales,
    };
    const plot = new uPlot(options, [x.values, ...lines.map(({ values }) => values)], target);
    plots.push({ plot, target, draw });
  };
  return { figure, draw };
}

const zeroBased = { range: (_, min, max) => [0, Math.max(max, min, 1) * 1.1] };

for (const { title, text, seconds, curve } of runs) {
  const section = element("section");
  const grid = element("div");
  grid.className = "charts";
  section.append(element("h2", title), element("pre", text), grid);
  document.getElementById("runs").append(section);
  const time = {
    label: "second",
    values: seconds.map(({ second }) => second),
    tick: (tick) => Number.isInteger(tick) ? String(tick) : "",
    points: false,
  };
  const line = (label, stroke, name) => ({
    ...{ label, stroke, values: seconds.map((second) => second[name]) },
  });
  const overTime = { x: { time: false }, y: zeroBased };
  const charts = [
    chart("Calls a second", time, [
      line("sent", "second", "sent"),
      line("answered", "first", "answered"),
      line("errors", "bad", "errors"),
    ], overTime),
    chart("Latency since due, milliseconds", time, [
      line("median", "first", "p50"),
      line("99 %", "second", "p99"),
    ], overTime),
    chart("Requests waiting in the queue", time, [line("waiting", "first", "waiting")], overTime),
    chart(
      "Latency since due by percentile, milliseconds",
      {
        label: "percentile",
        // Each step to the right is ten times rarer.
        values: curve.map(([at]) => -Math.log10(Math.max(1 - at / 100, 1e-5))),
        // The last one is the maximum: there is none rarer.
        tick: (tick) => `${Number((100 - 100 * 10 ** -tick).toPrecision(6))} %`,
        value: (_, tick) => tick === null ? "–" : `${(100 - 100 * 10 ** -tick).toPrecision(6)} %`,
        points: true,
      },
      [{ label: "latency", stroke: "first", values: curve.map(([, ms]) => ms) }],
      { x: { time: false }, y: zeroBased },
    ),
  ];
  for (const { figure, draw } of charts) {
    grid.append(figure);
    draw();
  }
}

addEventListener("resize", () => {
  for (const { plot, target } of plots) {
    plot.setSize({ width: target.clientWidth, height: HEIGHT });
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { plot, draw } of plots.splice(0)) {
    plot.destroy();
    draw();
  }
});
