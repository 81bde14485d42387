// Draws the plots. results is a list of runs, as Write gives it; every plot has one x axis and one y axis, and a run or a curve is
// left out of a plot it has nothing for.
"use strict";
const colours = ["#2563a8", "#c2571a", "#2d7d46", "#8b3fa0", "#a8872b", "#b3304f", "#2a8c93", "#5c6470"];
const dashes = [[], [6, 4], [2, 3]];
const marks = ["", " (dashed)", " (dotted)"]; // the legend shows colours only
const host = document.getElementById("plots");

function plot(title, xLabel, yLabel, curves, options) {
  curves = curves.filter((c) => c.x.length > 0 && c.y.some((v) => v !== null && v > 0));
  if (curves.length === 0) return;
  const box = document.createElement("div");
  box.className = "plot";
  const head = document.createElement("h2");
  head.textContent = title;
  box.append(head);
  host.append(box);
  // Curves of different lengths share one x axis: their points side by side, with gaps.
  const xs = [...new Set(curves.flatMap((c) => c.x))].sort((a, b) => a - b);
  const data = [xs, ...curves.map((c) => {
    const at = new Map(c.x.map((x, i) => [x, c.y[i]]));
    return xs.map((x) => at.has(x) ? at.get(x) : undefined);
  })];
  const few = xs.length < 3; // a line of one point is none
  const width = () => Math.max(320, box.clientWidth - 24);
  const u = new uPlot({
    width: width(), height: 280, padding: [null, 28, null, null],
    scales: Object.assign({ x: { time: false } }, options.scales),
    axes: [
      { label: xLabel, labelSize: 20, values: options.xValues, splits: options.xSplits },
      { label: yLabel, labelSize: 20, size: 64, values: (_, ticks) => ticks.map(short) },
    ],
    series: [
      { label: options.xName || xLabel, value: (_, v) => v === null ? "" : (options.xText ? options.xText(v) : v) },
      ...curves.map((c) => ({ label: c.name, stroke: c.colour, width: 1.5, dash: c.dash || [], spanGaps: true,
        points: { show: few }, value: (_, v) => v === null || v === undefined ? "" : short(v) })),
    ],
  }, data, box);
  window.addEventListener("resize", () => u.setSize({ width: width(), height: 280 }));
}

function short(v) {
  if (v === null || v === undefined) return "";
  const a = Math.abs(v);
  if (a >= 1e9) return +(v / 1e9).toPrecision(3) + "G";
  if (a >= 1e6) return +(v / 1e6).toPrecision(3) + "M";
  if (a >= 1e4) return +(v / 1e3).toPrecision(3) + "k";
  return String(+v.toPrecision(3));
}

// A percentile's place is the number of nines: each decade of the tail is as wide as the last.
const nines = (percent) => -Math.log10(1 - percent / 100);
const percent = (x) => {
  const p = 100 * (1 - Math.pow(10, -x));
  return +p.toFixed(Math.max(0, Math.ceil(x) - 1)) + "%";
};

function over(run, list) {
  return { x: list.map((_, i) => (i + 1) * run.interval), y: list };
}

function label(run, what) {
  const base = results.length > 1 ? run.name : "";
  return [base, what].filter(Boolean).join(" ");
}

function overTime(title, yLabel, pick) {
  plot(title, "seconds", yLabel, results.flatMap((run, i) => pick(run).filter(([, list]) => list && list.length > 0)
    .map(([what, list], k) => ({ name: label(run, what) + marks[k % marks.length], colour: colours[i % colours.length], dash: dashes[k % dashes.length],
      ...over(run, list) }))), { scales: { y: { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] } } });
}

plot("Latency by percentile", "percentile", "ms", results.flatMap((run, i) => (run.quantiles || []).map((q, k) => ({
  name: label(run, q.name) + marks[k % marks.length], colour: colours[i % colours.length], dash: dashes[k % dashes.length], x: q.percent.map(nines), y: q.ms,
}))), {
  scales: { y: { distr: 3 } },
  xSplits: (u) => { const list = []; for (let n = 0; n <= u.scales.x.max + 1e-9; n++) list.push(n); return list; },
  xValues: (_, ticks) => ticks.map(percent), xText: percent, xName: "percentile",
});
overTime("Throughput over time", "records/s", (run) => [["published", run.publish], ["consumed", run.consume]]);
overTime("Backlog over time", "records", (run) => [["backlog", (run.consume || []).some((v) => v > 0) && (run.publish || []).some((v) => v > 0) ? run.backlog : null]]);
overTime("Latency over time", "ms", (run) => [["p99", run.p99], ["p50", run.p50], ["max", run.max]]);
overTime("Broker processor time", "CPU s/GB", (run) => [["CPU s/GB", run.cpu]]);
overTime("Broker cores in use", "cores", (run) => [["cores", run.cores]]);
document.body.dataset.drawn = host.childElementCount;
