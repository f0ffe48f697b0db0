// The head of the sidebar: name, theme switch, and the keyboard. Keys press what is on the screen, so that nothing
// can be done by key that cannot be done, and seen, by mouse.

const SHORTCUTS = [
  ["1 … 9, D", "go to that page; D is the last, System"],
  ["T", "light or dark"],
  ["P", "pause and go on"],
  ["S", "swap Y and X"],
  ["[  ]", "narrower or wider bars"],
  ["0", "reset the zoom of every chart"],
  ["V", "saved views"],
  ["N", "sound and notice of alerts on or off"],
  ["?", "this list"],
];

const pick = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];

function isDark(element) {
  const [red, green, blue] = (getComputedStyle(element).backgroundColor.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

// Streamlit keeps the theme by the path that was loaded: it is set for every page, or the next one would forget it.
function keep(theme) {
  const paths = ["/", ...all("[data-testid=stTopNavLink]").map((link) => new URL(link.href).pathname)];
  for (const path of paths) localStorage.setItem(`stActiveTheme-${path}-v2`, JSON.stringify(theme));
}

function switchTheme() {
  const theme = isDark(pick(".stApp")) ? "Light" : "Dark";
  keep(theme);
  const menu = pick("[data-testid=stMainMenuButton]");
  menu?.click();
  const choose = (left) => {
    const item = pick(`[data-testid=stMainMenuItem-theme-${theme}]`);
    if (item) { item.click(); if (pick("[data-testid=stMainMenuPopover]")) menu.click(); }
    else if (left) requestAnimationFrame(() => choose(left - 1));
    else location.reload();
  };
  choose(60);
}

const isChosen = (button) => button.getAttribute("aria-checked") === "true";

function step(by) {
  const widths = all(".st-key-view-timeframe button");
  widths[widths.findIndex(isChosen) + by]?.click();
}

let resume;  // the interval before the pause

function pause() {
  const choices = all(".st-key-view-refresh button");
  const paused = choices.at(-1);
  const chosen = choices.find(isChosen);
  if (chosen !== paused) resume = chosen?.textContent;
  (chosen === paused ? choices.find((button) => button.textContent === resume) || choices[0] : paused)?.click();
}

function resetZoom() {
  for (const plot of all(".js-plotly-plot")) {
    const axes = Object.keys(plot.layout).filter((name) => /^[xy]axis\d*$/.test(name));
    window.Plotly?.relayout(plot, Object.fromEntries(axes.map((name) => [`${name}.autorange`, true])));
  }
}

// Sound and a notice of the browser for every alert that appears on the screen; the choice stays in this browser.
const SOUND = "pairscope-sound";
const soundIsOn = () => localStorage.getItem(SOUND) === "on";

function showSound() {
  const button = pick(".ps-frame [data-do=sound]");
  button?.setAttribute("aria-pressed", soundIsOn());
}

function switchSound() {
  localStorage.setItem(SOUND, soundIsOn() ? "off" : "on");
  showSound();
  if (!soundIsOn()) return;
  if (window.Notification?.permission === "default") Notification.requestPermission();
  beep();
}

function beep() {
  const audio = (window.__pairscopeAudio ??= new AudioContext()), tone = audio.createOscillator(), volume = audio.createGain();
  tone.frequency.value = 880;
  volume.gain.setValueAtTime(0.12, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.35);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.35);
}

function announce(text) {
  window.__pairscopeTold = text;
  if (!soundIsOn()) return;
  beep();
  if (window.Notification?.permission === "granted") new Notification("Pairscope", { body: text });
}

function onAdded(changes) {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) {
      const toast = node.nodeType === 1 && (node.matches("[data-testid=stToast]") ? node : node.querySelector("[data-testid=stToast]"));
      if (toast) announce(toast.innerText.trim());
    }
  }
}

function act(key, list) {
  if (/^[1-9]$/.test(key)) { all("[data-testid=stTopNavLink]")[Number(key) - 1]?.click(); return true; }
  const action = {
    d: () => all("[data-testid=stTopNavLink]").at(-1)?.click(),
    t: switchTheme, p: pause, s: () => pick(".st-key-swap button")?.click(), "[": () => step(-1), "]": () => step(1),
    0: resetZoom, v: () => pick(".st-key-views button")?.click(), n: switchSound, "?": () => (list.open ? list.close() : list.showModal()),
  }[key.toLowerCase()];
  action?.();
  return Boolean(action);
}

function enliven(root) {
  const list = root.querySelector("dialog");
  const rows = SHORTCUTS.map(([keys, what]) => `<tr><td><kbd>${keys}</kbd></td><td>${what}</td></tr>`).join("");
  list.querySelector("table").innerHTML = rows;
  list.addEventListener("click", (event) => { if (event.target === list) list.close(); });
  root.querySelector("[data-do=theme]").addEventListener("click", switchTheme);
  root.querySelector("[data-do=list]").addEventListener("click", () => list.showModal());
  root.querySelector("[data-do=sound]").addEventListener("click", switchSound);
  showSound();
  const watcher = new MutationObserver(onAdded);
  watcher.observe(document.body, { childList: true, subtree: true });
  const onKey = (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable=true], [role=listbox], [role=slider]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (act(event.key, list)) event.preventDefault();
  };
  document.addEventListener("keydown", onKey);
  root.leave = () => { document.removeEventListener("keydown", onKey); watcher.disconnect(); root.ready = false; };
  root.ready = true;
}

export const frame = {
  take(root) { if (!root.ready) enliven(root); },
  drop(root) { root.leave?.(); },
};
