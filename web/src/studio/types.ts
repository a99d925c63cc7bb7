/** What the server says, as its OpenAPI description has it; only what the page uses. */

export interface Studio {
  folders: Record<string, string>;
}

export type JobState = "waiting" | "running" | "done" | "failed" | "stopped";

export interface Job {
  id: string;
  kind: string;
  title: string;
  state: JobState;
  run: string | null;
  about: string | null;
  files: string[];
  message: string | null;
  command: string;
  /** Whether it was told to stop. */
  stopped: boolean;
}

export interface LabelField {
  name: string;
  classes: string[];
}

export interface ModelSummary {
  name: string;
  recipe: string;
  /** A side, or width x height. */
  resolution: number | string;
  fields: LabelField[];
  images_seen: number;
  weights: string;
  in_steps: boolean;
  /** The sizes that it makes, if several. */
  aspects: string[];
}

export interface Direction {
  name: string;
  how: string;
  first: number;
  last: number;
}

export interface Models {
  models: ModelSummary[];
  unreadable: Record<string, string>;
}

export interface Directions {
  found: boolean;
  directions: Direction[];
}

/** A whole point, as a PNG carries it. */
export interface PointRecord {
  model: string;
  recipe: string;
  fields: [string, string[]][];
  origins: { seed?: number | null; truncation?: number | null; edits?: Record<string, number> }[];
  classes: number[];
  latents?: string | null;
}

/** A point to paint: a seed, a favourite or a whole point. */
export interface Point {
  seed?: number;
  favourite?: string;
  point?: PointRecord;
  classes?: Record<string, string | Record<string, number>>;
  truncation?: number | null;
  edits?: Record<string, number>;
}

/** The training picture nearest to a painted one. */
export interface Nearest {
  /** The share of real pictures whose nearest one is farther; null where there are too few. */
  nearer_than: number | null;
  /** WebP in base64. */
  image: string;
  source: Record<string, string>;
}

export interface Favourite {
  name: string;
  point: PointRecord;
}

export interface CollectionSummary {
  name: string;
  /** Changes with its content. */
  hash: string;
  /** A side, or width x height. */
  resolution: number | string;
  resolutions: (number | string)[];
  train: number;
  heldout: number;
  fit: string;
  fields: string[];
}

export interface Collections {
  collections: CollectionSummary[];
  /** Of impasto, and packed when it is opened first. */
  unopened: string[];
  unreadable: Record<string, string>;
}

export interface ClassField {
  name: string;
  classes: { name: string; train: number }[];
  unknown: number;
}

export interface CollectionDetails {
  hash: string;
  summary: CollectionSummary;
  fields: ClassField[];
  sources: number;
  licences: Record<string, number>;
  artists: Record<string, number>;
  duplicates: number;
  sentences: string[];
}

export interface PictureRow {
  index: number;
  heldout: boolean;
  classes: Record<string, string>;
  source: Record<string, string>;
}

/** A part of a collection's pictures, and the content hash of the collection. */
export interface Pictures extends Part<PictureRow> {
  hash: string;
}

export interface DuplicateRow {
  group: string;
  path: string;
  kept: boolean;
  kind: string;
  picture: number | null;
}

export interface Part<Row> {
  total: number;
  rows: Row[];
}

export interface Recipe {
  name: string;
  summary: string;
  text: string;
  /** A side, or width x height. */
  resolution: number | string;
  /** How many it trains; null: as its collection has it. */
  images: number | null;
  from_model: boolean;
  /** Why it cannot be trained as it is on the collection that was asked about. */
  misfit: string | null;
  /** What to do about that. */
  remedy: string | null;
}

/** The label fields of a collection, for a training. */
export interface LabelChoices {
  /** `fewest` and `most`: training pictures of the rarest class, and of the most frequent one. */
  fields: { name: string; classes: number; fewest: number; most: number }[];
  ticked: string[];
  /** Whether just these are learned when no labels are given. */
  as_is: boolean;
  /** Why there is no choice. */
  why: string | null;
}

export type RunState = "training" | "waiting" | "finished" | "stopped" | "failed";

export interface RunSummary {
  name: string;
  state: RunState;
  recipe: string;
  collection: string;
  /** A side, or width x height. */
  resolution: number | string;
  images_seen: number;
  images: number;
  seconds: number;
  /** Of the whole run; null: not known. */
  seconds_left: number | null;
  stage_seconds_left: number | null;
  stage: string | null;
  stage_number: number;
  stages: number;
  message: string | null;
  grid: string | null;
}

export interface Runs {
  runs: RunSummary[];
  unreadable: Record<string, string>;
}

export interface RunDetails {
  command: string | null;
  stages: { config: Record<string, unknown> }[];
  checkpoints: number[];
  has_report: boolean;
  /** The model that it started from, in words. */
  began_with: string | null;
  /** What was measured to choose that model. */
  chosen: string | null;
}

export type Row = Record<string, unknown>;

/** Files that were dropped. */
export interface Upload {
  name: string;
  files: number;
  /** When its newest file came, in seconds since 1970. */
  changed: number;
  /** Whether a collection was made of it, or is being made. */
  packed: boolean;
  /** How many files were dropped; fewer are there if sending them was cut off. */
  expected: number | null;
}

/** Some pictures of an upload, decoded as packing does it. */
export interface Checked {
  checked: number;
  /** Those that cannot be packed, with the reason. */
  left_out: [string, string][];
}

/** The scores of a run's evaluations, the newest first. */
export interface ScoreTable {
  columns: {
    name: string;
    title: string;
    /** Which way is better, a sentence. */
    better: string;
    explanation: string;
    /** What it cannot see. */
    unseen: string;
  }[];
  rows: {
    images_seen: number | null;
    pictures: number;
    /** What was compared with what. */
    conditions: string;
    cells: ({ value: string; interval: string } | null)[];
  }[];
}

/** What packing would find in an upload. */
export interface Found {
  pictures: number;
  left_out: [string, string][];
  fields: Record<string, Record<string, number>>;
  notes: string[];
}

export interface Previews {
  /** What each fit does, in words. */
  fits: Record<string, string>;
  pictures: { path: string; squares: Record<string, string> }[];
}

/** The pictures most like one, nearest first. */
export interface Alike {
  points: PointRecord[];
  distances: number[];
}

/** The favourites of an earlier checkpoint of a run. */
export interface Earlier {
  model: string;
  favourites: Favourite[];
}

/** What a training costs on this machine. */
export interface Estimate {
  job: string;
  /** Null: the flagship. */
  recipe: string | null;
  collection: string;
  /** Whether it is the recipe as it is. */
  plain: boolean;
  seconds: number;
  memory_bytes: number | null;
  stages: { images_per_second: number; processor_share: number | null }[];
}

/** A setting of a network. */
export interface Setting {
  name: string;
  default: unknown;
  required: boolean;
  /** Its JSON schema. */
  kind: Record<string, unknown>;
}

/** The facts that go with a model that is shared. */
export interface Card {
  /** What it describes, and what is exported: of a run, one of its checkpoints. */
  model: string;
  recipe: string;
  /** A side, or width x height. */
  resolution: number | string;
  parameters: number;
  images_seen: number;
  weights_bytes: number;
  /** The card of the hub, as Markdown. */
  text: string;
  sentences: string[];
}
