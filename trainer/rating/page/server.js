// What the page asks of the server; every request says which browser it is.

const BROWSER = "rate/browser";
const ANSWER_MS = 30000;

function hex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function browser() {
  try {
    const known = localStorage.getItem(BROWSER);
    if (known) return known;
    const made = hex(16);
    localStorage.setItem(BROWSER, made);
    return made;
  } catch {
    return (browser.once ??= hex(16));
  }
}

export const newId = () => hex(16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

// {status, body}; of what is no JSON, body.why is the server's own sentence, and "" where a proxy or a network's sign-in
// page has answered in its place.
async function answered(response) {
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text) };
  } catch {
    const ours = (response.headers.get("content-type") ?? "").startsWith("text/plain");
    return { status: response.status, body: { why: ours ? text.trim().slice(0, 300) : "" } };
  }
}

// Whether the server itself has said no to this link or browser: trying again would change nothing.
export const isFinal = ({ status, body }) => [400, 403, 404, 421].includes(status) && Boolean(body?.why);

const headers = () => ({ "x-browser": browser() });
const within = () => AbortSignal.timeout(ANSWER_MS); // a network that swallows requests is no network

export const readState = async () => answered(await fetch("api/state", { headers: headers(), signal: within() }));

export const postActs = async (acts) => answered(await fetch("api/acts", {
  method: "POST", headers: { ...headers(), "content-type": "application/json" }, body: JSON.stringify({ acts }), signal: within(),
}));

// One clip as {bitmap, frames, fps}; {gone} where the server says that it cannot be shown; {why} where the link has ended.
export async function readClip(position, frames) {
  const response = await fetch(`api/clip/${position}`, { headers: headers(), signal: within() });
  if (response.status === 404 && response.headers.get("x-clip") === "none") return { gone: true };
  if (response.status === 403) {
    const refused = await answered(response);
    if (isFinal(refused)) return { why: refused.body.why };
  }
  if (!response.ok) throw new Error(String(response.status));
  const fps = Number(response.headers.get("x-clip-fps"));
  return { bitmap: await createImageBitmap(await response.blob()), frames, fps };
}
