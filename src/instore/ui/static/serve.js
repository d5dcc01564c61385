// The page of one transform: a file, before and after.

import { send } from "./api.js";
import { Arguments } from "./arguments.js";
import { show, showError } from "./compare.js";
import { readFile, readResponse } from "./content.js";
import { busy, byId, onDrop, readableSize, teller } from "./elements.js";

const say = teller(byId("try-status"));
const args = new Arguments(byId("try-arguments"));
let chosen = null;

function choose([file]) {
  if (!file) return;
  chosen = file;
  byId("try-chosen").textContent = `the file ${file.name}`;
}

byId("try-file").addEventListener("change", (event) => choose([...event.target.files]));
onDrop(byId("try-drop"), choose);
byId("try-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(byId("try-run"), run, say);
});

async function run() {
  const place = byId("try-result");
  place.replaceChildren();
  if (!chosen) throw new Error("Choose a file first.");
  say("Running…");
  const before = await readFile(chosen);
  show(place, before);
  try {
    const after = await transformed(chosen, args.value);
    show(place, before, after);
    say(`${chosen.name}: ${readableSize(before.size)} became ${readableSize(after.size)}.`);
  } catch (error) {
    say("It failed.", true);
    showError(place, error.message);
    args.showError(error.message);
  }
}

async function transformed(file, etl_args) {
  const began = performance.now();
  const response = await send("PUT", `/page/${encodeURIComponent(file.name)}`, { etl_args }, file);
  return readResponse(response, file.name, began, { toItsEnd: true });
}

const about = await (await send("GET", "/ui/about.json")).json();
args.offer(await (await send("GET", "/arguments")).json());
document.title = `${about.name} – instore`;
byId("name").textContent = about.name;
byId("about").textContent = about.about;
