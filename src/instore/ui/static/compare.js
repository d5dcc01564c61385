// Before and after, side by side. Nothing that an object holds becomes markup or script.

import { readMember } from "./content.js";
import { element, readableSize, save } from "./elements.js";
import { changed, rows } from "./lines.js";
import { membersOf } from "./shards.js";
import { waveform } from "./waveform.js";

const SHOWN_LINES = 1000;
const SHOWN_ROWS = 200;
const SHOWN_MEMBERS = 500;
const SHOWN_HEX = 1024;

let urls = [];

/** Show one or two contents in `place`, in the place of what was shown there. */
export function show(place, before, after) {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  const bodies = after ? both(before, after) : [body(before)];
  const sides = [side("Before", before, bodies[0])];
  if (after) sides.push(side("After", after, bodies[1]));
  place.replaceChildren(element("div", { class: "sides" }, ...sides));
  if (after && before.kind === "image" && after.kind === "image") place.append(slider(before, after));
}

function side(title, content, shown) {
  const heading = element("h3", {}, title);
  const facts = element("p", { class: "facts" }, factsOf(content));
  const part = element("section", { class: "side", "aria-label": title }, heading, facts, shown);
  if (content.isWhole) {
    const keep = () => save([content.bytes], content.name);
    part.append(
      element("button", { type: "button", "aria-label": `Save ${title.toLowerCase()}`, onclick: keep }, "Save"),
    );
  }
  return part;
}

function factsOf({ size, label, declared, ms, isWhole, bytes }) {
  const beginning = isWhole ? "" : `only the first ${readableSize(bytes.length)} are looked at`;
  return [
    readableSize(size),
    beginning,
    label,
    declared && `said to be ${declared}`,
    ms !== null && `${ms.toFixed(ms < 10 ? 1 : 0)} ms`,
  ]
    .filter(Boolean)
    .join(" · ");
}

const isText = ({ kind }) => kind === "text" || kind === "json";

function both(before, after) {
  if (isText(before) && isText(after)) {
    const texts = [before, after].map(linesOf);
    const marks = changed(...texts);
    return texts.map((lines, i) => textView(lines, marks[i], ["del", "ins"][i]));
  }
  if (before.kind === "table" && after.kind === "table") {
    const tables = [before, after].map(({ text, separator }) => rows(text, separator));
    const marks = changed(...tables.map((table) => table.map((row) => JSON.stringify(row))));
    return tables.map((table, i) => tableView(table, marks[i], ["del", "ins"][i]));
  }
  if (before.kind === "shard" && after.kind === "shard") return shardsView([before, after]);
  return [body(before), body(after)];
}

function body(content) {
  if (content.kind === "image") return pictureView(content);
  if (content.kind === "audio") return audioView(content);
  if (content.kind === "shard") return shardsView([content])[0];
  if (content.kind === "table") return tableView(rows(content.text, content.separator), new Set(), "ins");
  return isText(content) ? textView(linesOf(content), new Set(), "ins") : hexView(content);
}

function urlOf({ bytes, mime }) {
  urls.push(URL.createObjectURL(new Blob([bytes], { type: mime })));
  return urls.at(-1);
}

function pictureView(content) {
  const picture = element("img", { src: urlOf(content), alt: content.name });
  const caption = element("figcaption");
  const figure = element("figure", {}, picture, caption);
  picture.addEventListener("load", () => {
    caption.textContent = `${picture.naturalWidth} × ${picture.naturalHeight} pixels`;
  });
  picture.addEventListener("error", () => {
    caption.textContent = "The browser can't show this picture; these are its bytes.";
    picture.replaceWith(hexView(content));
  });
  return figure;
}

function audioView(content) {
  const player = element("audio", { controls: true, src: urlOf(content) });
  return element("div", {}, waveform(content.bytes), player);
}

/** The members of one or two archives; of two, those are marked that differ in name or size. */
function shardsView(contents) {
  const listings = contents.map(({ archive }) => {
    try {
      return membersOf(archive);
    } catch (error) {
      return error.message;
    }
  });
  const lines = listings.map((members) => (Array.isArray(members) ? members : []).map(({ name, size }) => `${size} ${name}`));
  const marks = lines.length === 2 ? changed(...lines) : [new Set()];
  return listings.map((members, i) =>
    Array.isArray(members) ? shardView(members, marks[i], ["del", "ins"][i]) : element("p", { class: "error" }, members),
  );
}

function shardView(members, marks, tag) {
  const opened = element("div", { "aria-live": "polite" });
  const row = (member, i) =>
    element(
      "tr",
      marks.has(i) ? { class: "changed" } : {},
      marked("th", member.name, marks.has(i), tag),
      marked("td", readableSize(member.size), marks.has(i), tag),
      element("td", { class: "buttons" }, openButton(member, opened)),
    );
  const table = element("table", {}, ...members.slice(0, SHOWN_MEMBERS).map(row));
  const list = element("div", { class: "scrolled", tabindex: 0, role: "group", "aria-label": "Members" }, table);
  return element("div", {}, withRest(list, members.length, SHOWN_MEMBERS, "members"), opened);
}

function openButton(member, place) {
  const open = async () => {
    try {
      const content = await readMember(member.name, await member.open());
      const facts = element("p", { class: "facts" }, factsOf(content));
      place.replaceChildren(element("h4", {}, member.name), facts, body(content));
    } catch (error) {
      place.replaceChildren(element("p", { class: "error", role: "alert" }, `${member.name}: ${error.message}`));
    }
  };
  return element("button", { type: "button", "aria-label": `Open ${member.name}`, onclick: open }, "Open");
}

function slider(before, after) {
  const above = element("img", { src: urlOf(after), alt: "", class: "above" });
  const frame = element("div", { class: "frame" }, element("img", { src: urlOf(before), alt: "" }), above);
  const limits = { min: 0, max: 100, value: 50 };
  const range = element("input", { type: "range", ...limits, "aria-label": "Before and after" });
  range.addEventListener("input", () => frame.style.setProperty("--at", `${range.value}%`));
  const label = element("label", {}, "Left of the line is before, right of it after ", range);
  return element("section", { class: "slider", "aria-label": "Both pictures in one" }, frame, label);
}

function linesOf({ text }) {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function textView(lines, marks, tag) {
  const shown = lines.slice(0, SHOWN_LINES).map((line, i) => marked("li", line.slice(0, 10_000), marks.has(i), tag));
  const view = element("ol", { class: "lines", tabindex: 0, "aria-label": "Lines" }, ...shown);
  return withRest(view, lines.length, SHOWN_LINES, "lines");
}

function marked(outer, text, isChanged, tag) {
  return isChanged ? element(outer, { class: "changed" }, element(tag, {}, text)) : element(outer, {}, text);
}

function tableView(table, marks, tag) {
  const shown = table.slice(0, SHOWN_ROWS).map((row, i) => {
    const cells = row.map((cell) => marked(i ? "td" : "th", cell.slice(0, 1000), marks.has(i), tag));
    return element("tr", marks.has(i) ? { class: "changed" } : {}, ...cells);
  });
  const view = element(
    "div",
    { class: "scrolled", tabindex: 0, role: "group", "aria-label": "Table" },
    element("table", {}, ...shown),
  );
  return withRest(view, table.length, SHOWN_ROWS, "rows");
}

function withRest(view, count, most, what) {
  if (count <= most) return view;
  return element("div", {}, view, element("p", { class: "facts" }, `The first ${most} of ${count} ${what} are shown.`));
}

function hexView({ bytes, size }) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, SHOWN_HEX); at += 16) {
    const piece = [...bytes.subarray(at, Math.min(at + 16, SHOWN_HEX))];
    const hex = piece.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const signs = piece.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${signs}`);
  }
  const view = element("pre", { class: "hex", tabindex: 0, role: "group", "aria-label": "Bytes" }, lines.join("\n"));
  return withRest(view, size, SHOWN_HEX, "bytes");
}

/** Tell an error in `place`: its sentence, and logs (pairs of a title and a text). */
export function showError(place, sentence, logs = []) {
  const parts = [element("p", { class: "error", role: "alert" }, sentence)];
  parts.push(...logs.flatMap(logView));
  place.append(element("section", { class: "failure", "aria-label": "Error" }, ...parts));
}

/** A log with its title. */
export function logView([title, text]) {
  const options = { class: "log", tabindex: 0, role: "group", "aria-label": title };
  return [element("h3", {}, title), element("pre", options, text || "The log is empty.")];
}
