// Files in and out: photos and masks that are opened, dropped or pasted; the result that is saved.

import { ask } from "./background.js";
import { rareKind } from "./bytes.js";
import { confirmed } from "./dialogs.js";
import { $ } from "./dom.js";
import { add, page, start } from "./editor.js";
import { closeNotices, fail, say } from "./notices.js";
import { Photo, SHOWN } from "./photo.js";
import { unreadable } from "./removal.js";

async function open(file) {
  if (!file || page.running) return;
  if (page.history?.unsaved && !(await confirmed())) return;
  closeNotices();
  const photo = new Photo(file, file.name || "photo.png");
  say("Opening");
  try {
    const remedy = unreadable(await rareKind(file));
    if (remedy) throw new Error(`${photo.name}: this server cannot read it: ${remedy}`);
    await photo.load();
  } catch (error) {
    fail(error);
    return;
  }
  start(photo);
  $("wrap").value = ""; // what holds for a tile holds not for the next photo
  say(`${photo.name}, ${photo.width} by ${photo.height} pixels. Paint over what should go.`);
}

async function addMask(file) {
  if (!file || !page.history || page.running) return;
  closeNotices();
  const { photo } = page.history.state;
  try {
    const mask = await ask("read", { blob: file, limit: SHOWN });
    const shape = (mask.width * photo.height) / (mask.height * photo.width);
    if (Math.abs(shape - 1) > 0.01) {
      throw new Error(
        `${file.name}: ${mask.width} × ${mask.height} pixels, but the photo has ` +
          `${photo.width} × ${photo.height}: the mask must have the photo's shape` +
          (mask.width === photo.height && mask.height === photo.width ? ", turned as it is shown" : ""),
      );
    }
    if (!mask.share) throw new Error(`${file.name}: nothing in it is white`);
    add({ kind: "mask", erase: false, blob: file, bitmap: mask.bitmap });
    const what = mask.labels ? `Mask of ${mask.labels} labels` : "Mask";
    say(`${what} added: ${Math.round(100 * mask.share) || "less than 1"} percent of the picture`);
  } catch (error) {
    fail(error);
  }
}

export function save() {
  const { photo } = page.history.state;
  if (page.running) return;
  if (!photo.original) {
    say("Nothing has been removed yet");
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(photo.blob);
  link.download = photo.savedAs;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  page.history.markSaved();
  say(`Saved as ${photo.savedAs}`);
}

for (const [id, use] of [["file", open], ["mask-file", addMask]]) {
  $(id).onchange = () => {
    const [file] = $(id).files;
    $(id).value = ""; // the same file again is a choice too
    $("options").hidePopover?.();
    use(file);
  };
}

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

addEventListener("beforeunload", (event) => {
  if (page.history?.unsaved || page.running) event.preventDefault();
});
