/** The painter: runs the model in a worker, so that the page answers meanwhile. */
import * as ort from "onnxruntime-web/wasm";
import { fromBase64, unpacked } from "./bytes.ts";
import type { Answer, Ask, Begin } from "./messages.ts";
import { pixelsOf } from "./pixels.ts";

let session: ort.InferenceSession | null = null;

function say(answer: Answer, moved: Transferable[] = []): void {
  postMessage(answer, { transfer: moved });
}

async function begin(parts: Begin): Promise<void> {
  const [wasm, model] = await Promise.all(
    [parts.wasm, parts.model].map((text) => unpacked(fromBase64(text), "gzip")),
  );
  ort.env.wasm.wasmBinary = wasm!.buffer;
  // Threads need a server that isolates the page; from a disk there is one.
  ort.env.wasm.numThreads = 1;
  session = await ort.InferenceSession.create(model!, { executionProviders: ["wasm"] });
  say({ kind: "ready" });
}

async function paint(ask: Ask): Promise<void> {
  const tensor = (values: Float32Array) => new ort.Tensor("float32", values, [1, values.length]);
  const inputs: Record<string, ort.Tensor> = { latents: tensor(ask.latents) };
  // A model without label fields has no such input.
  if (ask.classes.length) inputs.labels = tensor(ask.classes);
  const { images } = await session!.run(inputs);
  const [, , height, width] = images!.dims;
  const pixels = pixelsOf(images!.data as Float32Array, height!, width!);
  say({ kind: "painted", id: ask.id, ...pixels }, [pixels.data.buffer]);
}

addEventListener("message", (event: MessageEvent<Begin | Ask>) => {
  const data = event.data;
  const id = "id" in data ? data.id : null;
  ("id" in data ? paint(data) : begin(data)).catch((error: unknown) => {
    say({ kind: "failed", id, message: error instanceof Error ? error.message : String(error) });
  });
});
