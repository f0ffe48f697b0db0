// Follows what the server builds (see hub.py and patch.py): reads a snapshot, then its patches, and reads the snapshot
// again when a number is missing. Who follows has `root`, and shows `this.payload` in `changed(patch)`.

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
    else if (kind === "rows") (parent[last] = parent[last].slice(rest[0], rest[0] + rest[1])).push(...rest[2]);
    else parent[last] = rest[0].reduce((list, index, i) => { list[index] = rest[1][i]; return list; }, [...parent[last]]);
  }
  return holder.root;
}

class Follower {
  constructor(root, payload) {
    this.root = root;
    this.payload = payload;
    this.onVisible = () => { if (!document.hidden && this.skipped) this.read(); };
    document.addEventListener("visibilitychange", this.onVisible);
  }

  // Take up what Streamlit says: another address is read at once, a pause ends the stream and keeps what is shown.
  follow(data, query) {
    const same = this.query === query, follows = !data.paused;
    if (same && this.follows === follows) return;
    Object.assign(this, { base: data.base, name: data.name, query, follows });
    if (!same) Object.assign(this, { answered: false, waiting: null });
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

  sleeps() { return document.hidden; }  // what nobody looks at need not be shown

  lost(yes) { this.root.classList.toggle("ps-lost", yes); }

  // The newest request wins; patches that arrive meanwhile wait, and are used from its number on. One that failed is
  // made again while the stream goes on, and in a pause until there was an answer: what is kept then has to come first.
  async read() {
    clearTimeout(this.retry);
    const ticket = (this.ticket = (this.ticket || 0) + 1);
    this.waiting = this.waiting || [];
    this.skipped = false;
    try {
      const answer = await fetch(this.url("figure"));
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      const state = await answer.json();
      if (ticket !== this.ticket || this.closed) return;
      ({ epoch: this.epoch, seq: this.seq, t0: this.t0, ...this.payload } = state);
      this.answered = true;
    } catch (error) {
      if (ticket !== this.ticket || this.closed) return;
      this.failed(error);
      this.retry = setTimeout(() => { if (this.follows || !this.answered) this.read(); }, 2000);
    }
    this.of = this.query;
    const waiting = this.waiting;
    this.waiting = null;
    for (const patch of waiting) this.receive(patch);
    this.changed(null);
  }

  receive(patch) {
    if (this.waiting) { this.waiting.push(patch); return; }
    if (this.sleeps()) { this.skipped = true; return; }
    const known = patch.epoch === this.epoch;
    if (known && patch.seq <= this.seq) return;
    if (!known || patch.seq !== this.seq + 1 || !patch.operations.length) { this.read(); return; }
    this.payload = apply(this.payload, patch.operations);
    this.seq = patch.seq;
    this.t0 = patch.t0;
    this.changed(patch);
  }

  stamp() { return `${this.of}:${this.epoch}:${this.seq}`; }

  leave() {
    this.closed = true;
    clearTimeout(this.retry);
    document.removeEventListener("visibilitychange", this.onVisible);
    this.hangUp();
  }
}
