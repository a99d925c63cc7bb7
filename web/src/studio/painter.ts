/** Paints on the server: several pictures a request, and of each place only what was asked last. */
import type { Paints } from "../painting/paints.ts";
import type { Pixels } from "../painting/png.ts";
import { asJson, LostError, Refused, request } from "./api.ts";
import { inTurn } from "./turns.ts";
import type { Point } from "./types.ts";

export interface How {
  model: string;
  guidance?: number;
  /** One of the sizes of a model that makes several. */
  aspect?: string;
}

interface Wanted {
  place: string;
  point: Point;
  done: (pixels: Pixels) => void;
}

/** Pictures that are being painted, by place, as far as they are still wanted. */
interface Batch {
  wanted: Map<string, Wanted>;
  ends: AbortController;
}

/** Pictures of one request, and their pixels. */
const MOST = 24;
/** Of a model that paints in many steps: the first are seen sooner, and less is painted for nobody. */
const MOST_IN_STEPS = 4;
const MOST_PIXELS = 2 ** 20;

export class ServerPainter implements Paints<Point> {
  private readonly urgent = new Map<string, Wanted>();
  private readonly others = new Map<string, Wanted>();
  private readonly busy = new Map<Map<string, Wanted>, Batch>();
  private readonly most: number;
  private readonly format: "png" | "webp";

  /**
   * @param resolution of the model's pictures: a side, or width x height.
   * @param failed is told why something is not painted.
   * @param enlarge how many times as wide and high the pictures are made; of 2 and more, one a request.
   * @param inSteps whether the model paints in many steps.
   */
  constructor(
    readonly how: How,
    resolution: number | string,
    private readonly failed: (line: string) => void,
    private readonly enlarge = 1,
    inSteps = false,
  ) {
    const sides = String(resolution).split("x").map(Number);
    const pixels = sides[0]! * sides.at(-1)!;
    this.most = enlarge > 1 ? 1 : Math.max(1, Math.min(inSteps ? MOST_IN_STEPS : MOST, Math.floor(MOST_PIXELS / pixels)));
    // Small pictures are shown enlarged, where WebP's coarser colours would be seen.
    this.format = pixels <= 256 ** 2 ? "png" : "webp";
  }

  ask(place: string, point: Point, done: (pixels: Pixels) => void, urgent = false): void {
    // What is being painted for this place is shown meanwhile.
    this.forget(place);
    const lane = urgent ? this.urgent : this.others;
    lane.set(place, { place, point, done });
    // All that a change of the page asks for travels together.
    queueMicrotask(() => void this.next(lane));
  }

  drop(place: string): void {
    this.forget(place);
    for (const { wanted, ends } of this.busy.values()) if (wanted.delete(place) && !wanted.size) ends.abort();
  }

  private forget(place: string): void {
    this.urgent.delete(place);
    this.others.delete(place);
  }

  waits(place: string): boolean {
    return this.urgent.has(place) || this.others.has(place);
  }

  private async next(lane: Map<string, Wanted>): Promise<void> {
    if (this.busy.has(lane) || !lane.size) return;
    const batch = [...lane.values()].slice(0, lane === this.urgent ? 1 : this.most);
    for (const each of batch) lane.delete(each.place);
    const wanted = new Map(batch.map((each) => [each.place, each]));
    const ends = new AbortController();
    this.busy.set(lane, { wanted, ends });
    try {
      const points = batch.map((each) => each.point);
      const pictures = await inTurn(() => this.painted(points, ends.signal), ends.signal, lane === this.urgent);
      batch.forEach((each, i) => wanted.has(each.place) && each.done(pictures[i]!));
    } catch (error) {
      if (!ends.signal.aborted && !(error instanceof Refused)) throw error;
      // That the server does not answer is said above the page.
      if (error instanceof Refused && !(error instanceof LostError)) this.failed(error.message);
    } finally {
      this.busy.delete(lane);
    }
    void this.next(lane);
  }

  private async painted(points: Point[], signal: AbortSignal): Promise<Pixels[]> {
    const { how, enlarge, format } = this;
    const answer =
      enlarge > 1
        ? await request("gallery/picture", { ...asJson({ ...how, point: points[0], enlarge, format }), signal })
        : await request("gallery/sheet", {
            ...asJson({ ...how, points, columns: points.length, format }),
            signal,
          });
    const sheet = await createImageBitmap(await answer.blob());
    const canvas = document.createElement("canvas");
    const width = Math.floor(sheet.width / points.length);
    canvas.width = width;
    canvas.height = sheet.height;
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    return points.map((_, i) => {
      context.drawImage(sheet, -i * width, 0);
      return context.getImageData(0, 0, width, sheet.height) as unknown as Pixels;
    });
  }
}
