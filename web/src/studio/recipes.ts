/** The texts of recipes, which name commands and files, as the page shows them. */

/** A paragraph that begins with a word and a colon ends where the next one does. */
const END = String.raw`(?=\n\n|\n[A-Z]\w*: |(?![^]))`;
const COST = new RegExp(`^Cost: ([^]*?)${END}`, "m");
const COMMAND = new RegExp(`^Command: [^]*?${END}\\n?`, "m");
const MARKS = /`([^`]+)`/g;
const FILE = String.raw`(?:docs|benchmarks)/\w+\.(?:md|py)`;

/** Without commands, options of commands and the names of files that only a copy of the repository has. */
export function inThePage(text: string): string {
  return text
    .replace(COMMAND, "")
    .replace(new RegExp(`\\s*\\(${FILE}(?:,\\s+${FILE})*\\)`, "g"), "")
    .replace(new RegExp(`,\\s+${FILE}\\)`, "g"), ")")
    .replace(/\bdocs\/(\w+)\.md/g, "the page $1 of impasto's documentation")
    .replace(/--set +/g, "")
    .replace(/ ?--set\n/g, "\n")
    .replace(MARKS, "$1")
    .trimEnd();
}

/** A text without the marks of code, which the page does not show as such. */
export function withoutMarks(text: string): string {
  return text.replace(MARKS, "$1");
}

/** What it cost where it was made, on one line. */
export function costElsewhere(text: string): string | undefined {
  return COST.exec(inThePage(text))?.[1]?.replace(/\s+/g, " ");
}
