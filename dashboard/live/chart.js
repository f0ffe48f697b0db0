// One Plotly chart that follows its figure. New points of lines are put into their paths at once, see quick.js; all
// else, and what the pointer is about to ask for, is drawn by Plotly.

const CONFIG = {
  responsive: false, scrollZoom: false, displaylogo: false, doubleClick: "reset",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};
const CONFIG_3D = { ...CONFIG, modeBarButtons: [["toImage", "resetCameraDefault3d"]] };
const LOADING = { state: "loading", text: "Loading" };

// A picture is named after what it shows: page, figure and what of the view tells it apart.
function pictureName(url) {
  const asked = new URL(url).searchParams, page = location.pathname.split("/").filter(Boolean).at(-1) ?? "overview";
  const chosen = asked.has("y") ? [asked.get("y"), asked.get("x")] : [asked.get("symbol")];
  const figure = new URL(url).pathname.split("/").at(-1);
  return ["pairscope", page, ...(figure === page ? [] : [figure]), ...chosen, asked.get("tf")].filter(Boolean).join("-");
}

// The library, which the page's head asks for, see shell.py; asked for again where that failed.
function library(url) {
  const loads = (window.__pairscopeLoads ??= new Map());
  if (!loads.has(url)) {
    loads.set(url, new Promise((resolve, reject) => {
      const named = [...document.scripts].find((script) => script.src === url);
      if (named && window.Plotly) { resolve(window.Plotly); return; }
      const script = named ?? document.createElement("script");
      script.addEventListener("load", () => resolve(window.Plotly));
      script.addEventListener("error", () => {
        loads.delete(url);
        script.remove();
        reject(new Error("the chart library did not load"));
      });
      if (script !== named) { script.src = url; document.head.appendChild(script); }
    }));
  }
  return loads.get(url);
}

// The library begins with the kinds of traces that nearly all figures are made of, see library.py.
function prepare(Plotly, traces) {
  if (Plotly.atOnce && !traces.every(({ type = "scatter" }) => Plotly.atOnce.includes(type))) Plotly.registerRest();
}

function themeOf(element) {
  const probe = document.createElement("i");
  probe.style.color = "var(--st-background-color)";
  element.appendChild(probe);
  const [red, green, blue] = (getComputedStyle(probe).color.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  probe.remove();
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
}

class LiveChart extends Follower {
  constructor(root) {
    super(root, { figure: null, message: LOADING });
    this.plot = root.appendChild(document.createElement("div"));
    this.plot.className = "ps-plot";
    this.note = root.appendChild(document.createElement("div"));
    this.note.className = "ps-note";
    this.note.setAttribute("role", "status");
    // A redraw in the middle of a drag would cut it off.
    this.onDown = () => { this.held = true; };
    this.onUp = () => { if (this.held) { this.held = false; this.schedule(); } };
    // What the pointer shows is Plotly's own copy of the points.
    this.onEnter = () => { this.pointed = true; if (this.behind) this.schedule(); };
    this.onLeave = () => { this.pointed = false; };
    this.plot.addEventListener("pointerdown", this.onDown, true);
    this.plot.addEventListener("pointerenter", this.onEnter);
    this.plot.addEventListener("pointerleave", this.onLeave);
    window.addEventListener("pointerup", this.onUp);
    window.addEventListener("pointercancel", this.onUp);
    this.resizer = new ResizeObserver(() => this.fit());
    this.resizer.observe(root);
    this.showNote();
  }

  update(data) {
    const query = `${data.query}&theme=${themeOf(this.root)}`;
    this.library = new URL(data.library, location.origin).href;
    library(this.library).catch(() => {});
    this.root.style.height = `${data.height}px`;
    const same = this.query === query;
    this.follow(data, query);
    if (!same) this.showNote();
  }

  // A figure of the same choice stays; one of another would stand under headings that are not its own.
  failed(error) {
    if (this.answered && this.payload.figure) return;
    this.payload = { figure: null, message: { state: "error", text: `No data: ${error.message}` } };
    this.epoch = null;  // no patch is for this
  }

  changed(patch) {
    const waits = this.frame || this.held || this.pointed || this.hasMoved;
    if (patch && !waits && drawQuickly(this.plot, this.payload.figure, patch.operations)) {
      this.behind = this.hasMoved = true;
      requestAnimationFrame(() => { this.hasMoved = false; });  // at most once a frame
      this.shown();
    } else this.schedule();
  }

  schedule() {
    if (this.frame || this.closed || this.held) return;
    this.frame = requestAnimationFrame(async () => {
      if (!this.held) await this.draw();
      this.onDrawn?.();
      this.frame = null;
      if (this.drawn !== this.stamp()) this.schedule();
    });
  }

  shown() {
    this.drawn = this.stamp();
    Object.assign(this.root.dataset, { epoch: this.epoch, seq: this.seq, t0: this.t0 });
  }

  async draw() {
    this.drawn = this.stamp();
    const drawn = { epoch: this.epoch, seq: this.seq, t0: this.t0 };
    const { figure } = this.payload, { of } = this;
    if (!figure) Object.assign(this, { failure: null, showing: of });
    this.showNote();
    this.plot.style.visibility = figure ? "visible" : "hidden";
    if (!figure) return;
    try {
      const Plotly = await library(this.library);
      if (this.closed) return;
      // Plotly writes into what it is given; its own copies keep the patches true.
      const toImageButtonOptions = { filename: pictureName(this.url("figure")) };
      const config = { ...(figure.layout.scene ? CONFIG_3D : CONFIG), toImageButtonOptions };
      this.behind = false;
      prepare(Plotly, figure.data);
      await Plotly.react(this.plot, figure.data.map(rebased), structuredClone(figure.layout), config);
      drawnWhole(this.plot);
      Object.assign(this, { failure: null, showing: of });
      Object.assign(this.root.dataset, drawn);
    } catch (error) {
      this.failure = { state: "error", text: `This chart could not be drawn: ${error.message}` };
      setTimeout(() => this.schedule(), 2000);
    }
    this.showNote();
  }

  // From a change of choice to its figure, or to why there is none, what is shown of the last one is dimmed.
  showNote() {
    const { figure } = this.payload, old = this.showing !== undefined && this.showing !== this.query;
    const message = old ? LOADING : this.failure ?? this.payload.message;
    this.root.classList.toggle("ps-old", old);
    this.note.textContent = message ? message.text : "";
    this.note.className = `ps-note ps-${message ? message.state : "none"}${figure ? " ps-over" : ""}`;
    this.root.dataset.state = message ? message.state : "live";
  }

  moveTo(root) {
    this.resizer.disconnect();
    root.append(this.plot, this.note);
    root.className = this.root.className;
    Object.assign(root.dataset, this.root.dataset);
    this.root = root;
    root.live = this;
    this.resizer.observe(root);
  }

  fit() {
    if (!this.plot.data || !this.plot.offsetWidth) return;
    window.Plotly.Plots.resize(this.plot);
    if (this.behind) this.schedule();
  }

  close() {
    this.leave();
    cancelAnimationFrame(this.frame);
    window.removeEventListener("pointerup", this.onUp);
    window.removeEventListener("pointercancel", this.onUp);
    this.resizer.disconnect();
    if (window.Plotly) window.Plotly.purge(this.plot);
    this.root.replaceChildren();
    this.root.live = null;
  }
}

// --- the first chart of a page, begun before the page is there, see first.py ---------------------------

const PLACES = "pairscope-places";  // by page: width of the window, and where its first chart stood in it
const MISSED = 10;  // seconds after which a page has come without it
let first = null;

// As Streamlit keeps it, or as the system has it.
function themeKept() {
  const kept = localStorage.getItem(`stActiveTheme-${location.pathname}-v2`) ?? "";
  const isDark = kept.includes("Dark") || (!kept.includes("Light") && matchMedia("(prefers-color-scheme: dark)").matches);
  return isDark ? "dark" : "light";
}

function placesKept() {
  try { return JSON.parse(localStorage.getItem(PLACES)) ?? {}; } catch { return {}; }
}

function keepPlace() {
  const root = document.querySelector("[data-live=chart]"), scrolled = root?.closest("[data-testid=stMain]")?.scrollTop ?? 0;
  if (!root?.live) return;
  const { left, top, width } = root.getBoundingClientRect();
  const places = { ...placesKept(), [location.pathname]: [innerWidth, left, top + scrolled, width] };
  localStorage.setItem(PLACES, JSON.stringify(places));
}

// Until the page is there it stands where it stood before, or about where it will stand.
export function begin(data) {
  const root = document.createElement("div"), [known, left, top, width] = placesKept()[location.pathname] ?? [];
  root.className = "ps-live ps-first";
  if (known === innerWidth) Object.assign(root.style, { left: `${left}px`, top: `${top}px`, width: `${width}px` });
  document.documentElement.classList.add("ps-begun");
  document.documentElement.style.colorScheme = themeKept();
  document.body.append(root);
  first = root.live = new LiveChart(root);
  first.update(data);
  const path = location.pathname;
  let ended = 0;
  const look = setInterval(() => {
    ended = document.querySelector(".stApp[data-test-script-state=notRunning]") ? ended + 1 : 0;
    if (first && (ended === MISSED || location.pathname !== path)) passOn(null);
    if (!first) clearInterval(look);
  }, 1000);
  return new Promise((resolve) => {
    first.onDrawn = resolve;
    if (document.hidden) resolve();  // nothing is drawn there
  });
}

// From the shell to its place in the page, where it goes on as it is.
function passOn(root) {
  const early = first.root;
  early.classList.remove("ps-first");
  if (root) first.moveTo(root);
  else first.close();
  early.remove();
  document.documentElement.classList.remove("ps-begun");
  document.documentElement.style.colorScheme = "";
  first = null;
}

window.addEventListener("pagehide", keepPlace);

export const chart = {
  take(root, { data }) {
    if (!root.live && first?.name === data.name) passOn(root);
    root.live ??= new LiveChart(root);
    root.live.update(data);
  },

  drop(root) { root.live?.close(); },
};
