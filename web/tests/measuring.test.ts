import { expect, test } from "vitest";
import { costOf, detailsOf } from "../src/studio/measuring.ts";
import type { Estimate } from "../src/studio/types.ts";

test("what a training costs, in words", () => {
  const stage = { images_per_second: 149.96, processor_share: 1 };
  const estimate: Estimate = {
    job: "1",
    recipe: "first_look",
    collection: "mine",
    plain: true,
    seconds: 480,
    memory_bytes: 512 * 2 ** 20,
    stages: [stage],
  };
  expect(costOf(estimate)).toBe("8 min, 150 images a second");
  expect(detailsOf(estimate)).toBe("512 MiB of memory.");
  const slowed = { ...estimate, memory_bytes: null, stages: [stage, { images_per_second: 12, processor_share: 0.4 }] };
  expect(costOf(slowed)).toBe("8 min, 150, then 12.0 images a second");
  expect(detailsOf(slowed)).toBe("Other programs slowed this measurement.");
});
