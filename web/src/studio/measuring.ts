/** What trainings cost on this machine, in words. */
import { duration } from "./formatting.ts";
import type { Estimate } from "./types.ts";

/** Below this share of the processor other programs slowed the measurement. */
const ALONE = 0.6;

/** The whole time, and the speed of each stage. */
export function costOf(estimate: Estimate): string {
  const rates = estimate.stages.map((stage) => stage.images_per_second.toPrecision(3)).join(", then ");
  return `${duration(estimate.seconds)}, ${rates} images a second`;
}

/** Memory, and whether other programs slowed it; empty if there is nothing to say. */
export function detailsOf(estimate: Estimate): string {
  const memory =
    estimate.memory_bytes === null ? "" : `${Math.ceil(estimate.memory_bytes / 2 ** 20)} MiB of memory.`;
  const slowed = estimate.stages.some((stage) => (stage.processor_share ?? 1) < ALONE);
  return [memory, slowed ? "Other programs slowed this measurement." : ""].filter(Boolean).join(" ");
}
