// New points of lines, put into the paths that Plotly drew. Plotly computes all of a figure anew for one point, some 50
// ms for five panes; this takes two. It is done only where nothing else has to move: lines and bands of traces that
// Plotly shows, inside the ranges that its axes have, and the tags of their newest values. Everything else is Plotly's.

const isOfLine = ([kind, path]) => path[0] === "figure" && path[1] === "data" && path.length === 4 && /^[xy]$/.test(path[3]);
const isOfTag = ([kind, path]) => path[0] === "figure" && path[1] === "layout" && path[2] === "annotations"
  && path.length === 5 && (path[4] === "y" || path[4] === "text") && kind === "set";

// A whole drawing: tags stand where it put them.
function drawnWhole(plot) {
  plot.psTags = new Map();
}

// True where all of it could be shown; nothing is changed otherwise.
function drawQuickly(plot, figure, operations) {
  const full = plot._fullLayout;
  if (!figure || !full || !plot.psTags || plot._fullData?.length !== figure.data.length) return false;
  const moved = new Set(), tags = new Set();
  for (const operation of operations.flatMap(unfolded)) {
    if (isOfLine(operation)) moved.add(operation[1][2]);
    else if (isOfTag(operation)) tags.add(operation[1][3]);
    else return false;
  }
  const lines = linesOf(plot, figure, moved);
  const labels = lines && labelsOf(plot, figure, tags);
  if (!labels) return false;
  for (const [path, d] of lines) path.setAttribute("d", d);
  for (const label of labels) label();
  return true;
}

// Paths and what is to be written into them; null where a line cannot be drawn here.
function linesOf(plot, figure, moved) {
  const found = [], points = new Map();
  const pointsOf = (i) => {
    if (!points.has(i)) points.set(i, pixels(plot._fullLayout, plot._fullData[i], rebased(figure.data[i])));
    return points.get(i);
  };
  for (const i of moved) {
    const trace = plot._fullData[i], next = plot._fullData[i + 1];
    if (trace.visible === "legendonly") continue;
    if (trace.type !== "scatter" || trace.mode !== "lines" || trace.line.shape !== "linear" || trace.visible !== true) return null;
    const group = groupOf(plot, i), here = pointsOf(i);
    if (!group || !here) return null;
    const line = group.querySelector(".js-line");
    if (trace.line.width > 0) {
      if (!line || group.querySelectorAll(".js-line").length !== 1) return null;
      found.push([line, pathOf(here)]);
    }
    if (trace.fill === "tonexty") {  // Plotly puts the fill under the line that is the other edge
      const edge = pointsOf(i - 1), fill = groupOf(plot, i - 1)?.querySelector(".js-fill");
      if (!fill || !edge || here.includes(null) || edge.includes(null)) return null;
      found.push([fill, `${pathOf(here)}L${pathOf([...edge].reverse()).slice(1)}Z`]);
    } else if (trace.fill !== "none" && trace.fill !== undefined) return null;
    else if (next?.fill === "tonexty" && !moved.has(i + 1)) return null;
  }
  return found;
}

// A trace as it is drawn: some travel as prices, which stay what they were when their base moves on.
function rebased(trace) {
  if (!trace.meta?.base) return { ...trace };
  const { times, base, less } = trace.meta;
  return { ...trace, y: trace.y.map((price) => (price === null ? null : times * (price / base) - less)) };
}

const groupOf = (plot, i) => plot.querySelector(`.trace${plot._fullData[i].uid}`);

// Points in pixels, null where the line has a hole; null where one would lie outside what an axis shows by itself.
function pixels(full, trace, { x, y }) {
  const across = full[axisName(trace.xaxis || "x")], up = full[axisName(trace.yaxis || "y")];
  if (!across || !up || !x || x.length !== y.length) return null;
  const toX = scale(across), toY = scale(up), width = across._length, height = up._length, points = [];
  let holes = true;  // those before the first point are none
  for (let i = 0; i < x.length; i++) {
    if (y[i] === null || x[i] === null) { if (!holes) points.push(null); holes = true; continue; }
    const left = toX(x[i]), top = toY(y[i]);
    if (across.autorange && (left < -1 || left > width + 1)) return null;
    if (up.autorange && (top < -1 || top > height + 1)) return null;
    points.push([left, top]);
    holes = false;
  }
  while (points.at(-1) === null) points.pop();
  return points;
}

const axisName = (letter) => `${letter[0]}axis${letter.slice(1)}`;

// Data to pixels of an axis; both kinds of axes are straight in what Plotly calls linear.
function scale(axis) {
  const log = axis.type === "log", zero = axis.l2p(0), slope = axis.l2p(1) - zero;
  if (axis.type !== "date") return (value) => zero + slope * (log ? Math.log10(value) : value);
  const from = axis.r2l(axis.range[0]), first = axis.l2p(from), reach = axis.r2l(axis.range[1]) - from;
  return (value) => first + (axis.l2p(from + reach) - first) * ((value - from) / reach);
}

function pathOf(points) {
  let d = "", begin = "M";
  for (const point of points) {
    if (point === null) { begin = "M"; continue; }
    d += `${begin}${Math.round(point[0] * 100) / 100},${Math.round(point[1] * 100) / 100}`;
    begin = "L";
  }
  return d;
}

// What moves the tags; null where one is not as it was drawn.
function labelsOf(plot, figure, tags) {
  const found = [];
  for (const i of tags) {
    const { y, yref, text } = figure.layout.annotations[i], axis = plot._fullLayout[axisName(yref)];
    const group = plot.querySelector(`.annotation[data-index="${i}"]`), words = group?.querySelector("text");
    if (!axis || !words || words.children.length || /[<&]/.test(text)) return null;
    const at = scale(axis)(y);
    if (axis.autorange && (at < 0 || at > axis._length)) return null;
    if (!plot.psTags.has(i)) plot.psTags.set(i, at0(plot, axis, i));
    const dy = at - plot.psTags.get(i);
    found.push(() => { words.textContent = text; group.setAttribute("transform", `translate(0,${dy})`); });
  }
  return found;
}

// Where Plotly drew a tag: it keeps what it was given.
const at0 = (plot, axis, i) => scale(axis)(plot._fullLayout.annotations[i].y);
