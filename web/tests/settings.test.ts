import { expect, test } from "vitest";
import { entered, rowsOf, rowsOfNetwork, valueOf } from "../src/studio/settings.ts";

const SCHEMA = {
  $ref: "#/$defs/Run",
  $defs: {
    Run: {
      properties: {
        training: { $ref: "#/$defs/Training", description: "How it is trained." },
        doctor: { anyOf: [{ $ref: "#/$defs/Doctor" }, { type: "null" }] },
      },
    },
    Training: {
      properties: {
        batch: { type: "integer", exclusiveMinimum: 0, maximum: 9007199254740992, description: "Pictures a step." },
        mirror: { type: "boolean" },
        decay: { anyOf: [{ type: "number", minimum: 0, maximum: 1 }, { type: "null" }] },
      },
    },
    Doctor: { properties: { rollbacks: { enum: [0, 1, 3] } } },
  },
};

test("a row for each setting, with what its schema says", () => {
  const config = { training: { batch: 16, mirror: false, decay: null }, doctor: { rollbacks: 3 } };
  const rows = rowsOf(SCHEMA, config);
  expect(rows.map((row) => [row.name, row.kind, row.limits, row.about])).toEqual([
    ["training.batch", "number", "whole number, more than 0", "Pictures a step."],
    ["training.mirror", "choice", "", ""],
    ["training.decay", "value", "at least 0 and at most 1, or null for none", ""],
    ["doctor.rollbacks", "choice", "", ""],
  ]);
  expect(valueOf(rows[0]!, "32")).toBe(32);
  expect(valueOf(rows[0]!, "many")).toBeUndefined();
  expect(valueOf(rows[1]!, "true")).toBe(true);
  expect(valueOf(rows[2]!, "0.5")).toBe(0.5);
});

test("settings of a network that the config leaves as they are", () => {
  const kind = { type: "integer", minimum: 1 };
  const settings = [
    { name: "width", default: 32, required: false, kind },
    { name: "depth", default: 2, required: false, kind },
    { name: "classes", default: null, required: true, kind },
  ];
  const rows = rowsOfNetwork("generator", settings, { network: "lean", depth: 3 });
  expect(rows.map((row) => [row.name, row.value, row.limits])).toEqual([
    ["generator.width", 32, "whole number, at least 1"],
  ]);
});

test("a field that holds no value is named, and is no change", () => {
  const images = { anyOf: [{ type: "integer", exclusiveMinimum: 0 }, { type: "null" }] };
  const batch = { type: "integer" };
  const schema = { properties: { images, batch, seed: { type: "integer" } } };
  const rows = rowsOf(schema, { images: 50000, batch: 16, seed: 0 });
  expect(entered(rows, { images: "many", batch: "32", seed: "0" })).toEqual({
    changes: { batch: 32 },
    wrong: { images: "many is no value" },
  });
  expect(entered(rows, { batch: "null" }).wrong).toEqual({ batch: "null is no number" });
  // Corrected, it is a change; as it was, it is none.
  expect(entered(rows, { images: "7" })).toEqual({ changes: { images: 7 }, wrong: {} });
  expect(entered(rows, { images: "50000" })).toEqual({ changes: {}, wrong: {} });
  // Emptied, it is as the recipe has it.
  expect(entered(rows, { images: "", batch: " " })).toEqual({ changes: {}, wrong: {} });
});

test("a number outside its limits is refused where it is written", () => {
  const images = { anyOf: [{ type: "integer", exclusiveMinimum: 0 }, { type: "null" }] };
  const share = { type: "number", minimum: 0, exclusiveMaximum: 1, description: "Of `images`." };
  const rows = rowsOf({ properties: { images, share } }, { images: 50000, share: 0.5 });
  const wrong = (texts: Record<string, string>) => entered(rows, texts).wrong;
  expect(wrong({ images: "-5", share: "1" })).toEqual({
    images: "-5 is outside its limits: whole number, more than 0, or null for none",
    share: "1 is outside its limits: at least 0 and less than 1",
  });
  expect(wrong({ images: "1.5" }).images).toContain("1.5 is outside its limits");
  expect(entered(rows, { images: "null", share: "0" })).toEqual({ changes: { images: null, share: 0 }, wrong: {} });
  expect(rows[1]!.about).toBe("Of images.");
});

test("a limit is said once, and null as what it is", () => {
  const positive = { type: "number", exclusiveMinimum: 0 };
  const schema = {
    properties: {
      eps: { anyOf: [positive, { $ref: "#/$defs/positive" }] },
      decay: { anyOf: [{ type: "null" }, { anyOf: [{ type: "object" }, { type: "null" }] }] },
      fit: { enum: ["crop", null] },
    },
    $defs: { positive },
  };
  const rows = rowsOf(schema, { eps: 1e-8, decay: null, fit: null });
  expect(rows.map((row) => [row.name, row.kind, row.limits])).toEqual([
    ["eps", "number", "more than 0"],
    ["decay", "value", "null for none"],
    ["fit", "choice", ""],
  ]);
});
