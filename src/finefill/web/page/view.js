// Shows a photo and what is painted on it; knows where on the screen each pixel is.
//
// Three layers, so that painting costs only what changes: the photo, the painted areas (or the
// photo before, cut off at the divider), and the brush's ring.

import { paint } from "./mask.js";

const MARGIN = 16;

export class View {
  photo = null;
  split = 0.5; // where the divider is, as a share of the visible picture
  operations = [];
  scale = 1; // CSS pixels for a pixel of the original
  x = 0; // of the picture's left upper corner
  y = 0;
  #before = null;
  #live = null;
  #fitted = true;
  #base = document.createElement("canvas"); // finished operations
  #shown = {}; // what the layers show: photo, overlay, base
  #seen = null; // the part of the overlay that the live operation changed
  #points = 0; // numbers of the live stroke that are drawn
  #frame = 0;
  #number = 0;
  #numbers = new WeakMap();

  /** @param changed called when the picture was moved or zoomed */
  constructor(canvas, overlay, ring, changed) {
    Object.assign(this, { canvas, overlay, ring, changed });
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }

  /** A photo to compare with, or null. */
  get before() {
    return this.#before;
  }

  set before(photo) {
    this.#before = photo;
    this.redraw();
  }

  /** The operation that is being made, or null. */
  get live() {
    return this.#live;
  }

  set live(operation) {
    if (this.#live !== operation) this.#shown.overlay = null;
    this.#live = operation;
    this.#points = 0;
    this.#seen = null;
    this.redraw();
  }

  /** The brush's ring: {x, y, radius, erase, cross} in CSS pixels, or null. */
  set cursor(cursor) {
    this.ring.hidden = cursor === null;
    if (!cursor) return;
    const { x, y, radius, erase, cross } = cursor;
    this.ring.classList.toggle("erase", erase);
    this.ring.classList.toggle("cross", cross);
    this.ring.classList.toggle("bare", !radius);
    this.ring.style.width = this.ring.style.height = `${Math.max(2 * radius, 2)}px`;
    this.ring.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
  }

  show(photo, operations) {
    const other = !this.photo || photo.width !== this.photo.width || photo.height !== this.photo.height;
    this.photo = photo;
    this.operations = operations;
    if (other) this.fit();
    this.redraw();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    this.dpr = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.canvas, this.overlay, this.#base]) {
      canvas.width = Math.round(clientWidth * this.dpr);
      canvas.height = Math.round(clientHeight * this.dpr);
    }
    this.width = clientWidth;
    this.height = clientHeight;
    this.#shown = {};
    if (!this.photo) return;
    if (this.#fitted) this.fit();
    else this.#moved();
  }

  get #whole() {
    const { width, height } = this.photo;
    return Math.min((this.width - 2 * MARGIN) / width, (this.height - 2 * MARGIN) / height);
  }

  fit() {
    this.scale = Math.min(this.#whole, 4);
    this.x = (this.width - this.photo.width * this.scale) / 2;
    this.y = (this.height - this.photo.height * this.scale) / 2;
    this.#fitted = true;
    this.#moved();
  }

  /** Zoom by a factor; the point (x, y) on the screen stays. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const least = Math.min(this.#whole, 1) / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), 32);
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.#fitted = false;
    this.#moved();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.#fitted = false;
    this.#moved();
  }

  /** Screen -> pixels of the original. */
  toPhoto(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  /** The picture's visible part on the screen: left, top, right, bottom. */
  get visible() {
    return [
      Math.max(0, this.x),
      Math.max(0, this.y),
      Math.min(this.width, this.x + this.photo.width * this.scale),
      Math.min(this.height, this.y + this.photo.height * this.scale),
    ];
  }

  redraw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (!this.photo?.bitmap || !this.width) return;
      const place = `${this.x} ${this.y} ${this.scale} `;
      this.#once("photo", place + this.#id(this.photo), () => {
        this.#picture(this.#clear(this.canvas), this.photo);
      });
      if (this.#before?.bitmap) {
        this.#once("overlay", `${place}before ${this.#id(this.#before)}`, () => {
          this.#picture(this.#clear(this.overlay), this.#before);
        });
        const [left, , right] = this.visible;
        const cut = this.width - (left + (right - left) * this.split);
        this.overlay.style.clipPath = `inset(0 ${cut}px 0 0)`;
      } else {
        this.overlay.style.clipPath = "";
        const key = place + this.#id(this.operations);
        this.#once("base", key, () => {
          this.#paintAll(this.#clear(this.#base), this.operations);
        });
        this.#once("overlay", key, () => {
          this.#points = 0;
          this.#colour([0, 0, this.width, this.height]);
        });
        if (this.#live) this.#drawLive();
      }
    });
  }

  #once(layer, key, draw) {
    if (this.#shown[layer] === key) return;
    this.#shown[layer] = key;
    draw();
  }

  #moved() {
    // Never lose the picture: its middle third stays on the screen.
    const [w, h] = [this.photo.width * this.scale, this.photo.height * this.scale];
    this.x = Math.min(Math.max(this.x, this.width / 3 - w), (this.width * 2) / 3);
    this.y = Math.min(Math.max(this.y, this.height / 3 - h), (this.height * 2) / 3);
    this.changed();
    this.redraw();
  }

  #place(context) {
    const k = this.dpr * this.scale;
    context.setTransform(k, 0, 0, k, this.dpr * this.x, this.dpr * this.y);
  }

  #picture(context, photo) {
    const [left, top, right, bottom] = this.visible;
    context.scale(this.dpr, this.dpr);
    context.fillStyle = this.#checks(context);
    context.fillRect(left, top, right - left, bottom - top);
    this.#place(context);
    context.imageSmoothingEnabled = this.scale * photo.width < 4 * photo.bitmap.width;
    context.imageSmoothingQuality = "medium";
    context.drawImage(photo.bitmap, 0, 0, photo.width, photo.height);
  }

  /** Bring the overlay up to date around what is new of the live operation. */
  #drawLive() {
    const { kind, points } = this.#live;
    let part;
    if (kind === "stroke") {
      if (this.#points === points.length) return;
      part = this.#bounds(points, 3, Math.max(0, this.#points - 3));
      this.#points = points.length;
    } else {
      const { x0, y0, x1, y1 } = this.#live;
      const now = this.#bounds(kind === "box" ? [x0, y0, x1, y1] : points, 2, 0);
      const old = this.#seen ?? now;
      part = [Math.min(now[0], old[0]), Math.min(now[1], old[1]),
        Math.max(now[2], old[2]), Math.max(now[3], old[3])];
      this.#seen = now;
    }
    this.#colour(part);
  }

  /** On the screen: left, top, right, bottom of points, with their radii where there are some. */
  #bounds(points, step, start) {
    const found = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = start; i < points.length; i += step) {
      const x = this.x + points[i] * this.scale, y = this.y + points[i + 1] * this.scale;
      const margin = (step === 3 ? points[i + 2] * this.scale : 0) + 4;
      found[0] = Math.min(found[0], x - margin);
      found[1] = Math.min(found[1], y - margin);
      found[2] = Math.max(found[2], x + margin);
      found[3] = Math.max(found[3], y + margin);
    }
    return found;
  }

  /** Redraw a part of the overlay: what is painted, in its colour, within the picture. */
  #colour(part) {
    const [left, top, right, bottom] = this.visible;
    const x0 = Math.floor(Math.max(part[0], left) * this.dpr);
    const y0 = Math.floor(Math.max(part[1], top) * this.dpr);
    const x1 = Math.ceil(Math.min(part[2], right) * this.dpr);
    const y1 = Math.ceil(Math.min(part[3], bottom) * this.dpr);
    const whole = part[2] - part[0] >= this.width && part[3] - part[1] >= this.height;
    const context = whole ? this.#clear(this.overlay) : this.overlay.getContext("2d");
    if (x0 >= x1 || y0 >= y1 || (!this.operations.length && !this.#live)) return;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.clip();
    context.clearRect(x0, y0, x1 - x0, y1 - y0);
    context.drawImage(this.#base, x0, y0, x1 - x0, y1 - y0, x0, y0, x1 - x0, y1 - y0);
    if (this.#live) this.#paintAll(context, [this.#live]);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = this.#hatch(context);
    context.fillRect(x0, y0, x1 - x0, y1 - y0);
    context.globalCompositeOperation = "source-over";
    if (this.#live && this.#live.kind !== "stroke") this.#outline(context);
    context.restore();
  }

  #paintAll(context, operations) {
    this.#place(context);
    for (const operation of operations) {
      paint(context, operation, this.photo.width, this.photo.height);
    }
  }

  #clear(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  /** Around a lasso or box, so that it is seen on any picture. */
  #outline(context) {
    const live = this.#live;
    this.#place(context);
    context.beginPath();
    if (live.kind === "box") {
      context.rect(live.x0, live.y0, live.x1 - live.x0, live.y1 - live.y0);
    } else {
      for (let i = 0; i < live.points.length; i += 2) {
        context.lineTo(live.points[i], live.points[i + 1]);
      }
    }
    context.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    context.lineJoin = "round";
    for (const [width, colour] of [[3.5, "rgb(0 0 0 / 55%)"], [1.5, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  #hatch(context) {
    // 16x16 at twice the screen's resolution; it joins up with itself on all sides.
    this.hatch ??= tile(16, (tile) => {
      tile.fillStyle = "rgb(214 40 90 / 56%)";
      tile.fillRect(0, 0, 16, 16);
      tile.strokeStyle = "rgb(255 225 232 / 60%)";
      tile.lineWidth = 2.4;
      for (const x of [-16, 0, 16]) {
        tile.moveTo(x - 4, 20);
        tile.lineTo(x + 20, -4);
      }
      tile.stroke();
    });
    const pattern = context.createPattern(this.hatch, "repeat");
    pattern.setTransform(new DOMMatrix([this.dpr / 2, 0, 0, this.dpr / 2, 0, 0]));
    return pattern;
  }

  #checks(context) {
    this.checks ??= tile(16, (tile) => {
      tile.fillStyle = "#ddd";
      tile.fillRect(0, 0, 16, 16);
      tile.fillStyle = "#bbb";
      tile.fillRect(0, 0, 8, 8);
      tile.fillRect(8, 8, 8, 8);
    });
    return context.createPattern(this.checks, "repeat");
  }

  #id(object) {
    if (!this.#numbers.has(object)) this.#numbers.set(object, ++this.#number);
    return this.#numbers.get(object);
  }
}

function tile(side, draw) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  draw(canvas.getContext("2d"));
  return canvas;
}
