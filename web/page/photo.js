// Whether a file can be cut out: told before it is sent, from its first bytes and from what the server says of itself.

import { Problem } from "./api.js";

const starts = (text, at = 0) => (head) => head.startsWith(text, at);
const brand = (...names) => (head) => starts("ftyp", 4)(head) && names.includes(head.slice(8, 12));
const KINDS = [ // name, media types, how the file begins
  ["JPEG", ["image/jpeg"], starts("\xff\xd8\xff")],
  ["PNG", ["image/png"], starts("\x89PNG\r\n\x1a\n")],
  ["WebP", ["image/webp"], (head) => starts("RIFF")(head) && starts("WEBP", 8)(head)],
  ["TIFF", ["image/tiff"], (head) => ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(head.slice(0, 4))],
  ["BMP", ["image/bmp"], starts("BM")],
  ["GIF", ["image/gif"], starts("GIF8")],
  ["AVIF", ["image/avif"], brand("avif", "avis")],
  ["HEIC", ["image/heic", "image/heif"], brand("heic", "heix", "heim", "heis", "hevc", "mif1", "msf1")],
  ["JPEG 2000", ["image/jp2", "image/j2k"], (head) => starts("jP  ", 4)(head) || starts("\xff\x4f\xff\x51")(head)],
];
const CHOOSE = "Choose a photo instead.";

let asked = null, told = { most: null, types: null }; // what the server reads; asked for until it answers

/** How many bytes the server takes, and the media types that it reads; null for what it does not say. */
export async function limits() {
  asked ??= fetch("/openapi.json", { signal: AbortSignal.timeout(5000) }).then(async (response) => {
    const { schema, encoding } = (await response.json()).paths["/process"].post.requestBody.content["multipart/form-data"];
    told = { most: schema.properties.image.maxLength ?? null, types: encoding?.image.contentType.split(/, */) ?? null };
  });
  await asked.catch(() => (asked = null));
  return told;
}

/** The problem with a file, or null. Whatever cannot be told here is left to the server. */
export async function problemWith(file) {
  const { most, types } = await limits(), name = nameOf(file);
  let head;
  try {
    head = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  } catch {
    return new Problem({ title: `${name} cannot be read`, text: `It may be a folder, or it has been moved. ${CHOOSE}` });
  }
  if (!file.size) return new Problem({ title: `${name} is empty`, text: `It has no bytes. ${CHOOSE}` });
  if (types) {
    const known = KINDS.find(([, , fits]) => fits(head));
    const reads = KINDS.filter(([, media]) => media.some((one) => types.includes(one)));
    const list = new Intl.ListFormat("en").format(reads.map(([kind]) => kind));
    // A type that this page has no bytes for is believed.
    const believed = !known && types.includes(file.type) && !KINDS.some(([, media]) => media.includes(file.type));
    const text = `The server reads ${list} files. ${CHOOSE}`;
    if (!known && !believed) return new Problem({ title: `${name} is not a photo`, text });
    if (known && !reads.includes(known)) {
      return new Problem({ title: `The server cannot read ${name}`, text: `It is a file of the format ${known[0]}. ${text}` });
    }
  }
  return most !== null && file.size > most ? tooLarge(file) : null;
}

export function tooLarge(file) {
  const { most } = told, limit = most === null ? "That is more than the server takes" : `At most ${size(most, Math.floor)} can be sent`;
  const title = `${nameOf(file)} is too large`;
  return new Problem({ title, text: `It has ${size(file.size, Math.ceil)}. ${limit}.` });
}

export const nameOf = (file) => file.name || "The pasted picture";

/** Bytes as words; rounded so that a file over a limit never reads as the limit. */
export function size(bytes, round) {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  const [unit, name] = bytes < 1024 ** 2 ? [1024, "kB"] : [1024 ** 2, "MB"];
  return `${round((10 * bytes) / unit) / 10} ${name}`;
}
