/** Pictures at addresses where the server has to paint them. */
import { lineOf } from "./api.ts";
import { inTurn } from "./turns.ts";

/**
 * An action of an `<img>`: it asks for its picture once it comes into sight, in its turn, and not any more once it
 * is gone. The `<img>` itself would hold a connection until the picture is painted, even after the page shows
 * something else.
 */
export function painted(image: HTMLImageElement, address: string): { destroy: () => void } {
  const ends = new AbortController();
  let shown = "";
  const load = async (): Promise<void> => {
    const answer = await fetch(address, { signal: ends.signal });
    if (!answer.ok) throw new Error(await lineOf(answer));
    const blob = await answer.blob();
    if (ends.signal.aborted) return;
    shown = URL.createObjectURL(blob);
    image.src = shown;
  };
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    watch.disconnect();
    // Without it the words in its place are shown.
    inTurn(load, ends.signal).catch(() => (image.alt ||= "It could not be painted"));
  });
  watch.observe(image);
  return {
    destroy: () => {
      watch.disconnect();
      ends.abort();
      if (shown) URL.revokeObjectURL(shown);
    },
  };
}
