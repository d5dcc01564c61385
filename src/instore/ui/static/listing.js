// A bucket's objects, page by page.

import * as api from "./api.js";
import { busy, byId, fillSelect } from "./elements.js";

const PAGE = 50;

/** The buckets of a `select`, and which is selected. */
export class BucketChoice {
  constructor(select) {
    this.select = select;
    this.buckets = [];
  }

  get bucket() {
    return this.buckets[this.select.value];
  }

  async load() {
    const before = this.bucket && api.title(this.bucket);
    this.buckets = (await api.buckets()).sort(
      (one, other) => (one.name === api.SCRATCH) - (other.name === api.SCRATCH),
    );
    fillSelect(
      this.select,
      this.buckets.map((bucket, i) => [i, api.title(bucket)]),
    );
    const still = this.buckets.findIndex((bucket) => api.title(bucket) === before);
    if (still >= 0) this.select.value = still;
  }
}

/**
 * The elements `<id>-bucket`, `-prefix`, `-previous`, `-next` and `-page`.
 *
 * `show(objects)` shows a page, `say(sentence, isError)` tells what went wrong.
 */
export class Listing {
  constructor(id, show, say) {
    this.choice = new BucketChoice(byId(`${id}-bucket`));
    this.prefix = byId(`${id}-prefix`);
    this.page = byId(`${id}-page`);
    this.buttons = { previous: byId(`${id}-previous`), next: byId(`${id}-next`) };
    this.show = show;
    this.say = say;
    this.starts = [""];
    this.asked = 0;
    const again = () => this.load().catch((error) => say(error.message, true));
    this.choice.select.addEventListener("change", again);
    this.prefix.addEventListener("input", again);
    this.#onClick(this.buttons.previous, () => this.back());
    this.#onClick(this.buttons.next, () => this.on());
  }

  #onClick(button, turn) {
    button.addEventListener("click", async () => {
      await busy(button, turn, this.say);
      this.#mark();
      if (button.disabled) this.choice.select.focus(); // a button that is off would lose the focus
    });
  }

  get bucket() {
    return this.choice.bucket;
  }

  /** Read the buckets anew, and then the objects. */
  async open() {
    await this.choice.load();
    await this.load();
  }

  /** The first page. */
  async load() {
    this.starts = [""];
    await this.reload();
  }

  on() {
    this.starts.push(this.next);
    return this.reload();
  }

  back() {
    this.starts.pop();
    return this.reload();
  }

  /** The same page again. */
  async reload() {
    const asked = ++this.asked;
    const none = { objects: [], next: "" };
    const page = this.bucket ? await api.objects(this.bucket, this.prefix.value, this.starts.at(-1), PAGE) : none;
    if (asked !== this.asked) return; // what was asked for has changed since
    this.next = page.next;
    this.page.textContent = this.#told(page.objects.length);
    this.#mark();
    this.show(page.objects);
  }

  #told(count) {
    if (!this.bucket) return "There is no bucket yet.";
    if (!count) return this.prefix.value ? "No object's name begins so." : "The bucket is empty.";
    return `Page ${this.starts.length}, ${count} object${count === 1 ? "" : "s"}`;
  }

  #mark() {
    this.buttons.previous.disabled = this.starts.length < 2;
    this.buttons.next.disabled = !this.next;
  }
}
