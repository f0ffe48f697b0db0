// One Plotly chart that reads a snapshot and follows the stream of its patches (see hub.py and patch.py).

const CONFIG = {
  responsive: false, scrollZoom: false, displaylogo: false, doubleClick: "reset",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};
const CONFIG_3D = { ...CONFIG, modeBarButtons: [["toImage", "resetCameraDefault3d"]] };

function library(url) {
  const loads = (window.__pairscopeLoads ??= new Map());
  if (!loads.has(url)) {
    loads.set(url, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => { loads.delete(url); reject(new Error("the chart library did not load")); };
      document.head.appendChild(script);
    }));
  }
  return loads.get(url);
}

function themeOf(element) {
  const probe = document.createElement("i");
  probe.style.color = "var(--st-background-color)";
  element.appendChild(probe);
  const [red, green, blue] = (getComputedStyle(probe).color.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  probe.remove();
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
}

// A step that is a list stands for operations alike, each with its own last argument or all with the one there is.
function unfolded([kind, path, ...rest]) {
  const at = path.findIndex(Array.isArray);
  if (at < 0) return [[kind, path, ...rest]];
  const values = rest.pop();
  return path[at].map((step, i) => (
    [kind, [...path.slice(0, at), step, ...path.slice(at + 1)], ...rest, values[values.length > 1 ? i : 0]]
  ));
}

// Lists are replaced, never changed: Plotly redraws what has become another object.
function apply(value, operations) {
  const holder = { root: value };
  for (const [kind, path, ...rest] of operations.flatMap(unfolded)) {
    const steps = ["root", ...path], last = steps.pop();
    const parent = steps.reduce((at, step) => (at[step] = Array.isArray(at[step]) ? [...at[step]] : at[step]), holder);
    if (kind === "set") parent[last] = rest[0];
    else if (kind === "del") delete parent[last];
    else if (kind === "rows") parent[last] = parent[last].slice(rest[0], rest[0] + rest[1]).concat(rest[2]);
    else parent[last] = rest[0].reduce((list, index, i) => { list[index] = rest[1][i]; return list; }, [...parent[last]]);
  }
  return holder.root;
}

class LiveChart {
  constructor(root) {
    this.root = root;
    this.plot = root.appendChild(document.createElement("div"));
    this.plot.className = "ps-plot";
    this.note = root.appendChild(document.createElement("div"));
    this.note.className = "ps-note";
    this.note.setAttribute("role", "status");
    this.payload = { figure: null, message: { state: "loading", text: "Loading" } };
    this.onVisible = () => { if (!document.hidden && this.skipped) this.read(); };
    document.addEventListener("visibilitychange", this.onVisible);
    // A redraw in the middle of a drag would cut it off.
    this.onDown = () => { this.held = true; };
    this.onUp = () => { if (this.held) { this.held = false; this.schedule(); } };
    this.plot.addEventListener("pointerdown", this.onDown, true);
    window.addEventListener("pointerup", this.onUp);
    window.addEventListener("pointercancel", this.onUp);
    this.resizer = new ResizeObserver(() => this.fit());
    this.resizer.observe(root);
    this.showNote();
  }

  update(data) {
    const theme = themeOf(this.root);
    const query = `${data.query}&theme=${theme}`;
    this.library = new URL(data.library, location.origin).href;
    library(this.library).catch(() => {});
    this.root.style.height = `${data.height}px`;
    const same = this.query === query, follows = !data.paused;
    if (same && this.follows === follows) return;
    this.base = data.base;
    this.query = query;
    this.follows = follows;
    this.name = data.name;
    if (!same || follows) this.read();
    this.listen();
  }

  url(kind) { return new URL(`${this.base}/${kind}/${this.name}?${this.query}`, location.origin).href; }

  listen() {
    this.hangUp();
    if (!this.follows) return;
    const socket = (this.socket = new WebSocket(this.url("stream").replace(/^http/, "ws")));
    socket.onopen = () => this.lost(false);
    socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.lost(true);
      this.redial = setTimeout(() => this.listen(), 1000);
    };
  }

  hangUp() {
    clearTimeout(this.redial);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  lost(yes) { this.root.classList.toggle("ps-lost", yes); }

  // The newest request wins; patches that arrive meanwhile wait, and are used from its number on.
  async read() {
    const ticket = (this.ticket = (this.ticket || 0) + 1);
    this.waiting = this.waiting || [];
    this.skipped = false;
    try {
      const answer = await fetch(this.url("figure"));
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      const state = await answer.json();
      if (ticket !== this.ticket || this.closed) return;
      ({ epoch: this.epoch, seq: this.seq, t0: this.t0, figure: this.payload.figure, message: this.payload.message } = state);
    } catch (error) {
      if (ticket !== this.ticket || this.closed) return;
      if (!this.payload.figure) this.payload = { figure: null, message: { state: "error", text: `No data: ${error.message}` } };
      if (this.follows) this.retry = setTimeout(() => this.read(), 2000);
    }
    const waiting = this.waiting;
    this.waiting = null;
    for (const patch of waiting) this.receive(patch);
    this.schedule();
  }

  receive(patch) {
    if (this.waiting) { this.waiting.push(patch); return; }
    if (document.hidden) { this.skipped = true; return; }
    const known = patch.epoch === this.epoch;
    if (known && patch.seq <= this.seq) return;
    if (!known || patch.seq !== this.seq + 1 || !patch.operations.length) { this.read(); return; }
    this.payload = apply(this.payload, patch.operations);
    this.seq = patch.seq;
    this.t0 = patch.t0;
    this.schedule();
  }

  schedule() {
    if (this.frame || this.closed || this.held) return;
    this.frame = requestAnimationFrame(async () => {
      if (!this.held) await this.draw();
      this.frame = null;
      if (this.drawn !== this.stamp()) this.schedule();
    });
  }

  stamp() { return `${this.epoch}:${this.seq}`; }

  async draw() {
    this.drawn = this.stamp();
    const drawn = { epoch: this.epoch, seq: this.seq, t0: this.t0 };
    const { figure } = this.payload;
    this.showNote();
    this.plot.style.visibility = figure ? "visible" : "hidden";
    if (!figure) return;
    try {
      const Plotly = await library(this.library);
      if (this.closed) return;
      // Plotly writes into what it is given; its own copies keep the patches true.
      const config = figure.layout.scene ? CONFIG_3D : CONFIG;
      await Plotly.react(this.plot, figure.data.map((trace) => ({ ...trace })), structuredClone(figure.layout), config);
      Object.assign(this.root.dataset, { epoch: drawn.epoch, seq: drawn.seq, t0: drawn.t0 });
    } catch (error) {
      this.payload.message = { state: "error", text: `This chart could not be drawn: ${error.message}` };
      this.showNote();
    }
  }

  showNote() {
    const { message, figure } = this.payload;
    this.note.textContent = message ? message.text : "";
    this.note.className = `ps-note ps-${message ? message.state : "none"}${figure ? " ps-over" : ""}`;
    this.root.dataset.state = message ? message.state : "live";
  }

  fit() {
    if (this.plot.data && this.plot.offsetWidth) window.Plotly.Plots.resize(this.plot);
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    cancelAnimationFrame(this.frame);
    document.removeEventListener("visibilitychange", this.onVisible);
    window.removeEventListener("pointerup", this.onUp);
    window.removeEventListener("pointercancel", this.onUp);
    this.resizer.disconnect();
    this.hangUp();
    if (window.Plotly) window.Plotly.purge(this.plot);
    this.root.replaceChildren();
    this.root.live = null;
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".ps-live");
  root.live ??= new LiveChart(root);
  root.live.update(component.data);
  return () => root.live?.close();
}
