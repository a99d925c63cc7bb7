/** Points in words, and the request to paint them. */
import { inWords } from "../painting/classes.ts";
import { address } from "./api.ts";
import type { How } from "./painter.ts";
import type { Favourite, Point, PointRecord } from "./types.ts";

/** What all pictures of the sheet share. */
export interface Look {
  truncation: number | null;
  /** By label field, the chosen classes with their weights. */
  classes: Record<string, Record<string, number>>;
}

export const PLAIN: Look = { truncation: null, classes: {} };

/** The point of a seed. */
export function ofSeed(seed: number, look: Look): Point {
  const classes: Point["classes"] = {};
  for (const [field, parts] of Object.entries(look.classes)) {
    const names = Object.keys(parts);
    const sum = Object.values(parts).reduce((total, weight) => total + weight, 0);
    if (names.length === 1) classes[field] = names[0]!;
    // The shares, which are what the sliders show.
    else if (names.length > 1 && sum > 0)
      classes[field] = Object.fromEntries(names.map((name) => [name, parts[name]! / sum]));
  }
  return { seed, classes, truncation: look.truncation };
}

/** The point, moved so far along directions in place of what it was moved before. */
export function edited(point: Point, edits: Record<string, number>): Point {
  const { edits: _, ...plain } = point;
  const given = Object.entries(edits).filter(([, by]) => by);
  return given.length ? { ...plain, edits: Object.fromEntries(given) } : plain;
}

export function nameOf(point: Point): string {
  if (point.favourite !== undefined) return point.favourite;
  if (point.seed !== undefined) return `Seed ${point.seed}`;
  const origin = point.point?.origins[0];
  if (!point.point || origin?.seed == null) return "Between seeds";
  return `${Object.keys(origin.edits ?? {}).length ? "From seed" : "Seed"} ${origin.seed}`;
}

export function classesOf(record: PointRecord): string {
  return inWords(
    record.fields.map(([name, classes]) => ({ name, classes })),
    record.classes,
  );
}

/** The name of the favourite that is this very point, if there is one. */
export function nameOfKept(record: PointRecord, favourites: Favourite[]): string | undefined {
  const text = JSON.stringify(record);
  return favourites.find(({ point }) => JSON.stringify(point) === text)?.name;
}

/** The address of a PNG of a point, to look at or to download. */
export function pngOf(how: How, point: Point, enlarge: number, download: boolean): string {
  return address("gallery/picture", {
    model: how.model,
    guidance: how.guidance,
    aspect: how.aspect,
    point: JSON.stringify(point),
    format: "png",
    enlarge,
    download,
  });
}
