import { expect, test } from "vitest";
import { costElsewhere, inThePage } from "../src/studio/recipes.ts";
import { beginning, stateOf } from "../src/studio/runs.ts";
import type { Job, JobState, RunSummary } from "../src/studio/types.ts";

const job = (run: string | null, state: JobState): Job => ({
  id: `${run} ${state}`,
  kind: run === null ? "pack" : "train",
  title: "",
  state,
  run,
  about: null,
  files: [],
  message: null,
  command: "",
});

test("trainings without a folder are those that start or wait", () => {
  const jobs = [job("c", "waiting"), job("b", "running"), job("a", "running"), job(null, "running"), job("d", "failed")];
  const found = beginning(jobs, [{ name: "a" } as RunSummary]);
  expect(found.map((each) => [each.run, stateOf(each).split(":")[0]])).toEqual([
    ["c", "waiting"],
    ["b", "starting"],
  ]);
});

test("a recipe's text names no options and no files of the repository", () => {
  const text = [
    "Measured",
    "(docs/notebook.md, benchmarks/first_look.py); with --set",
    "training.mix=0 and --set a.b=1 it is another; docs/systems.md has both.",
    "Command: impasto train x --data y",
    "    --set c=2",
    "Cost: 5 hours (125 pictures",
    "a second, docs/notebook.md).",
  ].join("\n");
  expect(inThePage(text).split("\n")).toEqual([
    "Measured; with",
    "training.mix=0 and a.b=1 it is another; the page systems of impasto's documentation has both.",
    "Cost: 5 hours (125 pictures",
    "a second).",
  ]);
  expect(costElsewhere(text)).toBe("5 hours (125 pictures a second).");
  expect(costElsewhere("Nothing.")).toBeUndefined();
});
