// What is asked or told over the clip: why it can't be judged, a break, the keys. Knows no votes.

import { byId, make, setText } from "./dom.js";

const dialog = () => byId("dialog");

// choose(reason, note): one was chosen, by mouse, finger or its number.
export function askWhy(reasons, choose) {
  const note = make("textarea", { maxlength: 500, rows: 2, "aria-label": "Note, if you like" });
  const chosen = (reason) => {
    dialog().close();
    choose(reason, note.value.trim());
  };
  const choices = reasons.map((reason, k) => make("button", { type: "button", onclick: () => chosen(reason) }, make("kbd", {}, String(k + 1)), ` ${reason}`));
  dialog().onkeydown = (event) => {
    if (event.target !== note && choices[Number(event.key) - 1] && /^[1-9]$/.test(event.key)) {
      event.preventDefault();
      event.stopPropagation();
      choices[Number(event.key) - 1].click();
    }
  };
  dialog().replaceChildren(make("h2", {}, "Why can't it be judged?"), make("div", { class: "choices" }, ...choices,
    make("label", {}, "Note, if you like", note), make("button", { type: "button", onclick: () => dialog().close() }, "Back to the clip")));
  dialog().showModal();
  choices[0].focus();
}

// done(): the rater goes on, after the break or before its end.
export function proposeBreak(afterMin, breakMin, done) {
  const until = Date.now() + breakMin * 60000;
  const left = make("p", { role: "timer" }), go = make("button", { type: "button", onclick: () => dialog().close() }, "Go on");
  const tick = () => {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    setText(left, seconds > 0 ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left of the break` : "The break is over.");
  };
  tick();
  dialog().onkeydown = null;
  const timer = setInterval(tick, 500);
  dialog().replaceChildren(make("h2", {}, "Time for a break"), make("p", {}, `You have graded for ${afterMin} minutes. Tired eyes grade otherwise: look at something else. Everything is kept.`), left, go);
  dialog().onclose = () => {
    clearInterval(timer);
    dialog().onclose = null;
    done();
  };
  dialog().showModal();
  go.focus();
}

// keys: [key, what it does], ...
export function tellKeys(keys) {
  dialog().onkeydown = null;
  dialog().replaceChildren(make("h2", {}, "Keys"), make("table", {}, ...keys.map(([key, does]) => make("tr", {}, make("td", {}, make("kbd", {}, key)), make("td", {}, does)))),
    make("p", {}, "Every vote is kept as soon as it is given. You can stop at any time and come back with the same link."),
    make("button", { type: "button", onclick: () => dialog().close() }, "Close"));
  dialog().showModal();
}
