// One ETL, or several behind each other, as selects.

import { element, fillSelect } from "./elements.js";

export class Steps {
  /** `onChange` is called when others are selected. */
  constructor(place, onChange = () => {}) {
    this.place = place;
    this.onChange = () => {};
    this.etls = [];
    this.list = element("div", { class: "steps" });
    this.more = element("button", { type: "button", onclick: () => this.#add().focus() }, "Add an ETL behind it");
    place.append(this.list, this.more);
    this.#add();
    this.onChange = onChange;
  }

  /** The names that are selected, in order. */
  get names() {
    return [...this.list.querySelectorAll("select")].map((select) => select.value).filter(Boolean);
  }

  /** What can be selected; ETLs that don't run are said to be so. */
  offer(etls) {
    this.etls = etls;
    for (const select of this.list.querySelectorAll("select")) this.#fill(select);
  }

  #fill(select) {
    fillSelect(
      select,
      this.etls.map(({ id, stage }) => [id, stage === "Running" ? id : `${id} (${stage})`]),
    );
  }

  #add() {
    const number = this.list.childElementCount + 1;
    const select = element("select");
    this.#fill(select);
    select.addEventListener("change", () => this.onChange());
    const step = element("div", { class: "step" }, element("label", {}, number === 1 ? "ETL " : "then ", select));
    if (number > 1) {
      const remove = () => {
        step.remove();
        this.onChange();
        this.more.focus();
      };
      step.append(element("button", { type: "button", "aria-label": "Remove this ETL", onclick: remove }, "Remove"));
    }
    this.list.append(step);
    this.onChange();
    return select;
  }
}
