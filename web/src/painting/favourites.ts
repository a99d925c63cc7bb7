/** Favourites of one model, kept in the browser as the texts of their points. */
import type { Model } from "./model.ts";

const MOST = 500;

export class Favourites {
  private readonly key: string;

  constructor(
    model: Model,
    private readonly storage: Storage | null,
  ) {
    this.key = `impasto.favourites.${model.sha256}`;
  }

  /** The texts that are kept; none where they cannot be read. */
  read(): string[] {
    try {
      const found: unknown = JSON.parse(this.storage?.getItem(this.key) ?? "[]");
      if (!Array.isArray(found)) return [];
      return found.filter((each): each is string => typeof each === "string").slice(0, MOST);
    } catch {
      return [];
    }
  }

  /** Keep these; false if the browser does not let us. */
  write(texts: string[]): boolean {
    try {
      if (!this.storage) return false;
      this.storage.setItem(this.key, JSON.stringify(texts.slice(0, MOST)));
      return true;
    } catch {
      return false;
    }
  }
}

/** The browser's store; null where it is forbidden. */
export function localStore(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}
