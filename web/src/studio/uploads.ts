/** Files to the server, one a request, and the files in what was dropped. */
import type { Attachment } from "svelte/attachments";
import { part, post, request } from "./api.ts";

export interface Item {
  /** Where it stands in the upload; folders become classes. */
  path: string;
  file: File;
}

/** A name of an upload or a collection that nobody else takes within the same second. */
export function freeName(start: string): string {
  return `${start} ${new Date().toISOString().slice(0, 19).replace("T", " ").replace(/:/g, "")}`;
}

/**
 * Send files into an upload.
 *
 * @param told how many have arrived.
 */
export async function send(name: string, items: Item[], told: (sent: number) => void): Promise<true> {
  await post("uploads", { name, files: items.length });
  const queue = [...items.entries()];
  let sent = 0;
  async function work(): Promise<void> {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [, { path, file }] = next;
      await request(`uploads/${part(name)}/file`, { method: "PUT", body: file }, { path });
      told(++sent);
    }
  }
  await Promise.all([work(), work()]);
  return true;
}

/** The files of an input, with their folders if a folder was chosen. */
export function ofInput(files: FileList): Item[] {
  return visible(Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** Makes an element take what is dropped onto it; while something is above it, it has the class `over`. */
export function onDropped(take: (transfer: DataTransfer) => void): Attachment<HTMLElement> {
  return (element) => {
    const mark = (over: boolean) => element.classList.toggle("over", over);
    const over = (event: DragEvent) => {
      event.preventDefault();
      mark(true);
    };
    const leave = () => mark(false);
    const drop = (event: DragEvent) => {
      event.preventDefault();
      mark(false);
      if (event.dataTransfer) take(event.dataTransfer);
    };
    element.addEventListener("dragover", over);
    element.addEventListener("dragleave", leave);
    element.addEventListener("drop", drop);
    return () => {
      element.removeEventListener("dragover", over);
      element.removeEventListener("dragleave", leave);
      element.removeEventListener("drop", drop);
    };
  };
}

/** The files of a drop, folders included. */
export async function ofDrop(transfer: DataTransfer): Promise<Item[]> {
  // All are asked for before the first wait, after which the browser has forgotten them.
  const dropped = Array.from(transfer.items, (item) => ({
    entry: item.webkitGetAsEntry(),
    file: item.getAsFile(),
  }));
  const found = dropped.map(async ({ entry, file }): Promise<Item[]> => {
    if (entry) return itemsOf(entry);
    // A file from elsewhere than a file system, such as from another page.
    return file ? [{ path: file.name, file }] : [];
  });
  return visible((await Promise.all(found)).flat());
}

async function itemsOf(entry: FileSystemEntry): Promise<Item[]> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Item[] = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const each of some) found.push(...(await itemsOf(each)));
  }
}

function visible(items: Item[]): Item[] {
  return items.filter(({ path }) => !path.split("/").some((name) => name.startsWith(".")));
}
