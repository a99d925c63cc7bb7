/**
 * Three builds: the exported page (`page.js`, `page.css`), its painter, a worker (`painter.js`), and the
 * studio's page (`studio.js`, `studio.css`).
 */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/**
 * onnxruntime names its WebAssembly by the address of its own script. The page hands it over instead, and
 * has no addresses; without this, Vite would write the WebAssembly into the script.
 */
const withoutAddresses: Plugin = {
  name: "without-addresses",
  enforce: "pre",
  transform: (code, id) =>
    id.includes("onnxruntime-web") ? code.replaceAll("import.meta.url", '"about:blank"') : null,
};

const entries: Record<string, string> = {
  page: "src/page/main.ts",
  painter: "src/painting/worker.ts",
  studio: "src/studio/main.ts",
};

export default defineConfig(({ mode }) => {
  const name = mode in entries ? mode : "page";
  return {
    plugins: [name === "painter" ? withoutAddresses : svelte()],
    build: {
      outDir: "built",
      emptyOutDir: name === "page",
      target: "es2022",
      cssCodeSplit: false,
      assetsInlineLimit: 0,
      lib: {
        entry: entries[name]!,
        formats: ["iife"],
        name: "impasto",
        fileName: () => `${name}.js`,
        cssFileName: name,
      },
    },
    test: { include: ["tests/*.test.ts"] },
  };
});
