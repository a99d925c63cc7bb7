import { expect, test } from "vitest";
import { byName, moment } from "../src/studio/formatting.ts";

test("today's moments have no day", () => {
  const then = new Date(2026, 10, 3, 9, 5);
  const seconds = then.getTime() / 1000;
  expect(moment(seconds, new Date(2026, 10, 3, 23, 0))).toBe("at 09:05");
  expect(moment(seconds, new Date(2026, 10, 4, 0, 1))).toBe("on 3 Nov 2026 at 09:05");
});

test("names are sorted whatever letters are large", () => {
  const all = ["Suprematism", "impressionism", "Baroque"].map((name) => ({ name }));
  expect(byName(all).map(({ name }) => name)).toEqual(["Baroque", "impressionism", "Suprematism"]);
});
