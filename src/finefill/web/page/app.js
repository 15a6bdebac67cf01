// The page: buttons, keys, files, and what happens when.

import { Server } from "./api.js";
import { History } from "./history.js";
import { ask } from "./background.js";
import { Photo, SHOWN } from "./photo.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const TOOLS = ["brush", "lasso", "box"];

let history = null; // null = no photo yet
let running = null; // {controller, timer} while the server works
let saying = "";

const view = new View($("canvas"), $("painted"), $("ring"), moved);
const tools = new Tools(view, { done: add, resized, split: showSplit, say });
const server = new Server(askToken);

// Files in.

async function open(file) {
  if (!file || running) return;
  if (history?.unsaved && !(await confirmed())) return;
  closeNotices();
  const photo = new Photo(file, file.name || "photo.png");
  say("Opening");
  try {
    await photo.load();
  } catch (error) {
    fail(error);
    return;
  }
  history = new History(photo);
  for (const id of ["canvas", "dock", "zooms", "hint"]) $(id).hidden = false;
  $("empty").hidden = true;
  document.body.classList.add("editing");
  compare(false);
  view.photo = null; // whatever its size, show all of the new one
  view.resize();
  refresh();
  $("canvas").focus({ preventScroll: true });
  say(`${photo.name}, ${photo.width} by ${photo.height} pixels. Paint over what should go.`);
}

async function addMask(file) {
  if (!file || !history || running) return;
  closeNotices();
  const { photo } = history.state;
  try {
    const mask = await ask("read", { blob: file, limit: SHOWN });
    const shape = (mask.width * photo.height) / (mask.height * photo.width);
    if (Math.abs(shape - 1) > 0.01) {
      throw new Error(
        `${file.name}: ${mask.width} × ${mask.height} pixels, but the photo has ` +
          `${photo.width} × ${photo.height}: the mask must have the photo's shape`,
      );
    }
    if (!mask.share) throw new Error(`${file.name}: nothing in it is white`);
    add({ kind: "mask", erase: false, blob: file, bitmap: mask.bitmap });
    say(`Mask added: ${Math.round(100 * mask.share) || "less than 1"} percent of the picture`);
  } catch (error) {
    fail(error);
  }
}

// Painting and history.

function add(operation) {
  const { photo, operations } = history.state;
  history.push({ photo, operations: [...operations, operation] });
  $("hint").hidden = true;
  refresh();
  const what = { stroke: "Stroke", lasso: "Area", box: "Box", mask: "Mask" }[operation.kind];
  say(`${what} ${operation.erase ? "erased" : "painted"}`);
}

function clear() {
  const { photo, operations } = history.state;
  if (!operations.length) return;
  history.push({ photo, operations: [] });
  refresh();
  say("Cleared");
}

async function step(name) {
  if (running || tools.cancel()) return;
  const before = history.state;
  history[name]();
  if (history.state === before) return;
  const { state } = history;
  const removal = state.photo !== before.photo;
  compare(false);
  try {
    await state.photo.load();
  } catch (error) {
    fail(error);
    return;
  }
  if (history.state !== state) return; // pressed again meanwhile
  refresh();
  say(`${name === "undo" ? "Undone" : "Redone"}${removal ? ": a removal" : ""}`);
}

function refresh() {
  if (!history) return;
  const { photo, operations } = history.state;
  const original = photo.original ?? photo;
  view.show(photo, operations);
  if (view.before) view.before = original;
  const busy = running !== null;
  disable("undo", busy || !history.canUndo);
  disable("redo", busy || !history.canRedo);
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

// Not the attribute disabled: it would take the focus away.
function disable(id, off) {
  $(id).setAttribute("aria-disabled", String(off));
}

// Removing.

async function remove() {
  const { photo, operations } = history.state;
  if (running || !operations.length) return;
  tools.cancel(); // a stroke that is not finished does not count
  compare(false);
  closeNotices();
  const controller = new AbortController();
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  const timer = setInterval(() => ($("busy-seconds").textContent = `${seconds()} s`), 200);
  running = { controller, timer };
  $("busy-text").textContent = $("busy-seconds").textContent = "";
  $("busy").hidden = false;
  progress("Removing");
  refresh();
  try {
    // The bitmaps are for the screen: the worker makes its own from the blobs.
    const plain = operations.map((operation) => ({ ...operation, bitmap: null }));
    const mask = await ask("encode", { operations: plain, width: photo.width, height: photo.height });
    controller.signal.throwIfAborted();
    if (!mask) throw new Error("Nothing is painted any more: paint over what should go");
    const form = {
      image: new File([photo.blob], photo.name, { type: photo.blob.type }),
      mask: new File([mask], "mask.png", { type: mask.type }),
      model: $("model").value,
      grow: grow(),
      keep_polarity: "true", // what is red on the screen is meant
    };
    if (!form.model) delete form.model;
    const { blob, warnings } = await server.complete(form, controller.signal, progress);
    const result = new Photo(blob, photo.name, photo.original ?? photo);
    await result.load();
    history.push({ photo: result, operations: [] });
    end();
    compare(true);
    say(`Removed in ${seconds()} seconds. Before and after are shown; C leaves that.`);
    if (warnings.length) warn(warnings.join(". "));
  } catch (error) {
    end();
    if (error.name === "AbortError") say("Cancelled");
    else fail(error);
  }
}

function end() {
  clearInterval(running.timer);
  running = null;
  const focused = $("busy").contains(document.activeElement);
  $("busy").hidden = true;
  refresh();
  if (focused) $("canvas").focus({ preventScroll: true });
}

function progress(text) {
  if ($("busy-text").textContent === text) return;
  $("busy-text").textContent = text;
  // A countdown is read out once.
  const busy = "The server is busy";
  if (!text.startsWith(busy) || !saying.startsWith(busy)) say(text);
}

function grow() {
  const value = Number.parseInt($("grow").value, 10);
  return String(Math.min(Math.max(value || 0, 0), 200));
}

// Before and after.

function compare(on) {
  const photo = history.state.photo;
  const show = on && photo.original !== null;
  if (show) tools.cancel();
  view.before = show ? photo.original : null;
  if (show) view.split = 0.5;
  $("compare").setAttribute("aria-pressed", String(show));
  $("compare-view").hidden = !show;
  showSplit();
  tools.cursor();
}

function showSplit() {
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

// Saving.

function save() {
  const { photo } = history.state;
  if (running) return;
  if (!photo.original) {
    say("Nothing has been removed yet");
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(photo.blob);
  link.download = photo.savedAs;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  history.markSaved();
  say(`Saved as ${photo.savedAs}`);
}

addEventListener("beforeunload", (event) => {
  if (history?.unsaved || running) event.preventDefault();
});
addEventListener("pagehide", () => running?.controller.abort());

// What is told.

function say(text) {
  saying = text;
  $("status").textContent = text;
}

function fail(error) {
  $("error").querySelector("p").textContent = sentence(error.message);
  $("error").hidden = false;
  if (error.name === "TypeError" || error.name === "RangeError") console.error(error);
}

/** What the server warns of; where it says how far to widen, one press does that. */
function warn(text) {
  const pixels = /grow=(\d+)/.exec(text)?.[1];
  const told = sentence(text.replace(/,? or widen it with grow=\d+/, ""));
  $("warning").querySelector("p").textContent = told;
  $("again").hidden = !pixels;
  $("again").textContent = `Widen by ${pixels} and redo`;
  $("again").onclick = async () => {
    $("grow").value = pixels;
    await step("undo");
    remove();
  };
  $("warning").hidden = false;
  say(`${saying} ${told}`);
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function closeNotices() {
  for (const id of ["error", "warning"]) $(id).hidden = true;
}

for (const id of ["error", "warning"]) {
  $(id).querySelector(".icon").onclick = () => {
    $(id).hidden = true;
    if (history) $("canvas").focus({ preventScroll: true });
  };
}

// Dialogs.

function shown(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

async function confirmed() {
  return (await shown($("leave-dialog"))) === "yes";
}

let token = null; // asked for once, however many requests want it

function askToken() {
  token ??= (async () => {
    $("token").value = "";
    const answer = await shown($("token-dialog"));
    token = null;
    return answer === "use" ? $("token").value.trim() : null;
  })();
  return token;
}

// Models.

async function listModels() {
  const models = await server.models();
  const { value } = $("model");
  $("model").replaceChildren(
    ...models.map((model) => {
      const option = new Option(`${model.name}: ${model.domain}`, model.name, model.default);
      const told = { Licence: model.licence, Terms: model.terms };
      option.dataset.terms = Object.entries(told)
        .filter(([, text]) => text)
        .map(([name, text]) => `${name}: ${text}.`)
        .join(" ");
      option.selected = value ? model.name === value : model.default;
      return option;
    }),
  );
  describe();
}

function describe() {
  $("about").textContent = $("model").selectedOptions[0]?.dataset.terms ?? "";
}

$("model").onchange = describe;
listModels().catch(fail);

// Buttons.

function choose(tool) {
  tools.tool = tool;
  for (const id of TOOLS) $(id).setAttribute("aria-pressed", String(id === tool));
  $("dock").classList.toggle("sized", tool === "brush");
  edit();
  say($(tool).getAttribute("aria-label"));
}

function toggleErase() {
  tools.erase = !tools.erase;
  $("erase").setAttribute("aria-pressed", String(tools.erase));
  edit();
  say(tools.erase ? "Erasing" : "Painting");
}

function edit() {
  tools.cancel();
  if (history && view.before) compare(false);
  tools.cursor();
}

function resized() {
  $("size").value = String(tools.size);
}

const actions = {
  open: () => !running && $("file").click(),
  choose: () => $("file").click(),
  help: () => $("help-dialog").showModal(),
  theme: () => setTheme(dark() ? "light" : "dark"),
  brush: () => choose("brush"),
  lasso: () => choose("lasso"),
  box: () => choose("box"),
  erase: toggleErase,
  undo: () => step("undo"),
  redo: () => step("redo"),
  clear: () => !running && clear(),
  compare: () => compare(!view.before),
  save,
  remove,
  cancel: () => running?.controller.abort(),
  "zoom-in": () => view.zoom(1.25),
  "zoom-out": () => view.zoom(1 / 1.25),
  fit: () => view.fit(),
  "upload-mask": () => $("mask-file").click(),
};
for (const [id, action] of Object.entries(actions)) {
  $(id).addEventListener("click", (event) => {
    if ($(id).getAttribute("aria-disabled") === "true") return;
    action();
    // After a click, Space and the arrows are for the picture; who tabs stays where he is.
    if (event.detail && $("dock").contains($(id))) $("canvas").focus({ preventScroll: true });
  });
}

$("size").oninput = () => tools.resize(Number($("size").value));
$("pressure").onchange = () => (tools.pressure = $("pressure").checked);
$("divider").oninput = () => {
  view.split = Number($("divider").value) / 100;
  showSplit();
};
$("divider").onfocus = () => $("handle").classList.toggle("focused", $("divider").matches(":focus-visible"));
$("divider").onblur = () => $("handle").classList.remove("focused");
for (const [id, use] of [["file", open], ["mask-file", addMask]]) {
  $(id).onchange = () => {
    const [file] = $(id).files;
    $(id).value = ""; // the same file again is a choice too
    $("options").hidePopover?.();
    use(file);
  };
}

// Keys.

const KEYS = {
  b: "brush", l: "lasso", r: "box", e: "erase", c: "compare", "?": "help",
  "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "fit", Delete: "clear", Backspace: "clear",
};
const CONTROL_KEYS = { z: "undo", y: "redo", s: "save", o: "open", Enter: "remove" };

addEventListener("keydown", (event) => {
  if (event.target.closest("dialog, [popover], input:not([type=range]), select")) return;
  const control = event.ctrlKey || event.metaKey;
  let id = null;
  if (control) {
    id = event.shiftKey && event.key.toLowerCase() === "z" ? "redo" : CONTROL_KEYS[event.key];
  } else if (event.key === "Escape") {
    if (running) running.controller.abort();
    else if (!tools.cancel() && view.before) compare(false);
  } else if (!event.altKey && $("single-keys").checked) {
    if (event.key === "[" || event.key === "]") {
      tools.resize(tools.size * (event.key === "]" ? 1.15 : 1 / 1.15) + (event.key === "]" ? 1 : -1));
    }
    id = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  }
  if (!id || (!history && !["open", "help"].includes(id))) return;
  event.preventDefault();
  if ($(id).getAttribute("aria-disabled") !== "true") actions[id]();
});

// Drop and paste.

let over = 0;
addEventListener("dragenter", (event) => {
  event.preventDefault();
  if (event.dataTransfer?.types.includes("Files") && ++over) $("drop").hidden = false;
});
addEventListener("dragleave", () => {
  over = Math.max(0, over - 1);
  if (!over) $("drop").hidden = true;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  $("drop").hidden = true;
  open(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file && !document.querySelector("dialog[open]")) open(file);
});

// What this browser remembers: the colours, and whether single keys are shortcuts.

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function dark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : prefersDark.matches;
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  if (theme) remember("theme", theme);
  const label = dark() ? "Light colours" : "Dark colours";
  $("theme").setAttribute("aria-label", label);
  $("theme").title = label;
}

function remember(key, value) {
  try {
    localStorage.setItem(`finefill-${key}`, value);
  } catch {
    // the browser keeps nothing: so be it
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(`finefill-${key}`);
  } catch {
    return null;
  }
}

prefersDark.onchange = () => setTheme(null);
setTheme(remembered("theme"));
$("single-keys").checked = remembered("single-keys") !== "off";
$("single-keys").onchange = () => remember("single-keys", $("single-keys").checked ? "on" : "off");
for (const place of document.querySelectorAll(".host")) place.textContent = location.host;
$("dock").classList.add("sized");
