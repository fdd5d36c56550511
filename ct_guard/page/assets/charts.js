/* The diagrams, by Vega-Lite: its expressions are interpreted (`ast`), nothing is compiled. */

const views = {};
const NAMES = estimators.map((one) => (one.name.length > 40 ? `${one.name.slice(0, 39)}…` : one.name));

const inked = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const series = () => [0, 1, 2, 3].map((at) => inked(`--series-${at}`));

function config() {
  const quiet = { labelColor: inked("--soft"), titleColor: inked("--soft"), gridColor: inked("--line"), domainColor: inked("--line"), tickColor: inked("--line"), titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12 };
  return {
    background: null,
    font: "system-ui, sans-serif",
    view: { stroke: inked("--line") },
    axis: quiet,
    legend: { labelColor: inked("--ink"), titleColor: inked("--soft"), orient: "bottom", direction: "horizontal", columns: 2, title: null, labelLimit: 220, labelFontSize: 12, symbolOpacity: 1 },
    range: { category: series() },
    rule: { color: inked("--soft") },
  };
}

/* What the pointer is on, in words below the diagrams. */
function told(handler, event, item, value) {
  const text = known(value) && typeof value === "object"
    ? Object.entries(value).map(([name, one]) => `${name} ${one}`).join(" · ") : "";
  byId("readout").textContent = visible(text) || "\u00a0";
}

async function draw(id, spec) {
  const made = await window.vegaEmbed(byId(id), { width: "container", height: "container", autosize: { type: "fit", contains: "padding" }, ...spec }, {
    mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip: told, config: config(), logLevel: 1,
  });
  views[id]?.finalize();
  views[id] = made.view;
}

const unit = (field, title, more = {}) => ({ field, type: "quantitative", title, scale: { domain: [0, 1] }, axis: { format: ".0%", tickCount: 5 }, ...more });
const plain = (field, title) => unit(field, title, { axis: { tickCount: 5 } });
const coloured = () => ({ field: "estimator", type: "nominal", scale: { domain: NAMES }, legend: NAMES.length > 1 ? {} : null });
const named = (records) => estimators.flatMap((one, at) => records(one).map((record) => ({ ...record, estimator: NAMES[at] })));
const diagonal = () => ({ data: { values: [{ a: 0 }, { a: 1 }] }, mark: { type: "line", color: inked("--soft"), strokeDash: [4, 4], strokeWidth: 1 }, encoding: { x: { field: "a", type: "quantitative" }, y: { field: "a", type: "quantitative" } } });
const dot = (x, y) => ({ data: { values: [{}] }, mark: { type: "point", filled: true, size: 140, color: inked("--ink"), opacity: { expr: "shown" } }, encoding: { x: { datum: { expr: x }, type: "quantitative" }, y: { datum: { expr: y }, type: "quantitative" } } });
const rule = () => ({ data: { values: [{}] }, mark: { type: "rule", strokeWidth: 2, color: inked("--ink"), opacity: { expr: "shown" } }, encoding: { x: { datum: { expr: "threshold" }, type: "quantitative" } } });
const signals = (...names) => [...names, "shown"].map((name) => ({ name, value: 0 }));

function drawReliability() {
  const x = plain("mean_p", "mean P(correct) of the bin");
  return draw("reliability-chart", {
    description: "Share of right answers against mean P(correct), in bins.",
    data: { values: named((one) => one.reliability) },
    layer: [
      diagonal(),
      { mark: { type: "area", opacity: 0.15 }, encoding: { x, y: unit("low", "share right"), y2: { field: "high" }, color: coloured() } },
      { mark: { type: "rule", opacity: 0.6 }, encoding: { x, y: unit("low", "share right"), y2: { field: "high" }, color: coloured() } },
      { mark: { type: "line", point: { size: 60 } }, encoding: { x, y: unit("accuracy", "share right"), color: coloured(),
        tooltip: [{ field: "estimator" }, { field: "mean_p", format: ".3f", title: "mean P(correct)" }, { field: "accuracy", format: ".1%", title: "right" }, { field: "low", format: ".1%", title: "from" }, { field: "high", format: ".1%", title: "to" }] } },
    ],
  });
}

function drawCounts() {
  const bins = named((one) => one.reliability.flatMap((bin) => [
    { ...bin, grade: "right", rows: bin.right }, { ...bin, grade: "wrong", rows: bin.wrong }]));
  const bars = {
    mark: { type: "bar" },
    encoding: {
      x: { field: "from", type: "quantitative", bin: { binned: true, step: 0.1 }, title: "P(correct)", scale: { domain: [0, 1] } },
      x2: { field: "to" },
      y: { field: "rows", type: "quantitative", title: "answers", axis: { tickCount: 5 } },
      color: { field: "grade", type: "nominal", scale: { domain: ["right", "wrong"], range: [inked("--series-2"), inked("--series-1")] }, legend: {} },
      tooltip: [{ field: "grade" }, { field: "from" }, { field: "to" }, { field: "rows" }],
    },
  };
  return draw("counts-chart", {
    description: "How many right and wrong answers have which P(correct).",
    data: { values: bins.filter((bin) => bin.estimator === NAMES[state.of]) },
    ...bars,
  });
}

function drawRisk() {
  const x = unit("coverage", "share answered");
  const y = (field) => unit(field, "wrong among the answered", { scale: { domain: [0, content.top_of_risk], clamp: true, nice: false } });
  const promises = named((one) => one.certificates.filter((found) => known(found.threshold) && found.here.answered).map((found) => ({
    alpha: found.alpha, coverage: found.here.answered / content.rows, risk: found.here.errors / found.here.answered })));
  return draw("risk-chart", {
    description: "Share of wrong answers among those given, against the share given.",
    params: signals("coverage", "risk"),
    data: { values: named((one) => one.risk) },
    layer: [
      { mark: { type: "area", opacity: 0.15 }, encoding: { x, y: y("low"), y2: { field: "high" }, color: coloured() } },
      { mark: { type: "line", point: estimators.some((one) => one.risk.length === 1) }, encoding: { x, y: y("risk"), color: coloured(),
        tooltip: [{ field: "estimator" }, { field: "threshold" }, { field: "coverage", format: ".1%", title: "answered" }, { field: "risk", format: ".1%", title: "wrong" }] } },
      { data: { values: promises }, mark: { type: "rule", strokeDash: [2, 4] }, encoding: { y: { field: "alpha", type: "quantitative" }, color: coloured() } },
      { data: { values: promises }, mark: { type: "point", shape: "diamond", filled: true, size: 130, opacity: 1 }, encoding: { x, y: y("risk"), color: coloured() } },
      dot("coverage", "risk"),
    ],
  });
}

function drawRoc() {
  return draw("roc-chart", {
    description: "Share of the right answers that pass against that of the wrong ones.",
    params: signals("right", "wrong"),
    data: { values: named((one) => one.roc) },
    layer: [
      diagonal(),
      { mark: { type: "line", interpolate: "linear" }, encoding: { x: unit("wrong", "wrong answers that pass"), y: unit("right", "right answers that pass"), order: { field: "wrong", type: "quantitative" }, color: coloured() } },
      dot("wrong", "right"),
    ],
  });
}

/* About 250 of the thresholds, evenly. */
function somePlaces() {
  const step = Math.max(1, Math.round(NOTHING / 250));
  return [...Array(NOTHING).keys()].filter((place) => place % step === 0 || place === NOTHING - 1);
}

function drawShares() {
  const values = somePlaces().flatMap((place) => {
    const its = point(state.of, place);
    return [{ threshold: its.threshold, share: its.coverage, of: "answered" },
      ...(its.answered ? [{ threshold: its.threshold, share: its.risk, of: "wrong among them" }] : [])];
  });
  const drawn = draw("shares-chart", {
    description: "Share answered and share of wrong answers among them, by threshold.",
    params: signals("threshold"),
    layer: [
      { data: { values }, mark: { type: "line" }, encoding: { x: plain("threshold", "threshold on P(correct)"), y: unit("share", null),
        color: { field: "of", type: "nominal", scale: { domain: ["answered", "wrong among them"], range: [inked("--series-0"), inked("--series-1")] }, legend: {} } } },
      rule(),
    ],
  });
  return Promise.all([drawn, drawCounts()]);
}

const costs = () => estimators.flatMap((one, of) => somePlaces().map((place) => {
  const its = point(of, place);
  return { threshold: its.threshold, cost: its.cost, estimator: NAMES[of] };
}));

function drawCosts() {
  return draw("costs-chart", {
    description: "Cost of 100 answers by threshold.",
    params: signals("threshold"),
    layer: [
      { data: { name: "costs", values: costs() }, mark: { type: "line" }, encoding: { x: plain("threshold", "threshold on P(correct)"), y: { field: "cost", type: "quantitative", title: null, axis: { tickCount: 5 } }, color: coloured() } },
      rule(),
    ],
  });
}

function changeCosts() {
  views["costs-chart"]?.data("costs", costs()).runAsync();
}

/* Marks a point in every diagram that can show it. */
function markCharts(now) {
  const right = content.rows - content.wrong;
  const marks = {
    "shares-chart": { threshold: now.threshold },
    "costs-chart": { threshold: now.threshold },
    "risk-chart": { coverage: now.coverage, risk: now.risk },
    "roc-chart": { wrong: content.wrong ? now.errors / content.wrong : null, right: right ? (now.answered - now.errors) / right : null },
  };
  for (const [id, values] of Object.entries(marks)) {
    const view = views[id];
    if (!view) continue;
    const shown = Object.values(values).every(known);
    view.signal("shown", shown ? 1 : 0);
    if (shown) for (const [name, value] of Object.entries(values)) view.signal(name, value);
    view.runAsync();
  }
}

async function drawAll() {
  await Promise.all([drawShares(), drawCosts(), drawReliability(), drawRisk(), drawRoc()]);
  markCharts(point(state.of, state.place));
}
