/** What the page and its painter, a worker, say to each other. */
import type { Pixels } from "./png.ts";

export interface Begin {
  /** WebAssembly of onnxruntime, the model and the enlarging network as ONNX, each packed by gzip, in base64. */
  wasm: string;
  model: string;
  enlarger: string;
  /** Pixels, in each direction, that a pixel of what the enlarging network makes depends on. */
  reach: number;
  /** The shape of a picture's latents: [Z], or [L, Z] with one for each level of the generator. */
  latents: number[];
}

export interface Ask {
  kind: "paint";
  id: number;
  latents: Float32Array<ArrayBuffer>;
  classes: Float32Array<ArrayBuffer>;
}

export interface Enlarge {
  kind: "enlarge";
  id: number;
  pixels: Pixels;
}

export type Answer =
  | { kind: "ready" }
  | { kind: "failed"; id: number | null; message: string }
  | { kind: "progress"; id: number; done: number; of: number }
  | { kind: "painted"; id: number; width: number; height: number; data: Uint8ClampedArray<ArrayBuffer> };
