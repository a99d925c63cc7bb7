import { expect, test } from "vitest";
import { rowsOf, rowsOfNetwork, valueOf } from "../src/studio/settings.ts";

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
    ["training.decay", "value", "at least 0 and at most 1 or null", ""],
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
