// The page of a node: its views, one of which is shown.

import * as buckets from "./buckets.js";
import { actAfter, byId } from "./elements.js";
import * as etls from "./etls.js";
import * as jobs from "./jobs.js";
import * as tries from "./try.js";

const VIEWS = { try: tries, etls, jobs, buckets };

let shown = false;

async function show() {
  const wanted = location.hash.slice(1);
  const isView = Object.hasOwn(VIEWS, wanted);
  if (!isView && shown && wanted) return; // a jump within the view
  const name = isView ? wanted : "try";
  shown = true;
  for (const one of Object.keys(VIEWS)) byId(`view-${one}`).hidden = one !== name;
  for (const link of document.querySelectorAll("nav a"))
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  const trouble = byId("trouble");
  try {
    await actAfter(VIEWS[name].open());
    trouble.hidden = true;
  } catch (error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
  }
}

for (const link of document.querySelectorAll("nav a"))
  link.addEventListener("click", () => link.hash === location.hash && show()); // the same view again reads it anew
addEventListener("hashchange", show);
show();
