// What the page asks of the server; every request says which browser it is.

const BROWSER = "rate/browser";

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

async function answered(response) {
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text) };
  } catch {
    return { status: response.status, body: { why: text.trim().slice(0, 300) } };
  }
}

const headers = () => ({ "x-browser": browser() });

export const readState = async () => answered(await fetch("api/state", { headers: headers() }));

export const postActs = async (acts) => answered(await fetch("api/acts", {
  method: "POST", headers: { ...headers(), "content-type": "application/json" }, body: JSON.stringify({ acts }),
}));

// One clip as {bitmap, frames, fps}; {gone} where the server says that it cannot be shown.
export async function readClip(position, frames) {
  const response = await fetch(`api/clip/${position}`, { headers: headers() });
  if (response.status === 404 && response.headers.get("x-clip") === "none") return { gone: true };
  if (!response.ok) throw new Error(String(response.status));
  const fps = Number(response.headers.get("x-clip-fps"));
  return { bitmap: await createImageBitmap(await response.blob()), frames, fps };
}
