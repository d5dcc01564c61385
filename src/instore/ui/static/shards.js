// Archives whose members are objects: what is in them, and one member's bytes.

import { inflated } from "./inflate.js";

const BLOCK = 512;
const ascii = (bytes) => String.fromCharCode(...bytes);
const utf8 = (bytes) => new TextDecoder().decode(bytes);
const upToNull = (bytes) => utf8(bytes).split("\0", 1)[0];

/** Whether bytes begin as an archive does; a compressed one is inflated first. */
export const isTar = (bytes) => bytes.length >= BLOCK && ascii(bytes.subarray(257, 262)) === "ustar";
export const isZip = (bytes) => ["PK\x03\x04", "PK\x05\x06"].includes(ascii(bytes.subarray(0, 4)));

/**
 * The files in an archive: `{name, size, open}`, where `open()` gives the bytes.
 *
 * Throws an `Error` whose sentence says what is wrong with the archive.
 */
export const membersOf = (bytes) => (isZip(bytes) ? zipMembers(bytes) : tarMembers(bytes));

function tarMembers(bytes) {
  const found = [];
  let more = {};
  for (let at = 0; at + BLOCK <= bytes.length && bytes[at]; ) {
    const head = bytes.subarray(at, at + BLOCK);
    const kind = String.fromCharCode(head[156] || 48);
    const size = Number(kind === "x" ? tarNumber(head) : (more.size ?? tarNumber(head)));
    const [start, end] = [at + BLOCK, at + BLOCK + size];
    if (!(end <= bytes.length)) throw new Error(`The archive breaks off in its member ${found.length + 1}.`);
    const body = bytes.subarray(start, end);
    if (kind === "x") more = paxRecords(body);
    else if (kind === "L") more = { ...more, path: upToNull(body) };
    else {
      if (kind === "0" || kind === "7") found.push({ name: more.path ?? tarName(head), size, open: async () => body });
      more = {};
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return found;
}

/** Octal digits, or a number to the base of 256. */
function tarNumber(head) {
  const field = head.subarray(124, 136);
  if (field[0] & 0x80) return field.subarray(4).reduce((number, byte) => number * 256 + byte, 0);
  return parseInt(ascii(field), 8) || 0;
}

function tarName(head) {
  const prefix = head[262] === 0 ? upToNull(head.subarray(345, 500)) : "";
  return (prefix ? `${prefix}/` : "") + upToNull(head.subarray(0, 100));
}

/** Records such as `12 path=a/b`, each as long as its number says. */
function paxRecords(body) {
  const found = {};
  for (let at = 0; at < body.length; ) {
    const length = parseInt(ascii(body.subarray(at, at + 12)), 10);
    if (!(length > 0)) break;
    const [, name, value] = /^\d+ ([^=]*)=([^]*)\n$/.exec(utf8(body.subarray(at, at + length))) ?? [];
    if (name) found[name] = value;
    at += length;
  }
  return found;
}

function zipMembers(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOfZip(view);
  if (end === null) throw new Error("The archive breaks off: it has no directory.");
  const found = [];
  let at = view.getUint32(end + 16, true);
  try {
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
      const [method, packed, size] = [view.getUint16(at + 10, true), ...[20, 24].map((i) => view.getUint32(at + i, true))];
      const [nameLength, extra, comment] = [28, 30, 32].map((i) => view.getUint16(at + i, true));
      const name = utf8(bytes.subarray(at + 46, at + 46 + nameLength));
      const place = view.getUint32(at + 42, true);
      if (!name.endsWith("/")) found.push({ name, size, open: () => zipMember(bytes, view, place, packed, method) });
      at += 46 + nameLength + extra + comment;
    }
  } catch {
    throw new Error("The archive's directory is damaged, or of a kind that the page can't read (ZIP64).");
  }
  return found;
}

/** Where a ZIP's last record begins, which a comment may follow. */
function endOfZip(view) {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 65_557); at--)
    if (view.getUint32(at, true) === 0x06054b50) return at;
  return null;
}

async function zipMember(bytes, view, place, packed, method) {
  const start = place + 30 + view.getUint16(place + 26, true) + view.getUint16(place + 28, true);
  const body = bytes.subarray(start, start + packed);
  if (method === 0) return body;
  if (method === 8) return inflated(body, "deflate-raw");
  throw new Error(`The member is compressed by method ${method}, which the page can't read.`);
}
