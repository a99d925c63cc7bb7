/** The pictures that were dropped last, and how they are to be packed; kept while another tab is shown. */
import { get, part, remove } from "./api.ts";
import { attempt } from "./shared.svelte.ts";
import type { Checked, Found, Previews, Upload } from "./types.ts";
import { freeName, send, type Item } from "./uploads.ts";

/** Pictures that are looked at before packing, which looks at all. */
const MOST_CHECKED = 2000;

class Dropped {
  /** The name of the upload; empty: nothing was dropped. */
  upload = $state("");
  total = $state(0);
  sent = $state(0);
  found = $state.raw<Found>();
  previews = $state.raw<Previews>();
  /** How many pictures were looked at, and which of them cannot be packed. */
  checked = $state(0);
  checking = $state(false);
  unusable = $state.raw<[string, string][]>([]);
  name = $state("");
  fit = $state("crop");
  side = $state(64);
  labels = $state<string[]>([]);
  /** Whether the names of folders become classes that packing does not take by itself. */
  byFolder = $state(false);
  duplicates = $state("near");
  /** Why something was refused; it stays until something is changed. */
  trouble = $state("");

  /** Files and why they stay out, as far as that is known. */
  get leftOut(): [string, string][] {
    return [...(this.found?.left_out ?? []), ...this.unusable];
  }

  /** What the source's notes say that needs no option of a command. */
  get notes(): string[] {
    return (this.found?.notes ?? []).filter((note) => !note.includes("--"));
  }

  /** Whether there are folders that could be classes and are not taken as such. */
  get foldersCould(): boolean {
    return (this.found?.notes ?? []).some((note) => note.includes("--labels class would take"));
  }

  /** The label fields to pack; undefined: there is no choice. */
  get chosenLabels(): string[] | undefined {
    if (this.foldersCould && this.byFolder) return ["class"];
    return Object.keys(this.found?.fields ?? {}).length ? this.labels : undefined;
  }

  /** Pictures that are looked at in all. */
  get toCheck(): number {
    return Math.min(this.found?.pictures ?? 0, MOST_CHECKED);
  }

  async take(items: Item[]): Promise<void> {
    if (!items.length) {
      this.trouble = "There is no file in what was dropped.";
      return;
    }
    const folders = new Set(items.map((item) => item.path.split("/")[0]!));
    const single = folders.size === 1 ? [...folders][0]! : "";
    const upload = freeName("pictures");
    this.begin(upload, single.replace(/\.[^.]{1,4}$/, "") || upload);
    this.total = items.length;
    // The folder that all are in is the upload itself, and no class.
    const inside = items.every((item) => item.path.includes("/")) && single;
    const files = inside
      ? items.map((item) => ({ ...item, path: item.path.slice(single.length + 1) }))
      : items;
    const stay = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", stay);
    const told = (arrived: number) => {
      if (this.upload === upload) this.sent = arrived; // not those of a later drop
    };
    let refused = "";
    const all = await attempt(send(upload, files, told), (words) => (refused = words));
    removeEventListener("beforeunload", stay);
    if (all) await this.look(upload);
    else if (this.upload === upload) this.clear(refused);
  }

  /** Go on with pictures that were dropped before. */
  async goOn(upload: Upload): Promise<void> {
    this.begin(upload.name, upload.name);
    this.total = this.sent = upload.files;
    await this.look(upload.name);
  }

  async discard(name: string): Promise<void> {
    const done = await attempt(remove(`uploads/${part(name)}`), (words) => (this.trouble = words));
    if (done && this.upload === name) this.clear();
  }

  /** @param trouble why, if it was refused. */
  clear(trouble = ""): void {
    this.begin("", "");
    this.trouble = trouble;
  }

  /** Look at the pictures as packing does, a portion at a time, until other pictures or another size are chosen. */
  async check(): Promise<void> {
    const { upload, side, fit } = this;
    // The proportions of `aspect` are chosen when they are packed; it crops to them.
    const query = { resolution: side, fit: fit === "aspect" ? "crop" : fit };
    const same = () => this.upload === upload && this.side === side && this.fit === fit;
    [this.checked, this.unusable, this.checking] = [0, [], true];
    while (this.checked < this.toCheck) {
      const path = `uploads/${part(upload)}/unusable`;
      const some = await get<Checked>(path, { ...query, start: this.checked }).catch(() => null);
      if (!same()) return; // discarded, or asked anew
      if (!some?.checked) break; // what is refused here is said when it is packed
      this.checked += some.checked;
      this.unusable = [...this.unusable, ...some.left_out];
    }
    this.checking = false;
  }

  private begin(upload: string, name: string): void {
    this.upload = upload;
    this.name = name.replace(/[\\/:*?"<>|]|^[.-]+/g, " ").trim();
    [this.total, this.sent, this.found, this.previews] = [0, 0, undefined, undefined];
    [this.checked, this.unusable, this.checking, this.trouble] = [0, [], false, ""];
  }

  private async look(upload: string): Promise<void> {
    let refused = "";
    const found = await attempt(get<Found>(`uploads/${part(upload)}`), (words) => (refused = words));
    if (this.upload !== upload) return;
    if (!found) {
      this.clear(refused);
      return;
    }
    [this.found, this.labels, this.byFolder] = [found, Object.keys(found.fields), false];
    const query = { count: 6, side: 128 };
    const previews = await attempt(get<Previews>(`uploads/${part(upload)}/preview`, query), (words) => (refused = words));
    if (this.upload !== upload) return;
    this.previews = previews;
    this.trouble ||= refused;
  }
}

export const dropped = new Dropped();
