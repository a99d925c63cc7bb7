/**
 * Where one is in the gallery, as the address has it. What has no name, such as a variation, is kept beside the
 * address in the browser's history.
 */
import { seedOfText } from "../painting/seeds.ts";
import type { Near } from "./near.ts";
import { edited, ofSeed, type Look } from "./points.ts";
import type { LabelField, Point, PointRecord } from "./types.ts";

const VIEWS = ["seeds", "variations", "favourites", "canvas"] as const;
export type View = (typeof VIEWS)[number];

export interface Where {
  view: View;
  /** The first seed of the sheet. */
  first: number;
  look: Look;
  guidance: number | null;
  aspect: string | null;
  /** The picture that is shown large, with how far it is moved along directions. */
  opened: Point | null;
  /** What the view of variations shows. */
  near: Near | null;
}

/** What the history keeps beside an address. */
export interface Kept {
  near?: Near;
  point?: PointRecord;
  /** Whether the picture was opened over the sheet that the entry before shows. */
  over?: boolean;
}

export function queryOf({ view, first, look, guidance, aspect, opened }: Where): Record<string, string> {
  const classes = Object.entries(look.classes).filter(([, parts]) => Object.keys(parts).length);
  const edits = Object.entries(opened?.edits ?? {}).filter(([, by]) => by);
  const given: Record<string, string | number | null | undefined> = {
    view: view === "seeds" ? null : view,
    from: first || null,
    truncation: look.truncation,
    classes: classes.length ? JSON.stringify(Object.fromEntries(classes)) : null,
    guidance,
    aspect,
    seed: opened?.seed,
    favourite: opened?.favourite,
    point: opened?.point && "kept",
    edits: edits.length ? JSON.stringify(Object.fromEntries(edits)) : null,
  };
  const there = Object.entries(given).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(there.map(([name, value]) => [name, String(value)]));
}

export function keptOf({ opened, near }: Where, over: boolean): Kept {
  return { ...(near ? { near } : {}), ...(opened?.point ? { point: opened.point } : {}), over };
}

/** What an address says; what is damaged in it counts as not given. */
export function whereOf(query: Record<string, string>, kept: Kept | null): Where {
  const near = kept?.near ?? null;
  const view = VIEWS.find((each) => each === query.view) ?? "seeds";
  const truncation = numberOf(query.truncation);
  const look: Look = {
    truncation: truncation !== null && truncation > 0 ? truncation : null,
    classes: objectOf(query.classes, (parts) => (isObject(parts) ? numbersOf(parts) : null)),
  };
  const found: Where = {
    view: view === "variations" && !near ? "seeds" : view,
    first: seedOfText(query.from ?? "") ?? 0,
    look,
    guidance: numberOf(query.guidance),
    aspect: query.aspect ?? null,
    opened: null,
    near,
  };
  const seed = seedOfText(query.seed ?? "");
  if (seed !== null) found.opened = ofSeed(seed, look);
  else if (query.favourite) found.opened = { favourite: query.favourite };
  else if (query.point && kept?.point) found.opened = { point: kept.point };
  const edits = objectOf(query.edits, (by) => (Number.isFinite(by) ? Number(by) : null));
  if (found.opened) found.opened = edited(found.opened, edits);
  return found;
}

/** The classes that a model has. */
export function knownClasses(classes: Look["classes"], fields: LabelField[]): Look["classes"] {
  const found = fields.map(({ name, classes: all }) => {
    const parts = Object.entries(classes[name] ?? {}).filter(([each]) => all.includes(each));
    return [name, Object.fromEntries(parts)] as const;
  });
  return Object.fromEntries(found.filter(([, parts]) => Object.keys(parts).length));
}

/** An address whose classes are all in `classes`, also those given by their field, such as `style=Ukiyo-e`. */
export function spelledOut(query: Record<string, string>, fields: LabelField[]): Record<string, string> {
  const named = fields.filter(({ name, classes }) => !SETTINGS.includes(name) && classes.includes(query[name] ?? ""));
  if (!named.length) return query;
  const names = named.map(({ name }) => name);
  const rest = Object.entries(query).filter(([name]) => !names.includes(name));
  const classes = names.map((name) => [name, { [query[name]!]: 1 }]);
  const all = { ...Object.fromEntries(classes), ...whereOf(query, null).look.classes };
  return { ...Object.fromEntries(rest), classes: JSON.stringify(all) };
}

const SETTINGS = ["view", "from", "truncation", "classes", "guidance", "aspect", "seed", "favourite", "point", "edits", "inverted"];

/** A sentence on what an address asks for that the gallery or the model has not; "" if there is nothing. */
export function strangeIn(query: Record<string, string>, fields: LabelField[]): string {
  const { classes } = whereOf(query, null).look;
  const known = knownClasses(classes, fields);
  const unknown = Object.entries(classes).flatMap(([field, parts]) =>
    Object.keys(parts)
      .filter((name) => known[field]?.[name] === undefined)
      .map((name) => `${field}=${name}`),
  );
  const others = Object.entries(query).filter(([name]) => !SETTINGS.includes(name));
  const all = [...unknown, ...others.map(([name, value]) => `${name}=${value}`)];
  if (!all.length) return "";
  return `The address asks for ${all.join(", ")}, which is no class or setting here; it was left out. Choose under Settings.`;
}

/** Whether two looks give the same pictures. */
export function sameLook(a: Look, b: Look): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function numberOf(text: string | undefined): number | null {
  const value = text?.trim() ? Number(text) : NaN;
  return Number.isFinite(value) ? value : null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function numbersOf(value: Record<string, unknown>): Record<string, number> {
  const given = Object.entries(value).filter((each): each is [string, number] => Number.isFinite(each[1]));
  return Object.fromEntries(given);
}

/** The members of a JSON object that can be read. */
function objectOf<T>(text: string | undefined, read: (value: unknown) => T | null): Record<string, T> {
  let found: unknown = null;
  try {
    found = JSON.parse(text ?? "null");
  } catch {
    // Damaged, and so not given.
  }
  const members = isObject(found) ? Object.entries(found) : [];
  const there = members.map(([name, value]) => [name, read(value)] as const);
  return Object.fromEntries(there.filter((each): each is readonly [string, T] => each[1] !== null));
}
