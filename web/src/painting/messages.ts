/** What the page and its painter, a worker, say to each other. */

export interface Begin {
  /** WebAssembly of onnxruntime and the model as ONNX, each packed by gzip, in base64. */
  wasm: string;
  model: string;
}

export interface Ask {
  id: number;
  latents: Float32Array<ArrayBuffer>;
  classes: Float32Array<ArrayBuffer>;
}

export type Answer =
  | { kind: "ready" }
  | { kind: "failed"; id: number | null; message: string }
  | { kind: "painted"; id: number; width: number; height: number; data: Uint8ClampedArray<ArrayBuffer> };
