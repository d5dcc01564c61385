// Which lines two texts do not share.

const MOST_CELLS = 4_000_000;

/** For two lists of lines, which of each are not in the longest list that both hold in this order. */
export function changed(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let [endBefore, endAfter] = [before.length, after.length];
  while (endBefore > start && endAfter > start && before[endBefore - 1] === after[endAfter - 1]) {
    endBefore--;
    endAfter--;
  }
  const marks = [new Set(), new Set()];
  for (let i = start; i < endBefore; i++) marks[0].add(i);
  for (let i = start; i < endAfter; i++) marks[1].add(i);
  for (const [i, j] of common(before.slice(start, endBefore), after.slice(start, endAfter))) {
    marks[0].delete(start + i);
    marks[1].delete(start + j);
  }
  return marks;
}

/** Pairs of places of the lines that both have; none where that would take too long to find. */
function common(before, after) {
  const width = after.length + 1;
  if ((before.length + 1) * width > MOST_CELLS) return [];
  const longest = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      longest[i * width + j] =
        before[i] === after[j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  const pairs = [];
  for (let i = 0, j = 0; i < before.length && j < after.length;) {
    if (before[i] === after[j]) pairs.push([i++, j++]);
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
    else j++;
  }
  return pairs;
}

/** The rows of a table as lists of cells; quoted cells may hold separators, quotes and line ends. */
export function rows(text, separator) {
  const found = [];
  let [row, cell, quoted] = [[], "", false];
  const endCell = () => {
    row.push(cell);
    cell = "";
  };
  const endRow = () => {
    endCell();
    found.push(row);
    row = [];
  };
  for (let i = 0; i < text.length; i++) {
    const sign = text[i];
    if (quoted && sign === '"' && text[i + 1] === '"') cell += text[++i];
    else if (sign === '"' && (quoted || cell === "")) quoted = !quoted;
    else if (quoted) cell += sign;
    else if (sign === separator) endCell();
    else if (sign === "\n") endRow();
    else if (sign !== "\r" || text[i + 1] !== "\n") cell += sign;
  }
  if (cell !== "" || row.length) endRow();
  return found;
}
