// A rater's page: wires clip, keys, votes and words together.

import { Breaks } from "./breaks.js";
import { Course, inWords, minutesLeft } from "./course.js";
import { askWhy, proposeBreak, tellKeys } from "./dialogs.js";
import { byId, make, setText } from "./dom.js";
import { Outbox } from "./outbox.js";
import { Player } from "./player.js";
import { Practice, feedback } from "./practice.js";
import { isFinal, newId, postActs, readClip, readState } from "./server.js";

const AHEAD = 8; // clips fetched before they are needed
const NOT_BEFORE_MS = 250; // a key that is pressed twice must not grade the next clip
const SAID_MS = 6000;
const RETRY_MS = 3000;
const LOOKS_MS = 1000;
const THEMES = ["dark", "night", "light"];
const KEYS = [["1 to 5", "grade A to E"], ["0", "can't be judged"], ["U, Backspace", "undo"], ["Enter", "go on after a practice clip"], ["space", "play, pause"], ["← →", "single frames"], ["S", "speed"], ["+ −", "zoom (drag to move)"], ["F", "whole clip"], ["C", "contrast"], ["D", "dark, night, light"], ["?", "this list"]];

let course = null;
let outbox = null;
let practice = null;
let breaks = null;
let state = null;
let position = null;
let reviewing = false; // the clip is a practice clip that is graded: its agreed grade is shown
let begins = 0; // the timer of the next try to begin
let shownMs = 0; // how long this clip has been looked at
let lookedAt = 0;
let saidTimer = 0;
const clips = new Map(); // position: clip, or the promise of one

const player = new Player(byId("clip"), () => {
  setText(byId("play"), player.playing ? "Pause" : "Play");
  setText(byId("speed"), player.speedWord);
  setText(byId("contrast"), player.contrastWord);
  setText(byId("frame"), player.frameWord);
});

async function begin() {
  clearTimeout(begins);
  begins = 0;
  let found = null;
  try {
    found = await readState();
  } catch {
    return beginLater(navigator.onLine ? "The server cannot be reached. Trying again ..." : "No network. The page goes on when there is one.");
  }
  if (isFinal(found)) return halt(found.body.why);
  if (found.status !== 200) return beginLater(`The server has a problem (${found.status}). Trying again ... If this lasts, tell the lead.`);
  if (!Array.isArray(found.body?.positions)) return beginLater("Something else answers in the server's place, perhaps a network that wants you to sign in. Trying again ...");
  state = found.body;
  document.title = state.title;
  setText(byId("title"), state.title);
  setText(byId("question"), state.question);
  practice = new Practice(state.key, leave);
  breaks = new Breaks(state.key);
  outbox = new Outbox(state.key, postActs, { answered, changed: showSaved });
  course = new Course(state, outbox.acts);
  byId("grades").replaceChildren(...state.grades.map(({ grade, words }, k) =>
    make("button", { type: "button", "data-grade": grade, onclick: (event) => pressed(event, grade) }, make("b", {}, grade), make("span", {}, words), make("kbd", {}, String(k + 1)))));
  outbox.send();
  goOn();
}

function beginLater(words) {
  wait(words);
  begins = setTimeout(begin, RETRY_MS);
}

// Show the practice clip whose agreed grade is due, else the next clip that is not graded, or that there is none.
function goOn(to = null) {
  const due = to === null ? practice.due(course) : null;
  reviewing = due !== null;
  position = to ?? due ?? course.next()[0] ?? null;
  shownMs = 0;
  lookedAt = performance.now();
  showProgress();
  if (state.closed) return halt("This study is closed. Thank you.");
  showFeedback();
  if (position === null) {
    blank();
    if (course.skipped) return wait(`All clips that can be shown are graded. ${course.skipped} cannot be shown: please tell the lead.`);
    return wait(course.total ? "All clips are graded. Thank you!" : "There is nothing to grade yet.");
  }
  setText(byId("kind"), reviewing ? "Practice clip" : "Practice clip: its agreed grade is shown afterwards");
  byId("kind").hidden = !course.calibration.has(position);
  for (const other of clips.keys()) if (other !== position && course.is(other) && other !== course.last) clips.delete(other);
  if (reviewing && byId("clip").dataset.position === String(position)) return enable(false); // it is on the screen
  showClip(position);
}

// What is known of the agreed grade of the practice clip on the screen.
function showFeedback() {
  if (!reviewing) return practice.show(null);
  practice.show(feedback({
    position, head: course.head(position), agreed: course.agreed.get(position), waits: outbox.failing || !navigator.onLine,
    refused: outbox.refused.find(({ act }) => act.position === position)?.why,
  }, (wanted) => state.grades.find(({ grade }) => grade === wanted).words));
}

// The rater has seen it and wants the next clip.
function leave() {
  if (!reviewing || byId("dialog").open || !practice.stood(NOT_BEFORE_MS)) return;
  practice.leave(position, course.agreed.has(position) || outbox.refused.some(({ act }) => act.position === position));
  next();
}

function next() {
  if (breaks.due(state.break_after_min) && course.next().length) return propose();
  goOn();
}

async function showClip(wanted) {
  const ready = clips.get(wanted);
  if (!ready || ready instanceof Promise) {
    blank();
    wait("Loading ...");
  }
  const clip = await fetched(wanted);
  if (wanted !== position) return;
  if (!clip) {
    wait(navigator.onLine ? "The clip cannot be loaded. Trying again ..." : "No network. The next clip comes when there is one; your votes are kept.");
    setTimeout(() => wanted === position && showClip(wanted), RETRY_MS);
    return;
  }
  if (clip.why) return halt(clip.why);
  if (clip.gone) {
    if (reviewing) practice.settle(wanted);
    else course.skip(wanted);
    return goOn();
  }
  byId("waiting").hidden = true;
  lookedAt = performance.now();
  shownMs = 0;
  player.show(clip);
  byId("clip").dataset.position = wanted;
  enable(!reviewing);
  for (const ahead of course.next(AHEAD)) fetched(ahead);
}

function fetched(wanted) {
  const known = clips.get(wanted);
  if (known) return known;
  const promise = readClip(wanted, state.frames).then((clip) => {
    if (clip) clips.set(wanted, clip);
    else clips.delete(wanted);
    return clip;
  }, () => {
    clips.delete(wanted);
    return null;
  });
  clips.set(wanted, promise);
  return promise;
}

function enable(can) {
  for (const button of byId("grades").children) {
    button.disabled = !can;
    button.classList.remove("before");
  }
  byId("unjudged").disabled = !can;
  byId("undo").disabled = course === null || course.last === null;
}

function looked() {
  const now = performance.now();
  if (!document.hidden) shownMs += Math.min(now - lookedAt, 2 * LOOKS_MS);
  lookedAt = now;
}

function give(grade, reason = "", note = "") {
  if (position === null || byId("unjudged").disabled || byId("dialog").open) return;
  looked();
  if (shownMs < NOT_BEFORE_MS) return;
  const at = position;
  act(at, { grade, reason, note });
  breaks.worked(shownMs);
  say(`${grade || "Can't be judged"}. Undo: U`);
  if (!course.calibration.has(at)) return next();
  practice.owe(at);
  goOn();
}

// By mouse or finger the button does not stay in focus: Enter would give the next clip the same grade.
function pressed(event, grade) {
  if (event.detail) byId("clip").focus({ preventScroll: true });
  give(grade);
}

function act(at, { grade, reason = "", note = "" }) {
  const made = { id: newId(), position: at, base: course.base(at), grade, reason, note, shown_ms: Math.round(shownMs), t_page_ms: Date.now() };
  course.act(at, made);
  outbox.add(made);
}

function undo() {
  if (!course || course.last === null || byId("dialog").open || state.closed) return;
  const at = course.last;
  looked();
  act(at, { grade: "" });
  practice.settle(at);
  say("Taken back. Grade this clip again.");
  goOn(at);
}

// The server has kept acts.
function answered(acts, body) {
  state.pace_s = body.pace_s;
  for (const agreed of body.agreed) course.agreed.set(agreed.position, agreed);
  const aside = body.answers.filter((answer) => !answer.counts);
  if (body.closed && !state.closed) {
    state.closed = true;
    halt("This study is closed. Thank you.");
  } else if (aside.length) {
    say(`${aside.length === 1 ? "One vote does" : `${aside.length} votes do`} not count: ${aside[0].why}.`, 2 * SAID_MS);
    refresh();
  } else if (position === null) goOn();
  else showProgress();
}

// Look what another tab or device has graded meanwhile.
async function refresh() {
  try {
    const { status, body } = await readState();
    if (status !== 200 || !Array.isArray(body?.positions)) return;
    state = body;
    course.take(state, outbox.acts);
    if (position === null || course.is(position) || !state.positions.includes(position)) goOn();
    else showProgress();
    if (state.closed) halt("This study is closed. Thank you.");
  } catch { /* no network: later */ }
}

function showProgress() {
  const graded = course.graded, left = minutesLeft(state.pace_s, course.total - graded, state.break_after_min, state.break_min);
  setText(byId("progress"), `${graded} of ${course.total}${graded < course.total ? `, ${inWords(left)}` : ""}`);
  byId("bar").value = course.total ? graded / course.total : 0;
  byId("undo").disabled = course.last === null;
}

function showSaved() {
  const waiting = outbox.acts.length, saved = byId("saved");
  const words = outbox.stopped ? `${outbox.stopped}${waiting ? ` ${waiting} not sent, kept here.` : ""}`
    : outbox.refused.length ? `${outbox.refused.length} refused: ${outbox.refused.at(-1).why}. Tell the lead.`
      : waiting ? `${waiting} not sent yet, ${outbox.kept ? "kept in this browser" : "keep this page open"}` : "all saved";
  setText(saved, words);
  saved.classList.toggle("waits", words !== "all saved");
  if (outbox.stopped) halt(outbox.stopped);
  else if (reviewing) showFeedback();
}

function wait(text) {
  setText(byId("waiting"), text);
  byId("waiting").hidden = false;
}

function blank() {
  player.show(null);
  byId("clip").dataset.position = "";
  enable(false);
}

function halt(text) {
  position = null;
  reviewing = false;
  practice?.show(null);
  blank();
  byId("undo").disabled = true;
  byId("kind").hidden = true;
  wait(text);
}

function say(text, ms = SAID_MS) {
  setText(byId("said"), text);
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => setText(byId("said"), ""), ms);
}

function propose() {
  breaks.begin();
  reviewing = false;
  practice.show(null);
  blank();
  showProgress();
  proposeBreak(state.break_after_min, state.break_min, () => goOn());
}

function why() {
  if (position === null || byId("unjudged").disabled) return;
  askWhy(state.reasons, (reason, note) => give("", reason, note));
}

const help = () => tellKeys(KEYS);

function changeTheme() {
  const root = document.documentElement;
  root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "dark") + 1) % THEMES.length];
  setText(byId("theme"), { dark: "Night", night: "Light", light: "Dark" }[root.dataset.theme]);
}

const actions = {
  "0": why, u: undo, Backspace: undo, " ": () => player.toggle(), ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1),
  s: () => player.changeSpeed(), c: () => player.changeContrast(), "+": () => player.zoomBy(1.4), "-": () => player.zoomBy(1 / 1.4), f: () => player.zoomBy(0), d: changeTheme, "?": help,
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("dialog").open) return;
  if (event.key === " ") event.preventDefault(); // the space bar never presses a button here, held or not
  if (event.repeat) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const grade = state?.grades[Number(key) - 1];
  if (/^[1-5]$/.test(key) && grade) give(grade.grade);
  else if (Object.hasOwn(actions, key)) actions[key]();
  else if (key === "Enter" && reviewing && event.target.tagName !== "BUTTON") leave();
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => {
  if (event.key === " " && !byId("dialog").open) event.preventDefault(); // some browsers press the button only now
});
for (const [id, does] of Object.entries({
  back: () => player.step(-1), play: () => player.toggle(), on: () => player.step(1), speed: () => player.changeSpeed(), out: () => player.zoomBy(1 / 1.4),
  in: () => player.zoomBy(1.4), contrast: () => player.changeContrast(), unjudged: why, undo, theme: changeTheme, "help-button": help,
})) byId(id).addEventListener("click", does);
document.addEventListener("visibilitychange", () => {
  lookedAt = performance.now();
  if (!document.hidden && course) refresh();
});
addEventListener("online", () => begins && begin());
setInterval(looked, LOOKS_MS);
begin();
