/** Files that were made in the gallery: listed with links until they are closed, whatever else is done. */
import { part } from "./api.ts";
import { jobs } from "./shared.svelte.ts";

export interface Made {
  /** By which it is closed. */
  key: string;
  title: string;
  /** Where it is shown from. */
  href: string;
  /** The name to download it under. */
  file: string;
}

const CLOSED = "impasto closed";
/** Closed ones that the browser remembers. */
const MOST_CLOSED = 200;
const KINDS = ["walk", "canvas"];

class AllMade {
  /** The key of the one that is shown. */
  shown = $state("");
  private here = $state.raw<(Made & { model: string })[]>([]);
  private closed = $state.raw<string[]>(remembered());
  private number = 0;

  /** What was made with a model, the newest first: what jobs made, and what this page did. */
  of(model: string): Made[] {
    const ofJobs = jobs.all
      .filter((job) => job.about === model && KINDS.includes(job.kind) && job.state === "done" && job.files[0])
      .map((job) => ({
        key: job.id,
        title: job.title,
        href: `api/jobs/${part(job.id)}/files/${part(job.files[0]!)}`,
        file: job.files[0]!,
      }));
    const mine = this.here.filter((each) => each.model === model);
    return [...mine, ...ofJobs].filter((each) => !this.closed.includes(each.key));
  }

  /** @param show whether it is shown at once. */
  add(model: string, what: Omit<Made, "key">, show = true): void {
    const key = `here-${this.number++}`;
    this.here = [{ ...what, key, model }, ...this.here];
    if (show) this.shown = key;
  }

  close(made: Made): void {
    if (made.href.startsWith("blob:")) URL.revokeObjectURL(made.href);
    if (this.here.some((each) => each.key === made.key)) {
      this.here = this.here.filter((each) => each.key !== made.key);
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

function remembered(): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(CLOSED) ?? "[]");
    return Array.isArray(found) ? found.map(String) : [];
  } catch {
    return [];
  }
}

export const made = new AllMade();
