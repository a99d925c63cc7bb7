import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServerPainter } from "../src/studio/painter.ts";
import { inTurn } from "../src/studio/turns.ts";

/** Requests that have come and are not answered. */
let asked: { points: { seed: number }[]; signal: AbortSignal; fail: (why: unknown) => void }[] = [];

beforeEach(() => {
  asked = [];
  vi.stubGlobal("fetch", (_: string, { body, signal }: { body: string; signal: AbortSignal }) =>
    new Promise((_, fail) => {
      asked.push({ points: JSON.parse(body).points, signal, fail });
      signal.addEventListener("abort", () => fail(signal.reason));
    }),
  );
});
afterEach(() => vi.unstubAllGlobals());

const settled = () => new Promise((done) => setTimeout(done));
const painterOf = (inSteps: boolean) => new ServerPainter({ model: "m" }, 32, (line) => expect.fail(line), 1, inSteps);

test("what nobody wants any more is asked for no longer", async () => {
  const painter = painterOf(true);
  for (let seed = 0; seed < 6; seed++) painter.ask(`${seed}`, { seed }, () => expect.fail("nothing is painted"));
  await settled();
  // Few at once of a model that paints in steps.
  expect(asked.map(({ points }) => points.length)).toEqual([4]);
  for (const place of ["0", "1", "2", "4", "5"]) painter.drop(place);
  expect(asked[0]!.signal.aborted).toBe(false);
  painter.drop("3");
  expect(asked[0]!.signal.aborted).toBe(true);
  await settled();
  expect(asked.length).toBe(1);
});

test("at most three paintings are asked for at once, and the next one when one is given up", async () => {
  const painters = Array.from({ length: 5 }, () => painterOf(false));
  painters.forEach((painter, seed) => painter.ask("main", { seed }, () => undefined));
  await settled();
  const seeds = () => asked.map(({ points }) => points[0]!.seed);
  expect(seeds()).toEqual([0, 1, 2]);
  painters[3]!.drop("main");
  painters[0]!.drop("main");
  await settled();
  expect(seeds()).toEqual([0, 1, 2, 4]);
  for (const painter of painters) painter.drop("main");
  await settled();
  expect(await inTurn(async () => "all places are free", new AbortController().signal)).toContain("free");
});
