/** What evaluations left beside a run, one after another. */
import { number } from "./formatting.ts";

export interface Evaluation {
  folder: string;
  /** What it was of, in words. */
  title: string;
  /** Of its files, pictures first. */
  names: string[];
}

/** @param paths such as `000000000064/lite0-masters-200/nearest.png`: images seen, then what was compared. */
export function ofEvaluations(paths: string[]): Evaluation[] {
  const folders = [...new Set(paths.map((path) => path.slice(0, path.lastIndexOf("/"))))];
  return folders.map((folder) => {
    const names = paths
      .filter((path) => path.slice(0, path.lastIndexOf("/")) === folder)
      .map((path) => path.slice(folder.length + 1));
    const [seen = "", ...what] = folder.split("/");
    const after = /^\d+$/.test(seen) ? `After ${number(Number(seen))} images` : seen;
    const pictures = names.filter((each) => each.endsWith(".png"));
    return {
      folder,
      title: [after, ...what].filter(Boolean).join(", "),
      names: [...pictures, ...names.filter((each) => !pictures.includes(each))],
    };
  });
}
