// One object or file through ETLs: before and after.

import * as api from "./api.js";
import { Arguments } from "./arguments.js";
import { show, showError } from "./compare.js";
import { readFile, readResponse } from "./content.js";
import { actAfter, busy, byId, fillSelect, onDrop, readableSize, teller } from "./elements.js";
import { Listing } from "./listing.js";
import { Steps } from "./steps.js";

const LOG_LINES = 20;

const say = teller(byId("try-status"));
const objects = byId("try-objects");
const fileField = byId("try-file");
const args = new Arguments(byId("try-arguments"));
const steps = new Steps(byId("try-steps"), () => actAfter(offerArguments()));
const listing = new Listing("try", showObjects, say);
let chosen = null; // {name, title, file} or {name, title, bucket}

/** A form for one ETL; several get the same text. */
async function offerArguments() {
  const wanted = steps.names;
  const schema = wanted.length === 1 ? await api.argumentsOf(wanted[0]) : null;
  if (String(wanted) === String(steps.names)) args.offer(schema);
}

function showObjects(found) {
  fillSelect(
    objects,
    found.map(({ name, size }) => [name, `${name} (${readableSize(size)})`]),
  );
}

function choose(what) {
  chosen = what;
  byId("try-chosen").textContent = what.title;
}

function chooseFile([file]) {
  if (!file) return;
  objects.selectedIndex = -1;
  choose({ name: file.name, title: `the file ${file.name}`, file });
}

objects.addEventListener("change", () => {
  const { bucket } = listing;
  fileField.value = "";
  choose({ name: objects.value, title: `${api.title(bucket)}/${objects.value}`, bucket });
});
fileField.addEventListener("change", (event) => chooseFile([...event.target.files]));
onDrop(byId("try-drop"), chooseFile);
byId("try-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(byId("try-run"), run, say);
});

async function run() {
  const place = byId("try-result");
  place.replaceChildren();
  if (!chosen) throw new Error("Choose an object or a file first.");
  const used = steps.names;
  if (!used.length) throw new Error("There is no ETL to run; make one with AIStore's client, by init_class.");
  say("Running…");
  const before = await read(chosen);
  show(place, before);
  try {
    const after = await transformed(chosen, used, args.value);
    show(place, before, after);
    say(`${chosen.title} through ${used.join(", ")}: ${readableSize(before.size)} became ${readableSize(after.size)}.`);
  } catch (error) {
    say("It failed.", true);
    showError(place, error.message, await logsOf(used));
    args.showError(error.message);
  }
}

async function read({ bucket, name, file }) {
  if (file) return readFile(file);
  const began = performance.now();
  return readResponse(await api.readObject(bucket, name), name, began, { toItsEnd: false });
}

async function transformed({ bucket, name, file }, used, text) {
  if (!file) return through(bucket, name, used, text);
  const scratch = { name: api.SCRATCH };
  const lent = `${crypto.getRandomValues(new Uint32Array(2)).join("-")}/${name}`;
  await api.createBucket(api.SCRATCH, true);
  await api.putObject(scratch, lent, file);
  try {
    return await through(scratch, lent, used, text);
  } finally {
    await api
      .deleteObject(scratch, lent)
      .catch((error) => console.warn(`${lent} is left in ${api.SCRATCH}: ${error.message}`));
  }
}

async function through(bucket, name, used, text) {
  const began = performance.now();
  return readResponse(await api.readObject(bucket, name, used, text), name, began, { toItsEnd: true });
}

async function logsOf(used) {
  const found = await Promise.allSettled(used.map((name) => api.logs(name, LOG_LINES)));
  return found.flatMap(({ value }) => value ?? []);
}

/** Read buckets and ETLs anew. */
export async function open() {
  steps.offer(await api.etls());
  await offerArguments();
  await listing.open();
}
