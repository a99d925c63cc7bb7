/** How far a run is, in words. */
import { duration, number } from "./formatting.ts";
import type { RunSummary } from "./types.ts";

/** Images, the stage, and what is left; empty before the first row of its statistics. */
export function progressOf(run: RunSummary): string {
  const stage = run.stages > 1 ? `, stage ${run.stage_number} of ${run.stages}, ${run.resolution} px` : "";
  const images = run.images ? [`${number(run.images_seen)} of ${number(run.images)} images${stage}`] : [];
  return [...images, ...leftOf(run)].join(", ");
}

function leftOf(run: RunSummary): string[] {
  if (run.state !== "training") return [];
  if (run.seconds_left !== null) return [`${duration(run.seconds_left)} left`];
  return run.stage_seconds_left === null ? [] : [`${duration(run.stage_seconds_left)} left of this stage`];
}
