// Removing: the order to the server, waiting for it, and what it may choose from.

import { Server } from "./api.js";
import { ask } from "./background.js";
import { askToken } from "./dialogs.js";
import { $ } from "./dom.js";
import { compare, page, refresh, step, tools } from "./editor.js";
import { closeNotices, fail, progress, say, warn } from "./notices.js";
import { Photo } from "./photo.js";

const server = new Server(askToken);
let missing = []; // extensions that the server cannot read, and why

export async function remove() {
  const { photo, operations } = page.history.state;
  if (page.running || !operations.length) return;
  tools.cancel(); // a stroke that is not finished does not count
  compare(false);
  closeNotices();
  const controller = new AbortController();
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  const timer = setInterval(() => ($("busy-seconds").textContent = `${seconds()} s`), 200);
  page.running = { controller, timer };
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
      fill: $("fill").value,
      wrap: $("wrap").value,
      grow: grow(),
      keep_polarity: "true", // what is red on the screen is meant
      mask_drawn: "shown",
    };
    for (const name of ["model", "wrap"]) if (!form[name]) delete form[name];
    const { blob, warnings } = await server.complete(form, controller.signal, progress);
    const result = new Photo(blob, photo.name, photo.original ?? photo);
    await result.load();
    page.history.push({ photo: result, operations: [] });
    end();
    compare(true);
    say(`Removed in ${seconds()} seconds. Before and after are shown; C leaves that.`);
    if (warnings.length) warn(warnings.join(". "), widen);
  } catch (error) {
    end();
    if (error.name === "AbortError") say("Cancelled");
    else fail(error);
  }
}

export function cancel() {
  page.running?.controller.abort();
}
addEventListener("pagehide", cancel);

function end() {
  clearInterval(page.running.timer);
  page.running = null;
  const focused = $("busy").contains(document.activeElement);
  $("busy").hidden = true;
  refresh();
  if (focused) $("canvas").focus({ preventScroll: true });
}

function grow() {
  const value = Number.parseInt($("grow").value, 10);
  return String(Math.min(Math.max(value || 0, 0), 200));
}

async function widen(pixels) {
  $("grow").value = pixels;
  await step("undo");
  remove();
}

/** Why the server cannot read files of an extension, as it told; empty if it can. */
export function unreadable(extension) {
  return missing.find((one) => one.extension === extension)?.remedy ?? "";
}

async function listFormats() {
  missing = (await server.formats()).filter(({ usable }) => !usable);
}

// Models.

async function listModels() {
  const models = await server.models();
  const { value } = $("model");
  $("model").replaceChildren(
    ...models.map((model) => {
      const text = model.domain ? `${model.name}: ${model.domain}` : model.name;
      const option = new Option(text, model.name, model.default);
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
listFormats().catch(fail);
