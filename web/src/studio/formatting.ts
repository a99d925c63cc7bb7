/** Numbers and times in words. */

export function number(value: number): string {
  return value.toLocaleString("en");
}

/** A duration, such as `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

/** How many of something, with its plural. */
export function count(value: number, one: string, more = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : more}`;
}

/** When something was, such as `at 14:05`; with the day if that is another than today. */
export function moment(seconds: number, now = new Date()): string {
  const then = new Date(1000 * seconds);
  const time = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (then.toDateString() === now.toDateString()) return `at ${time}`;
  return `on ${then.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} at ${time}`;
}

/** In the order of a dictionary, whatever letters are large. */
export function byName<T extends { name: string }>(all: readonly T[]): T[] {
  return [...all].sort((a, b) => a.name.localeCompare(b.name, "en", { sensitivity: "base" }));
}
