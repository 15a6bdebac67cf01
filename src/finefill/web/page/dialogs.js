// Dialogs: may unsaved work go, and which token does the server want?

import { $ } from "./dom.js";

function shown(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

export async function confirmed() {
  return (await shown($("leave-dialog"))) === "yes";
}

let token = null; // asked for once, however many requests want it

export function askToken() {
  token ??= (async () => {
    $("token").value = "";
    const answer = await shown($("token-dialog"));
    token = null;
    return answer === "use" ? $("token").value.trim() : null;
  })();
  return token;
}
