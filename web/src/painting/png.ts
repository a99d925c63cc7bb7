/** PNG files with a text, as `impasto sample --like` reads them. */
import { packed, unpacked } from "./bytes.ts";

export interface Pixels {
  width: number;
  height: number;
  /** Red, green, blue and 255 of each pixel, row by row. */
  data: Uint8ClampedArray<ArrayBuffer>;
}

/** The key of the text of a point. */
export const POINT_KEY = "impasto";
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const MOST_TEXT = 2 ** 26;

const CHECKS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = CHECKS[(value ^ byte) & 255]! ^ (value >>> 8);
  return ~value >>> 0;
}

function chunk(kind: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc32(bytes.subarray(4, content.length + 8)));
  return bytes;
}

/** A PNG with these very pixels, which carries texts of ASCII by their keys. */
export async function pngOf(pixels: Pixels, texts: Record<string, string>): Promise<Blob> {
  const { width, height, data } = pixels;
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8);
  const rows = new Uint8Array(height * (1 + 3 * width));
  for (let y = 0, to = 0; y < height; y++) {
    to++; // each row begins with the number of its filter, 0
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) rows[to++] = data[4 * (y * width + x) + c]!;
  }
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    ...Object.entries(texts).map(([key, text]) => chunk("tEXt", new TextEncoder().encode(`${key}\0${text}`))),
    chunk("IDAT", await packed(rows)),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}

/** The text that a PNG carries by a key; null without one. */
export async function textOfPng(bytes: Uint8Array<ArrayBuffer>, key = POINT_KEY): Promise<string | null> {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const size = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + size);
    const found = await textOfChunk(kind, content, key);
    if (found !== null) return found;
    at += size + 12;
  }
  return null;
}

async function textOfChunk(
  kind: string,
  content: Uint8Array<ArrayBuffer>,
  key: string,
): Promise<string | null> {
  const end = content.indexOf(0);
  const latin = new TextDecoder("latin1");
  if (end < 0 || latin.decode(content.subarray(0, end)) !== key) return null;
  if (kind === "tEXt") return latin.decode(content.subarray(end + 1));
  // The byte after the name is the way of packing, 0 for deflate, the only one there is.
  if (kind === "zTXt") return latin.decode(await unpacked(content.slice(end + 2), "deflate", MOST_TEXT));
  if (kind !== "iTXt") return null;
  const isPacked = content[end + 1] === 1;
  const language = content.indexOf(0, end + 3);
  const start = content.indexOf(0, language + 1) + 1;
  const body = content.slice(start);
  return new TextDecoder().decode(isPacked ? await unpacked(body, "deflate", MOST_TEXT) : body);
}
