import { expect, test } from "vitest";
import type { Answer, Ask, Begin } from "../src/painting/messages.ts";
import { Painter } from "../src/painting/painter.ts";
import type { Point } from "../src/painting/points.ts";

/** A worker whose answers the test gives. */
class Worker extends EventTarget {
  asked: Ask[] = [];

  postMessage(message: Begin | Ask): void {
    if ("kind" in message) this.asked.push(message);
  }

  answer(data: Answer): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** A picture of one pixel, of the level of the last latent that was asked for. */
  paint(): void {
    const { id, latents } = this.asked.at(-1)!;
    const data = new Uint8ClampedArray([latents[0]!, 0, 0, 255]);
    this.answer({ kind: "painted", id, width: 1, height: 1, data });
  }
}

const pointOf = (value: number): Point => ({
  latents: new Float32Array([value]),
  classes: new Float32Array(0),
  origin: { seed: null, truncation: null, edits: {} },
});

test("of a place only the last picture is painted, and each that is to be saved", async () => {
  const worker = new Worker();
  const parts = { wasm: "", model: "", enlarger: "", reach: 1, latents: [1] };
  const painter = new Painter(worker as unknown as globalThis.Worker, parts, (message) => expect.fail(message));
  const shown: number[] = [];
  for (const value of [1, 2]) painter.ask("main", pointOf(value), ({ data }) => shown.push(data[0]!));
  const saved = [painter.paint(pointOf(3)), painter.paint(pointOf(4))];
  worker.answer({ kind: "ready" });
  for (let i = 0; i < 3; i++) worker.paint();
  expect((await Promise.all(saved)).map(({ data }) => data[0])).toEqual([3, 4]);
  expect(shown).toEqual([2]);
  expect(worker.asked.length).toBe(3);
});
