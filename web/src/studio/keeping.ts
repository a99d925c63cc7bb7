/**
 * What was made in the gallery, as the browser keeps it: how each was asked for, so that it can be painted again
 * after the page was closed.
 */

/** What the gallery made and no job did. */
export interface Kept {
  key: string;
  title: string;
  /** The name to download it under. */
  file: string;
  model: string;
  /** Of the model: with others it would be another picture. */
  weights: string;
  /** Where it is shown from, or the request that paints it. */
  from: string | { path: string; body: unknown };
}

const NAME = "impasto made";
/** The newest ones are kept. */
export const MOST_KEPT = 20;

type Store = Pick<Storage, "getItem" | "setItem">;

/** What is kept, the newest first; what is damaged is left out. */
export function readKept(store: Store): Kept[] {
  try {
    const found: unknown = JSON.parse(store.getItem(NAME) ?? "[]");
    return Array.isArray(found) ? found.filter(isKept) : [];
  } catch {
    return [];
  }
}

/** Change what is kept, also by another tab since this one read it. */
export function changeKept(store: Store, change: (kept: Kept[]) => Kept[]): void {
  try {
    store.setItem(NAME, JSON.stringify(change(readKept(store)).slice(0, MOST_KEPT)));
  } catch {
    // The browser keeps nothing more, so the change is lost after a reload.
  }
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== "object" || value === null) return false;
  const { key, title, file, model, weights, from } = value as Partial<Kept>;
  const texts = [key, title, file, model, weights].every((each) => typeof each === "string");
  return texts && (typeof from === "string" || typeof from?.path === "string");
}
