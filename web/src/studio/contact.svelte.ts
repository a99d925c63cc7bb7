/** Whether the studio's server answers this page. */

/** `silent`: nothing answers. `strange`: a server that was started later, whose token is another one. */
export type Lost = "" | "silent" | "strange";

/** `since`: when it was lost, in seconds since 1970. */
export const contact = $state<{ lost: Lost; since: number }>({ lost: "", since: 0 });

export const LOST_WORDS: Record<Exclude<Lost, "">, string> = {
  silent:
    "The studio does not answer. If only the connection is lost, this page goes on when it is back. If the studio " +
    "was ended, start it again and open the address that it prints then. Trainings go on meanwhile.",
  strange:
    "The studio was started again, and this page is of the one before. Open it by the address that it printed " +
    "when it was started again; trainings went on meanwhile.",
};

/** Milliseconds between two questions while it does not answer. */
const PAUSE = 2000;
/** ... and while another one answers: this page goes on only if that one's address is opened in this browser. */
const LONG_PAUSE = 60_000;
let asking: ReturnType<typeof setTimeout> | undefined;

/** Take note of an answer; undefined: there was none. Asks again until the studio is back. */
export function answered(answer: Response | undefined): void {
  const before = contact.lost;
  contact.lost = answer === undefined ? "silent" : answer.status === 401 ? "strange" : "";
  if (contact.lost && !before) contact.since = Date.now() / 1000;
  if (contact.lost && asking === undefined) asking = setTimeout(again, pause());
}

async function again(): Promise<void> {
  await probe();
  asking = contact.lost ? setTimeout(again, pause()) : undefined;
}

function pause(): number {
  return contact.lost === "strange" ? LONG_PAUSE : PAUSE;
}

/** Ask whether the studio answers. */
export async function probe(): Promise<void> {
  let answer: Response | undefined;
  try {
    answer = await fetch("api/studio");
  } catch {
    answer = undefined;
  }
  answered(answer);
}
