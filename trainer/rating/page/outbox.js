// Votes on their way: each lies in this browser's store until the server has said that it is kept. Shows nothing.

import { isFinal } from "./server.js";

const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const MOST_ACTS = 100;

export class Outbox {
  #prefix;
  #memory = new Map(); // what the store would not take
  #timer = 0;
  #sending = false;
  #tries = 0;
  refused = []; // acts that the server will never take, with the reason
  stopped = ""; // why nothing is sent any more

  // key: of this study and rater; post(acts): resolves to {status, body}; handlers: answered(acts, body), changed()
  constructor(key, post, handlers) {
    this.#prefix = `rate/${key}/act/`;
    this.post = post;
    this.handlers = handlers;
    addEventListener("online", () => this.send());
    addEventListener("storage", () => handlers.changed());
  }

  // What waits, oldest first; also what another tab of this rater has put there.
  get acts() {
    return this.#waiting().map(([, text]) => JSON.parse(text));
  }

  #waiting() {
    const found = new Map(this.#memory);
    try {
      for (let k = 0; k < localStorage.length; k++) {
        const name = localStorage.key(k);
        if (name.startsWith(this.#prefix)) found.set(name, localStorage.getItem(name));
      }
    } catch { /* a browser without a store: the memory is all there is */ }
    return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  // Whether what waits could not be sent.
  get failing() {
    return this.#tries > 0;
  }

  get kept() {
    return this.#memory.size === 0;
  }

  add(act) {
    // After all that waits, also where the clock was set back meanwhile.
    const number = Math.max(act.t_page_ms, ...this.#waiting().map(([name]) => Number(name.slice(this.#prefix.length).split("-")[0]) + 1));
    const name = `${this.#prefix}${String(number).padStart(15, "0")}-${act.id}`;
    try {
      localStorage.setItem(name, JSON.stringify(act));
    } catch {
      this.#memory.set(name, JSON.stringify(act));
    }
    this.handlers.changed();
    this.send();
  }

  async send() {
    clearTimeout(this.#timer);
    if (this.#sending || this.stopped) return;
    this.#sending = true;
    try {
      for (let acts = this.acts; acts.length; acts = this.acts) {
        if (!(await this.#sendSome(acts.slice(0, MOST_ACTS)))) break;
      }
    } finally {
      this.#sending = false;
    }
    this.handlers.changed();
  }

  // Returns whether to go on.
  async #sendSome(acts) {
    let status = 0, body = null;
    try {
      ({ status, body } = await this.post(acts));
    } catch { /* no network */ }
    // Only what the server says it has kept leaves the store: a network's sign-in page answers 200 too.
    const kept = new Set(status === 200 && Array.isArray(body?.answers) ? body.answers.map((answer) => answer?.id) : []);
    const done = acts.filter((act) => kept.has(act.id));
    if (done.length) {
      this.#tries = 0;
      for (const act of done) this.#remove(act.id);
      this.handlers.answered(done, body);
      return true;
    }
    if (status === 422 || status === 413) {
      if (acts.length > 1) {
        for (const act of acts) if (!(await this.#sendSome([act]))) return false;
        return true;
      }
      this.#setAside(acts[0], body?.why ?? "refused");
      this.#remove(acts[0].id);
      return true;
    }
    if (isFinal({ status, body })) {
      this.stopped = body.why;
      return false;
    }
    this.#timer = setTimeout(() => this.send(), RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
    return false;
  }

  // It stays in the browser's store, for the lead to be shown.
  #setAside(act, why) {
    this.refused.push({ act, why });
    try {
      localStorage.setItem(`${this.#prefix.replace(/act\/$/, "refused/")}${act.id}`, JSON.stringify({ act, why }));
    } catch { /* see above */ }
  }

  #remove(id) {
    for (const name of [...this.#memory.keys()]) if (name.endsWith(id)) this.#memory.delete(name);
    try {
      const names = Array.from({ length: localStorage.length }, (_, k) => localStorage.key(k));
      for (const name of names) if (name.startsWith(this.#prefix) && name.endsWith(id)) localStorage.removeItem(name);
    } catch { /* see above */ }
  }
}
