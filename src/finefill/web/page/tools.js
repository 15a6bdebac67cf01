// Pointer, wheel and arrow keys on the picture -> operations, zoom and pan.

const TOUCH_SLACK = 6; // CSS pixels that a finger may move before it paints

export class Tools {
  tool = "brush";
  erase = false;
  size = 40; // the brush's diameter in CSS pixels: zoomed in, it paints finer
  pressure = false;
  locked = false; // while the server works: look, but do not paint
  #pointers = new Map();
  #mode = null; // paint, pan, pinch, split
  #start = null;
  #space = false;
  #panned = false;
  #pen = false; // one was used: fingers move the picture from then on
  #hover = null;
  #spot = null; // the keyboard's cursor, in pixels of the original
  #keyed = false; // the keyboard is painting

  /**
   * @param view a View
   * @param told {done(operation), resized(), split(), say(text)}
   */
  constructor(view, told) {
    this.view = view;
    this.told = told;
    const { canvas } = view;
    const on = (name, handler, options) => canvas.addEventListener(name, handler, options);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event, true));
    on("pointercancel", (event) => this.#up(event, false));
    on("pointerleave", () => this.#hovered(null));
    on("wheel", (event) => this.#wheel(event), { passive: false });
    on("keydown", (event) => this.#key(event));
    on("focus", () => canvas.matches(":focus-visible") && this.#aim());
    on("blur", () => this.#unaim());
    on("contextmenu", (event) => event.preventDefault());
    // Else the browser sees a fling at a stroke's end, and a tap on a button just after only stops that.
    on("touchstart", (event) => event.preventDefault(), { passive: false });
    // Space moves the picture while the pointer is over it, whatever has the focus but a control.
    addEventListener("keydown", (event) => {
      if (event.key !== " " || event.target.closest("button, input, select, dialog, [popover]")) return;
      event.preventDefault();
      if (!event.repeat) [this.#space, this.#panned] = [true, false];
      this.cursor();
    });
    addEventListener("keyup", (event) => {
      if (event.key !== " " || !this.#space) return;
      this.#space = false;
      if (!this.#panned && this.#spot && document.activeElement === canvas) this.#press();
      this.cursor();
    });
    addEventListener("blur", () => (this.#space = false));
  }

  resize(size) {
    this.size = Math.round(Math.min(Math.max(size, 4), 200));
    this.told.resized();
    this.cursor();
  }

  /** Give up what is being painted; returns whether there was anything. */
  cancel() {
    const had = this.view.live !== null;
    this.view.live = null;
    this.#keyed = false;
    if (this.#mode === "paint") this.#mode = null;
    this.view.redraw();
    return had;
  }

  /** Show where the brush is. */
  cursor() {
    const { view } = this;
    const editing = !this.locked && !view.before;
    const moving = this.#mode === "pan" || this.#space || !editing;
    const brush = this.tool === "brush";
    view.canvas.style.cursor = moving
      ? view.before && !this.#space ? "ew-resize" : "grab"
      : brush ? "none" : "crosshair";
    view.cursor = null;
    if (this.#spot && editing) {
      const [x, y] = [view.x + this.#spot[0] * view.scale, view.y + this.#spot[1] * view.scale];
      view.cursor = { x, y, radius: brush ? this.size / 2 : 0, erase: this.erase, cross: true };
    } else if (this.#hover && brush && !moving) {
      const [x, y] = this.#hover;
      view.cursor = { x, y, radius: this.size / 2, erase: this.erase, cross: false };
    }
    view.redraw();
  }

  #down(event) {
    const { view } = this;
    if (!view.photo) return;
    const point = [event.offsetX, event.offsetY];
    view.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, point);
    this.#pen ||= event.pointerType === "pen";
    const touch = event.pointerType === "touch";
    if (touch && this.#pointers.size === 2) {
      this.cancel();
      this.#mode = "pinch";
      return;
    }
    if (this.#pointers.size > 1) return;
    view.canvas.classList.add("pointed"); // no frame around it for who does not use keys
    this.#unaim();
    this.#start = point;
    if (event.button === 1 || this.#space) {
      event.preventDefault();
      this.#panned = true;
      this.#mode = "pan";
    } else if (event.button === 0) {
      if (view.before) this.#mode = "split";
      else if (this.locked || (touch && this.#pen)) this.#mode = "pan";
      else this.#mode = "paint";
    }
    if (this.#mode === "paint" && !touch) this.#begin(...view.toPhoto(...point), event);
    if (this.#mode === "split" && !touch) this.#splitAt(point[0]);
    this.#hovered(touch ? null : point);
  }

  #move(event) {
    const { view } = this;
    const point = [event.offsetX, event.offsetY];
    const last = this.#pointers.get(event.pointerId);
    if (!last) {
      if (event.pointerType !== "touch") {
        this.#unaim();
        this.#hovered(point);
      }
      return;
    }
    if (this.#mode === "pinch") {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const middle = [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
        view.pan((point[0] - last[0]) / 2, (point[1] - last[1]) / 2);
        const [before, after] = [distance(last, other), distance(point, other)];
        if (before > 0) view.zoom(after / before, ...middle);
      }
    } else if (this.#mode === "pan") {
      view.pan(point[0] - last[0], point[1] - last[1]);
    } else if (this.#mode === "split") {
      this.#splitAt(point[0]);
    } else if (this.#mode === "paint") {
      if (!view.live && distance(point, this.#start) >= TOUCH_SLACK) {
        this.#begin(...view.toPhoto(...this.#start), event);
      }
      if (view.live) {
        const events = event.getCoalescedEvents?.() ?? [];
        for (const one of events.length ? events : [event]) {
          this.#extend(...view.toPhoto(one.offsetX, one.offsetY), one);
        }
      }
    }
    this.#pointers.set(event.pointerId, point);
    this.#hovered(event.pointerType === "touch" ? null : point);
  }

  #up(event, complete) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#mode === "paint" && complete) {
      if (!this.view.live) this.#begin(...this.view.toPhoto(...this.#start), event); // a tap
      this.#end();
    } else if (this.#mode === "split" && complete) {
      this.#splitAt(event.offsetX);
    } else if (!complete) {
      this.cancel();
    }
    if (this.#pointers.size === 0) this.#mode = null;
    else if (this.#mode === "pinch") this.#mode = "pan"; // the finger that is left
    this.cursor();
  }

  #wheel(event) {
    if (!this.view.photo) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    const delta = (event.deltaY || event.deltaX) * lines;
    if (event.shiftKey) this.resize(this.size * Math.exp(-delta / 500) - Math.sign(delta));
    else {
      this.view.zoom(Math.exp(-delta / (event.ctrlKey ? 100 : 400)), event.offsetX, event.offsetY);
    }
    this.cursor();
  }

  #begin(x, y, event) {
    const { view, erase } = this;
    if (this.tool === "brush") view.live = { kind: "stroke", erase, points: [x, y, this.#radius(event)] };
    else if (this.tool === "lasso") view.live = { kind: "lasso", erase, points: [x, y] };
    else view.live = { kind: "box", erase, x0: x, y0: y, x1: x, y1: y };
    view.redraw();
  }

  #extend(x, y, event) {
    const { live, scale } = this.view;
    if (live.kind === "box") {
      [live.x1, live.y1] = [x, y];
    } else {
      const step = live.kind === "stroke" ? 3 : 2;
      const [lastX, lastY] = live.points.slice(-step);
      if (Math.hypot(x - lastX, y - lastY) * scale < 1) return;
      live.points.push(x, y);
      if (step === 3) live.points.push(this.#radius(event));
    }
    this.view.redraw();
  }

  #end() {
    const { view } = this;
    const { live } = view;
    view.live = null;
    this.#keyed = false;
    view.redraw();
    if (!live) return;
    if (live.kind === "box") {
      // Whole pixels, all that the box touches.
      const [x0, x1] = [live.x0, live.x1].sort((a, b) => a - b);
      const [y0, y1] = [live.y0, live.y1].sort((a, b) => a - b);
      Object.assign(live, { x0: Math.floor(x0), y0: Math.floor(y0), x1: Math.ceil(x1), y1: Math.ceil(y1) });
    }
    const small = live.kind === "box"
      ? (live.x1 - live.x0) * view.scale < 3 || (live.y1 - live.y0) * view.scale < 3
      : live.kind === "lasso" && live.points.length < 6;
    if (!small) this.told.done(live);
  }

  #radius(event) {
    const soft = this.pressure && event?.pointerType === "pen" && event.pressure > 0;
    return (this.size / 2 / this.view.scale) * (soft ? 0.25 + 0.75 * event.pressure : 1);
  }

  #splitAt(x) {
    const [left, , right] = this.view.visible;
    this.view.split = Math.min(Math.max((x - left) / (right - left), 0), 1);
    this.told.split();
  }

  #hovered(point) {
    this.#hover = point;
    this.cursor();
  }

  // The keyboard's cursor.

  #aim() {
    const { photo } = this.view;
    if (!photo || this.#spot) return;
    this.#spot = [photo.width / 2, photo.height / 2];
    this.view.canvas.classList.remove("pointed");
    this.cursor();
  }

  #unaim() {
    if (!this.#spot) return;
    if (this.#keyed) this.cancel();
    this.#spot = null;
    this.cursor();
  }

  #key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const { view } = this;
    if (event.altKey || event.metaKey || !view.photo) return;
    if (step) {
      event.preventDefault();
      if (view.before) {
        view.split = Math.min(Math.max(view.split + step[0] * 0.02, 0), 1);
        this.told.split();
        return;
      }
      this.#aim();
      const pixels = event.ctrlKey ? 1 : (event.shiftKey ? 64 : 12) / view.scale;
      const { width, height } = view.photo;
      const spot = [this.#spot[0] + step[0] * pixels, this.#spot[1] + step[1] * pixels];
      this.#spot = [Math.min(Math.max(spot[0], 0), width), Math.min(Math.max(spot[1], 0), height)];
      if (this.#keyed) this.#extend(...this.#spot);
      this.#follow();
      this.cursor();
    } else if (event.key === "Enter" && !event.ctrlKey) {
      event.preventDefault();
      if (this.#spot) this.#press();
    }
  }

  #press() {
    if (this.locked || this.view.before) return;
    const [x, y] = this.#spot.map(Math.round);
    if (this.#keyed) {
      this.#end();
    } else {
      this.#keyed = true;
      this.#begin(...this.#spot);
      this.told.say(`Painting from ${x}, ${y}: move with the arrows, end with Space`);
    }
  }

  /** Keep the keyboard's cursor on the screen. */
  #follow() {
    const { view } = this;
    const [x, y] = [view.x + this.#spot[0] * view.scale, view.y + this.#spot[1] * view.scale];
    const dx = x < 24 ? 24 - x : x > view.width - 24 ? view.width - 24 - x : 0;
    const dy = y < 24 ? 24 - y : y > view.height - 24 ? view.height - 24 - y : 0;
    const [left, top, right, bottom] = view.visible;
    if ((dx && (left <= 0 || right >= view.width)) || (dy && (top <= 0 || bottom >= view.height))) {
      view.pan(dx, dy);
    }
  }
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
