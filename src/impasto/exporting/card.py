"""The card of a model for the Hugging Face hub: a README.md with metadata in YAML.

It holds no path, user or host of the machine. Names of classes, artists and the like are escaped.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from impasto import __version__
from impasto.collection import provenance
from impasto.evaluation.by_size import has_aspect
from impasto.evaluation.record import METRICS_FILE, PICTURE, EvaluationRow, read_rows
from impasto.evaluation.score_kinds import base_of, interval_text, kind_of, title_of, value_text
from impasto.evaluation.table import place, warnings
from impasto.exporting.markdown import plain, table
from impasto.files import read_json, read_json_lines
from impasto.formatting import counted, one_line, quoted, readable_time
from impasto.resolution import in_words
from impasto.sampling.records import ModelRecord

PICTURES = "pictures.png"
_MOST_CLASSES, _MOST_FEW = 60, 12
_FEW = 50
"""Training pictures of a class below which the card names it as one with few."""
_SIMPLE = re.compile(r"\w[\w .-]*")
"""Names that an example of a command shows."""


@dataclass(frozen=True)
class Training:
    """Facts about a model's training that are not in its record."""

    seconds: float | None = None
    machine: Mapping[str, Any] | None = None
    """From `run.json`: device, accelerator, threads and precision."""
    begun_from: Mapping[str, Any] | None = None
    """From `run.json`: the model that the training started from."""

    @classmethod
    def read(cls, run: Path, images_seen: int) -> "Training":
        """From a run's folder; what is missing or damaged there is left out."""
        record = read_json(run / "run.json", "run")
        pairs = [
            (row.get("images_seen"), row.get("seconds"))
            for row in read_json_lines(run / "stats.jsonl")
        ]
        seconds = [
            float(after)
            for seen, after in pairs
            if isinstance(seen, int) and seen <= images_seen and isinstance(after, int | float)
        ]
        parts = [
            record.get(name) if isinstance(record, dict) else None
            for name in ("machine", "started_from")
        ]
        machine, begun_from = (part if isinstance(part, dict) else None for part in parts)
        return cls(seconds[-1] if seconds else None, machine, begun_from)


def evaluations_of(folder: Path, weights_sha256: str) -> list[EvaluationRow]:
    """The newest evaluation of a model by each feature network.

    Evaluations during training, and those at other sizes than the model's own, are used only if there
    are no others.

    Args:
        folder: the folder of `metrics.jsonl`.
        weights_sha256: digest of the model's weights.
    """
    rows = [
        row
        for row in read_rows(folder / METRICS_FILE)
        if row.subject.weights_sha256 == weights_sha256
    ]
    rows = [row for row in rows if not row.during_training] or rows
    rows = [row for row in rows if not has_aspect(row)] or rows
    return list({row.network.name: row for row in rows}.values())


@dataclass(frozen=True)
class Card:
    """The contents of a model card."""

    record: ModelRecord
    caption: str
    """The caption of the picture `PICTURES`, as Markdown."""
    training: Training | None = None
    evaluations: Sequence[EvaluationRow] = ()
    licence: str | None = None
    repository: str | None = None
    """The model's name on the hub, `OWNER/NAME`, if it is known."""

    def text(self) -> str:
        """The whole README.md."""
        sections = (
            [*self.head(), "", f"![Pictures painted by this model]({PICTURES})", "", self.caption],
            self._use(),
            self.learned(),
            self._trained(),
            self._scores(),
            self._copies(),
            self.limits(),
        )
        return self.with_metadata(self.metadata(), sections)

    @staticmethod
    def with_metadata(metadata: Mapping[str, Any], sections: Iterable[Sequence[str]]) -> str:
        """A README.md of metadata and sections of lines."""
        heading = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=100)
        body = "\n\n".join("\n".join(lines) for lines in sections)
        return f"---\n{heading}---\n{body}\n"

    @property
    def title(self) -> str:
        """The model in a few words."""
        return f"{one_line(self.record.collection.name)}, {self.record.resolution} px"

    def metadata(self) -> dict[str, Any]:
        """What stands in YAML, by the hub's specification of model cards. Accuracies are of a judge or
        of the discriminator, no scores of the pictures, and so left out."""
        kind = "gan" if self.record.discriminator is not None else "flow"
        found: dict[str, Any] = {
            "license": self.licence or "unknown",
            "library_name": "impasto",
            "pipeline_tag": "unconditional-image-generation",
            "tags": ["impasto", kind, "art", "image-generation"],
        }
        results = [self._result(row) for row in self.evaluations]
        if results:
            found["model-index"] = [{"name": self.title, "results": results}]
        return found

    @staticmethod
    def _result(row: EvaluationRow) -> dict[str, Any]:
        name = one_line(row.collection.name)
        metrics = [
            {"type": base_of(score.name), "name": score.name, "value": float(f"{score.value:.6g}")}
            for score in sorted(row.scores, key=place)
            if score.cls is None and score.value is not None and base_of(score.name) != "accuracy"
        ]
        task = {"type": "unconditional-image-generation", "name": "Image generation"}
        return {"task": task, "dataset": {"name": name, "type": name}, "metrics": metrics}

    def head(self) -> list[str]:
        size, name = in_words(self.record.resolution), plain(self.record.collection.name)
        return [
            f"# {plain(self.title)}",
            f"New pictures of {size} pixels, by a generator that learned from {name}.",
        ]

    def _use(self) -> list[str]:
        name = f"hf:{self.repository or 'OWNER/NAME'}"
        example = next(
            (
                f"{field.name}={cls}"
                for field in self.record.labels
                for cls in field.classes
                if _SIMPLE.fullmatch(field.name) and _SIMPLE.fullmatch(cls)
            ),
            None,
        )
        chosen = f" --class {quoted(example)}" if example else ""
        return [
            "## How to use it",
            "With impasto (`pip install 'impasto[torch,hub]'`), from the command line:",
            "",
            f"    impasto sample {quoted(name)} --seeds 0-63{chosen} --grid grid.png",
            f"    impasto walk {quoted(name)} --seeds 0-7 --loop --out walk.mp4",
            "",
            "or in Python:",
            "",
            "```python",
            "import impasto",
            "",
            f'model = impasto.Model.load("{name}")',
            'model.grid(seeds=range(16)).save("grid.png")',
            "```",
            "",
            "The same seed and classes always give the same picture. The weights are safetensors, and "
            "opening the model runs no code from this repository.",
            *self._classes(),
        ]

    def _classes(self) -> list[str]:
        lines = []
        for field in self.record.labels:
            shown = ", ".join(map(plain, field.classes[:_MOST_CLASSES]))
            rest = len(field.classes) - _MOST_CLASSES
            more = f" and {rest:,} others" if rest > 0 else ""
            lines += ["", f"Classes of {plain(field.name)}: {shown}{more}."]
        return lines

    def learned(self) -> list[str]:
        learned = self.record.collection
        kind = f" ({plain(learned.kind)})" if learned.kind else ""
        lines = [
            "## What it learned from",
            f"The collection {plain(learned.name)}{kind}: {counted(learned.count, 'picture')} from "
            f"{counted(learned.sources, 'source picture')}.",
        ]
        if learned.only is not None:
            lines.append(f"Only a part of it: {plain(learned.only)}.")
        lines += provenance.in_words(
            {"duplicates": learned.duplicates, "forgotten": learned.forgotten}
        )
        if tuned := sum(len(each.pictures) for each in self.record.tuned):
            lines.append(f"Afterwards it was tuned to {counted(tuned, 'single picture')}.")
        for head, counts in (("Licence", learned.licences), ("Artist", learned.artists)):
            if counts:
                rows = [(plain(name), f"{count:,}") for name, count in counts.items()]
                lines += ["", *table((head, "Source pictures"), rows)]
        if sum(learned.licences.values()) > learned.sources:
            lines += ["", "These tables count the collection's held-out pictures, too."]
        return lines

    def _trained(self) -> list[str]:
        record, known = self.record, self.training or Training()
        network = record.discriminator
        against = f", against {plain(network.network)}" if network else ", without a discriminator"
        facts = [
            ("Recipe", plain(record.recipe)),
            ("Network", f"{plain(record.generator.network)}{against}"),
            ("Weights of the generator", f"{record.parameters:,}"),
            ("Images seen, repetitions included", f"{record.images_seen:,}"),
        ]
        if known.seconds is not None:
            facts.append(("Time", readable_time(known.seconds)))
        if known.machine is not None:
            facts.append(("Machine", plain(_machine(known.machine))))
        if known.begun_from is not None:
            seen = known.begun_from.get("images_seen")
            facts.append(
                (
                    "Started from",
                    f"a model of recipe {plain(str(known.begun_from.get('recipe')))} after "
                    f"{seen if isinstance(seen, int) else 0:,} images of "
                    f"{plain(str(known.begun_from.get('collection')))}",
                )
            )
        facts.append(("Written by", f"impasto {__version__}"))
        return ["## How it was trained", *table(("", ""), facts)]

    def _scores(self) -> list[str]:
        lines = ["## How good it is"]
        if not self.evaluations:
            return [*lines, "It was not evaluated (`impasto evaluate`)."]
        for row in self.evaluations:
            heldout = {(e.name, e.field): e for e in row.heldout if e.cls is None}
            scores = [score for score in sorted(row.scores, key=place) if score.cls is None]
            rows = [
                (
                    plain(title_of(score.name, score.field)),
                    value_text(score),
                    interval_text(score),
                    value_text(heldout[key])
                    if (key := (score.name, score.field)) in heldout
                    else "",
                    kind_of(score.name, scores).better,
                )
                for score in scores
            ]
            heads = ("Score", "Value", "95% interval", "Held-out real pictures", "Better")
            lines += ["", _of_what(row), "", *table(heads, rows), ""]
            notes = [text.partition("; metrics.jsonl")[0] for text in warnings(row)[2:]]
            lines += [f"- {plain(text)}" for text in notes]
        return [
            *lines,
            "",
            "Scores depend on the feature network, the reference and the number of pictures: only those "
            "with the same ones compare. FD by lite0 is not FID. The last column but one scores real "
            "pictures that were held out, against the same reference.",
        ]

    def _copies(self) -> list[str]:
        lines = ["## What it copies"]
        found = [
            str(sentence)
            for row in self.evaluations
            for sentence in (row.memorisation or {}).get("sentences", ())
        ]
        if not found:
            return [*lines, "It was not measured whether it copies training pictures."]
        return [*lines, *(f"- {plain(text[:1].upper() + text[1:])}." for text in found)]

    def limits(self) -> list[str]:
        record = self.record
        lines = [
            "## Limits",
            f"- It paints {in_words(record.resolution)} pixels.",
            "- It knows only what is in its collection: subjects, styles and people that are rare or "
            "missing there are rare or missing in its pictures.",
            *self._rare(),
            "- A generated picture may resemble a training picture. The licences above are those "
            "recorded for the source pictures; impasto does not check them.",
        ]
        if self.licence is None:
            lines.append("- Its author has named no licence for the model itself.")
        lines += [f"- To open it one also needs the {plain(str(each))}." for each in record.plugins]
        if record.autoencoder is not None:
            name = plain(record.autoencoder.network)
            lines.append(
                f"- Its decoder, that of the autoencoder {name}, is not in this repository."
            )
        return lines

    def _rare(self) -> list[str]:
        """A line on each label field with classes that had few pictures."""
        lines = []
        for column, field in enumerate(self.record.labels):
            counts = sorted(zip(self.record.class_counts(column), field.classes, strict=True))
            few = [f"{plain(name)} ({count:,})" for count, name in counts if count < _FEW]
            if few:
                more = f" and {len(few) - _MOST_FEW:,} others" if len(few) > _MOST_FEW else ""
                lines.append(
                    f"- Classes of {plain(field.name)} with few training pictures: "
                    f"{', '.join(few[:_MOST_FEW])}{more}."
                )
        return lines


def _machine(record: Mapping[str, Any]) -> str:
    """What computed, without the machine's name."""
    device = record.get("accelerator") or record.get("device")
    threads, precision = record.get("threads"), record.get("precision")
    on_cpu = record.get("device") == "cpu" and isinstance(threads, int)
    parts = [device, f"{threads} threads" if on_cpu and threads != 1 else None, precision]
    return ", ".join(str(part) for part in parts if part)


def _of_what(row: EvaluationRow) -> str:
    """What was scored, and against what, as a sentence in Markdown."""
    how = [
        f"truncation {row.pictures.truncation:g}" if row.pictures.truncation is not None else "",
        plain(row.pictures.made_with or ""),
        "measured during training" if row.during_training else "",
    ]
    added = "".join(f", {each}" for each in how if each)
    first, count = row.pictures.first_seed, row.pictures.count
    return (
        f"By the feature network {plain(row.network.name)}: {counted(count, 'picture')} of seeds "
        f"{first} to {first + count - 1}{added}, against "
        f"{counted(row.reference.pictures, PICTURE[row.reference.split])} of "
        f"{plain(row.collection.name)} at {row.collection.resolution} px."
    )
