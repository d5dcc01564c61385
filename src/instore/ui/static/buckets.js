// Buckets and their objects.

import * as api from "./api.js";
import { actionButton, busy, byId, element, onDrop, readableSize, save, teller } from "./elements.js";
import { Listing } from "./listing.js";

const say = teller(byId("buckets-status"));
const listing = new Listing("buckets", showObjects, say);

function showObjects(found) {
  byId("buckets-table").hidden = found.length === 0;
  byId("buckets-rows").replaceChildren(...found.map(row));
}

function row({ name, size }) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, name),
    element("td", {}, readableSize(size)),
    element(
      "td",
      { class: "buttons" },
      actionButton("Download", name, () => download(name), say),
      actionButton("Delete", name, () => remove(name), say),
    ),
  );
}

async function download(name) {
  save([await (await api.readObject(listing.bucket, name)).blob()], name);
}

async function remove(name) {
  if (!confirm(`Delete ${api.title(listing.bucket)}/${name}?`)) return;
  await api.deleteObject(listing.bucket, name);
  await listing.reload();
  say(`${name} is deleted.`);
  byId("buckets-prefix").focus();
}

async function create() {
  const field = byId("buckets-name");
  const name = field.value.trim();
  await api.createBucket(name);
  field.value = "";
  await listing.choice.load();
  listing.choice.select.value = listing.choice.buckets.findIndex((bucket) => api.title(bucket) === api.title({ name }));
  await listing.load();
  say(`The bucket ${name} is made.`);
}

async function upload(files) {
  const { bucket } = listing;
  if (!bucket) throw new Error("There is no bucket to put them into; make one first.");
  for (const [i, file] of files.entries()) {
    say(`Uploading ${file.name}, ${i + 1} of ${files.length}…`);
    await api.putObject(bucket, file.name, file);
  }
  say(`${files.length} file${files.length === 1 ? "" : "s"} uploaded into ${api.title(bucket)}.`);
  await listing.load();
}

const take = (files) => upload(files).catch((error) => say(error.message, true));

byId("buckets-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(byId("buckets-create"), create, say);
});
byId("buckets-file").addEventListener("change", async (event) => {
  await take([...event.target.files]);
  event.target.value = "";
});
onDrop(byId("buckets-drop"), take);

export const open = () => listing.open();
