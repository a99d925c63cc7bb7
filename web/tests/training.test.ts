import { expect, test } from "vitest";
import { costElsewhere, inThePage } from "../src/studio/recipes.ts";
import { beginning, progressOf, stateBefore, stateOf, tookOf } from "../src/studio/runs.ts";
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
  stopped: false,
});

test("trainings without a folder are those that start or wait", () => {
  const jobs = [job("c", "waiting"), job("b", "running"), job("a", "running"), job(null, "running"), job("d", "failed")];
  const found = beginning(jobs, [{ name: "a" } as RunSummary]);
  expect(found.map((each) => [each.run, stateBefore(each, []).split(":")[0]])).toEqual([
    ["c", "waiting"],
    ["b", "starting"],
  ]);
});

test("what was told to stop is stopping until it has ended", () => {
  const told = { ...job("b", "running"), stopped: true };
  expect([stateBefore(told, []), stateOf(told)]).toEqual(["stopping", "stopping"]);
  expect(stateOf({ ...told, state: "stopped" })).toBe("stopped");
  expect(stateOf(job("b", "running"))).toBe("running");
  const run = { state: "training", images: 9, images_seen: 4, stages: 1, seconds_left: 60 } as RunSummary;
  expect([progressOf(run), progressOf(run, true)]).toEqual(["4 of 9 images, 60 s left", "4 of 9 images"]);
});

test("a recipe's text names no options and no files of the repository", () => {
  const text = [
    "Measured",
    "(docs/notebook.md, benchmarks/first_look.py); with --set",
    "training.mix=0 and --set a.b=1 it is another; docs/systems.md has both.",
    "Command: impasto train x --data y",
    "    --set c=2",
    "Cost: 5 hours (125 pictures",
    "a second, docs/notebook.md), as `flow_64`.",
  ].join("\n");
  expect(inThePage(text).split("\n")).toEqual([
    "Measured; with",
    "training.mix=0 and a.b=1 it is another; the page systems of impasto's documentation has both.",
    "Cost: 5 hours (125 pictures",
    "a second), as flow_64.",
  ]);
  expect(costElsewhere(text)).toBe("5 hours (125 pictures a second), as flow_64.");
  expect(costElsewhere("Nothing.")).toBeUndefined();
});

test("a finished run took its time, another one has up to now", () => {
  const run = { state: "training", seconds: 540 } as RunSummary;
  expect([tookOf(run), tookOf({ ...run, state: "finished" })]).toEqual(["9 min so far", "took 9 min"]);
});

test("what a training waits for is said as it is", () => {
  const mine = { ...job("b", "waiting"), id: "2" };
  const other = { ...job("a", "running"), id: "1" };
  expect(stateBefore(mine, [mine])).toBe("waiting: it begins in a moment");
  expect(stateBefore(mine, [mine, other])).toContain("the training before it");
  expect(stateBefore(mine, [mine, { ...other, kind: "estimate" }])).toContain("the measurement");
});
