// The node's ETLs: their stages and logs.

import * as api from "./api.js";
import { logView } from "./compare.js";
import { actionButton, byId, element, readableCount, readableSize, teller } from "./elements.js";

const LOG_LINES = 200;

const say = teller(byId("etls-status"));

export async function open() {
  const found = await api.etls();
  byId("etls-none").hidden = found.length > 0;
  byId("etls-table").hidden = found.length === 0;
  byId("etls-rows").replaceChildren(...found.map(row));
}

function row({ id, stage, reason, obj_count, in_bytes, out_bytes }) {
  const runs = stage === "Running";
  const isUp = runs || stage === "Initializing";
  const [label, verb] = isUp ? ["Stop", "stop"] : ["Start", "start"];
  const buttons = [button(label, id, () => api.changeETL(id, verb)), button("Logs", id, () => showLogs(id))];
  if (!runs) buttons.push(button("Delete", id, () => confirm(`Delete the ETL ${id}?`) && api.deleteETL(id)));
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, id),
    element("td", {}, reason ? `${stage}: ${reason}` : stage),
    element("td", {}, readableCount(obj_count)),
    element("td", {}, readableSize(in_bytes)),
    element("td", {}, readableSize(out_bytes)),
    element("td", { class: "buttons" }, ...buttons),
  );
}

function button(label, id, act) {
  const action = async () => {
    say(`${label} ${id}…`);
    try {
      await act();
      say(`${label} ${id}: done.`);
    } finally {
      await open();
    }
    refocus(label, id);
  };
  return actionButton(label, id, action, say);
}

/** Put the focus back into the row, whose buttons are new; a row that is gone leaves it to the table's heading. */
function refocus(label, id) {
  const names = [label, "Stop", "Start", "Logs"].map((one) => `${one} ${id}`);
  const buttons = [...byId("etls-rows").querySelectorAll("button")];
  const found = names.map((name) => buttons.find((one) => one.getAttribute("aria-label") === name)).find(Boolean);
  (found ?? byId("etls-heading")).focus();
}

async function showLogs(id) {
  byId("etls-logs").replaceChildren(...(await api.logs(id, LOG_LINES)).flatMap(logView));
}
