/** The settings of a config as rows of a form, by its JSON schema. */
import { withoutMarks } from "./recipes.ts";
import type { Setting } from "./types.ts";

type Schema = Record<string, unknown>;

export interface SettingRow {
  /** Dotted, as `--set` takes it. */
  name: string;
  kind: "choice" | "number" | "text" | "value";
  value: unknown;
  choices: string[];
  /** What it may be, in words. */
  limits: string;
  /** What it does. */
  about: string;
  /** The schemas of its value. */
  kinds: Schema[];
}

/** A row for each value of a config that is no section. */
export function rowsOf(schema: Schema, config: unknown): SettingRow[] {
  const definitions = definitionsOf(schema);

  function below(name: string, value: unknown, kinds: Schema[], about: string): SettingRow[] {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.keys(value).length)
      return [rowOf(name, value, kinds, about)];
    return Object.entries(value).flatMap(([key, each]) => {
      const schemas = kinds.flatMap((kind): Schema[] => {
        const properties = kind.properties as Record<string, Schema> | undefined;
        const others = typeof kind.additionalProperties === "object" ? (kind.additionalProperties as Schema) : undefined;
        const found = properties?.[key] ?? others;
        return found ? [found] : [];
      });
      const said = schemas.find((kind) => typeof kind.description === "string")?.description;
      const found = schemas.flatMap((kind) => kindsOf(kind, definitions));
      return below(name ? `${name}.${key}` : key, each, found, String(said ?? ""));
    });
  }

  return below("", config, kindsOf(schema, definitions), "");
}

/** Rows of the settings of a network that a config leaves as they are. */
export function rowsOfNetwork(role: string, settings: Setting[], given: object): SettingRow[] {
  return settings
    .filter((each) => !each.required && !(each.name in given))
    .map((each) => rowOf(`${role}.${each.name}`, each.default, kindsOf(each.kind, definitionsOf(each.kind)), ""));
}

function definitionsOf(schema: Schema): Record<string, Schema> {
  return (schema.$defs ?? {}) as Record<string, Schema>;
}

/** The schemas that a value may have, with references followed. */
function kindsOf(each: Schema | undefined, definitions: Record<string, Schema>): Schema[] {
  if (!each) return [];
  const reference = typeof each.$ref === "string" ? each.$ref.split("/").at(-1)! : null;
  if (reference !== null) return kindsOf(definitions[reference], definitions);
  const several = (each.anyOf ?? each.oneOf) as Schema[] | undefined;
  return several ? several.flatMap((kind) => kindsOf(kind, definitions)) : [each];
}

function rowOf(name: string, value: unknown, kinds: Schema[], about: string): SettingRow {
  const choices = [...new Set(choicesOf(kinds))];
  const types = kinds.map((kind) => kind.type);
  const isNumber = typeof value === "number" && !types.includes("object") && !types.includes("null");
  const kind = choices.length > 1 ? "choice" : isNumber ? "number" : typeof value === "string" ? "text" : "value";
  const limits = kind === "choice" ? "" : limitsInWords(kinds);
  return { name, kind, value, choices, about: withoutMarks(about), limits, kinds };
}

function choicesOf(kinds: Schema[]): string[] {
  const found = kinds.map((kind) => {
    if (kind.type === "boolean") return ["true", "false"];
    if (Array.isArray(kind.enum)) return kind.enum.map(String);
    if (kind.type === "null") return ["null"];
    return typeof kind.const === "string" ? [kind.const] : [];
  });
  return found.length && found.every((each) => each.length) ? found.flat() : [];
}

const WORDS: Record<string, string> = {
  minimum: "at least",
  exclusiveMinimum: "more than",
  maximum: "at most",
  exclusiveMaximum: "less than",
};

/** Limits beyond this are those of the computer, not of the setting. */
const LARGEST = 1e12;

/** Each limit once; null, which is no number or text, at the end. */
function limitsInWords(kinds: Schema[]): string {
  const limits = [...new Set(kinds.map(limitsOf).filter(Boolean))].join(" or ");
  const none = kinds.some((kind) => kind.type === "null") ? "null for none" : "";
  return [limits, none].filter(Boolean).join(", or ");
}

function limitsOf(kind: Schema): string {
  const given = Object.entries(WORDS).filter(([key]) => Math.abs(Number(kind[key])) < LARGEST);
  const limits = given.map(([key, words]) => `${words} ${String(kind[key])}`).join(" and ");
  const whole = kind.type === "integer" ? "whole number" : "";
  return [whole, limits].filter(Boolean).join(", ");
}

/** Whether a number is within the limits of a setting; of one that takes no numbers, the server says. */
function isWithin(value: number, kinds: Schema[]): boolean {
  const numbers = kinds.filter((kind) => kind.type === "number" || kind.type === "integer");
  return !numbers.length || numbers.some((kind) => fits(value, kind));
}

function fits(value: number, kind: Schema): boolean {
  const limit = (key: string, without: number) => Number(kind[key] ?? without);
  return (
    (kind.type !== "integer" || Number.isInteger(value)) &&
    value >= limit("minimum", -Infinity) &&
    value <= limit("maximum", Infinity) &&
    (kind.exclusiveMinimum === undefined || value > Number(kind.exclusiveMinimum)) &&
    (kind.exclusiveMaximum === undefined || value < Number(kind.exclusiveMaximum))
  );
}

/** The value of a text in a row's field; undefined if it is none. */
export function valueOf(row: SettingRow, text: string): unknown {
  if (row.kind === "text") return text;
  if (row.kind === "choice" && !["true", "false", "null"].includes(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    return row.kind === "number" && typeof value !== "number" ? undefined : value;
  } catch {
    return undefined;
  }
}

/** The text of a value in a row's field. */
export function textOf(row: SettingRow): string {
  if (row.kind === "choice") return String(row.value);
  return row.kind === "text" ? String(row.value ?? "") : JSON.stringify(row.value);
}

/** What fields were changed to, by dotted names. */
export interface Entered {
  changes: Record<string, unknown>;
  /** Why a text is no value of its setting. */
  wrong: Record<string, string>;
}

/** What the texts in the fields of rows say. An empty one is the recipe's value. */
export function entered(rows: SettingRow[], texts: Record<string, string>): Entered {
  const found: Entered = { changes: {}, wrong: {} };
  for (const row of rows) {
    const text = texts[row.name];
    if (!text?.trim()) continue;
    const value = valueOf(row, text);
    if (value === undefined) found.wrong[row.name] = `${text.trim()} is no ${row.kind}`;
    else if (typeof value === "number" && !isWithin(value, row.kinds))
      found.wrong[row.name] = `${text.trim()} is outside its limits: ${row.limits}`;
    else if (JSON.stringify(value) !== JSON.stringify(row.value)) found.changes[row.name] = value;
  }
  return found;
}
