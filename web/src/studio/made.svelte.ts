/** Files that were made in the gallery: listed with links until they are closed, whatever else is done. */
import { asJson, part, request } from "./api.ts";
import { changeKept, readKept, type Kept } from "./keeping.ts";
import { goesOn, stateOf } from "./runs.ts";
import { attempt, jobs } from "./shared.svelte.ts";
import type { ModelSummary } from "./types.ts";

export interface Made {
  /** By which it is closed. */
  key: string;
  title: string;
  /** Where it is shown from; null: it is painted again first. */
  href: string | null;
  /** Of a job that goes on: how far it is. */
  waits?: string;
  /** Of pictures that were looked for: the job, whose points the gallery opens. */
  inverted?: string;
  /** The name to download it under. */
  file: string;
}

const CLOSED = "impasto closed";
/** Closed ones that the browser remembers. */
const MOST_CLOSED = 200;
const KINDS = ["walk", "canvas", "invert"];

class AllMade {
  /** The key of the one that is shown. */
  shown = $state("");
  private here = $state.raw<Kept[]>(readKept(localStorage));
  /** By key, the addresses of what this page has painted. */
  private painted = $state.raw<Record<string, string>>({});
  private closed = $state.raw<string[]>(remembered());

  /** What was made with a model, the newest first: what the gallery made with these weights, and what jobs did. */
  of({ name: model, weights }: ModelSummary): Made[] {
    const ofJobs = jobs.all
      .filter((job) => job.about === model && KINDS.includes(job.kind) && job.files[0])
      .filter((job) => job.state === "done" || goesOn(job))
      .map((job) => ({
        key: job.id,
        title: job.title,
        href: `api/jobs/${part(job.id)}/files/${part(job.files[0]!)}`,
        file: job.files[0]!,
        ...(goesOn(job) ? { waits: job.message ?? stateOf(job) } : {}),
        ...(job.kind === "invert" ? { inverted: job.id } : {}),
      }));
    const mine = this.here
      .filter((each) => each.model === model && each.weights === weights)
      .map(({ key, title, file, from }) => {
        const href = typeof from === "string" ? from : (this.painted[key] ?? null);
        return { key, title, file, href };
      });
    return [...mine, ...ofJobs].filter((each) => !this.closed.includes(each.key));
  }

  /** List what is at an address. */
  list(model: ModelSummary, title: string, file: string, href: string): void {
    this.keep(model, title, file, href);
  }

  /** Paint, list and show something; without effect, but for the line on why, if it is refused. */
  async paint(model: ModelSummary, title: string, file: string, path: string, body: unknown): Promise<void> {
    const href = await painting(path, body);
    if (href === null) return;
    const key = this.keep(model, title, file, { path, body });
    this.painted = { ...this.painted, [key]: href };
    this.shown = key;
  }

  /** Paint again and show what was made before the page was opened. */
  async again(key: string): Promise<void> {
    const from = this.here.find((each) => each.key === key)?.from;
    if (from === undefined || typeof from === "string") return;
    const href = await painting(from.path, from.body);
    if (href === null) return;
    this.painted = { ...this.painted, [key]: href };
    this.shown = key;
  }

  private keep({ name, weights }: ModelSummary, title: string, file: string, from: Kept["from"]): string {
    const key = `here-${Date.now()}-${Math.random()}`;
    this.change((all) => [{ key, title, file, model: name, weights, from }, ...all]);
    return key;
  }

  private change(how: (all: Kept[]) => Kept[]): void {
    this.here = how(this.here);
    changeKept(localStorage, how);
  }

  close(made: Made): void {
    if (made.href?.startsWith("blob:")) URL.revokeObjectURL(made.href);
    if (this.here.some((each) => each.key === made.key)) {
      this.change((all) => all.filter((each) => each.key !== made.key));
      return;
    }
    this.closed = [...this.closed, made.key].slice(-MOST_CLOSED);
    try {
      localStorage.setItem(CLOSED, JSON.stringify(this.closed));
    } catch {
      // The browser keeps nothing, so it is listed again after a reload.
    }
  }
}

/** The address of what a request paints; null: it is refused, and the page says why. */
async function painting(path: string, body: unknown): Promise<string | null> {
  const found = await attempt(request(path, asJson(body)).then((answer) => answer.blob()));
  return found ? URL.createObjectURL(found) : null;
}

function remembered(): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(CLOSED) ?? "[]");
    return Array.isArray(found) ? found.map(String) : [];
  } catch {
    return [];
  }
}

export const made = new AllMade();
