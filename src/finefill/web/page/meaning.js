// What a mask file means, as on the server (finefill.masks): labels, brushes on transparent ground,
// soft edges, black and white.

const HALF = 128; // from here on a grey is completed
const BLACK = 48; // up to here a channel passes for black
const MOST = 4096; // values of labels; a picture of more is none of labels
const STRAY = 16; // values that cover no area; more come from scaling or lossy compression
const CLOSE = 8; // levels between a value and the noise around it
const ROUGH = 0.75; // unequal neighbours a pixel: a value with more covers no area
const COVERED = 0.8; // of the pixels, by the labels
const MANY = 64; // of 4096 colours: what is drawn has fewer, a photograph more

/**
 * Which pixels a mask completes.
 * @param strips calls back with (pixels, width, count of rows) for each strip from the top, in turn
 * @returns {{completed: (pixels, i) => boolean, labels: number}} labels: how many; 0 if it is not of
 *   labels
 */
export function meaning(strips) {
  let most = 0, least = 255;
  strips((pixels) => {
    for (let i = 3; i < pixels.length; i += 4) {
      if (pixels[i] > most) most = pixels[i];
      if (pixels[i] < least) least = pixels[i];
    }
  });
  const clear = least < most;
  const shown = (pixels, i) => !clear || 2 * pixels[i + 3] > most;
  if (clear) {
    const drawn = onTransparent(strips, shown);
    if (drawn) return { completed: drawn, labels: 0 };
  }
  const colour = (pixels, i) =>
    shown(pixels, i) ? (pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2] : 0;
  const { values, border, total } = counted(strips, colour);
  const flat = values && areas(values, total);
  if (!flat || flat.length < 2) return { completed: soft(strips, colour), labels: 0 };
  const nearest = new Map();
  const which = (value) => {
    if (!nearest.has(value)) nearest.set(value, closest(value, flat));
    return nearest.get(value);
  };
  if (flat.length === 2) {
    const white = light(flat[0]) > light(flat[1]) ? 0 : 1;
    return { completed: (pixels, i) => which(colour(pixels, i)) === white, labels: 0 };
  }
  const ground = background(flat, which, values, border, total);
  return { completed: (pixels, i) => which(colour(pixels, i)) !== ground, labels: flat.length - 1 };
}

/** What is drawn on transparent ground; null where black and others are drawn there. */
function onTransparent(strips, shown) {
  let black = false, other = false;
  const bins = new Set();
  strips((pixels) => {
    for (let i = 0; i < pixels.length; i += 4) {
      if (!shown(pixels, i)) continue;
      if (Math.max(pixels[i], pixels[i + 1], pixels[i + 2]) <= BLACK) black = true;
      else other = true;
      if (bins.size <= MANY) {
        bins.add(((pixels[i] >> 4) << 8) | ((pixels[i + 1] >> 4) << 4) | (pixels[i + 2] >> 4));
      }
    }
  });
  const grey = [...bins].every((bin) => bin >> 4 === (bin & 255)); // r g = g b
  if (bins.size > MANY && !grey) return (pixels, i) => !shown(pixels, i); // an erased photograph
  return black && other ? null : shown;
}

/**
 * Each value's pixels, their unequal neighbours, and those between a darker and a lighter one; null
 * for values of which there are too many.
 */
function counted(strips, colour) {
  let values = new Map();
  const border = new Map();
  let above = null, total = 0, last = null;
  const at = (value) => {
    let entry = values.get(value);
    if (!entry) values.set(value, (entry = { number: 0, edges: 0, soft: 0 }));
    return entry;
  };
  const outer = (value) => border.set(value, (border.get(value) ?? 0) + 1);
  strips((pixels, width, count) => {
    for (let y = 0; y < count; y++) {
      const row = new Uint32Array(width);
      for (let x = 0; x < width; x++) row[x] = colour(pixels, 4 * (y * width + x));
      outer(row[0]);
      outer(row[width - 1]);
      if (!above) row.forEach(outer);
      for (let x = 0; values && x < width; x++) {
        const entry = at(row[x]);
        entry.number++;
        if (x && row[x] !== row[x - 1]) entry.edges++, at(row[x - 1]).edges++;
        if (above && row[x] !== above[x]) entry.edges++, at(above[x]).edges++;
        if (x && x < width - 1 && between(row[x - 1], row[x], row[x + 1])) entry.soft++;
        if (values.size > MOST) values = null;
      }
      total += width;
      above = last = row;
    }
  });
  last.forEach(outer);
  return { values, border, total };
}

/** The values that cover areas, the most frequent first; null if they cover too little. */
function areas(values, total) {
  const sorted = [...values].sort((a, b) => b[1].number - a[1].number);
  let flat = sorted.filter(([, entry]) => entry.edges <= ROUGH * entry.number);
  const stray = sorted.length - flat.length;
  if (stray && sorted.every(([, entry]) => entry.soft < 0.5 * entry.number) && sorted.length <= STRAY)
    flat = sorted; // thin lines and specks, each of one value
  let close = 0;
  if (stray > STRAY) {
    close = CLOSE;
    const peaks = [];
    for (const [value, entry] of flat) {
      if (entry.number >= STRAY && !peaks.some(([peak]) => distance(peak, value) <= close)) {
        peaks.push([value, entry]);
      }
    }
    flat = peaks;
  }
  if (flat.length > MANY) return null; // a gradient
  const chosen = flat.map(([value]) => value);
  let covered = 0;
  for (const [value, entry] of sorted) {
    if (chosen.some((one) => distance(one, value) <= close)) covered += entry.number;
  }
  return covered >= COVERED * total ? chosen : null;
}

/** The place of a label mask's background among its values: what surrounds all, or black. */
function background(flat, which, values, border, total) {
  const around = new Array(flat.length).fill(0), all = around.slice();
  let length = 0;
  for (const [value, number] of border) {
    around[which(value)] += number;
    length += number;
  }
  for (const [value, entry] of values) all[which(value)] += entry.number;
  const common = around.indexOf(Math.max(...around));
  const surrounds = around[common] >= 0.75 * length && 2 * all[common] > total;
  const dark = flat.findIndex((value) => distance(value, 0) <= CLOSE);
  const ground = surrounds ? common : dark;
  if (ground < 0 || (ground !== common && 2 * all[ground] < total && around[ground] <= 0.25 * length)) {
    throw new Error(
      `it has ${flat.length} labels, none of which is plainly the background: save the labels ` +
        "that should go as white on black",
    );
  }
  return ground;
}

/** Greys from half of white on, or of the brightest if nothing is that bright. */
function soft(strips, colour) {
  let high = 0;
  strips((pixels) => {
    for (let i = 0; i < pixels.length; i += 4) high = Math.max(high, light(colour(pixels, i)));
  });
  const half = high > 32 && high < HALF - 0.5 ? high / 2 : HALF - 0.5;
  return (pixels, i) => light(colour(pixels, i)) >= half;
}

function light(value) {
  return 0.299 * (value >> 16) + 0.587 * ((value >> 8) & 255) + 0.114 * (value & 255);
}

function between(a, b, c) {
  const [low, middle, high] = [light(a), light(b), light(c)];
  return (low < middle && middle < high) || (low > middle && middle > high);
}

/** The largest difference of two colours' channels. */
function distance(a, b) {
  return Math.max(
    Math.abs((a >> 16) - (b >> 16)),
    Math.abs(((a >> 8) & 255) - ((b >> 8) & 255)),
    Math.abs((a & 255) - (b & 255)),
  );
}

/** The place of the colour nearest to a value. */
function closest(value, among) {
  let best = 0, least = Infinity;
  among.forEach((one, at) => {
    const red = (one >> 16) - (value >> 16);
    const green = ((one >> 8) & 255) - ((value >> 8) & 255);
    const blue = (one & 255) - (value & 255);
    const away = red * red + green * green + blue * blue;
    if (away < least) [best, least] = [at, away];
  });
  return best;
}
