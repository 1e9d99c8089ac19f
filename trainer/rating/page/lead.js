// The lead's page: progress, agreement, raters, clips, advice. It only shows; the study is changed on the command line.

import { byId, make, setText } from "./dom.js";
import { Player } from "./player.js";
import { bars, dots, squares } from "./plots.js";

const EVERY_MS = 10000;
const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
const player = new Player(byId("clip"), () => {});
const row = (tag, cells) => make("tr", {}, ...cells.map((cell) => (cell instanceof Node ? make(tag, {}, cell) : make(tag, {}, String(cell)))));
const fill = (id, heading, rows) => byId(id).replaceChildren(...(rows.length ? [make("thead", {}, row("th", heading)), make("tbody", {}, ...rows)] : [make("tbody", {}, row("td", ["none"]))]));

function figures(report) {
  const found = [
    ["votes", report.votes], [`clips with ${report.wanted} votes`, `${report.clips_done} of ${report.clips}`], ["Krippendorff's alpha, ordinal", number(report.alpha, 3)],
    [`Fleiss' kappa (${report.kappa_clips} clips)`, number(report.kappa, 3)], [`same grade again (${report.repeats} repeats)`, percent(report.same)], ["within one step", percent(report.near)],
    ["can't be judged", report.unjudged], ["kept, do not count", report.aside],
  ];
  byId("figures").replaceChildren(...found.map(([name, value]) => make("div", {}, make("b", {}, String(value)), make("span", {}, name))));
}

function advice(report) {
  const five = report.movements.find((one) => one.more === 5);
  setText(byId("advice"), !five ? "Nothing can be said before clips have two votes each."
    : `Five more votes a clip would move a clip's share of a grade by ${number(five.clip_points, 1)} points${five.mean_points === null ? "" : `, and the mean of all clips by ${number(five.mean_points, 1)}`} (root mean square). `
      + (report.settled_at ? `With about ${report.settled_at} votes a clip, five more would move it by less than ${report.settled_points} point.` : "Five more will always move a clip by more than a point here."));
  fill("movements", ["more votes a clip", "a clip's share, points", "mean of all clips, points"], report.movements.map((one) => row("td", [one.more, number(one.clip_points, 1), number(one.mean_points, 1)])));
}

function stack(votes, grades) {
  const all = votes.reduce((sum, one) => sum + one, 0) || 1;
  return grades.map((grade, k) => {
    const bar = make("i", {});
    bar.style.width = `${(100 * votes[k]) / all}%`;
    return make("div", { class: "stack" }, make("b", {}, grade), make("div", { class: "track" }, bar), make("span", {}, all < 1.5 ? percent(votes[k]) : String(votes[k])));
  });
}

function raters(report) {
  fill("raters", ["rater", "done", "", "link", "browsers", "leaning", "spread", "same again", "repeats", "kappa, median", "s a clip", "can't judge"], report.raters.map((one) => row("td", [
    one.rater + (one.origin === "elsewhere" ? " (elsewhere)" : ""), make("progress", { max: one.items || 1, value: one.done, "aria-label": `${one.done} of ${one.items}` }), `${one.done}/${one.items}`, one.link, one.browsers,
    number(one.leaning), number(one.spread), percent(one.same), one.repeats, number(one.pair_kappa), number(one.seconds, 1), one.unjudged,
  ])));
  dots(byId("leaning"), report.raters.filter((one) => one.leaning !== null && one.spread !== null).map((one) => ({ x: one.leaning, y: one.spread, label: one.rater })));
  const names = report.raters.map((one) => one.rater), known = new Map(report.pairs.flatMap((one) => [[`${one.one}\n${one.other}`, one], [`${one.other}\n${one.one}`, one]]));
  const pair = (i, j) => known.get(`${names[i]}\n${names[j]}`);
  squares(byId("pairs"), names, (i, j) => pair(i, j)?.kappa ?? null, (i, j) => `${names[i]}, ${names[j]}: kappa ${number(pair(i, j).kappa)}, same ${percent(pair(i, j).same)} of ${pair(i, j).clips}`);
}

function clips(report) {
  const lines = new Map(report.clip_lines.map((one) => [one.clip, one])), votes = report.clip_lines.map((one) => one.votes.reduce((sum, n) => sum + n, 0));
  const most = Math.max(0, ...votes);
  bars(byId("progress"), Array.from({ length: most + 1 }, (_, n) => ({ label: String(n), value: votes.filter((one) => one === n).length, title: `${n} votes` })));
  byId("split").replaceChildren(...report.split.map((clip) => make("article", {}, make("p", {}, `${clip}, apart by ${number(lines.get(clip).split)} steps`),
    ...stack(lines.get(clip).votes, report.grades), make("button", { type: "button", onclick: () => show(clip) }, "Show"))));
  fill("clips", ["clip", ...report.grades, "can't judge", "apart, steps"], report.clip_lines.map((one) => row("td", [one.clip, ...one.votes, one.unjudged, number(one.split)])));
}

async function show(clip) {
  const response = await fetch(`api/lead-clip?id=${encodeURIComponent(clip)}`);
  if (!response.ok) return;
  setText(byId("film-name"), clip);
  byId("film").showModal();
  player.show({ bitmap: await createImageBitmap(await response.blob()), frames: Number(response.headers.get("x-clip-frames")), fps: Number(response.headers.get("x-clip-fps")) });
}

async function refresh() {
  try {
    const response = await fetch("api/report");
    if (!response.ok) throw new Error((await response.text()).slice(0, 200));
    const report = await response.json();
    document.title = report.title;
    setText(byId("title"), report.title);
    setText(byId("state"), `${report.closed ? "closed" : "open"}, as of ${new Date().toLocaleTimeString()}`);
    figures(report);
    advice(report);
    byId("shares").replaceChildren(...(report.mean.length ? stack(report.mean, report.grades) : [make("p", {}, "No votes yet.")]));
    raters(report);
    clips(report);
    bars(byId("seconds"), report.seconds.map((value, k) => ({ label: `${10 * (k + 1)} %`, value: Math.round(10 * value) / 10 })), " s");
    byId("log").replaceChildren(...report.log.toReversed().map(([t, what]) => make("li", {}, `${new Date(t).toLocaleString()}  ${what}`)));
    fill("refusals", ["minute", "why", "from", "times"], report.refusals.map(([minute, kind, peer, count]) => row("td", [new Date(minute * 60000).toLocaleString(), kind, peer, count])));
  } catch (error) {
    setText(byId("state"), `Not up to date: ${error.message}`);
  }
}

refresh();
setInterval(() => !document.hidden && refresh(), EVERY_MS);
