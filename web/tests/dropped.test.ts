import { expect, test, vi } from "vitest";

vi.stubGlobal("location", { hash: "" });
vi.stubGlobal("addEventListener", () => undefined);
vi.stubGlobal("removeEventListener", () => undefined);
const { dropped } = await import("../src/studio/dropped.svelte.ts");

test("what was dropped and is refused is said, also when one goes on with it", async () => {
  const answers = (path: string) => {
    const looked = path.split("?")[0] === "api/uploads/pictures";
    const body = looked ? { error: "no picture in it" } : {};
    return new Response(JSON.stringify(body), { status: looked ? 400 : 200 });
  };
  vi.stubGlobal("fetch", async (path: string) => answers(path.replace(/pictures%20[^/?]+/, "pictures")));
  await dropped.take([{ path: "notes.txt", file: new File(["x"], "notes.txt") }]);
  expect([dropped.trouble, dropped.upload]).toEqual(["no picture in it", ""]);
  dropped.clear();
  expect(dropped.trouble).toBe("");
  await dropped.goOn({ name: "pictures", files: 1, changed: 0, packed: false, expected: 1 });
  expect(dropped.trouble).toBe("no picture in it");
});

test("notes are shown without options, and folders that could be classes are taken if wanted", async () => {
  const notes = [
    "no labels were asked for; --labels class would take the folders' names",
    "1 picture in fewer folders than there are labels: the missing labels are unknown",
  ];
  const found = { pictures: 2, left_out: [], fields: {}, notes };
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(found)));
  await dropped.goOn({ name: "pictures", files: 2, changed: 0, packed: false, expected: 2 });
  expect(dropped.notes).toEqual([notes[1]]);
  expect([dropped.foldersCould, dropped.chosenLabels]).toEqual([true, undefined]);
  dropped.byFolder = true;
  expect(dropped.chosenLabels).toEqual(["class"]);
});
