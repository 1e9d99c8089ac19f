// Where a rater is in the order: what is graded, what comes next, what can be undone. Knows neither network nor screen.

export class Course {
  #heads = new Map(); // position: {id, grade, reason}
  #done = []; // positions in the order they were graded
  #skipped = new Set(); // positions of clips that cannot be shown

  constructor(state, waiting) {
    this.take(state, waiting);
  }

  // The server's view, and on top of it the acts that have not reached it.
  take(state, waiting) {
    this.state = state;
    this.#heads = new Map();
    this.#done = [];
    for (const { position, id, grade, reason } of state.graded) this.#put(position, { id, grade, reason });
    for (const { position, id, grade, reason } of waiting) this.#put(position, { id, grade, reason });
    this.calibration = new Set(state.calibration);
    this.agreed = new Map(state.agreed.map((one) => [one.position, one]));
  }

  #put(position, head) {
    this.#heads.set(position, head);
    this.#done = this.#done.filter((other) => other !== position);
    if (head.grade || head.reason) this.#done.push(position);
  }

  is(position) {
    const head = this.#heads.get(position);
    return Boolean(head && (head.grade || head.reason));
  }

  get total() {
    return this.state.positions.length;
  }

  get graded() {
    return this.state.positions.filter((position) => this.is(position)).length;
  }

  // The first clip that is not graded, and those after it.
  next(count = 1) {
    const found = [];
    for (const position of this.state.positions) {
      if (!this.is(position) && !this.#skipped.has(position)) found.push(position);
      if (found.length === count) break;
    }
    return found;
  }

  skip(position) {
    this.#skipped.add(position);
  }

  get skipped() {
    return this.#skipped.size;
  }

  get last() {
    return this.#done.at(-1) ?? null;
  }

  // What counts here: {id, grade, reason}.
  head(position) {
    return this.#heads.get(position);
  }

  // The act that the next one here follows.
  base(position) {
    return this.#heads.get(position)?.id ?? "";
  }

  act(position, fields) {
    this.#put(position, { id: fields.id, grade: fields.grade, reason: fields.reason });
  }
}

// How long the rest will take: between the quartiles of the rater's own pace, breaks included. null: too early to say.
export function minutesLeft(pace, clips, breakAfter, breakMin) {
  if (!pace.length || !clips) return null;
  const withBreaks = (minutes) => minutes + (breakAfter > 0 ? Math.floor(minutes / breakAfter) * breakMin : 0);
  return [withBreaks((pace[0] * clips) / 60), withBreaks((pace[2] * clips) / 60)];
}

export function inWords(left) {
  if (left === null) return "no estimate yet";
  const [least, most] = left.map((minutes) => Math.max(1, minutes));
  if (most < 90) return Math.round(least) === Math.round(most) ? `about ${Math.round(most)} min left` : `about ${Math.round(least)} to ${Math.round(most)} min left`;
  const hours = (minutes) => (minutes / 60).toFixed(1);
  return hours(least) === hours(most) ? `about ${hours(most)} h left` : `about ${hours(least)} to ${hours(most)} h left`;
}
