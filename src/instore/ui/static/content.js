// What bytes are: read up to a bound, and told by what they hold, never by what they are called alone.

import { MOST, inflated } from "./inflate.js";
import { isTar, isZip } from "./shards.js";

/**
 * A response, read: its first bytes, its size, whether these are all, its content type, its time.
 *
 * A result is read to its end, however long: only then is it known to be whole.
 */
export async function readResponse(response, name, began, { toItsEnd }) {
  const announced = Number(response.headers.get("Content-Length") ?? NaN);
  const reader = response.body?.getReader();
  const pieces = [];
  let [kept, size] = [0, 0];
  for (;;) {
    const { done, value } = await next(reader, size);
    if (done) break;
    size += value.length;
    if (kept < MOST) pieces.push(value.subarray(0, MOST - kept));
    kept = Math.min(size, MOST);
    if (!toItsEnd && size >= MOST && announced > size) {
      await reader.cancel();
      break;
    }
  }
  const bytes = await joined(pieces);
  const declared = response.headers.get("Content-Type") ?? "";
  const ms = performance.now() - began;
  return describe({ name, bytes, size: toItsEnd || Number.isNaN(announced) ? size : announced, declared, ms });
}

async function next(reader, size) {
  if (!reader) return { done: true };
  try {
    return await reader.read();
  } catch {
    throw new Error(`The answer broke off after ${size} bytes: it is a part, and not shown. The log may say why.`);
  }
}

export async function readFile(file) {
  const began = performance.now();
  const bytes = await joined([file.slice(0, MOST)]);
  return describe({ name: file.name, bytes, size: file.size, declared: file.type, ms: performance.now() - began });
}

const joined = async (parts) => new Uint8Array(await new Blob(parts).arrayBuffer());

/** A member of an archive, as what it holds. */
export const readMember = (name, bytes) => describe({ name, bytes, size: bytes.length, declared: "", ms: null });

/** Add what the bytes are: `kind` (image, audio, shard, json, table, text, hex), `mime` for a player, a `label`. */
async function describe(content) {
  const isWhole = content.bytes.length === content.size;
  return { ...content, isWhole, ...((isWhole && (await asShard(content.bytes))) || told(content, isWhole)) };
}

/** What is to be said of an archive: its bytes, inflated, are its `archive`; null for anything else. */
async function asShard(bytes) {
  if (isZip(bytes)) return { kind: "shard", mime: "", label: "ZIP archive", archive: bytes };
  if (isTar(bytes)) return { kind: "shard", mime: "", label: "tar archive", archive: bytes };
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return null;
  const archive = await inflated(bytes, "gzip").catch(() => null); // what can't be inflated is shown as its bytes
  return archive && isTar(archive) ? { kind: "shard", mime: "", label: "tar archive, gzip", archive } : null;
}

const ascii = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));

const SIGNATURES = [
  // [kind, mime, label, test]
  ["image", "image/png", "PNG picture", (b) => ascii(b, 0, 8) === "\x89PNG\r\n\x1a\n"],
  ["image", "image/jpeg", "JPEG picture", (b) => ascii(b, 0, 3) === "\xff\xd8\xff"],
  ["image", "image/gif", "GIF picture", (b) => /^GIF8[79]a/.test(ascii(b, 0, 6))],
  ["image", "image/webp", "WebP picture", (b) => /^RIFF[^]{4}WEBP/.test(ascii(b, 0, 12))],
  ["image", "image/avif", "AVIF picture", (b) => /^ftypavi[fs]/.test(ascii(b, 4, 12))],
  ["image", "image/bmp", "BMP picture", (b) => ascii(b, 0, 2) === "BM" && b.length > 26 && !b[7] && !b[8] && !b[9]],
  ["audio", "audio/wav", "WAV audio", (b) => /^RIFF[^]{4}WAVE/.test(ascii(b, 0, 12))],
  ["audio", "audio/ogg", "Ogg audio", (b) => ascii(b, 0, 4) === "OggS"],
  ["audio", "audio/flac", "FLAC audio", (b) => ascii(b, 0, 4) === "fLaC"],
  ["audio", "audio/mp4", "MPEG-4 audio", (b) => /^ftypM4A/.test(ascii(b, 4, 12))],
  ["audio", "audio/mpeg", "MP3 audio", (b) => ascii(b, 0, 3) === "ID3" || (b[0] === 0xff && (b[1] & 0xe6) === 0xe2)],
];

function told({ name, bytes, declared }, isWhole) {
  if (!bytes.length) return { kind: "text", mime: "", label: "empty", text: "" };
  const found = isWhole && SIGNATURES.find(([, , , test]) => test(bytes));
  if (found) return { kind: found[0], mime: found[1], label: found[2] };
  const text = asText(bytes, isWhole);
  if (text === null) return { kind: "hex", mime: "", label: "binary" };
  if (isWhole && /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^]*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]/i.test(text))
    return { kind: "image", mime: "image/svg+xml", label: "SVG picture", text };
  if (isWhole && /^\s*[[{]/.test(text)) {
    try {
      return { kind: "json", mime: "", label: "JSON", text: JSON.stringify(JSON.parse(text), null, 2) };
    } catch {
      // It only begins like JSON: it is shown as the text that it is.
    }
  }
  const separator = /\.tsv$/i.test(name) || /tab-separated/.test(declared) ? "\t" : ",";
  if (/\.[ct]sv$/i.test(name) || /^text\/(csv|tab-separated-values)/.test(declared))
    return { kind: "table", mime: "", label: separator === "," ? "CSV" : "TSV", text, separator };
  return { kind: "text", mime: "", label: "text", text };
}

/** UTF-8 without control characters, or null. */
function asText(bytes, isWhole) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: !isWhole });
    return /[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text.slice(0, 100_000)) ? null : text;
  } catch {
    return null;
  }
}
