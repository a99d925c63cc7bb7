/** The page's side of the painter: one picture at a time, and of each place only what was asked last. */
import type { Answer, Begin } from "./messages.ts";
import type { Paints } from "./paints.ts";
import type { Pixels } from "./png.ts";
import type { Point } from "./points.ts";

interface Job {
  point: Point;
  urgent: boolean;
  done: (pixels: Pixels) => void;
}

export class Painter implements Paints<Point> {
  private readonly waiting = new Map<string, Job>();
  private running: { id: number; done: (pixels: Pixels) => void } | null = null;
  private ready = false;
  private count = 0;

  /**
   * @param worker does not run yet.
   * @param failed is told why nothing can be painted.
   */
  constructor(
    private readonly worker: Worker,
    parts: Begin,
    private readonly failed: (message: string) => void,
  ) {
    worker.addEventListener("message", (event: MessageEvent<Answer>) => this.hear(event.data));
    worker.addEventListener("error", (event) => failed(event.message || "the worker did not start"));
    worker.postMessage(parts);
  }

  ask(place: string, point: Point, done: (pixels: Pixels) => void, urgent = false): void {
    this.waiting.set(place, { point, urgent, done });
    this.next();
  }

  drop(place: string): void {
    this.waiting.delete(place);
  }

  waits(place: string): boolean {
    return this.waiting.has(place);
  }

  private next(): void {
    if (!this.ready || this.running || !this.waiting.size) return;
    const all = [...this.waiting];
    const [place, job] = all.find(([, each]) => each.urgent) ?? all[0]!;
    this.waiting.delete(place);
    this.running = { id: ++this.count, done: job.done };
    this.worker.postMessage({
      id: this.running.id,
      latents: Float32Array.from(job.point.latents),
      classes: Float32Array.from(job.point.classes),
    });
  }

  private hear(answer: Answer): void {
    if (answer.kind === "failed") return this.failed(answer.message);
    if (answer.kind === "ready") {
      this.ready = true;
    } else if (this.running?.id === answer.id) {
      const { done } = this.running;
      this.running = null;
      done(answer);
    }
    this.next();
  }
}
