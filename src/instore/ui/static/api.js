// The node's API, as the page asks it.

/** An answer that reports an error; `message` is its sentence. */
export class AnswerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Ask, and give the response; an error's answer is thrown. */
export async function send(method, path, query = {}, body = undefined) {
  const given = Object.entries(query).filter(([, value]) => value);
  const url = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  let response;
  try {
    response = await fetch(url, {
      method,
      body,
      headers: { "Instore-Page": "1" },
      cache: "no-store",
      redirect: "error",
    });
  } catch {
    throw new AnswerError("The server can't be reached. Is it still running?", 0);
  }
  if (!response.ok) throw new AnswerError(sentence(await response.text(), response.status), response.status);
  return response;
}

function sentence(text, status) {
  try {
    return JSON.parse(text).message || text;
  } catch {
    return text || `The answer has status ${status} and no sentence.`;
  }
}

/** Ask what other clients ask by a GET with a body. */
const ask = async (path, query, message) =>
  (await send("POST", `/ui/ask${path}`, query, JSON.stringify(message))).json();

const escaped = (name) => name.split("/").map(encodeURIComponent).join("/");
const pathOf = (bucket) => `/v1/buckets/${encodeURIComponent(bucket.name)}`;
const objectPath = (bucket, name) => `/v1/objects/${encodeURIComponent(bucket.name)}/${escaped(name)}`;
const space = (bucket) => `@#${bucket.namespace?.name ?? ""}`;
const query = (bucket) => ({ provider: "ais", namespace: space(bucket) });
const action = (name, value) => JSON.stringify({ action: name, value });

/** A bucket's name for a person. */
export const title = (bucket) => `ais://${bucket.namespace?.name ? `${space(bucket)}/` : ""}${bucket.name}`;

/** The bucket in which the page lends files to ETLs. */
export const SCRATCH = "page-files";

export const buckets = () => ask("/v1/buckets", {}, { action: "list" });

export async function createBucket(name, mayExist = false) {
  try {
    await send("POST", pathOf({ name }), query({ name }), action("create-bck"));
  } catch (error) {
    if (!mayExist || error.status !== 409) throw error;
  }
}

/** One page of a bucket's objects: `{objects: [{name, size}], next}`. */
export async function objects(bucket, prefix, after, pagesize) {
  const value = { prefix, pagesize, props: "name,size", continuation_token: after };
  const page = await ask(pathOf(bucket), query(bucket), { action: "list", value });
  const found = page.entries.map(({ name, size }) => ({ name, size: Number(size ?? 0) }));
  return { objects: found, next: page.continuation_token };
}

export const putObject = (bucket, name, file) => send("PUT", objectPath(bucket, name), query(bucket), file);
export const deleteObject = (bucket, name) => send("DELETE", objectPath(bucket, name), query(bucket));

/** Read an object, through `etls` if these are given. */
export function readObject(bucket, name, etls = [], etl_args = "") {
  const [etl_name, ...rest] = etls;
  return send("GET", objectPath(bucket, name), { ...query(bucket), etl_name, etl_args, etl_pipeline: rest.join(",") });
}

export const etls = async () => (await send("GET", "/v1/etl")).json();

/** A JSON Schema of what an ETL's class takes; null where that is a text, or isn't known. */
export async function argumentsOf(name) {
  try {
    return await (await send("GET", `/v1/etl/${encodeURIComponent(name)}/arguments`)).json();
  } catch {
    return null; // an ETL that doesn't run, or a node that answers as AIStore does: the field for a text is right
  }
}

export const changeETL = (name, verb) => send("POST", `/v1/etl/${encodeURIComponent(name)}/${verb}`);
export const deleteETL = (name) => send("DELETE", `/v1/etl/${encodeURIComponent(name)}`);

/** The last lines of an ETL's logs: pairs of a title and a text, one for each target. */
export async function logs(name, lines) {
  const found = await (await send("GET", `/v1/etl/${encodeURIComponent(name)}/logs`)).json();
  return found.map(({ target_id, logs: encoded }) => [
    `Log of ${name}, target ${target_id}`,
    lastLines(encoded, lines),
  ]);
}

function lastLines(encoded, lines) {
  const bytes = Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));
  return new TextDecoder().decode(bytes).trimEnd().split("\n").slice(-lines).join("\n");
}

/** The errors of a job's objects: pairs of an object and a sentence. */
export async function jobErrors(etl, uuid) {
  const view = await (await send("GET", `/v1/etl/${encodeURIComponent(etl)}`, { uuid })).json();
  return (view.obj_errors ?? []).map(({ obj_name, msg }) => [obj_name, msg]);
}

/** Begin a job over a bucket; its id. */
export async function transformBucket(source, destination, steps, options) {
  const [id, ...pipeline] = steps;
  const to = { ...query(source), bck_to: `ais/@#/${destination}/` };
  return (await send("POST", pathOf(source), to, action("etl-bck", { id, pipeline, ...options }))).text();
}

export const stopJob = (id) => send("PUT", "/v1/cluster", {}, action("stop", { ID: id }));

/** All jobs, the newest first. Counts are sums over targets. */
export async function jobs(id = "") {
  const of = Object.values(await ask("/v1/cluster", { what: "qryxstats" }, id ? { ID: id } : {}));
  const found = new Map();
  for (const snapshot of of.flat()) {
    const job = found.get(snapshot.id) ?? { ...snapshot, objects: 0, bytes: 0 };
    job.objects += Number(snapshot.stats["loc-objs"]) + Number(snapshot.stats["out-objs"] ?? 0);
    job.bytes += Number(snapshot.stats["loc-bytes"]) + Number(snapshot.stats["out-bytes"] ?? 0);
    found.set(snapshot.id, job);
  }
  return [...found.values()].sort((a, b) => b["start-time"].localeCompare(a["start-time"]));
}

const MOST_COUNTED = 100_000;

/** How many objects a bucket has; null for very many, which take too long to count. */
export async function countObjects(bucket, prefix) {
  let [count, after] = [0, ""];
  do {
    const value = { prefix, props: "name", continuation_token: after };
    const page = await ask(pathOf(bucket), query(bucket), { action: "list", value });
    count += page.entries.length;
    after = page.continuation_token;
  } while (after && count < MOST_COUNTED);
  return after ? null : count;
}
