/** What paints points, wherever it does: in a worker of the page, or on a server. */
import type { Pixels } from "./png.ts";

export interface Paints<Point> {
  /**
   * Ask for the picture of a point.
   *
   * @param place where it is shown; a later request for the same place takes the place of one that waits.
   * @param urgent before all that are not.
   */
  ask(place: string, point: Point, done: (pixels: Pixels) => void, urgent?: boolean): void;

  /** Forget what was asked for a place and is not painted yet. */
  drop(place: string): void;

  /** Whether the picture asked for a place still waits. */
  waits(place: string): boolean;
}
