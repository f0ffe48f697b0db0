// Panels of text (see panels.py) that follow their markup. Those of one pace share one stream.

// --- markup into nodes -------------------------------------------------------------------------------

const TAGS = new Set("b br div h2 h4 i li ol p section small span table tbody td th thead tr ul".split(" "));
const NAMES = new Set("class colspan role style tabindex title".split(" "));
// Sizes, and a picture that is written out in the style itself: nothing that a browser would fetch or run.
const STYLE = /^(?:[a-z-]+:(?:[\w .,%#+-]*|url\("data:image\/svg\+xml,[\w%.~\/-]*"\));?\s*)*$/;

const isPlain = (name, value) => (NAMES.has(name) || /^(?:aria|data)-/.test(name)) && (name !== "style" || STYLE.test(value));

// All text is escaped where the markup is made. This is the second line of defence: what markup of ours never holds is
// left out, with all in it.
function cleaned(from, into) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) into.append(node.data);
    else if (TAGS.has(node.localName)) {
      const copy = document.createElement(node.localName);
      for (const { name, value } of node.attributes) if (isPlain(name, value)) copy.setAttribute(name, value);
      into.append(cleaned(node, copy));
    }
  }
  return into;
}

// A document of its own loads nothing and runs nothing.
const nodes = (markup) => cleaned(new DOMParser().parseFromString(markup, "text/html").body, new DocumentFragment());

// Make what is shown like `next`. What is alike stays the same node: so does text that is being selected, the help under
// the pointer, and how far a table was scrolled.
function become(shown, next) {
  const before = [...shown.childNodes], after = [...next.childNodes];
  after.forEach((node, at) => {
    const old = before[at];
    if (!old) shown.append(node);
    else if (old.nodeName !== node.nodeName) old.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) { if (old.data !== node.data) old.data = node.data; }
    else { dress(old, node); become(old, node); }
  });
  for (const old of before.slice(after.length)) old.remove();
}

function dress(old, node) {
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

// --- panels and their streams ------------------------------------------------------------------------

const APART_MS = 200;  // of two runs asked for at once Streamlit does one
const ANSWER_MS = 3000;
let free = 0;  // from when on the next one may be asked for

class Panel {
  constructor(root) { this.root = root; }

  // What Streamlit says: markup of now, and what to follow. Of the same choices the stream knows newer markup; of others
  // the line that the panel was on knows none, and is left at once.
  update(data, tell) {
    const { base, name, every, query, paused } = data, choices = JSON.stringify([base, name, every, query]);
    Object.assign(this, { base, name, every, query, tell, known: data.news });
    if (paused || choices !== this.choices) {
      this.line = null;
      this.show(data.html);
    }
    this.choices = choices;
    if (paused) panels.delete(this);
    else panels.add(this);
    sortSoon();
  }

  show(markup) {
    if (markup === this.markup) return;
    this.markup = markup;
    become(this.root, nodes(markup));
  }

  // News ask for a new run of the part of the page around this panel, and once more where that had no answer.
  hear(news) {
    const now = performance.now();
    if (!news || news === this.known || (news === this.told && now < this.toldAt + ANSWER_MS)) return;
    Object.assign(this, { told: news, toldAt: now });
    const wait = Math.max(0, free - now);
    free = now + wait + APART_MS;
    setTimeout(() => this.tell(news), wait);
  }

  fits(query) { return Object.entries(this.query).every(([name, value]) => (query[name] ?? value) === value); }

  close() {
    panels.delete(this);
    sortSoon();
  }
}

class Line extends Follower {
  constructor(members, address) {
    super(null, { panels: {} });
    this.hold(members);
    this.follow({ base: members[0].base, name: "panels", paused: false }, address);
  }

  hold(members) {
    this.members = members;
    for (const panel of members) panel.line = this;
  }

  sleeps() { return false; }  // alerts are told by tabs in the background too

  lost(yes) {
    this.gone = yes;
    for (const { root } of this.members) root.classList.toggle("ps-lost", yes);
  }

  failed() {}  // what is shown stays, and is asked for again

  changed() {
    for (const panel of this.members) {
      const now = this.payload.panels?.[panel.name];
      if (!now || panel.line !== this) continue;
      panel.show(now.pieces.join(""));
      if (panel.known !== null) panel.hear(now.news);
    }
  }

  serve(members) {
    this.hold(members);
    this.lost(Boolean(this.gone));
    this.changed();
  }
}

const panels = new Set(), lines = new Map();
let sorting;

// While a page is drawn, or takes up other choices, its panels come one by one; what they show is of now meanwhile.
function sortSoon() {
  clearTimeout(sorting);
  sorting = setTimeout(sort, 300);
}

function sort() {
  const groups = [];
  for (const panel of panels) {
    if (!panel.root.isConnected) { panels.delete(panel); continue; }
    let group = groups.find((each) => each.base === panel.base && each.every === panel.every && panel.fits(each.query));
    if (!group) groups.push(group = { base: panel.base, every: panel.every, query: {}, members: [] });
    Object.assign(group.query, panel.query);
    group.members.push(panel);
  }
  const wanted = new Map(groups.map((group) => [addressOf(group), group.members]));
  for (const [address, line] of lines) if (!wanted.has(address)) { line.leave(); lines.delete(address); }
  for (const [address, members] of wanted) {
    if (lines.has(address)) lines.get(address).serve(members);
    else lines.set(address, new Line(members, address));
  }
}

function addressOf({ every, query, members }) {
  const asked = new URLSearchParams({ names: members.map((panel) => panel.name).sort().join("."), ...query, every });
  asked.sort();
  return `${asked}`;
}

export const panel = {
  take(root, { data, setTriggerValue }) {
    root.panel ??= new Panel(root);
    root.panel.update(data, (news) => setTriggerValue("news", news));
  },

  drop(root) {
    root.panel?.close();
    root.panel = null;
  },
};
