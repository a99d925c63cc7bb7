/** Requests to the studio's server. Errors are one line, which is shown as it is. */

import { answered, contact, LOST_WORDS, probe } from "./contact.svelte.ts";

/** What the server, or the way to it, has against a request. */
export class Refused extends Error {}

/** There is no server that answers this page; the page says so as long as it is so. */
export class LostError extends Refused {}

type Query = Record<string, string | number | boolean | null | undefined>;

/** An address of the API, with a query. */
export function address(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `api/${path}${text ? `?${text}` : ""}`;
}

/** A part of a path: a name that may have any letters. */
export const part = encodeURIComponent;

export async function request(path: string, options: RequestInit = {}, query: Query = {}): Promise<Response> {
  // It would be refused, too; `contact` asks now and then.
  if (contact.lost === "strange") throw new LostError(LOST_WORDS.strange);
  let answer: Response;
  try {
    answer = await fetch(address(path, query), options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    answered(undefined);
    throw new LostError(LOST_WORDS.silent);
  }
  answered(answer);
  if (answer.status === 401) throw new LostError(LOST_WORDS.strange);
  if (!answer.ok) throw new Refused(await lineOf(answer));
  return answer;
}

export async function lineOf(answer: Response): Promise<string> {
  try {
    const found: unknown = await answer.json();
    if (typeof found === "object" && found && "error" in found) return String(found.error);
  } catch {
    // Not of our server, or cut off.
  }
  return `The studio answered with status ${answer.status}.`;
}

export async function get<T>(path: string, query: Query = {}): Promise<T> {
  return (await (await request(path, {}, query)).json()) as T;
}

export async function post<T>(path: string, body: unknown = {}, query: Query = {}): Promise<T> {
  return (await (await request(path, asJson(body), query)).json()) as T;
}

export async function remove<T>(path: string, query: Query = {}): Promise<T> {
  return (await (await request(path, { method: "DELETE" }, query)).json()) as T;
}

/** What a job has printed. */
export async function logOf(job: string): Promise<string> {
  return (await request(`jobs/${part(job)}/log`)).text();
}

export function asJson(body: unknown): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Milliseconds after which a refused stream of events is asked for again. */
const RETRY = 3000;

/**
 * Listen to server-sent events while the page is in sight: a browser has six connections to a server, which
 * all its pages share.
 *
 * @returns ends it.
 */
export function listen(path: string, names: string[], heard: (name: string, value: unknown) => void): () => void {
  let source: EventSource | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  function change(): void {
    close();
    if (document.hidden) return;
    if (contact.lost === "strange") {
      retry = setTimeout(change, RETRY);
      return;
    }
    const opened = new EventSource(address(path));
    source = opened;
    for (const name of names)
      opened.addEventListener(name, (event: MessageEvent<string>) => heard(name, JSON.parse(event.data)));
    opened.addEventListener("error", () => {
      void probe();
      // After a refusal the browser does not try again by itself.
      if (opened.readyState === EventSource.CLOSED) retry = setTimeout(change, RETRY);
    });
  }
  function close(): void {
    clearTimeout(retry);
    source?.close();
    source = null;
  }
  change();
  document.addEventListener("visibilitychange", change);
  return () => {
    document.removeEventListener("visibilitychange", change);
    close();
  };
}
