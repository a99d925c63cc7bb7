import { expect, test, vi } from "vitest";

vi.stubGlobal("location", { hash: "" });
const { Refused } = await import("../src/studio/api.ts");
const { attempt, ownWords, said } = await import("../src/studio/shared.svelte.ts");

test("what is read unasked takes back its own words only", async () => {
  const say = ownWords();
  await attempt(Promise.reject(new Refused("The name is taken.")));
  await attempt(Promise.resolve(1), say);
  expect(said.trouble).toBe("The name is taken.");
  await attempt(Promise.reject(new Refused("The studio does not answer.")), say);
  expect(said.trouble).toBe("The studio does not answer.");
  await attempt(Promise.resolve(1), say);
  expect(said.trouble).toBe("");
});
