/**
 * Copies what Vite built, onnxruntime's WebAssembly and the licences into the package, and writes the digest
 * of the sources, which a test compares. With `--check` it writes nothing and fails where something differs.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";

const target = "../src/impasto/exporting/page_files";
const studio = "../src/impasto/studio/page_files";
const digest = "sources.sha256";
const check = process.argv.includes("--check");
const text = (path) => readFileSync(path, "utf8");
const version = (name) => JSON.parse(text(`node_modules/${name}/package.json`)).version;

/** Scripts and styles stand inside elements of the page, which these texts would end or change. */
function inline(name) {
  // Only strings have this one, in which it may be written otherwise.
  const found = text(`built/${name}`).replaceAll("<!--", "\\x3c!--");
  const ending = found.match(/<\/?(script|style)/i);
  if (ending) throw new Error(`${name} has ${ending[0]}, which an inline script or style must not`);
  return found;
}

/** The files under a path, sorted. */
function under(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).sort().flatMap((name) => under(`${path}/${name}`));
}

function sourcesDigest() {
  const hash = createHash("sha256");
  const own = ["collect.mjs", "licences", "package-lock.json", "src", "svelte.config.js", "vite.config.ts"];
  for (const path of own.flatMap(under)) hash.update(`${path}\n${text(path)}\0`);
  return hash.digest("hex");
}

const made = {
  [`${target}/page.js`]: inline("page.js"),
  [`${target}/page.css`]: inline("page.css"),
  [`${target}/painter.js`]: inline("painter.js"),
  [`${target}/licences.json`]:
    JSON.stringify(
      {
        [`Svelte ${version("svelte")}`]: text("node_modules/svelte/LICENSE.md"),
        [`ONNX Runtime Web ${version("onnxruntime-web")}`]: text("licences/onnxruntime.txt"),
        "Libraries inside ONNX Runtime": text("licences/onnxruntime-notices.txt"),
      },
      null,
      1,
    ) + "\n",
  [`${studio}/index.html`]: text("src/studio/index.html"),
  [`${studio}/studio.js`]: text("built/studio.js"),
  [`${studio}/studio.css`]: text("built/studio.css"),
  [`${studio}/licences.txt`]: `Svelte ${version("svelte")}\n\n${text("node_modules/svelte/LICENSE.md")}`,
  [digest]: `${sourcesDigest()}\n`,
};
const packed = `${target}/onnxruntime.wasm.gz`;
const wasm = readFileSync("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");

if (check) {
  const other = Object.entries(made).filter(([path, content]) => !existsSync(path) || text(path) !== content);
  const names = other.map(([path]) => path);
  // Versions of Node pack it differently, so what is compared is what is in it.
  if (!gunzipSync(readFileSync(packed)).equals(wasm)) names.push(packed);
  if (names.length) {
    console.error(`not what web/ builds (make web builds it): ${names.join(", ")}`);
    process.exit(1);
  }
} else {
  mkdirSync(studio, { recursive: true });
  for (const [path, content] of Object.entries(made)) writeFileSync(path, content);
  writeFileSync(packed, gzipSync(wasm, { level: 9 }));
}
