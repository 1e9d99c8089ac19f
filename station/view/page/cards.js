// One card per sperm, in the order of their numbers: crop, state, distribution, what it is worth, history of a minute.

import { make, setText } from "./dom.js";
import { sign } from "./marks.js";

const GRADES = ["A", "B", "C", "D", "E"];
const HEADS = ["global", "spatial", "temporal"];
const HISTORY_MS = 60000;
const MOST_CROPS = 16;
const CROPS_MS = 60; // no more often: the field, which is drawn with every picture, comes first
const WORDS_MS = 200; // nor do numbers change faster than can be read
const AFTER_FIELD_MS = 20;
const LOOKED = "Framed: patches that the network selected, brighter where in more of the frames it graded. They are where they " +
  "lay round the head then; the picture is of now.";

export class Cards {
  focus = null;
  #cards = new Map(); // sperm: its elements
  #past = new Map(); // sperm: [{t, grade}], oldest first
  #shot = null;
  #timer = 0;
  #croppedAt = 0;
  #filledAt = 0;

  // handlers: focus(id), act(name, id), seen(ids): the sperm whose crops are on the screen
  constructor(parent, handlers) {
    this.parent = parent;
    this.handlers = handlers;
    this.empty = make("p", { class: "empty" }, "No sperm is being followed. Click one in the picture.");
    this.actions = [["mark", "Mark as chosen (m)"], ["mark with note", "With a note"], ["release", "Release (r)"]];
    new ResizeObserver(() => this.#tellSeen()).observe(parent);
    parent.addEventListener("scroll", () => this.#tellSeen());
  }

  // Take a picture in. What the cards show follows it a little later, but for a state that changes and a run that is
  // blind from now on.
  show(shot) {
    const { head } = shot;
    this.#shot = shot;
    if (head.blind) this.#past.clear();
    for (const past of head.past) {
      if (!this.#past.has(past.sperm_id)) this.#past.set(past.sperm_id, []);
      this.#past.get(past.sperm_id).push({ t: past.t_ms, grade: past.grade });
    }
    if (head.blind || this.#changes(head)) this.#fillAll();
    else if (!this.#timer) {
      const wait = Math.max(AFTER_FIELD_MS, this.#croppedAt + CROPS_MS - performance.now());
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        if (performance.now() - this.#filledAt >= WORDS_MS) this.#fillAll();
        else this.#drawCrops();
      }, wait);
    }
  }

  #changes(head) {
    return head.cards.length !== this.#cards.size ||
      head.cards.some((data) => this.#cards.get(data.sperm_id)?.root.dataset.state !== data.state);
  }

  #fillAll() {
    const { head } = this.#shot;
    this.#filledAt = performance.now();
    const here = new Set(head.cards.map((card) => card.sperm_id));
    let changed = false;
    for (const [id, card] of this.#cards) {
      if (here.has(id)) continue;
      card.root.remove();
      this.#cards.delete(id);
      changed = true;
    }
    for (const id of this.#past.keys()) if (!here.has(id)) this.#past.delete(id);
    for (const data of head.cards) {
      let card = this.#cards.get(data.sperm_id);
      if (!card) {
        card = this.#make(data.sperm_id);
        this.#cards.set(data.sperm_id, card);
        const next = [...this.#cards.keys()].filter((id) => id > data.sperm_id).sort((a, b) => a - b)[0];
        this.parent.insertBefore(card.root, next === undefined ? null : this.#cards.get(next).root);
        changed = true;
      }
      this.#fill(card, data, head);
    }
    this.#drawCrops();
    if (head.cards.length) this.empty.remove();
    else if (!this.empty.isConnected && head.tracked) this.parent.append(this.empty);
    this.parent.classList.toggle("many", head.cards.length > 5);
    if (changed) this.#tellSeen();
  }

  #drawCrops() {
    const { head, crops } = this.#shot;
    this.#croppedAt = performance.now();
    for (const data of head.cards) {
      const card = this.#cards.get(data.sperm_id);
      const crop = crops.get(data.sperm_id);
      if (crop) {
        drawCrop(card.crop, crop);
        drawAttention(card.crop, data.attention);
      }
      else if (data.state === "lost" || data.state === "unknown") clear(card.crop); // an old picture would look live
    }
  }

  setFocus(id) {
    this.focus = id;
    for (const [number, card] of this.#cards) card.root.classList.toggle("focused", number === id);
    this.#cards.get(id)?.root.scrollIntoView({ block: "nearest" });
    if (this.#shot) this.#fillAll();
    this.#tellSeen();
  }

  // Draw the signs again, in the colours of another theme.
  restyle() {
    for (const [, card] of this.#cards) sign(card.mark, card.root.dataset.state, getComputedStyle(card.state).color);
  }

  // Ages and histories go on between pictures; called a few times a second.
  tick() {
    if (!this.#shot) return;
    const since = performance.now() - this.#shot.at;
    const now = this.#shot.head.t_exposure_ms + this.#shot.head.age_ms + since;
    for (const data of this.#shot.head.cards) {
      const card = this.#cards.get(data.sperm_id);
      if (!card) continue;
      if (data.age_ms !== null) {
        setText(card.age, age(data.age_ms + since));
        // The station said what the grade was worth when it sent it; time goes on here even if nothing more comes.
        const stale = this.#shot.head.stale_ms;
        if (data.holds && stale !== null && data.age_ms + since > stale) {
          card.root.classList.add("old");
          setText(card.worth, "STALE");
        }
      }
      const past = this.#past.get(data.sperm_id) ?? [];
      while (past.length && past[0].t < now - HISTORY_MS) past.shift();
      drawHistory(card.history, past, now);
    }
  }

  #make(id) {
    const bars = GRADES.map((letter) => {
      const fill = make("div", { class: "fill" });
      const share = make("span", { class: "share" });
      return { letter, fill, share, row: [make("b", {}, letter), make("div", { class: "track" }, fill), share] };
    });
    const card = {
      id, bars,
      mark: make("canvas", { class: "mark" }),
      number: make("span", { class: "number" }, String(id)),
      state: make("span", { class: "state" }),
      reason: make("span", { class: "reason" }),
      marked: make("span", { class: "marked", hidden: true }, "\u2713 chosen"),
      window: make("span", { class: "window" }),
      crop: make("canvas", { class: "crop", width: 150, height: 150 }),
      grid: make("div", { class: "bars", role: "img" }, ...bars.flatMap((bar) => bar.row)),
      none: make("p", { class: "none" }),
      spread: make("span", { title: "How far the experts' grades are expected to be spread: standard deviation in steps of a grade" }),
      heads: make("span", { title: "Largest distance between two of the network's three heads, in steps of a grade" }),
      worth: make("span", { class: "worth" }),
      age: make("span", { class: "age" }),
      history: make("canvas", { class: "history", title: "grades of the last minute, A above, E below" }),
      more: make("div", { class: "more" }),
      swims: make("p", { class: "swims" }),
    };
    card.words = make("div", { class: "words" }, card.spread, card.heads);
    const facts = make("div", { class: "facts" }, card.none, card.grid, card.words,
      make("div", { class: "words" }, card.worth, card.age), card.history);
    const actions = this.actions.map(([name, text]) =>
      make("button", { type: "button", onclick: () => this.handlers.act(name, id) }, text));
    card.root = make("article", { class: "card", "data-sperm": id, onclick: (event) => {
      if (event.target.tagName !== "BUTTON") this.handlers.focus(id);
    } },
      make("div", { class: "head" }, card.mark, card.number, card.state, card.marked, card.reason, card.window),
      make("div", { class: "body" }, card.crop, facts), card.more, card.swims,
      make("div", { class: "actions" }, ...actions));
    card.root.classList.toggle("focused", id === this.focus);
    return card;
  }

  #fill(card, data, head) {
    if (card.root.dataset.state !== data.state) {
      card.root.dataset.state = data.state;
      sign(card.mark, data.state, getComputedStyle(card.state).color);
    }
    setText(card.state, data.state);
    setText(card.reason, data.reason || data.motility);
    card.marked.hidden = !data.marked;
    setText(card.window, `${data.filled}/${head.window_frames}`);
    const graded = data.grade !== null;
    const focused = card.root.classList.contains("focused");
    card.root.classList.toggle("old", graded && !data.holds);
    card.grid.hidden = card.words.hidden = !graded;
    card.none.hidden = graded;
    setText(card.none, graded ? "" : data.worth);
    setText(card.worth, graded ? data.worth : "");
    card.worth.title = data.evidence;
    setText(card.swims, focused ? [data.motility, data.kinematics].filter(Boolean).join(": ") : ""); // graded or not
    if (!graded) {
      forget(card); // nothing of before may stay in the page: the run may be blind
      return;
    }
    card.bars.forEach((bar, k) => {
      bar.fill.style.width = `${100 * data.grade[k]}%`;
      setText(bar.share, percent(data.grade[k]));
    });
    card.grid.setAttribute("aria-label", GRADES.map((letter, k) => `grade ${letter} ${percent(data.grade[k])}`).join(", "));
    setText(card.spread, `experts ${data.spread}${focused ? ` (${data.spread_steps.toFixed(2)})` : ""}`);
    const apart = focused && data.heads ? ` (${data.heads_steps.toFixed(2)})` : "";
    setText(card.heads, `${data.heads_word}${apart}`);
    if (focused) this.#fillMore(card, data);
  }

  #fillMore(card, data) {
    if (!card.table) {
      card.table = (data.heads ? HEADS : []).map(() => GRADES.map(() => make("td")));
      card.looked = make("p", { class: "looked", hidden: true }, LOOKED);
      card.evidence = make("p", { class: "evidence" });
      if (data.heads) {
        card.more.append(make("table", {},
          make("tr", {}, make("th", {}, "head of the network"), ...GRADES.map((letter) => make("th", {}, letter))),
          ...HEADS.map((name, row) => make("tr", {}, make("th", {}, name), ...card.table[row]))));
      }
      card.more.append(card.evidence, card.looked);
    }
    data.heads?.forEach((head, row) => head.forEach((share, k) => setText(card.table[row][k], percent(share))));
    setText(card.evidence, data.evidence);
    card.looked.hidden = !data.attention;
  }

  #tellSeen() {
    const { top, bottom } = this.parent.getBoundingClientRect();
    const seen = [];
    for (const [id, card] of this.#cards) {
      const box = card.root.getBoundingClientRect();
      if (box.bottom > top && box.top < bottom && seen.length < MOST_CROPS) seen.push(id);
    }
    this.handlers.seen(seen.sort((a, b) => a - b));
  }
}

// Take every trace of a grade off a card.
function forget(card) {
  for (const bar of card.bars) {
    bar.fill.style.width = "0";
    setText(bar.share, "");
  }
  card.grid.removeAttribute("aria-label");
  for (const element of [card.spread, card.heads, card.age]) setText(element, "");
  card.table = null;
  card.more.replaceChildren();
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function age(ms) {
  return ms < 10000 ? `${(ms / 1000).toFixed(1)} s old` : `${Math.round(ms / 1000)} s old`;
}

function clear(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// The very pixels that were cut, one by one; the style sheet enlarges them.
function drawCrop(canvas, crop) {
  if (canvas.width !== crop.size) canvas.width = canvas.height = crop.size;
  const image = new ImageData(crop.size, crop.size);
  const words = new Uint32Array(image.data.buffer);
  for (let k = 0; k < words.length; k++) words[k] = 0xff000000 | (crop.pixels[k] * 0x010101);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The patches that the network selected for the newest grade.
function drawAttention(canvas, shares) {
  if (!shares) return;
  const context = canvas.getContext("2d");
  const grid = Math.round(Math.sqrt(shares.length));
  const side = canvas.width / grid;
  context.lineWidth = 1;
  context.strokeStyle = "#ffd166";
  shares.forEach((share, patch) => {
    if (!share) return;
    context.globalAlpha = 0.25 + 0.75 * share;
    context.strokeRect((patch % grid) * side + 0.5, Math.floor(patch / grid) * side + 0.5, side - 1, side - 1);
  });
  context.globalAlpha = 1;
}

// A minute from left to right, A above and E below; the darker (in a light page) or lighter, the larger the share.
function drawHistory(canvas, past, now) {
  const width = Math.round(canvas.clientWidth * devicePixelRatio);
  const height = Math.round(canvas.clientHeight * devicePixelRatio);
  if (!width || !height) return;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  context.fillStyle = style.getPropertyValue("--bar-ground");
  context.fillRect(0, 0, width, height);
  context.fillStyle = style.getPropertyValue("--bar");
  const place = (t) => width * (1 - (now - t) / HISTORY_MS);
  past.forEach((entry, k) => {
    const left = place(entry.t);
    const next = k + 1 < past.length ? past[k + 1].t : entry.t + 300;
    const right = place(Math.min(next, entry.t + 1000));
    entry.grade.forEach((share, row) => {
      context.globalAlpha = Math.min(1, share);
      context.fillRect(left, (row * height) / 5, Math.max(1, right - left), height / 5);
    });
  });
}
