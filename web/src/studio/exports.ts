/** What models are exported as. */
import { goesOn } from "./runs.ts";
import type { Job, ModelSummary } from "./types.ts";

/**
 * A name that the server takes for what a model is exported as.
 *
 * @param model of the model, as the API takes it.
 * @param models whose names are taken: those without a folder are words for what comes with impasto.
 * @param exports whose names are taken as long as they go on.
 */
export function exportName(model: string, models: Pick<ModelSummary, "name">[], exports: Job[]): string {
  const [kind = "", own] = model.split("/");
  const names = models.map((each) => each.name).filter((each) => !each.startsWith("runs/"));
  const coming = exports.filter(goesOn).map((job) => job.about ?? "");
  const taken = new Set([...names, ...coming].map((each) => each.replace(/^models\//, "")));
  const start = own ?? kind;
  let free = start;
  for (let number = 2; taken.has(free); number++) free = `${start} ${number}`;
  return free;
}
