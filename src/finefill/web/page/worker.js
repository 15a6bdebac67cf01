// Off the page's thread: photos -> bitmaps; masks at the original's size: vectors -> PNG, and mask
// files -> alpha.

import { paint } from "./mask.js";
import { meaning } from "./meaning.js";
import { crc32 } from "./bytes.js";

const STRIP = 4e6; // pixels held at a time: a mask of 50 megapixels would need 200 MB as RGBA
const HALF = 128; // as on the server: from here on a pixel is completed

onmessage = async ({ data: { id, task, ...told } }) => {
  try {
    const [answer, moved] = await { decode, encode, read }[task](told);
    postMessage({ id, answer }, moved ?? []);
  } catch (error) {
    postMessage({ id, error: error.message || String(error) });
  }
};

/** A photo -> its upright bitmap of the given size. */
async function decode({ blob, resizeWidth, resizeHeight }) {
  const bitmap = await createImageBitmap(blob, {
    imageOrientation: "from-image",
    resizeWidth,
    resizeHeight,
    resizeQuality: "high",
  });
  return [bitmap, [bitmap]];
}

/** Operations -> [PNG of 1 bit a pixel, white = completed; null if nothing is]. */
async function encode({ operations, width, height }) {
  const drawn = [];
  for (const operation of operations) {
    const whole = operation.kind === "mask" ? (await alphaOf(operation.blob)).canvas : null;
    drawn.push(whole ? { ...operation, bitmap: whole } : operation);
  }
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP / width)));
  const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
  const deflate = new CompressionStream("deflate");
  const compressed = new Response(deflate.readable).arrayBuffer();
  const writer = deflate.writable.getWriter();
  const stride = 1 + Math.ceil(width / 8);
  let any = 0;
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, rows);
    context.setTransform(1, 0, 0, 1, 0, -top);
    for (const operation of drawn) paint(context, operation, width, height);
    const pixels = context.getImageData(0, 0, width, count).data;
    const packed = new Uint8Array(stride * count);
    for (let y = 0; y < count; y++) {
      let from = 4 * y * width + 3;
      const to = y * stride + 1; // after the filter's byte, 0
      for (let x = 0; x < width; x++, from += 4) {
        if (pixels[from] >= HALF) {
          packed[to + (x >> 3)] |= 128 >> (x & 7);
          any = 1;
        }
      }
    }
    await writer.write(packed);
  }
  await writer.close();
  const data = new Uint8Array(await compressed);
  if (!any) return [null];
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 1); // bits; the rest, 0: grey, deflate, adaptive filter, not interlaced
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const parts = [signature, chunk("IHDR", new Uint8Array(header.buffer)), chunk("IDAT", data),
    chunk("IEND", new Uint8Array())];
  return [new Blob(parts, { type: "image/png" })];
}

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** A mask file -> its size, and its alpha scaled down for the screen. */
async function read({ blob, limit }) {
  const { canvas, share, labels } = await alphaOf(blob);
  const { width, height } = canvas;
  const scale = Math.min(1, Math.sqrt(limit / (width * height)));
  const bitmap = await createImageBitmap(canvas, {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
  });
  return [{ bitmap, width, height, share, labels }, [bitmap]];
}

/** A mask file as a canvas with alpha 255 where it is completed, else 0. */
async function alphaOf(blob) {
  let image;
  try {
    image = await createImageBitmap(blob, {
      premultiplyAlpha: "none",
      colorSpaceConversion: "none",
    });
  } catch {
    throw new Error("the mask is not an image that this browser can read");
  }
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  image.close();
  const rows = Math.max(1, Math.floor(STRIP / width));
  const strips = [];
  for (let top = 0; top < height; top += rows) strips.push([top, Math.min(rows, height - top)]);
  const each = (use) => {
    for (const [top, count] of strips) {
      use(context.getImageData(0, top, width, count).data, width, count);
    }
  };
  const { completed, labels } = meaning(each);
  let number = 0;
  for (const [top, count] of strips) {
    const strip = context.getImageData(0, top, width, count);
    const pixels = strip.data;
    for (let i = 0; i < pixels.length; i += 4) {
      const chosen = completed(pixels, i);
      pixels[i + 3] = chosen ? 255 : 0;
      number += chosen;
    }
    context.putImageData(strip, 0, top);
  }
  return { canvas, share: number / (width * height), labels };
}
