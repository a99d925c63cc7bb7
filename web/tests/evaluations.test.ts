import { expect, test } from "vitest";
import { ofEvaluations } from "../src/studio/evaluations.ts";

test("files of evaluations stand together, with what they are of", () => {
  const paths = ["000000001064/lite0-mine-60/nearest.csv", "000000001064/lite0-mine-60/nearest.png", "best/lite0/scores.txt"];
  expect(ofEvaluations(paths)).toEqual([
    {
      folder: "000000001064/lite0-mine-60",
      title: "After 1,064 images, lite0-mine-60",
      names: ["nearest.png", "nearest.csv"],
    },
    { folder: "best/lite0", title: "best, lite0", names: ["scores.txt"] },
  ]);
});
