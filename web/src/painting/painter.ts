/** The page's side of the painter: one picture at a time, and of each place only what was asked last. */
import type { Answer, Ask, Begin, Enlarge } from "./messages.ts";
import type { Paints } from "./paints.ts";
import type { Pixels } from "./png.ts";
import { atLevels, type Point } from "./points.ts";

interface Job {
  urgent: boolean;
  message: (id: number) => Ask | Enlarge;
  done: (pixels: Pixels) => void;
  progress?: (done: number, of: number) => void;
  /** What is told that it could not be done; without it, that nothing can be painted. */
  failed?: (message: string) => void;
}

export class Painter implements Paints<Point> {
  private readonly waiting = new Map<string, Job>();
  private running: { id: number; job: Job } | null = null;
  private ready = false;
  private count = 0;
  private asked = 0;
  private readonly shape: number[];

  /**
   * @param worker does not run yet.
   * @param failed is told why nothing can be painted.
   */
  constructor(
    private readonly worker: Worker,
    parts: Begin,
    private readonly failed: (message: string) => void,
  ) {
    this.shape = parts.latents;
    worker.addEventListener("message", (event: MessageEvent<Answer>) => this.hear(event.data));
    worker.addEventListener("error", (event) => failed(event.message || "the worker did not start"));
    worker.postMessage(parts);
  }

  ask(place: string, point: Point, done: (pixels: Pixels) => void, urgent = false): void {
    const message = (id: number): Ask => ({
      kind: "paint",
      id,
      latents: atLevels(point.latents, this.shape),
      classes: Float32Array.from(point.classes),
    });
    this.waiting.set(place, { urgent, message, done });
    this.next();
  }

  /** A picture that is painted whatever else is asked for meanwhile. */
  paint(point: Point): Promise<Pixels> {
    return new Promise((done) => this.ask(`paint-${++this.asked}`, point, done, true));
  }

  /** A picture four times as large; `progress` is told how many parts of how many are done. */
  enlarge(pixels: Pixels, progress: (done: number, of: number) => void): Promise<Pixels> {
    return new Promise((done, refused) => {
      this.waiting.set("enlarge", {
        urgent: true,
        message: (id) => ({ kind: "enlarge", id, pixels }),
        done,
        progress,
        failed: (message) => refused(new Error(message)),
      });
      this.next();
    });
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
    this.running = { id: ++this.count, job };
    this.worker.postMessage(job.message(this.running.id));
  }

  private hear(answer: Answer): void {
    if (answer.kind === "ready") this.ready = true;
    else if (answer.id === null || this.running?.id !== answer.id) {
      if (answer.kind === "failed") return this.failed(answer.message);
    } else {
      const { job } = this.running;
      if (answer.kind === "progress") return job.progress?.(answer.done, answer.of);
      if (answer.kind === "failed" && !job.failed) return this.failed(answer.message);
      this.running = null;
      if (answer.kind === "failed") job.failed!(answer.message);
      else job.done(answer);
    }
    this.next();
  }
}
