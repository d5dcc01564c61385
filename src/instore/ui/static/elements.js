// Elements of the page. Texts become text nodes, never markup.

/** Make an element; `attributes` may hold event listeners under `onclick` and the like. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A button that is off while what it does is under way; an error goes to `say`. */
export function actionButton(label, name, action, say) {
  const button = element("button", { type: "button", "aria-label": `${label} ${name}` }, label);
  button.addEventListener("click", () => busy(button, action, say));
  return button;
}

let opening = Promise.resolve(); // what the shown view still reads

/** Have every action wait until the view's lists are there: an empty list that is being read says nothing. */
export function actAfter(reading) {
  opening = Promise.allSettled([opening, reading]); // whoever reads tells its error
  return reading;
}

/** Run `action` with `button` off, and tell its error. A focus that the button had comes back to it. */
export async function busy(button, action, say) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    await opening;
    await action();
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

/** A function that tells a sentence in `line`, as an error or not. */
export function teller(line) {
  return (sentence, isError = false) => {
    line.textContent = sentence;
    line.classList.toggle("error", isError);
  };
}

/** Put `options` (pairs of value and text) into a `select`, and keep what was selected. */
export function fillSelect(select, options) {
  const selected = select.value;
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (options.some(([value]) => value === selected)) select.value = selected;
}

/** Call `take` with the files that are dropped on `area`. */
export function onDrop(area, take) {
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("dragged");
  });
  area.addEventListener("dragleave", () => area.classList.remove("dragged"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("dragged");
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
}

/** Have the browser save bytes as a file; the type keeps it from being shown as a page. */
export function save(parts, name) {
  const url = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
  element("a", { href: url, download: name.split("/").pop() }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const number = new Intl.NumberFormat("en");

/** `1,234 bytes` or `1.2 MB`. */
export function readableSize(bytes) {
  if (bytes < 10_000) return `${number.format(bytes)} ${bytes === 1 ? "byte" : "bytes"}`;
  let [value, unit] = [bytes, ""];
  for (unit of ["kB", "MB", "GB", "TB"]) {
    value /= 1000;
    if (value < 1000) break;
  }
  return `${value.toPrecision(3)} ${unit}`;
}

export const readableCount = (count) => number.format(count);
