// New points of lines, put into the paths that Plotly drew. Plotly computes all of a figure anew for one point, some 50
// ms for five panes; this takes one. It is done only where nothing else has to move: lines and bands of traces that
// Plotly shows, inside the ranges that its axes have, and the tags of their newest values. Everything else is Plotly's.
// What is written of a point is kept while it and the axes stay: of a refresh only the new points are worked out.

const isOfLine = ([kind, path]) => path[0] === "figure" && path[1] === "data" && path.length === 4 && /^[xy]$/.test(path[3]);
const isOfTag = ([kind, path]) => path[0] === "figure" && path[1] === "layout" && path[2] === "annotations"
  && ["y", "text", "font.color"].includes(path.slice(4).join(".")) && kind === "set";

// A whole drawing: tags stand where it put them.
function drawnWhole(plot) {
  plot.psTags = new Map();
  plot.psLines = new Map();
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
    if (!points.has(i)) points.set(i, written(plot, i, rebased(figure.data[i])));
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
      found.push([fill, `${pathOf(here)}L${[...edge].reverse().join("L")}Z`]);
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

// Points in pixels as a path has them, null where the line has a hole; null where one would lie outside what an axis
// shows by itself.
function written(plot, i, { xaxis, yaxis, x, y }) {
  const full = plot._fullLayout, across = full[axisName(xaxis || "x")], up = full[axisName(yaxis || "y")];
  if (!across || !up || !x || x.length !== y.length) return null;
  const toX = scale(across), toY = scale(up), width = across._length, height = up._length;
  const known = plot.psLines.get(i), words = [];
  if (known && toX.like(known.toX) && toY.like(known.toY)) {
    const last = Math.min(x.length, known.x.length);
    let same = 0;
    while (same < last && x[same] === known.x[same] && y[same] === known.y[same]) same++;
    words.push(...known.words.slice(0, same));
  }
  for (let at = words.length; at < x.length; at++) {
    if (y[at] === null || x[at] === null) { words.push(null); continue; }
    const left = toX.pixel(x[at]), top = toY.pixel(y[at]);
    if (!Number.isFinite(left + top)) return null;
    if (across.autorange && (left < -1 || left > width + 1)) return null;
    if (up.autorange && (top < -1 || top > height + 1)) return null;
    words.push(`${Math.round(left * 100) / 100},${Math.round(top * 100) / 100}`);
  }
  plot.psLines.set(i, { toX, toY, x, y, words });
  const first = words.findIndex((word) => word !== null);
  return first < 0 ? [] : words.slice(first, words.findLastIndex((word) => word !== null) + 1);
}

const axisName = (letter) => `${letter[0]}axis${letter.slice(1)}`;

// Data to pixels of an axis: all kinds of axes are straight in what Plotly calls linear.
function scale(axis) {
  const from = axis.r2l(axis.range[0]), at = axis.l2p(from), log = axis.type === "log";
  const slope = (axis.l2p(axis.r2l(axis.range[1])) - at) / (axis.r2l(axis.range[1]) - from);
  return {
    pixel: (value) => at + slope * ((log ? Math.log10(value) : value) - from),
    like: (other) => from === other.from && at === other.at && slope === other.slope && log === other.log,
    from, at, slope, log,
  };
}

function pathOf(words) {
  if (!words.includes(null)) return words.length ? `M${words.join("L")}` : "";
  let d = "", begin = "M";
  for (const word of words) {
    if (word !== null) d += begin + word;
    begin = word === null ? "M" : "L";
  }
  return d;
}

// What moves the tags; null where one is not as it was drawn.
function labelsOf(plot, figure, tags) {
  const found = [];
  for (const i of tags) {
    const { y, yref, text, font } = figure.layout.annotations[i], axis = plot._fullLayout[axisName(yref)];
    const group = plot.querySelector(`.annotation[data-index="${i}"]`), words = group?.querySelector("text");
    if (!axis || !words || words.children.length || /[<&]/.test(text)) return null;
    const at = scale(axis).pixel(y);
    if (axis.autorange && (at < 0 || at > axis._length)) return null;
    if (!plot.psTags.has(i)) plot.psTags.set(i, at0(plot, axis, i));
    const dy = at - plot.psTags.get(i);
    found.push(() => {
      words.textContent = text;
      words.style.fill = font.color;
      group.setAttribute("transform", `translate(0,${dy})`);
    });
  }
  return found;
}

// Where Plotly drew a tag: it keeps what it was given.
const at0 = (plot, axis, i) => scale(axis).pixel(plot._fullLayout.annotations[i].y);
