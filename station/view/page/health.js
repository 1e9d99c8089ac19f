// The line of health at the top, alarms and cautions, the research-use line.

import { byId, make, setText } from "./dom.js";

export function showOverview(overview) {
  const title = byId("title");
  setText(title, overview.replay ? `REPLAY, NOT LIVE: ${overview.title}` : overview.title);
  title.className = overview.title.toLowerCase();
  setText(byId("source"), overview.source);
  fill(byId("processes"), overview.processes.map((process) => ({
    text: `${process.name} ${process.pace || process.condition}`,
    attributes: process.healthy ? {} : { class: "unwell" },
  })), "span");
  setText(byId("latency"), overview.latency);
  const recording = byId("recording");
  setText(recording, overview.recording);
  recording.classList.toggle("unwell", !overview.recording_well);
  const demonstration = byId("demonstration");
  demonstration.hidden = !overview.demonstration;  // its place is kept until the model is known: nothing moves later
  setText(demonstration, overview.demonstration);
  byId("playback").hidden = !overview.playback;
  setText(byId("playback").querySelector("span"), overview.playback);
  byId("played").value = overview.played;
  byId("blind").hidden = !overview.blind;
  setText(byId("blind"), overview.blind);
  setText(byId("notice"), overview.notice);
  setText(byId("model"), `model ${overview.model}`);
  fill(byId("alarms"), overview.alarms.map((text) => ({ text })), "li");
  const cautions = byId("cautions");
  cautions.hidden = !overview.cautions.length;
  const [first, ...others] = overview.cautions;
  setText(cautions.querySelector("summary"), others.length ? `${first} (and ${others.length} more)` : first ?? "");
  fill(cautions.querySelector("ul"), others.map((text) => ({ text })), "li");
}

// The order by expected grade, where it was asked for.
export function showRanking(lines) {
  byId("ranking").hidden = !lines.length;
  fill(byId("ranking"), lines.map((text) => ({ text })), "p");
}

export function showGone(text) {
  const title = byId("title");
  setText(title, text);
  title.className = "gone";
}

// Make the children say these texts; leaves alone what already does, so that nothing flickers.
function fill(parent, items, tag) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach(({ text, attributes = {} }, k) => {
    const child = parent.children[k] ?? parent.appendChild(make(tag));
    setText(child, text);
    child.className = attributes.class ?? "";
  });
}
