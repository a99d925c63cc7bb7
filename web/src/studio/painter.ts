/** Paints on the server: several pictures a request, and of each place only what was asked last. */
import type { Paints } from "../painting/paints.ts";
import type { Pixels } from "../painting/png.ts";
import { asJson, Refused, request } from "./api.ts";
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

/** Pictures of one request, and their pixels. */
const MOST = 24;
const MOST_PIXELS = 2 ** 20;

export class ServerPainter implements Paints<Point> {
  private readonly urgent = new Map<string, Wanted>();
  private readonly others = new Map<string, Wanted>();
  private readonly busy = new Set<Map<string, Wanted>>();
  private readonly most: number;
  private readonly format: "png" | "webp";

  /**
   * @param resolution of the model's pictures: a side, or width x height.
   * @param failed is told why something is not painted.
   * @param enlarge how many times as wide and high the pictures are made; of 2 and more, one a request.
   */
  constructor(
    readonly how: How,
    resolution: number | string,
    private readonly failed: (line: string) => void,
    private readonly enlarge = 1,
  ) {
    const sides = String(resolution).split("x").map(Number);
    const pixels = sides[0]! * sides.at(-1)!;
    this.most = enlarge > 1 ? 1 : Math.max(1, Math.min(MOST, Math.floor(MOST_PIXELS / pixels)));
    // Small pictures are shown enlarged, where WebP's coarser colours would be seen.
    this.format = pixels <= 256 ** 2 ? "png" : "webp";
  }

  ask(place: string, point: Point, done: (pixels: Pixels) => void, urgent = false): void {
    this.drop(place);
    const lane = urgent ? this.urgent : this.others;
    lane.set(place, { place, point, done });
    // All that a change of the page asks for travels together.
    queueMicrotask(() => void this.next(lane));
  }

  drop(place: string): void {
    this.urgent.delete(place);
    this.others.delete(place);
  }

  waits(place: string): boolean {
    return this.urgent.has(place) || this.others.has(place);
  }

  private async next(lane: Map<string, Wanted>): Promise<void> {
    if (this.busy.has(lane) || !lane.size) return;
    this.busy.add(lane);
    const batch = [...lane.values()].slice(0, lane === this.urgent ? 1 : this.most);
    for (const each of batch) lane.delete(each.place);
    try {
      const pictures = await this.painted(batch.map((each) => each.point));
      batch.forEach((each, i) => each.done(pictures[i]!));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.failed(error.message);
    } finally {
      this.busy.delete(lane);
    }
    void this.next(lane);
  }

  private async painted(points: Point[]): Promise<Pixels[]> {
    const { how, enlarge, format } = this;
    const answer =
      enlarge > 1
        ? await request("gallery/picture", asJson({ ...how, point: points[0], enlarge, format }))
        : await request("gallery/sheet", asJson({ ...how, points, columns: points.length, format }));
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
