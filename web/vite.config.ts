/** Two builds: the page (`page.js`, `page.css`), and its painter, a worker (`painter.js`). */
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

export default defineConfig(({ mode }) => {
  const painter = mode === "painter";
  return {
    plugins: [painter ? withoutAddresses : svelte()],
    build: {
      outDir: "built",
      emptyOutDir: !painter,
      target: "es2022",
      cssCodeSplit: false,
      assetsInlineLimit: 0,
      lib: {
        entry: painter ? "src/painting/worker.ts" : "src/page/main.ts",
        formats: ["iife"],
        name: "impasto",
        fileName: () => (painter ? "painter.js" : "page.js"),
        cssFileName: "page",
      },
    },
    test: { include: ["tests/*.test.ts"] },
  };
});
