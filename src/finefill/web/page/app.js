// The page, put together: buttons and keys.

import { $ } from "./dom.js";
import { clear, compare, page, showSplit, step, tools, view } from "./editor.js";
import { save } from "./files.js";
import { say } from "./notices.js";
import { cancel, remove } from "./removal.js";
import { switchTheme } from "./theme.js";

const TOOLS = ["brush", "lasso", "box"];

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
  if (page.history && view.before) compare(false);
  tools.cursor();
}

const actions = {
  open: () => !page.running && $("file").click(),
  choose: () => $("file").click(),
  help: () => $("help-dialog").showModal(),
  theme: switchTheme,
  brush: () => choose("brush"),
  lasso: () => choose("lasso"),
  box: () => choose("box"),
  erase: toggleErase,
  undo: () => step("undo"),
  redo: () => step("redo"),
  clear: () => !page.running && clear(),
  compare: () => compare(!view.before),
  save,
  remove,
  cancel,
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
    if (page.running) cancel();
    else if (!tools.cancel() && view.before) compare(false);
  } else if (!event.altKey && $("single-keys").checked) {
    if (event.key === "[" || event.key === "]") {
      tools.resize(tools.size * (event.key === "]" ? 1.15 : 1 / 1.15) + (event.key === "]" ? 1 : -1));
    }
    id = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  }
  if (!id || (!page.history && !["open", "help"].includes(id))) return;
  event.preventDefault();
  if ($(id).getAttribute("aria-disabled") !== "true") actions[id]();
});

for (const id of ["error", "warning"]) {
  $(id).querySelector(".icon").onclick = () => {
    $(id).hidden = true;
    if (page.history) $("canvas").focus({ preventScroll: true });
  };
}

for (const place of document.querySelectorAll(".host")) place.textContent = location.host;
$("dock").classList.add("sized");
