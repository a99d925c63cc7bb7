/** How far a run is, in words. */
import { duration, number } from "./formatting.ts";
import type { Job, RunSummary } from "./types.ts";

/** Images, the stage, and what is left; empty before the first row of its statistics.
 *
 * @param ends whether it was told to stop, so that nothing is left.
 */
export function progressOf(run: RunSummary, ends = false): string {
  const stage = run.stages > 1 ? `, stage ${run.stage_number} of ${run.stages}, ${run.resolution} px` : "";
  const images = run.images ? [`${number(run.images_seen)} of ${number(run.images)} images${stage}`] : [];
  return [...images, ...(ends ? [] : leftOf(run))].join(", ");
}

/** The time of training up to now. */
export function tookOf(run: RunSummary): string {
  return run.state === "finished" ? `took ${duration(run.seconds)}` : `${duration(run.seconds)} so far`;
}

function leftOf(run: RunSummary): string[] {
  if (run.state !== "training") return [];
  if (run.seconds_left !== null) return [`${duration(run.seconds_left)} left`];
  return run.stage_seconds_left === null ? [] : [`${duration(run.stage_seconds_left)} left of this stage`];
}

/** Jobs of trainings that wait or have just begun, whose runs have no folder yet; the newest first. */
export function beginning(jobs: Job[], runs: RunSummary[]): (Job & { run: string })[] {
  const known = new Set(runs.map((run) => run.name));
  return jobs.filter(
    (job): job is Job & { run: string } => goesOn(job) && job.run !== null && !known.has(job.run),
  );
}

/** Whether a job is running, or waits until it may. */
export function goesOn(job: Job): boolean {
  return job.state === "running" || job.state === "waiting";
}

/** Whether a job was told to stop and has not ended yet. */
export function isStopping(job: Job | undefined): boolean {
  return job !== undefined && job.stopped && goesOn(job);
}

/** The state of a job in a word. */
export function stateOf(job: Job): string {
  return isStopping(job) ? "stopping" : job.state;
}

/** The state of a job whose run has no folder yet. */
export function stateBefore(job: Job, all: Job[]): string {
  if (isStopping(job)) return "stopping";
  if (job.state === "running") return "starting";
  if (job.state !== "waiting") return job.state;
  const before = all.filter((each) => goesOn(each) && each.id < job.id);
  if (before.some((each) => ["train", "resume"].includes(each.kind)))
    return "waiting: it begins when the training before it has ended";
  const measured = all.some((each) => each.kind === "estimate" && each.state === "running");
  return measured ? "waiting: it begins when the measurement that runs has ended" : "waiting: it begins in a moment";
}
