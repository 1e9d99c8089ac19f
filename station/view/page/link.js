// The connection to the station: pictures and words come in, what this page wants goes out. Draws nothing.

const RETRY_MS = 1000;

export class Link {
  #socket = null;
  #number = 0;
  #waiting = new Map(); // number of a request: what to do with its answer
  #look = null;

  // handlers: picture({head, bitmap, crops}), overview(message), state(open)
  constructor(handlers) {
    this.handlers = handlers;
    this.#connect();
  }

  // What this page wants to see: scale of the picture, the sperm whose crops are on the screen, what was asked for.
  look(scale, cards, { attention = null, ranking = false } = {}) {
    const wanted = JSON.stringify({ kind: "look", scale, cards, attention, ranking });
    if (wanted === this.#look) return;
    this.#look = wanted;
    this.#send(wanted);
  }

  shown(frameSeq) {
    this.#send(JSON.stringify({ kind: "shown", frame_seq: frameSeq }));
  }

  // Ask the station for something; resolves to {done, text}.
  ask(name, fields = {}) {
    const number = ++this.#number;
    return new Promise((resolve) => {
      if (!this.#send(JSON.stringify({ kind: "ask", number, name, ...fields }))) {
        resolve({ name, done: false, text: `${name}: no connection to the station` });
        return;
      }
      this.#waiting.set(number, resolve);
    });
  }

  #send(text) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  #connect() {
    const socket = new WebSocket(`ws://${location.host}${location.pathname}live`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.handlers.state(true);
      if (this.#look) this.#send(this.#look);
    };
    socket.onclose = () => {
      this.handlers.state(false);
      for (const [, resolve] of this.#waiting) resolve({ done: false, text: "the connection to the station broke off" });
      this.#waiting.clear();
      setTimeout(() => this.#connect(), RETRY_MS);
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.#words(JSON.parse(event.data));
      else this.#picture(event.data);
    };
  }

  #words(message) {
    if (message.kind === "overview") this.handlers.overview(message);
    if (message.kind === "answer") {
      this.#waiting.get(message.number)?.(message);
      this.#waiting.delete(message.number);
    }
  }

  async #picture(data) {
    const length = new DataView(data).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    let at = 4 + length;
    const jpeg = new Blob([new Uint8Array(data, at, head.jpeg_bytes)], { type: "image/jpeg" });
    at += head.jpeg_bytes;
    const crops = new Map();
    for (const crop of head.crops) {
      crops.set(crop.sperm_id, { ...crop, pixels: new Uint8Array(data, at, crop.size * crop.size) });
      at += crop.size * crop.size;
    }
    this.handlers.picture({ head, crops, bitmap: await createImageBitmap(jpeg), at: performance.now() });
  }
}
