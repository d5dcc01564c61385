// Jobs over whole buckets: their start, their progress, the errors of their objects.

import * as api from "./api.js";
import { actionButton, busy, byId, element, readableCount, readableSize, teller } from "./elements.js";
import { BucketChoice } from "./listing.js";
import { Steps } from "./steps.js";

const POLL = 500; // milliseconds
const SHOWN_ERRORS = 100;
const SUMMARY = "summary-bck"; // not of interest to a person

const say = teller(byId("jobs-status"));
const source = new BucketChoice(byId("jobs-bucket"));
const steps = new Steps(byId("jobs-steps"));
let watched = null; // {id, used, total}; of a job that was not begun here, the id alone

byId("jobs-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(byId("jobs-start"), start, say);
});

async function start() {
  const prefix = byId("jobs-prefix").value;
  const destination = byId("jobs-destination").value.trim();
  const used = steps.names;
  if (!source.bucket) throw new Error("There is no bucket to transform; make one under Buckets.");
  if (!destination) throw new Error("Name the bucket for the results; it is made if it isn't there.");
  if (!used.length) throw new Error("There is no ETL to run; make one with AIStore's client, by init_class.");
  say("Counting the objects…");
  const total = await api.countObjects(source.bucket, prefix);
  const options = {
    prefix,
    prepend: byId("jobs-prepend").value,
    ext: extensions(),
    coer: byId("jobs-continue").checked,
  };
  const id = await api.transformBucket(source.bucket, destination, used, options);
  say(`Job ${id} has begun.`);
  watch({ id, used, total });
}

function extensions() {
  const text = byId("jobs-ext").value.trim();
  if (!text) return {};
  const pairs = text.split(/[\s,]+/).map((pair) => pair.split(":"));
  if (pairs.some((pair) => pair.length !== 2 || !pair[0] || !pair[1]))
    throw new Error(`New extensions are written OLD:NEW, as in png:jpg; "${text}" is not.`);
  return Object.fromEntries(pairs);
}

function watch(what) {
  watched = what;
  byId("job").hidden = false;
  byId("job-heading").textContent = `Job ${what.id}`;
  byId("job-errors").replaceChildren();
  follow(watched).catch((error) => say(error.message, true));
}

async function follow(job) {
  while (watched === job) {
    const [state] = await api.jobs(job.id);
    const errors = await errorsOf(job);
    if (watched !== job) return;
    showState(job, state, errors);
    if (state.is_idle) {
      say(`Job ${job.id}: ${byId("job-state").textContent}`, Boolean(state.err));
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  await showAll();
}

/** The errors of a job's objects; of one that was not begun here, wherever they are kept. */
async function errorsOf({ id, used }) {
  const keepers = used ? used.slice(0, 1) : (await api.etls()).map((etl) => etl.id);
  const found = await Promise.all(keepers.map((etl) => api.jobErrors(etl, id)));
  return found.find((errors) => errors.length) ?? [];
}

function showState(job, state, errors) {
  const end = state.is_idle ? Date.parse(state["end-time"]) : Date.now();
  const seconds = (end - Date.parse(state["start-time"])) / 1000;
  const done = state.objects + errors.length;
  const progress = byId("job-progress");
  if (job.total === undefined || job.total === null) progress.removeAttribute("value");
  else [progress.max, progress.value] = [Math.max(job.total, 1), job.total ? done : 1];
  progress.hidden = state.is_idle && progress.value < progress.max;
  byId("job-state").textContent = [
    stateOf(state),
    `${readableCount(state.objects)}${job.total ? ` of ${readableCount(job.total)}` : ""} objects`,
    readableSize(state.bytes),
    seconds > 0 && `${(state.objects / seconds).toPrecision(3)} objects/s`,
    seconds > 0 && `${readableSize(Math.round(state.bytes / seconds))}/s`,
    errors.length > 0 && `${readableCount(errors.length)} failed`,
  ]
    .filter(Boolean)
    .join(" · ");
  byId("job-error").textContent = errors.length ? "" : (state.err ?? "");
  showErrors(errors);
}

function stateOf({ is_idle, aborted, err }) {
  if (!is_idle) return "Running";
  if (aborted) return "Aborted";
  return err ? "Finished with errors" : "Finished";
}

function showErrors(errors) {
  const list = byId("job-errors");
  if (Number(list.dataset.count ?? 0) === errors.length && list.childElementCount) return;
  list.dataset.count = errors.length;
  const shown = errors.slice(0, SHOWN_ERRORS);
  const lines = shown.map(([name, message]) => element("li", {}, element("b", {}, name), `: ${message}`));
  if (errors.length > SHOWN_ERRORS) lines.push(element("li", {}, `and ${errors.length - SHOWN_ERRORS} more`));
  list.replaceChildren(...lines);
}

async function showAll() {
  const found = (await api.jobs()).filter(({ kind }) => kind !== SUMMARY);
  byId("jobs-none").hidden = found.length > 0;
  byId("jobs-table").hidden = found.length === 0;
  byId("jobs-rows").replaceChildren(...found.map(row));
}

function row(job) {
  const buckets = [job["src-bck"], job["dst-bck"]].filter(Boolean).map(api.title).join(" → ");
  const buttons = [actionButton("Watch", job.id, async () => watch({ id: job.id }), say)];
  if (!job.is_idle) buttons.push(actionButton("Stop", job.id, () => api.stopJob(job.id).then(showAll), say));
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, job.id),
    element("td", {}, job.kind),
    element("td", {}, buckets),
    element("td", {}, stateOf(job)),
    element("td", {}, readableCount(job.objects)),
    element("td", {}, readableSize(job.bytes)),
    element("td", { class: "buttons" }, ...buttons),
  );
}

export async function open() {
  steps.offer(await api.etls());
  await source.load();
  byId("jobs-buckets").replaceChildren(...source.buckets.map(({ name }) => element("option", { value: name })));
  await showAll();
}
