"""The folder of a run: made once, never overwritten, readable while training goes on.

run.json       resolved config, command, versions, machine, collection
stats.jsonl    a row for each interval
metrics.jsonl  a row for each evaluation, see evaluation/record.py
samples/       grids: the same seeds over time
checkpoints/   see checkpoint.py
"""

import contextlib
import datetime
import json
import math
import shlex
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from impasto import __version__
from impasto.collection import Collection, open_or_pack
from impasto.collection.provenance import provenance
from impasto.config import RunConfig, parse_config
from impasto.diagnosis import EVENTS
from impasto.errors import ImpastoError
from impasto.evaluation.record import EVALUATION_FOLDER, METRICS_FILE
from impasto.files import (
    atomic_folder,
    lock,
    read_json,
    read_json_lines,
    write_error,
    write_json,
    write_text,
)
from impasto.formatting import quoted
from impasto.messages import say
from impasto.resolution import parse_resolution, recorded
from impasto.sampling.model import (
    CollectionRecord,
    ModelRecord,
    checkpoint_folders,
    find_model,
    run_of,
)
from impasto.sampling.shipped import shipped_name
from impasto.settings import change, settings_that_differ
from impasto.training.evaluation import PENDING, ended_early
from impasto.training.resolve import whole_steps, with_defaults

FORMAT = 1


def collection_record(collection: Collection) -> dict[str, Any]:
    """A run's record of its collection."""
    return {
        "name": collection.name,
        "only": collection.condition,
        "path": str(collection.path.resolve()),
        "hash": collection.content_hash,
        "count": len(collection.train_indices),
        "sources": len(set(collection.sources[collection.train_indices].tolist())),
        "fit": collection.fit,
        "resolution": recorded(collection.resolution),
        "fields": [
            {"name": f.name, "classes": list(f.classes), "counts": list(f.counts)}
            for f in collection.fields
        ],
        **provenance(collection),
    }


def open_collection(
    run: Path, record: dict[str, Any], data: str | Path | Collection | None
) -> Collection:
    """Open a run's collection, or `data` instead; only the run's part of it, if it has one.

    Args:
        run: its folder.
        record: the whole of its `run.json`.
        data: the collection's folder, if it has moved.

    Raises:
        ImpastoError: it is no longer there, or has no such part.
    """
    known = record["collection"]
    path: str | Path | Collection = known["path"] if data is None else data
    if data is None and not Path(known["path"]).exists():
        if known["name"] != "masters":
            raise ImpastoError(
                f"the collection of {run} is no longer at {path}; say where it is with --data"
            )
        path = "masters"  # it was in the cache, which may be cleared, and can be packed again
    return open_or_pack(path, parse_resolution(known["resolution"])).only(known.get("only"))


def require_same(run: Path, config: RunConfig, collection: Collection) -> None:
    """Refuse to go on with a run of another config, collection or part of it.

    A setting that an earlier version did not have counts as its default.

    Args:
        run: its folder.
        config: with all defaults filled in.
        collection: or the part of it that is meant.

    Raises:
        ImpastoError: it is another one; the message names the first setting that differs.
    """
    begun, record = read_run(run)
    go_on = f"another --run, or go on with it as it is: impasto resume {quoted(run)}"
    parts = record["collection"].get("only"), collection.condition
    if parts[0] != parts[1]:
        learned, asked = (f"only {part}" if part else "the whole collection" for part in parts)
        raise ImpastoError(
            f"{run} is a run on {learned}, not on {asked}; give the same --only, {go_on}"
        )
    configs = [each.model_dump(mode="json") for each in (with_defaults(begun), config)]
    for name, (before, now) in settings_that_differ(configs):
        raise ImpastoError(
            f"{run} is a run with {name} {before or 'null'}, not {now or 'null'}; give the same "
            f"settings, {go_on}"
        )
    if record["collection"]["hash"] != collection.content_hash:
        raise ImpastoError(
            f"{run} is a run on {record['collection']['path']}, not on {collection.path}; give "
            f"the same collection or another --run"
        )


def versions() -> dict[str, str]:
    """Versions of the software that determines a run's numbers."""
    names = ("torch", "numpy", "pillow", "safetensors")
    return {
        "impasto": __version__,
        "python": sys.version.split()[0],
        **{name: metadata.version(name) for name in names},
    }


def _fill(folder: Path, record: dict[str, Any]) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "samples").mkdir()
    write_json(
        folder / "run.json",
        {
            "format": FORMAT,
            "command": shlex.join(["impasto", *sys.argv[1:]]),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **record,
        },
    )


def _nothing(_run: Path) -> None:
    pass


def create_at(run: Path, record: dict[str, Any], put: Callable[[Path], object] = _nothing) -> None:
    """Make the run `run`, with its `run.json` already in it, and what `put` writes into it.

    Raises:
        ImpastoError: it cannot be written, or something is there already.
    """
    with atomic_folder(run) as temporary:
        _fill(temporary, record)
        put(temporary)


def create(
    out: Path, name: str, record: dict[str, Any], put: Callable[[Path], object] = _nothing
) -> Path:
    """Make the next free folder `00000-name` in `out`, with its `run.json` and what `put` writes.

    Raises:
        ImpastoError: `out` cannot be written.
    """
    # Cut very long names; file systems allow 255 bytes.
    name = name.encode()[:150].decode(errors="ignore")
    temporary = out / f".{uuid.uuid4().hex[:12]}.tmp"
    try:
        _fill(temporary, record)
        put(temporary)
        while True:
            taken = [int(f.name[:5]) for f in out.glob("[0-9][0-9][0-9][0-9][0-9]-*")]
            run = out / f"{max(taken, default=-1) + 1:05d}-{name}"
            try:
                # If another process takes the number first, renaming onto its folder fails.
                temporary.rename(run)
                return run
            except OSError:
                if not run.exists():
                    raise
    except OSError as error:
        raise write_error(error, out) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_run(run: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The resolved config of a run and the whole of its `run.json`.

    Raises:
        ImpastoError: not a run, or one of an unknown format.
    """
    if not run.is_dir():
        raise ImpastoError(f"{run} is not a run; runs are folders such as runs/00000-...")
    record = read_json(run / "run.json", "run")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ImpastoError(f"{run / 'run.json'} has a format this version of impasto does not know")
    missing = {"config", "collection", "machine", "versions", "tensorboard"} - record.keys()
    if missing:
        raise ImpastoError(
            f"{run / 'run.json'} is damaged (no {min(missing)}); restore it from a copy"
        )
    return parse_config(record["config"], str(run / "run.json")), record


def with_noise(record: ModelRecord, path: Path) -> ModelRecord:
    """The record with the noise of its training; models without it get it from their run."""
    run = run_of(path)
    if record.real_noise is not None or run is None:
        return record
    training = read_run(run)[0].training
    noise = {"real_noise": training.real_noise, "fake_noise": training.fake_noise}
    return record.model_copy(update=noise)


def find_collection(
    path: Path, record: ModelRecord, data: str | Path | Collection | None
) -> Collection:
    """The given collection, or else the run's (or the packaged model's) training collection.

    If the given one is the training collection and the model was trained on a part of it, that part.

    Raises:
        ImpastoError: there is neither.
    """
    run, learned = run_of(path), record.collection
    if run is not None:
        known = read_run(run)[1]
        if data is None:
            return open_collection(run, known, data)
        size = parse_resolution(known["collection"]["resolution"])
        return _its_part(open_or_pack(data, size), learned)
    if data is None and shipped_name(find_model(path)) == "masters":
        data = "masters"
    if data is None:
        raise ImpastoError(f"{path} is no run; say which pictures to name with --data")
    return _its_part(open_or_pack(data, record.resolution), learned)


def _its_part(collection: Collection, learned: CollectionRecord) -> Collection:
    """The part that a model was trained on, if it is of this collection; else the collection."""
    if learned.only is None or collection.condition is not None:
        return collection
    try:
        part = collection.only(learned.only)
    except ImpastoError:  # another collection, without such pictures
        return collection
    return part if part.content_hash == learned.hash else collection


def _newest_moment(run: Path) -> int:
    return max((int(folder.name) for folder in checkpoint_folders(run)), default=0)


def stopped_early(run: Path, config: RunConfig) -> bool:
    """Whether a run ended early because its evaluations no longer improved."""
    return ended_early(Stats(run).rows(), config)


def how_to_go_on(run: Path) -> str | None:
    """How to continue a finished run; None if it is not finished.

    Raises:
        ImpastoError: it is no run.
    """
    config, _ = read_run(run)
    length, seen = config.training.images or 0, _newest_moment(run)
    if seen >= length:
        return f"train on:   impasto resume {quoted(run)} --images {2 * seen}"
    if stopped_early(run, config):
        return (
            f"it ended at {seen:,} of {length:,} images, as its evaluations no longer improved "
            f"(evaluation.patience); to train from it: {_train_from(run, config)}"
        )
    return None


def _train_from(run: Path, config: RunConfig) -> str:
    return f"impasto train {quoted(config.recipe)} --data COLLECTION --from {quoted(run)}"


def lengthen(run: Path, config: RunConfig, record: dict[str, Any], images: int) -> RunConfig:
    """Change a run's length, rounded up to whole steps, also in its `run.json`.

    Args:
        run: its folder, locked by this process.
        config: its config.
        record: the whole of its `run.json`.
        images: the new length.

    Raises:
        ImpastoError: it has seen as many images already, it ended because it no longer improved, or
            its folder cannot be written.
    """
    seen = _newest_moment(run)
    images = whole_steps(config, images)
    if images <= seen:
        raise ImpastoError(
            f"{run} has seen {seen:,} images already; --images is its whole length, so give more, such "
            f"as --images {2 * seen}"
        )
    if stopped_early(run, config):
        raise ImpastoError(
            f"{run} ended at {seen:,} images, as its evaluations no longer improved "
            f"(evaluation.patience), and would end again at once; train from it: "
            f"{_train_from(run, config)}"
        )
    if images == config.training.images:
        return config
    changed = change(config, {"training.images": images, "training.epochs": None})
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    lengths = [
        *record.get("lengths", []),
        {"when": when, "from": config.training.images, "to": images},
    ]
    record |= {"config": changed.model_dump(mode="json"), "lengths": lengths}
    write_json(run / "run.json", record)
    return changed


@contextlib.contextmanager
def exclusive(run: Path) -> Iterator[None]:
    """Lock a run for this process; the lock ends with the process.

    On a file system without locks there is a note, and training continues.

    Raises:
        ImpastoError: another process is training it.
    """
    try:
        file = (run / ".lock").open("w")
    except OSError as error:
        raise write_error(error, run) from error
    with file:
        try:
            has_locks = lock(file.fileno())
        except BlockingIOError:
            raise ImpastoError(f"another process is training {run}; stop that one first") from None
        if not has_locks:
            say(
                f"note: {run} is on a file system without locks, so nothing stops another process "
                "from training it at the same time; start no second one there",
                to_stderr=True,
            )
        yield


class Stats:
    """`stats.jsonl`: a row for each interval, appended."""

    def __init__(self, run: Path) -> None:
        self.path = run / "stats.jsonl"

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; non-finite values become null, because JSON has no NaN."""
        clean = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(clean, allow_nan=False) + "\n")
        except OSError as error:
            raise write_error(error, self.path) from error

    def rows(self) -> list[dict[str, Any]]:
        """All complete rows; a last line truncated by a kill is left out."""
        return read_json_lines(self.path)

    def complete(self, scores: dict[str, Any], seconds: float) -> None:
        """Add the scores of an evaluation that was broken off to the last row."""
        *rows, last = self.rows()
        last = {name: value for name, value in last.items() if name != PENDING}
        _write_rows(self.path, [*rows, {**last, **scores, "seconds": round(seconds, 3)}])

    def add_events(self, images_seen: int, step: int, events: Sequence[dict[str, Any]]) -> None:
        """Add those of the doctor's `events` that no row has yet to the row of that moment, or to a
        new last row."""
        rows = self.rows()
        known = [event for row in rows for event in row.get(EVENTS, ())]
        new = [event for event in events if event not in known]
        if not new:
            return
        row = next((row for row in rows if row["images_seen"] == images_seen), None)
        if row is None:
            row = {"images_seen": images_seen, "step": step, "seconds": 0.0}
            rows.append(row)
        row[EVENTS] = [*row.get(EVENTS, ()), *new]
        _write_rows(self.path, rows)


def rewind(run: Path, images_seen: int) -> None:
    """Rewind a run to `images_seen`, its newest checkpoint: later records, which will be made
    again, and incomplete files of a killed process are deleted.

    Evaluations of later moments and their files are deleted too, because their checkpoints no
    longer exist. Those of earlier ones stay, even if the checkpoint was pruned.
    """
    for place in (run, run / "samples", run / "checkpoints"):
        for left in [*place.glob(".*.tmp"), *place.glob(".*.removed")]:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    for grid in (run / "samples").glob("*-*.png"):
        if _named_moment(grid.stem.rpartition("-")[2]) > images_seen:
            grid.unlink()
    for beside in (run / EVALUATION_FOLDER).glob("[0-9]*"):
        if _named_moment(beside.name) > images_seen:
            shutil.rmtree(beside, ignore_errors=True)
    for path, moment in ((run / "stats.jsonl", _moment), (run / METRICS_FILE, _evaluated_moment)):
        if path.exists():
            rows = [row for row in read_json_lines(path) if moment(row) <= images_seen]
            _write_rows(path, rows)


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _named_moment(name: str) -> int:
    # Other names are the user's own files, and stay.
    return int(name) if name.isdecimal() else 0


def _moment(row: dict[str, Any]) -> int:
    return int(row["images_seen"])


def _evaluated_moment(row: dict[str, Any]) -> int:
    # Rows without a moment, such as a newer impasto's, stay.
    subject = row.get("subject")
    seen = subject.get("images_seen") if isinstance(subject, dict) else None
    return seen if isinstance(seen, int) else 0
