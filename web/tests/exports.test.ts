import { expect, test } from "vitest";
import { exportName } from "../src/studio/exports.ts";
import type { Job } from "../src/studio/types.ts";

test("an export is given a name that will be taken", () => {
  const models = ["masters", "models/lake", "models/lake 2", "runs/00000-small"].map((name) => ({ name }));
  expect(exportName("masters", [], [])).toBe("masters"); // of a file
  expect(exportName("masters", models, [])).toBe("masters 2");
  expect(exportName("models/lake", models, [])).toBe("lake 3");
  expect(exportName("runs/00000-small/checkpoints/000000000064", models, [])).toBe("00000-small");
  const export_ = { state: "waiting", about: "models/00000-small" } as Job;
  expect(exportName("runs/00000-small", models, [export_])).toBe("00000-small 2");
  expect(exportName("runs/00000-small", models, [{ ...export_, state: "failed" }])).toBe("00000-small");
});
