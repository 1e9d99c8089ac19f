// How long a rater has graded since the last break; kept over a reload. A browser without a store takes its breaks itself.

const MOST_MS = 120000; // of one clip: whoever looks longer is away

export class Breaks {
  #name;

  // key: of this study and rater
  constructor(key) {
    this.#name = `rate/${key}/worked_ms`;
  }

  worked(ms) {
    try {
      localStorage.setItem(this.#name, String(Number(localStorage.getItem(this.#name) ?? 0) + Math.min(ms, MOST_MS)));
    } catch { /* see above */ }
  }

  // afterMin: minutes of grading after which one is due; 0: never
  due(afterMin) {
    try {
      return afterMin > 0 && Number(localStorage.getItem(this.#name) ?? 0) > afterMin * 60000;
    } catch {
      return false;
    }
  }

  begin() {
    try {
      localStorage.removeItem(this.#name);
    } catch { /* see above */ }
  }
}
