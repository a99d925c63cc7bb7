/** Walks through points, as in `exploring/curves.py`: splines on the sphere for normal latents. */
import { atLevels, type Point } from "./points.ts";
import type { Latent } from "./seeds.ts";

type Vector = Float64Array;

const PARALLEL = 1e-9;

const dot = (a: Vector, b: Vector) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const length = (a: Vector) => Math.sqrt(dot(a, a));
/** a + share * b */
const added = (a: Vector, share: number, b: Vector) => a.map((value, i) => value + share * b[i]!);
const scaled = (a: Vector, by: number) => a.map((value) => value * by);
const straight = (a: Vector, b: Vector, share: number) => a.map((v, i) => v + share * (b[i]! - v));
const mixed = (a: number, b: number, share: number) => a + share * (b - a);
const unit = (a: Vector) => scaled(a, 1 / Math.max(length(a), 1e-300));
const eased = (share: number) => share * share * (3 - 2 * share);

/** A unit vector perpendicular to a unit vector, always the same one. */
function perpendicular(a: Vector): Vector {
  let least = 0;
  a.forEach((value, i) => {
    if (Math.abs(value) < Math.abs(a[least]!)) least = i;
  });
  const axis = new Float64Array(a.length);
  axis[least] = 1;
  return unit(added(axis, -a[least]!, a));
}

/** The tangent at `start` of the shortest way to `end`, as long as the way; both of length 1. */
function tangent(start: Vector, end: Vector): Vector {
  const along = dot(start, end);
  const across = added(end, -along, start);
  const size = length(across);
  const direction = size > PARALLEL ? unit(across) : perpendicular(start);
  return scaled(direction, Math.atan2(size, along));
}

/** Where one arrives from `start` along a tangent. */
function arrive(start: Vector, way: Vector): Vector {
  const angle = length(way);
  return added(scaled(start, Math.cos(angle)), Math.sin(angle), unit(way));
}

const onSphere = (a: Vector, b: Vector, share: number) => arrive(a, scaled(tangent(a, b), share));

/** A closed curve without corners through latents: of Bezier curves with the tangents of Catmull and Rom. */
function latentAt(points: Vector[], place: number, normal: boolean): Vector {
  const count = points.length;
  const number = Math.floor(place) % count;
  const share = place - Math.floor(place);
  const four = [-1, 0, 1, 2].map((step) => points[(number + step + count) % count]!);
  if (share === 0) return four[1]!;
  const [before, start, end, after] = (normal ? four.map(unit) : four) as [Vector, Vector, Vector, Vector];
  const to = (a: Vector, b: Vector) => (normal ? tangent(a, b) : added(b, -1, a));
  const moved = (a: Vector, way: Vector) => (normal ? arrive(a, way) : added(a, 1, way));
  const slope = (at: Vector, ahead: Vector, behind: Vector) =>
    scaled(added(to(at, ahead), -1, to(at, behind)), 1 / 6);
  let line = [start, moved(start, slope(start, end, before)), moved(end, slope(end, start, after)), end];
  while (line.length > 1)
    line = line.slice(1).map((b, i) => (normal ? onSphere : straight)(line[i]!, b, share));
  if (!normal) return line[0]!.map((value) => Math.min(Math.max(value, -1), 1));
  return scaled(line[0]!, mixed(length(four[1]!), length(four[2]!), eased(share)));
}

/**
 * The point of a walk that goes round through points.
 *
 * @param place 0 at the first point, 1 at the second, and so on; at the number of points it is back at the
 * first.
 */
export function walkAt(points: Point[], place: number, latent: Latent): Point {
  const count = points.length;
  const number = Math.floor(place) % count;
  const share = place - Math.floor(place);
  if (share === 0) return points[number]!;
  const { size } = latent;
  const length = Math.max(...points.map((point) => point.latents.length));
  const latents = points.map((point) => Float64Array.from(atLevels(point.latents, [length])));
  // Each level goes its own way.
  const found = new Float32Array(length);
  for (let at = 0; at < length; at += size) {
    const level = latents.map((each) => each.subarray(at, at + size));
    found.set(latentAt(level, place, latent.distribution === "normal"), at);
  }
  const next = points[(number + 1) % count]!;
  const classes = points[number]!.classes.map((weight, i) => mixed(weight, next.classes[i]!, share));
  return {
    latents: found,
    classes,
    origin: { seed: null, truncation: null, edits: {} },
  };
}
