// Bytes of image files: a checksum for writing PNG, and the orientation of those files for which
// browsers disagree whether they turn them.

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as PNG uses it. */
export function crc32(bytes) {
  let crc = ~0;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}

/**
 * What a WebP or PNG file says of its orientation: [EXIF orientation 1 to 8, the file without it].
 * For other files, which every browser turns upright by itself, the orientation is 1.
 */
export async function orientationOf(blob) {
  const head = await viewOf(blob, 0, 16);
  const webp = tag(head, 0) === "RIFF" && tag(head, 8) === "WEBP";
  const png = tag(head, 1) === "PNG\r";
  if (!webp && !png) return [1, blob];
  for (let at = webp ? 12 : 8; at + 8 <= blob.size; ) {
    const chunk = await viewOf(blob, at, 8);
    const length = chunk.getUint32(webp ? 4 : 0, webp);
    const name = tag(chunk, webp ? 0 : 4);
    const next = at + (webp ? 8 + length + (length & 1) : 12 + length);
    if (name === "EXIF" || name === "eXIf") {
      const orientation = fromExif(await viewOf(blob, at + 8, length));
      // In WebP an unknown name does it: the length of the whole stays.
      const parts = webp ? ["none", blob.slice(at + 4)] : [blob.slice(next)];
      return [orientation, new Blob([blob.slice(0, at), ...parts], { type: blob.type })];
    }
    at = next;
  }
  return [1, blob];
}

/** ".jxl" or ".heic", by a file's first bytes; empty for all other kinds. */
export async function rareKind(blob) {
  const head = await viewOf(blob, 0, 16);
  if (tag(head, 4) === "JXL " || (head.byteLength > 1 && head.getUint16(0) === 0xff0a)) return ".jxl";
  const brands = ["heic", "heix", "heim", "heis", "hevc", "hevx"]; // others AVIF has too
  return tag(head, 4) === "ftyp" && brands.includes(tag(head, 8)) ? ".heic" : "";
}

function fromExif(view) {
  const start = tag(view, 0) === "Exif" ? 6 : 0;
  try {
    const little = view.getUint16(start) === 0x4949;
    const table = start + view.getUint32(start + 4, little);
    for (let i = 0; i < view.getUint16(table, little); i++) {
      const entry = table + 2 + 12 * i;
      if (view.getUint16(entry, little) === 0x0112) {
        const value = view.getUint16(entry + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // cut short: as if there were none
  }
  return 1;
}

async function viewOf(blob, start, length) {
  return new DataView(await blob.slice(start, start + length).arrayBuffer());
}

function tag(view, at) {
  let text = "";
  for (let i = at; i < at + 4 && i < view.byteLength; i++) {
    text += String.fromCharCode(view.getUint8(i));
  }
  return text;
}
