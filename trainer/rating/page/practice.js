// After a vote on a practice clip: its agreed grade, while that clip is still on the screen. Remembers, over a reload,
// which agreed grades the rater has not seen yet. Knows neither network nor clips.

import { byId, make } from "./dom.js";

export class Practice {
  #prefix;
  #memory = new Set(); // where the browser has no store
  #left = new Set(); // gone on from before the agreed grade was known
  #shown = ""; // what the panel says now
  #since = 0;

  // key: of this study and rater; goOn(): the rater wants the next clip
  constructor(key, goOn) {
    this.#prefix = `rate/${key}/practice/`;
    this.button = make("button", { type: "button", id: "go-on", onclick: goOn }, "Go on ", make("kbd", {}, "Enter"));
  }

  owe(position) {
    this.#left.delete(position);
    try {
      localStorage.setItem(this.#prefix + position, "");
    } catch {
      this.#memory.add(position);
    }
  }

  settle(position) {
    this.#memory.delete(position);
    try {
      localStorage.removeItem(this.#prefix + position);
    } catch { /* see above */ }
  }

  // The rater goes on: what has been seen is settled, what is not known yet comes before a later clip.
  leave(position, seen) {
    if (seen) this.settle(position);
    else this.#left.add(position);
  }

  #owes(position) {
    try {
      return this.#memory.has(position) || localStorage.getItem(this.#prefix + position) !== null;
    } catch {
      return this.#memory.has(position);
    }
  }

  // The position whose agreed grade is to be shown before the next clip; null: none.
  due(course) {
    const owed = [...course.calibration].filter((position) => course.is(position) && this.#owes(position));
    return owed.find((position) => course.agreed.has(position) || (position === course.last && !this.#left.has(position))) ?? null;
  }

  // Show what is known, or nothing (null). said: {of, title, lines, ready}; ready: the rater may go on.
  show(said) {
    const panel = byId("agreed");
    panel.hidden = said === null;
    byId("grades").hidden = byId("question").hidden = said !== null;
    const text = JSON.stringify(said);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#since = performance.now();
    if (!said) return;
    this.button.disabled = !said.ready;
    panel.replaceChildren(make("h1", {}, said.title), ...said.lines.map((line) => make("p", {}, line)), this.button);
    if (said.ready) this.button.focus({ preventScroll: true });
  }

  // Whether what is said has been there for so long that it was seen: a key may have been pressed twice.
  stood(ms) {
    return this.#shown !== "" && !this.button.disabled && performance.now() - this.#since >= ms;
  }
}

// What the panel says of a vote that was given on a practice clip.
export function feedback({ position, head, agreed, refused, waits }, wordsOf) {
  const of = position; // so that two clips never say the same
  const mine = head.grade ? `Yours: ${head.grade}, ${wordsOf(head.grade)}` : `Yours: can't be judged, ${head.reason}`;
  if (agreed) return { of, title: `Agreed grade: ${agreed.grade}, ${wordsOf(agreed.grade)}`, lines: [mine, agreed.why].filter(Boolean), ready: true };
  if (refused) return { of, title: "This vote was refused", lines: [mine, `${refused}. Tell the lead.`], ready: true };
  if (waits) return { of, title: "Not sent yet", lines: [mine, "The agreed grade is told when your vote has reached the server. Wait for the network, or go on: this clip comes back then."], ready: true };
  return { of, title: "Agreed grade: ...", lines: [mine], ready: false };
}
