// What is told: the status line that is read out, errors, warnings.

import { $ } from "./dom.js";

let saying = "";

export function say(text) {
  saying = text;
  $("status").textContent = text;
}

/** Like `say`; but a server that counts down is read out once. */
export function progress(text) {
  if ($("busy-text").textContent === text) return;
  $("busy-text").textContent = text;
  const busy = "The server is busy";
  if (!text.startsWith(busy) || !saying.startsWith(busy)) say(text);
}

export function fail(error) {
  $("error").querySelector("p").textContent = sentence(error.message);
  $("error").hidden = false;
  if (error.name === "TypeError" || error.name === "RangeError") console.error(error);
}

/** What the server warns of; where it says how far to widen, one press calls `widen(pixels)`. */
export function warn(text, widen) {
  const pixels = /grow=(\d+)/.exec(text)?.[1];
  const told = sentence(text.replace(/,? or widen it with grow=\d+/, ""));
  $("warning").querySelector("p").textContent = told;
  $("again").hidden = !pixels;
  $("again").textContent = `Widen by ${pixels} and redo`;
  $("again").onclick = () => widen(pixels);
  $("warning").hidden = false;
  say(`${saying} ${told}`);
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function closeNotices() {
  for (const id of ["error", "warning"]) $(id).hidden = true;
}
