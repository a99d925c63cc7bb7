/** What the whole page knows: the error line, the route, the jobs. */
import { listen, LostError, Refused } from "./api.ts";
import { contact, probe } from "./contact.svelte.ts";
import { goesOn } from "./runs.ts";
import type { Job } from "./types.ts";

export { goesOn };

/** The one line on what did not work, and the one on what did. */
export const said = $state({ trouble: "", news: "" });

/**
 * Wait for something; if it is refused, the page says why, and the answer is undefined.
 *
 * That the server does not answer is said above the page.
 *
 * @param say takes what is wrong, and then "" once it is not; without it the line of the whole page does.
 */
export async function attempt<T>(
  work: Promise<T>,
  say: (words: string) => void = (words) => (said.trouble = words),
): Promise<T | undefined> {
  try {
    const found = await work;
    say("");
    return found;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return undefined;
    if (error instanceof LostError) return undefined;
    say(error instanceof Refused ? error.message : `The page failed: ${String(error)}`);
    return undefined;
  }
}

/**
 * Takes the words of what is read unasked, for `attempt`. They stand in the line of the whole page, and only
 * they are taken back: what another request was refused for stays.
 */
export function ownWords(): (words: string) => void {
  let mine = "";
  return (words) => {
    if (words || said.trouble === mine) said.trouble = words;
    mine = words;
  };
}

export const TABS = ["collections", "train", "gallery", "judge", "share"] as const;
export type Tab = (typeof TABS)[number];

interface Route {
  tab: Tab;
  /** The parts of the path after the tab. */
  rest: string[];
  query: Record<string, string>;
}

function routeOf(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", ...rest] = path.split("/").map(decoded);
  const tab = TABS.find((each) => each === first) ?? "collections";
  return { tab, rest: rest.filter(Boolean), query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a place in the page. */
export function place(tab: Tab, rest: string[] = [], query: Record<string, string> = {}): string {
  const path = [tab, ...rest].map(encodeURIComponent).join("/");
  const text = new URLSearchParams(query).toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

/** The address; `moved` counts how often one went to another or came back. */
export const route = $state({ ...routeOf(location.hash), moved: 0 });

export function go(...to: Parameters<typeof place>): void {
  location.hash = place(...to);
}

/**
 * Say in the address where one is in a tab.
 *
 * @param kept what the history keeps beside it, for who comes back to it or opens the page anew.
 * @param anew whether Back leads to where one was before.
 */
export function note(rest: string[], query: Record<string, string>, kept: object, anew: boolean): void {
  const to = place(route.tab, rest, query);
  if (anew) history.pushState(kept, "", to);
  else history.replaceState(kept, "", to);
  Object.assign(route, { rest, query });
}

export const jobs = $state<{ all: Job[] }>({ all: [] });

/** Follow addresses and jobs as long as the page is open. */
export function follow(): () => void {
  const changed = () => {
    const before = place(route.tab, route.rest);
    Object.assign(route, routeOf(location.hash));
    route.moved++;
    said.trouble = said.news = "";
    if (place(route.tab, route.rest) !== before) scrollTo(0, 0);
  };
  // Of two places with the same address only the first tells of coming back.
  addEventListener("popstate", changed);
  addEventListener("hashchange", changed);
  // Its address may have been opened in another tab, whose cookie is this page's, too.
  const seen = () => {
    if (contact.lost && !document.hidden) void probe();
  };
  document.addEventListener("visibilitychange", seen);
  const end = listen("events", ["jobs"], (_, value) => (jobs.all = value as Job[]));
  return () => {
    removeEventListener("popstate", changed);
    removeEventListener("hashchange", changed);
    document.removeEventListener("visibilitychange", seen);
    end();
  };
}

/** How many jobs of some kinds have ended. */
export function ended(kinds: string[]): number {
  return jobs.all.filter((job) => kinds.includes(job.kind) && !goesOn(job)).length;
}

/**
 * Do something now and again whenever a job of some kinds has ended, but not whenever a job says something new.
 * Called while a component is made.
 *
 * @param work what an effect does: what it reads at once has it done again, too.
 */
export function afterJobs(kinds: string[], work: () => void | (() => void)): void {
  const over = $derived(ended(kinds));
  $effect(() => {
    void over;
    return work();
  });
}

/** A job that a component has started and waits for. Made while the component is. */
export class Awaited {
  private id = $state<string | null>(null);

  /** @param done is called when it has ended well; otherwise the page says why it did not. */
  constructor(done: (job: Job) => void) {
    $effect(() => {
      const job = this.job;
      if (!job || goesOn(job)) return;
      this.id = null;
      if (job.state === "done") done(job);
      else said.trouble = `${job.title}: ${job.message ?? job.state}`;
    });
  }

  get job(): Job | undefined {
    return jobs.all.find((each) => each.id === this.id);
  }

  get waits(): boolean {
    return this.id !== null;
  }

  wait(job: Job | undefined): void {
    this.id = job?.id ?? null;
  }
}
