/** The painter: runs the model in a worker, so that the page answers meanwhile. */
import * as ort from "onnxruntime-web/wasm";
import { fromBase64, unpacked } from "./bytes.ts";
import { enlarged } from "./enlarging.ts";
import type { Answer, Ask, Begin, Enlarge } from "./messages.ts";
import { pixelsOf } from "./pixels.ts";

let parts: Begin | null = null;
let session: ort.InferenceSession | null = null;
let enlarger: ort.InferenceSession | null = null;

function say(answer: Answer, moved: Transferable[] = []): void {
  postMessage(answer, { transfer: moved });
}

async function opened(packed: string): Promise<ort.InferenceSession> {
  const graph = await unpacked(fromBase64(packed), "gzip");
  return ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
}

async function begin(given: Begin): Promise<void> {
  parts = given;
  ort.env.wasm.wasmBinary = (await unpacked(fromBase64(given.wasm), "gzip")).buffer;
  // Threads need a server that isolates the page; from a disk there is one.
  ort.env.wasm.numThreads = 1;
  session = await opened(given.model);
  // What the sessions hold is not kept twice.
  parts = { ...given, wasm: "", model: "" };
  say({ kind: "ready" });
}

async function paint(ask: Ask): Promise<void> {
  const tensor = (values: Float32Array, shape: number[]) => new ort.Tensor("float32", values, [1, ...shape]);
  const inputs: Record<string, ort.Tensor> = { latents: tensor(ask.latents, parts!.latents) };
  // A model without label fields has no such input.
  if (ask.classes.length) inputs.labels = tensor(ask.classes, [ask.classes.length]);
  const { images } = await session!.run(inputs);
  const [, , height, width] = images!.dims;
  const pixels = pixelsOf(images!.data as Float32Array, height!, width!);
  say({ kind: "painted", id: ask.id, ...pixels }, [pixels.data.buffer]);
}

async function enlarge({ id, pixels }: Enlarge): Promise<void> {
  const network = (enlarger ??= await opened(parts!.enlarger));
  const made = await enlarged(
    pixels,
    async (image, height, width) => {
      const picture = new ort.Tensor("float32", image, [1, 3, height, width]);
      const { images } = await network.run({ picture });
      return images!.data as Float32Array;
    },
    parts!.reach,
    (done, of) => say({ kind: "progress", id, done, of }),
  );
  say({ kind: "painted", id, ...made }, [made.data.buffer]);
}

addEventListener("message", (event: MessageEvent<Begin | Ask | Enlarge>) => {
  const data = event.data;
  const id = "id" in data ? data.id : null;
  const work = !("kind" in data) ? begin(data) : data.kind === "paint" ? paint(data) : enlarge(data);
  work.catch((error: unknown) => {
    say({ kind: "failed", id, message: error instanceof Error ? error.message : String(error) });
  });
});
