// The photo that is edited: what is painted on it, its history, before and after.

import { $, disable } from "./dom.js";
import { History } from "./history.js";
import { fail, say } from "./notices.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

export const page = {
  history: null, // null = no photo yet
  running: null, // {controller, timer} while the server works
};
export const view = new View($("canvas"), $("painted"), $("ring"), moved);
export const tools = new Tools(view, { done: add, resized, split: showSplit, say });

/** Edit another photo, already loaded. */
export function start(photo) {
  page.history = new History(photo);
  for (const id of ["canvas", "dock", "zooms", "hint"]) $(id).hidden = false;
  $("empty").hidden = true;
  document.body.classList.add("editing");
  compare(false);
  view.photo = null; // whatever its size, show all of the new one
  view.resize();
  refresh();
  $("canvas").focus({ preventScroll: true });
}

export function add(operation) {
  const { photo, operations } = page.history.state;
  page.history.push({ photo, operations: [...operations, operation] });
  $("hint").hidden = true;
  refresh();
  const what = { stroke: "Stroke", lasso: "Area", box: "Box", mask: "Mask" }[operation.kind];
  say(`${what} ${operation.erase ? "erased" : "painted"}`);
}

export function clear() {
  const { photo, operations } = page.history.state;
  if (!operations.length) return;
  page.history.push({ photo, operations: [] });
  refresh();
  say("Cleared");
}

export async function step(name) {
  if (page.running || tools.cancel()) return;
  const before = page.history.state;
  page.history[name]();
  if (page.history.state === before) return;
  const { state } = page.history;
  const removal = state.photo !== before.photo;
  compare(false);
  try {
    await state.photo.load();
  } catch (error) {
    fail(error);
    return;
  }
  if (page.history.state !== state) return; // pressed again meanwhile
  refresh();
  say(`${name === "undo" ? "Undone" : "Redone"}${removal ? ": a removal" : ""}`);
}

export function refresh() {
  if (!page.history) return;
  const { photo, operations } = page.history.state;
  const original = photo.original ?? photo;
  view.show(photo, operations);
  if (view.before) view.before = original;
  const busy = page.running !== null;
  disable("undo", busy || !page.history.canUndo);
  disable("redo", busy || !page.history.canRedo);
  disable("clear", busy || !operations.length);
  disable("remove", busy || !operations.length);
  disable("compare", !photo.original);
  disable("save", busy || !photo.original);
  disable("open", busy);
  $("title").textContent = `${original.name}  ${photo.width} × ${photo.height}`;
  $("canvas").setAttribute(
    "aria-label",
    `${original.name}, ${photo.width} by ${photo.height} pixels, ` +
      `${photo.original ? "completed" : "unchanged"}, ${operations.length || "no"} painted ` +
      (operations.length === 1 ? "area" : "areas"),
  );
  $("again").hidden = true; // it undoes the last step: only while that is the removal
  tools.locked = busy;
  tools.cursor();
}

function resized() {
  $("size").value = String(tools.size);
}

// Before and after.

export function compare(on) {
  const photo = page.history.state.photo;
  const show = on && photo.original !== null;
  if (show) tools.cancel();
  view.before = show ? photo.original : null;
  if (show) view.split = 0.5;
  $("compare").setAttribute("aria-pressed", String(show));
  $("compare-view").hidden = !show;
  showSplit();
  tools.cursor();
}

export function showSplit() {
  if (!view.before) return;
  const [left, top, right, bottom] = view.visible;
  const x = left + (right - left) * view.split;
  const place = $("handle").style;
  [place.left, place.top, place.height] = [`${x}px`, `${top}px`, `${bottom - top}px`];
  const [before, after] = $("compare-view").querySelectorAll(".chip");
  [before.style.left, before.style.top] = [`${left + 10}px`, `${top + 10}px`];
  [after.style.right, after.style.top] = [`${view.width - right + 10}px`, `${top + 10}px`];
  before.classList.toggle("faded", view.split < 0.12);
  after.classList.toggle("faded", view.split > 0.88);
  $("divider").value = String(Math.round(100 * view.split));
  $("divider").setAttribute("aria-valuetext", `${$("divider").value} percent before`);
  view.redraw();
}

function moved() {
  $("percent").textContent = `${Math.round(view.scale * 100) || "<1"}%`;
  showSplit();
  tools?.cursor();
}
