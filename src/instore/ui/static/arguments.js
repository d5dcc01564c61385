// Arguments of a class: a form from the JSON Schema of its `Args`; one line of text where it has none.

import { element } from "./elements.js";

export class Arguments {
  /** `place` holds the label with the line of text. */
  constructor(place) {
    this.text = place.querySelector("label");
    this.form = element("fieldset", { hidden: true });
    this.fields = [];
    this.offered = "null";
    place.append(this.form);
  }

  /** Make the fields anew; null: the arguments are a text. */
  offer(schema) {
    const asked = JSON.stringify(schema);
    if (asked === this.offered) return; // what has been written stays
    this.offered = asked;
    const properties = Object.entries(schema?.properties ?? {});
    this.fields = properties.map(([name, property]) => new Field(name, property, schema));
    this.form.replaceChildren(element("legend", {}, "Arguments"), ...this.fields.map((field) => field.element));
    this.text.hidden = Boolean(schema);
    this.form.hidden = !schema;
  }

  /** What a request has: the text, or as JSON the values that are not the defaults. */
  get value() {
    if (!this.text.hidden) return this.text.control.value;
    const given = this.fields.map((field) => [field.name, field.value]).filter(([, value]) => value !== undefined);
    return given.length ? JSON.stringify(Object.fromEntries(given)) : "";
  }

  /** Show at its field what a server's sentence says of it, and go to the first. */
  showError(sentence) {
    const wrong = this.fields.filter((field) => field.showError(sentence));
    wrong[0]?.control.focus();
  }
}

class Field {
  constructor(name, property, schema) {
    const { type, choices, mayBeNull, limits } = kindOf(property, schema);
    const required = (schema.required ?? []).includes(name);
    this.name = name;
    this.type = type;
    this.mayBeNull = mayBeNull;
    this.initial = property.default;
    this.control = this.#make(choices, required, limits);
    this.error = element("span", { class: "error", id: `argument-${name}-error` });
    const hint = element("span", { class: "hint", id: `argument-${name}-hint` }, hintOf(property, choices ? "choice" : type, required));
    this.control.setAttribute("aria-describedby", `${hint.id} ${this.error.id}`);
    this.control.addEventListener("input", () => this.#check());
    this.element = element("label", { class: "wide" }, name, this.control, hint, this.error);
  }

  #make(choices, required, limits) {
    const common = { name: this.name, required, autocomplete: "off", spellcheck: "false" };
    if (choices) {
      const offered = this.initial === undefined ? ["", ...choices] : choices;
      const options = offered.map((one) =>
        element("option", { value: one === "" ? "" : JSON.stringify(one), selected: one === this.initial }, String(one)),
      );
      return element("select", { name: this.name, required }, ...options);
    }
    if (this.type === "boolean") return element("input", { type: "checkbox", checked: this.initial === true });
    const value = this.initial === undefined || this.initial === null ? undefined : this.#written(this.initial);
    if (this.type === "integer") return element("input", { type: "number", step: 1, value, ...limits, ...common });
    if (this.type === "number") return element("input", { type: "number", step: "any", value, ...limits, ...common });
    return element("input", { value, ...limits, ...common });
  }

  #written(value) {
    return this.type === "string" ? value : JSON.stringify(value);
  }

  /** The value as the class gets it; undefined where that is the default. */
  get value() {
    const value = this.#read();
    return JSON.stringify(value) === JSON.stringify(this.initial) ? undefined : value;
  }

  #read() {
    const { control, type } = this;
    if (type === "boolean") return control.checked;
    if (control.value === "" && this.mayBeNull) return null;
    if (type === "string") return control.value === "" && this.initial === undefined ? undefined : control.value;
    return control.value === "" ? undefined : JSON.parse(control.value);
  }

  /** What the browser can't know of the kind of field: whether the text is JSON. */
  #check() {
    this.#tell("");
    let fault = "";
    try {
      this.#read();
    } catch {
      fault = "Write it as JSON, such as [1, 2] or {\"a\": 1}.";
    }
    this.control.setCustomValidity(fault);
  }

  #tell(sentence) {
    this.error.textContent = sentence;
    if (sentence) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }

  showError(sentence) {
    const name = this.name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const found = new RegExp(`(?:are wrong: |; )${name}(?:[.[][^:]*)?: ([^;]*)`).exec(sentence);
    this.#tell(found ? found[1] : "");
    return Boolean(found);
  }
}

/** What kind of field a property needs. */
function kindOf(property, schema) {
  const own = resolved(property, schema);
  const kinds = (own.anyOf ?? [own]).map((kind) => resolved(kind, schema));
  const [kind, ...others] = kinds.filter(({ type }) => type !== "null");
  const mayBeNull = kinds.length > others.length + 1;
  if (!kind || others.length) return { type: "json", mayBeNull, limits: {} };
  const choices = kind.enum ?? ("const" in kind ? [kind.const] : undefined);
  const simple = ["boolean", "integer", "number", "string"].includes(kind.type);
  const { minimum: min, maximum: max, minLength: minlength, maxLength: maxlength } = kind;
  const limits = simple ? { min, max, minlength, maxlength } : {};
  if (choices) return { type: "json", choices: mayBeNull ? [null, ...choices] : choices, mayBeNull, limits };
  return { type: simple ? kind.type : "json", mayBeNull, limits };
}

function resolved(property, schema) {
  const name = property.$ref?.split("/").pop();
  return name ? { ...schema.$defs?.[name], ...property } : property;
}

const WORDS = { boolean: "yes or no", integer: "whole number", number: "number", string: "text", json: "as JSON", choice: "" };

function hintOf(property, type, required) {
  const initial = property.default === undefined ? "" : `default ${JSON.stringify(property.default)}`;
  return [property.description, WORDS[type], required ? "required" : initial].filter(Boolean).join(" · ");
}
