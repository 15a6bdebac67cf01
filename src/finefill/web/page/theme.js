// What this browser remembers: the colours, and whether single keys are shortcuts.

import { $ } from "./dom.js";

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

export function switchTheme() {
  setTheme(dark() ? "light" : "dark");
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
