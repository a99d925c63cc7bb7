import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { get, listen, LostError } from "../src/studio/api.ts";
import { contact } from "../src/studio/contact.svelte.ts";

/** A stream of events as a browser opens it. */
class Stream {
  static readonly CLOSED = 2;
  static all: Stream[] = [];
  readyState = 1;
  closed = false;
  heard: Record<string, (event: unknown) => void> = {};
  constructor(readonly url: string) {
    Stream.all.push(this);
  }
  addEventListener(name: string, listener: (event: unknown) => void): void {
    this.heard[name] = listener;
  }
  close(): void {
    this.closed = true;
  }
}

let status: number | null;
let asked = 0;
beforeEach(() => {
  vi.useFakeTimers();
  [status, Stream.all] = [200, []];
  vi.stubGlobal("EventSource", Stream);
  vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
  vi.stubGlobal("fetch", async () => {
    asked++;
    if (status === null) throw new TypeError("connection refused");
    return Response.json(status === 200 ? {} : { error: "no" }, { status });
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a request that nothing answers is said, until the studio is back", async () => {
  status = null;
  const since = Date.now() / 1000;
  await expect(get("runs")).rejects.toThrow(LostError);
  expect(contact).toEqual({ lost: "silent", since });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(contact).toEqual({ lost: "silent", since });
  status = 401;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(contact.lost).toBe("strange");
  const before = asked;
  await expect(get("runs")).rejects.toThrow(LostError);
  await vi.advanceTimersByTimeAsync(58_000);
  expect(asked).toBe(before);
  status = 200;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(contact.lost).toBe("");
  expect(vi.getTimerCount()).toBe(0);
});

test("what the server refuses for another reason is no lost connection", async () => {
  status = 400;
  await expect(get("runs")).rejects.not.toThrow(LostError);
  expect(contact.lost).toBe("");
});

test("a stream of events that ends is said, and a refused one asked for again", async () => {
  const heard = vi.fn();
  const end = listen("events", ["jobs"], heard);
  status = 401;
  Stream.all[0]!.readyState = Stream.CLOSED;
  Stream.all[0]!.heard.error!({});
  await vi.advanceTimersByTimeAsync(1);
  expect(contact.lost).toBe("strange");
  await vi.advanceTimersByTimeAsync(30_000);
  expect(Stream.all.length).toBe(1);
  status = 200;
  await vi.advanceTimersByTimeAsync(35_000);
  expect(contact.lost).toBe("");
  expect(Stream.all.map((each) => each.closed)).toEqual([true, false]);
  Stream.all[1]!.heard.jobs!({ data: "[1]" });
  expect(heard).toHaveBeenCalledWith("jobs", [1]);
  end();
  expect(Stream.all[1]!.closed).toBe(true);
});
