// A photo: the file's bytes, which the server gets, and a small bitmap, which the page shows.

import { ask } from "./background.js";
import { orientationOf } from "./bytes.js";

export const SHOWN = 2e6; // pixels of the bitmap at most
const KEPT = 6; // bitmaps; older states decode theirs again when undo comes back to them
const recent = [];

// Canvas transforms that turn stored pixels (w x h) upright, by EXIF orientation.
const UPRIGHT = {
  2: (w, h) => [-1, 0, 0, 1, w, 0],
  3: (w, h) => [-1, 0, 0, -1, w, h],
  4: (w, h) => [1, 0, 0, -1, 0, h],
  5: (w, h) => [0, 1, 1, 0, 0, 0],
  6: (w, h) => [0, 1, -1, 0, h, 0],
  7: (w, h) => [0, -1, -1, 0, h, w],
  8: (w, h) => [0, -1, 1, 0, 0, w],
};

export class Photo {
  /**
   * @param {Blob} blob the file
   * @param {string} name of the file
   * @param {Photo|null} original whose completion this is
   */
  constructor(blob, name, original = null) {
    this.blob = blob;
    this.name = name;
    this.original = original;
    this.width = this.height = 0;
    this.bitmap = null;
  }

  /** Decode the bitmap, unless it is there. Throws an Error that can be shown. */
  async load() {
    if (!this.bitmap) {
      try {
        const [orientation, stored] = await orientationOf(this.blob);
        this.bitmap = await (orientation > 1 ? this.#turned(orientation, stored) : this.#decoded());
      } catch {
        throw new Error(`${this.name}: this browser cannot show it: use JPEG, PNG, WebP or AVIF`);
      }
    }
    if (!this.original) return this; // it is compared with: always kept
    const at = recent.indexOf(this);
    if (at >= 0) recent.splice(at, 1);
    recent.push(this);
    if (recent.length > KEPT) {
      const old = recent.shift();
      old.bitmap.close?.();
      old.bitmap = null;
    }
    return this;
  }

  async #decoded() {
    // An image element knows its upright size before it decodes anything.
    const image = new Image();
    image.src = URL.createObjectURL(this.blob);
    try {
      await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
      this.#setSize(image.naturalWidth, image.naturalHeight);
    } finally {
      URL.revokeObjectURL(image.src);
    }
    const [resizeWidth, resizeHeight] = this.#small();
    return ask("decode", { blob: this.blob, resizeWidth, resizeHeight });
  }

  async #turned(orientation, file) {
    const stored = await createImageBitmap(file);
    const swapped = orientation > 4;
    this.#setSize(...(swapped ? [stored.height, stored.width] : [stored.width, stored.height]));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = this.#small();
    const [w, h] = swapped ? [canvas.height, canvas.width] : [canvas.width, canvas.height];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.setTransform(...UPRIGHT[orientation](w, h));
    context.drawImage(stored, 0, 0, w, h);
    stored.close();
    return createImageBitmap(canvas);
  }

  #setSize(width, height) {
    if (!width || !height) throw new Error("no size");
    this.width = width;
    this.height = height;
  }

  #small() {
    const scale = Math.min(1, Math.sqrt(SHOWN / (this.width * this.height)));
    return [Math.max(1, Math.round(this.width * scale)), Math.max(1, Math.round(this.height * scale))];
  }

  /** What a saved file is called: NAME-completed.EXT, with the extension of what it is. */
  get savedAs() {
    const { name } = this.original ?? this;
    const dot = name.lastIndexOf(".");
    const stem = dot > 0 ? name.slice(0, dot) : name;
    const same = this.original && this.blob.type === typeOf(this.original);
    const extension = same && dot > 0 ? name.slice(dot) : `.${EXTENSIONS[this.blob.type] ?? "png"}`;
    return `${stem}-completed${extension}`;
  }
}

const EXTENSIONS = {
  "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif",
  "image/tiff": "tiff", "image/bmp": "bmp", "image/gif": "gif", "image/heic": "heic",
  "image/jxl": "jxl",
};

function typeOf(photo) {
  const extension = photo.name.split(".").pop().toLowerCase();
  const alias = { jpeg: "jpg", jpe: "jpg", jfif: "jpg", tif: "tiff", heif: "heic" }[extension] ?? extension;
  return Object.keys(EXTENSIONS).find((type) => EXTENSIONS[type] === alias) ?? photo.blob.type;
}
