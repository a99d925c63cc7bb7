/** Pictures of a collection: their addresses, and the parts of their list. */
import { address, part } from "./api.ts";
import type { Pictures } from "./types.ts";

/**
 * The address of a collection's picture. It changes with the collection: numbers are places in it, and a
 * picture that is removed moves all later ones.
 *
 * @param hash the content hash of the collection in which it has this number.
 */
export function addressOf(name: string, hash: string, number: number, kind: "picture" | "excluded" = "picture"): string {
  return address(`collections/${part(name)}/${kind}/${number}`, { side: 128, hash });
}

/** The list with its next part; undefined: the collection has changed between the two. */
export function joined(before: Pictures, next: Pictures): Pictures | undefined {
  if (before.rows.length && before.hash !== next.hash) return undefined;
  return { ...next, rows: [...before.rows, ...next.rows] };
}
