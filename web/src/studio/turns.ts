/** Paintings wait for a turn, so that they leave connections for the rest of the page. */

/** At once; a browser has six connections to a server, and events take one or two. */
const MOST = 3;

let begun = 0;
const waiting: (() => void)[] = [];

/**
 * Do some work when its turn comes.
 *
 * @param signal aborted, it gives up its place.
 * @param urgent before all that wait.
 * @throws DOMException `AbortError`: it was aborted before its turn came.
 */
export async function inTurn<T>(work: () => Promise<T>, signal: AbortSignal, urgent = false): Promise<T> {
  if (begun >= MOST) await turn(signal, urgent);
  else begun++;
  try {
    signal.throwIfAborted();
    return await work();
  } finally {
    const next = waiting.shift();
    // The next one takes this one's place.
    if (next) next();
    else begun--;
  }
}

function turn(signal: AbortSignal, urgent: boolean): Promise<void> {
  return new Promise((done, failed) => {
    signal.throwIfAborted();
    const begin = () => {
      signal.removeEventListener("abort", give);
      done();
    };
    const give = () => {
      waiting.splice(waiting.indexOf(begin), 1);
      failed(signal.reason);
    };
    signal.addEventListener("abort", give, { once: true });
    if (urgent) waiting.unshift(begin);
    else waiting.push(begin);
  });
}
