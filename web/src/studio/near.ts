/** Pictures near one: its variations, or those most like it among many seeds. */
import { MAX_SEED } from "../painting/seeds.ts";
import { post } from "./api.ts";
import type { How } from "./painter.ts";
import { ofSeed, type Look } from "./points.ts";
import type { Alike, Point, PointRecord } from "./types.ts";

export interface Near {
  centre: Point;
  points: PointRecord[];
  /** Seeds that were compared with it; null: the points are variations of it, or were found. */
  among: number | null;
  /** Of the points from it, if seeds were compared. */
  distances: number[];
}

/** Pictures that are shown. */
export const SHOWN = 24;
/** Seeds of one request: a second or so, after which the page shows what was found. */
const PORTION = 16;

export function variationsOf(centre: Point, points: PointRecord[]): Near {
  return { centre, points, among: null, distances: [] };
}

/** Variations by chance. */
export async function vary(how: How, centre: Point, spread: number): Promise<Near> {
  const start = Math.floor(Math.random() * 1e6);
  const body = { ...how, point: centre, spread, seeds: Array.from({ length: SHOWN }, (_, i) => start + i) };
  return variationsOf(centre, (await post<{ points: PointRecord[] }>("gallery/variations", body)).points);
}

/**
 * The pictures most like one among those of seeds; after each portion of them what was found so far.
 *
 * @param before what was found among the first of them.
 * @param wanted how many seeds are compared in all.
 */
export async function* alike(
  how: How,
  before: Near,
  look: Look,
  first: number,
  wanted: number,
): AsyncGenerator<Near> {
  const all = Math.min(wanted, MAX_SEED - first + 1);
  let found = before;
  for (let done = before.among ?? 0; done < all; ) {
    const seeds = Math.min(PORTION, all - done);
    const body = {
      ...how,
      point: before.centre,
      first: first + done,
      seeds,
      count: SHOWN,
      classes: ofSeed(0, look).classes,
      truncation: look.truncation,
    };
    found = merged(found, await post<Alike>("gallery/more-like", body), (done += seeds));
    yield found;
  }
}

/** Whether both are of one search among seeds. */
export function sameSearch(a: Near | null, b: Near | null): boolean {
  return a?.among != null && b?.among != null && JSON.stringify(a.centre) === JSON.stringify(b.centre);
}

/** The nearest of both, the nearest first. */
export function merged(before: Near, more: Alike, among: number): Near {
  const all = [
    ...before.points.map((point, i) => ({ point, distance: before.distances[i]! })),
    ...more.points.map((point, i) => ({ point, distance: more.distances[i]! })),
  ];
  // Of equally near ones the earlier seed stays first.
  const nearest = all.sort((a, b) => a.distance - b.distance).slice(0, SHOWN);
  return {
    centre: before.centre,
    points: nearest.map(({ point }) => point),
    among,
    distances: nearest.map(({ distance }) => distance),
  };
}
