// The live view: wires connection, field, cards, keys and panels together.

import { CameraPanel } from "./camera.js";
import { Cards } from "./cards.js";
import { byId, setText } from "./dom.js";
import { Field } from "./field.js";
import { showGone, showOverview } from "./health.js";
import { Keys, prompt } from "./keys.js";
import { Link } from "./link.js";

const TICK_MS = 250;
const SAID_MS = 5000;
const STALE_MS = 1000;

let overview = null;
let scale = 1;
let seen = [];
let drawn = -1;
let saidTimer = 0;

const link = new Link({
  picture: (shot) => {
    if (field.head && shot.head.frame_seq <= field.head.frame_seq) {
      shot.bitmap.close();
      link.shown(shot.head.frame_seq);
      return;
    }
    field.show(shot);
    cards.show(shot);
    const caution = byId("field-caution");
    caution.hidden = shot.head.tracked && !shot.head.disturbance;
    setText(caution, shot.head.tracked ? `Caution: ${shot.head.disturbance}` : "Positions not known: the tracker does not answer");
  },
  overview: (found) => {
    overview = found;
    showOverview(found);
    field.umPerPx = found.um_per_px;
    keys.station = found.keys;
    camera.show(found);
  },
  state: (open) => {
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
  scale: (wanted) => {
    scale = wanted;
    link.look(scale, seen);
  },
});

const cards = new Cards(byId("cards"), {
  focus: (id) => setFocus(id),
  act: (name, id) => ask(name, { sperm_id: id }),
  seen: (ids) => {
    seen = ids;
    link.look(scale, seen);
  },
});

const camera = new CameraPanel({
  set: (values) => ask("camera", { values }),
  calibrate: () => say("Click the two ends of a known length.", true),
});

const keys = new Keys({
  "?": () => keys.toggleHelp(),
  0: () => field.fit(),
  "+": () => field.zoomBy(1.4),
  "-": () => field.zoomBy(1 / 1.4),
  c: () => camera.toggle(),
  d: () => changeTheme(),
  Escape: () => setFocus(null),
}, (key) => stationKey(key));

function setFocus(id) {
  field.focus = id;
  cards.setFocus(id);
  field.redraw();
}

async function ask(name, fields) {
  const answer = await link.ask(name, fields);
  say(answer.text, answer.done);
  return answer;
}

function stationKey(key) {
  ask("key", { text: key });
}

function say(text, well) {
  const said = byId("said");
  setText(said, text);
  said.classList.toggle("refused", !well);
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => setText(said, ""), SAID_MS);
}

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  field.redraw();
}

byId("help-button").addEventListener("click", () => keys.toggleHelp());
byId("camera-button").addEventListener("click", () => camera.toggle());
byId("theme-button").addEventListener("click", () => changeTheme());

setInterval(() => {
  cards.tick();
  const age = field.ageMs;
  const usual = overview?.fps ? 3000 / overview.fps : 0;
  if (age !== null && byId("gone").hidden === false && !document.body.classList.contains("stale")) byId("gone").hidden = true;
  if (age !== null && age > Math.max(STALE_MS, usual) && !document.body.classList.contains("stale")) {
    byId("gone").hidden = false;
    setText(byId("gone"), `This picture is ${(age / 1000).toFixed(1)} s old`);
    field.redraw();
  }
}, TICK_MS);
