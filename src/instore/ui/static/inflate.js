// Compressed bytes, inflated up to a bound.

/** Bytes that are kept of an object or a member for showing it. */
export const MOST = 32 << 20;

/** `format`: of the browser's DecompressionStream. What is damaged or too long is an `Error` with a sentence. */
export async function inflated(bytes, format) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format)).getReader();
  const pieces = [];
  for (let size = 0; ; ) {
    const { done, value } = await reader.read().catch(() => {
      throw new Error("The compressed bytes are damaged.");
    });
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    size += value.length;
    if (size > MOST) {
      await reader.cancel();
      throw new Error(`It is longer than ${MOST >> 20} MiB, and not shown.`);
    }
    pieces.push(value);
  }
}
