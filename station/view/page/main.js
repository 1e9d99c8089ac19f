// The live view: wires connection, field, cards, keys and panels together.

import { Calibration } from "./calibration.js";
import { CameraPanel } from "./camera.js";
import { Cards } from "./cards.js";
import { byId, setText } from "./dom.js";
import { Field } from "./field.js";
import { showGone, showOverview, showRanking } from "./health.js";
import { Keys, prompt } from "./keys.js";
import { Link } from "./link.js";

const TICK_MS = 250;
const SAID_MS = 5000;
const STALE_MS = 1000;
const CANDIDATES_MS = 1000;

let overview = null;
let scale = 1;
let seen = [];
let drawn = -1;
let saidTimer = 0;
let attentive = false;
let ranked = false;
let candidatesTimer = 0;

const link = new Link({
  picture: (shot) => {
    if (field.head && shot.head.frame_seq <= field.head.frame_seq) {
      shot.bitmap.close();
      link.shown(shot.head.frame_seq);
      return;
    }
    field.show(shot);
    cards.show(shot);
    showRanking(shot.head.ranking);
    const caution = byId("field-caution");
    caution.hidden = shot.head.tracked && !shot.head.disturbance;
    setText(caution, shot.head.tracked ? `Caution: ${shot.head.disturbance}` : "Positions not known: the tracker does not answer");
  },
  overview: (found) => {
    overview = found;
    showOverview(found);
    field.umPerPx = found.um_per_px;
    field.paused = found.paused;
    calibration.objective = found.objective;
    keys.station = found.keys;
    camera.show(found);
  },
  state: (open) => {
    if (open && overview?.replay) return location.reload(); // it may have gone back: nothing of a later moment may stay
    byId("gone").hidden = open;
    setText(byId("gone"), "No connection to the station. Nothing here is live.");
    if (!open) showGone("NOT CONNECTED");
    document.body.classList.toggle("stale", !open);
  },
});

const field = new Field(byId("picture"), {
  select: (x, y) => ask("select", { x, y }),
  focus: (id) => setFocus(id),
  release: (id) => ask("release", { sperm_id: id }),
  drawn: (frameSeq) => {
    if (frameSeq > drawn) link.shown(frameSeq);
    drawn = frameSeq;
  },
  measure: (x, y) => calibration.click(x, y),
  scale: (wanted) => {
    scale = wanted;
    look();
  },
});

const cards = new Cards(byId("cards"), {
  focus: (id) => setFocus(id),
  act: (name, id) => (name === "mark with note" ? markWithNote(id) : ask(name, { sperm_id: id })),
  seen: (ids) => {
    seen = ids;
    look();
  },
});

const camera = new CameraPanel((name, fields) => ask(name, fields));
const calibration = new Calibration(field, (text, well, stays) => say(text, well, stays), (kept) => ask("calibrate", kept));

const keys = new Keys({
  "?": () => keys.toggleHelp(),
  f: () => field.fit(),
  "+": () => field.zoomBy(1.4),
  "-": () => field.zoomBy(1 / 1.4),
  c: () => camera.toggle(),
  d: () => changeTheme(),
  Escape: () => (field.ruler ? calibration.stop() : setFocus(null)),
  l: () => calibration.toggle(),
  n: () => step(1),
  ArrowDown: () => step(1),
  p: () => step(-1),
  ArrowUp: () => step(-1),
  PageDown: () => step(5),
  PageUp: () => step(-5),
  a: () => ask("replace_lost"),
  k: () => ask("keep"),
  o: () => nextObjective(),
  g: () => {
    ranked = !ranked;
    look();
  },
  v: () => {
    attentive = !attentive;
    look();
    if (attentive && overview && !overview.selects_patches) say("This network selects no patches.", false);
    else if (attentive && field.focus === null) say("Focus a sperm to see which patches the network selected.", false);
  },
  x: () => toggleCandidates(),
  b: () => ask(overview?.blind ? "unblind" : "blind"),
  s: () => selectNext(),
  u: () => ask("select_previous"),
  r: () => withFocus((id) => ask("release", { sperm_id: id })),
  m: () => withFocus((id) => ask("mark", { sperm_id: id })),
  t: () => note(),
  " ": () => ask("pause"),
  ".": () => ask("step"),
  ",": () => ask("back"),
  ">": () => ask("forward"),
  "<": () => ask("rewind"),
  "[": () => ask("slower"),
  "]": () => ask("faster"),
  q: () => quit(),
}, () => ids(), (number) => focusNumber(number));

function look() {
  link.look(scale, seen, { attention: attentive ? field.focus : null, ranking: ranked });
}

// Candidates swim on: they are asked for again and again while they are to be seen.
function toggleCandidates() {
  if (candidatesTimer) {
    clearInterval(candidatesTimer);
    candidatesTimer = 0;
    say("Candidates are hidden.", true);
    return;
  }
  const askFor = async () => {
    const answer = await link.ask("candidates");
    if (candidatesTimer) say(answer.text, answer.done);
  };
  candidatesTimer = setInterval(askFor, CANDIDATES_MS);
  askFor();
}

function setFocus(id) {
  field.focus = id;
  look();
  cards.setFocus(id);
  field.redraw();
}

// Move the focus along the cards.
function step(by) {
  const here = ids();
  const at = here.indexOf(field.focus);
  if (!here.length) say("No sperm is selected.", false);
  else if (at < 0) setFocus(here.at(by > 0 ? 0 : -1));
  else setFocus(here[Math.max(0, Math.min(here.length - 1, at + by))]);
}

function ids() {
  return field.head?.cards.map((card) => card.sperm_id) ?? [];
}

function focusNumber(number) {
  const here = ids();
  setFocus(here.includes(number) ? number : null); // else m would mark the one of before
  if (!here.some((id) => String(id).startsWith(String(number)))) say(`There is no sperm ${number}.`, false);
}

function withFocus(act) {
  if (field.focus === null) say("Focus a sperm first: its number, or a click on its ring.", false);
  else act(field.focus);
}

async function selectNext() {
  const answer = await ask("select_next");
  if (answer.done && answer.sperm_id !== null) setFocus(answer.sperm_id);
}

async function markWithNote(id) {
  const given = await prompt(`Mark sperm ${id} as chosen`, [{ label: "Note" }], "Mark");
  if (given) ask("mark", { sperm_id: id, note: given[0] });
}

function nextObjective() {
  const names = Object.keys(overview?.objectives ?? {}).sort();
  if (names.length) ask("objective", { objective: names[(names.indexOf(overview.objective) + 1) % names.length] });
  else say("No objective is known: press l and measure one, or write [objectives].", false);
}

async function note() {
  const given = await prompt("Note for the record", [{ label: "Text" }], "Write");
  if (given?.[0]) ask("note", { text: given[0] });
}

async function quit() {
  if (await prompt("End the run?", [], "End the run")) ask("quit");
}

async function ask(name, fields = {}) {
  const answer = await link.ask(name, fields);
  say(answer.text, answer.done);
  return answer;
}

function say(text, well, stays = false) {
  const said = byId("said");
  setText(said, text);
  said.classList.toggle("refused", !well);
  clearTimeout(saidTimer);
  if (!stays) saidTimer = setTimeout(() => setText(said, ""), SAID_MS);
}

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  cards.restyle();
  field.restyle();
}

byId("help-button").addEventListener("click", () => keys.toggleHelp());
byId("camera-button").addEventListener("click", () => camera.toggle());
byId("theme-button").addEventListener("click", () => changeTheme());

setInterval(() => {
  if (!overview?.paused) cards.tick();
  const age = field.ageMs;
  const usual = overview?.fps ? 3000 / overview.fps : 0;
  if (age !== null && byId("gone").hidden === false && !document.body.classList.contains("stale")) byId("gone").hidden = true;
  if (age !== null && age > Math.max(STALE_MS, usual) && !document.body.classList.contains("stale")) {
    byId("gone").hidden = false;
    setText(byId("gone"), `This picture is ${(age / 1000).toFixed(1)} s old`);
    field.redraw();
  }
}, TICK_MS);
