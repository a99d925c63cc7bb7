"""Which checkpoints of a run are evaluated, and evaluating them, or a folder of pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from impasto.collection import Collection, open_or_pack
from impasto.collection.opening import packed_at
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.given import common_side, look_through, of_collection, of_given
from impasto.evaluation.outcome import Outcome, evaluate_model, evaluate_pictures
from impasto.evaluation.record import ScoreRow
from impasto.evaluation.reference import Split
from impasto.features import FeatureNetwork
from impasto.messages import say
from impasto.progress import shown
from impasto.sampling.model import MODEL_FILE, checkpoint_folders, find_model, run_of
from impasto.sources.trees import open_source


def checkpoints_of(run: Path, which: str | None) -> list[Path]:
    """The model folders meant by `which`: None, the newest; `all`; or `every:N`, the newest always
    among them.

    Raises:
        ImpastoError: none of these, or a run without a checkpoint.
    """
    if which is None:
        return [find_model(run)]
    if not (run / "run.json").is_file():
        raise ImpastoError(f"--checkpoints goes through those of a run, and {run} is none")
    newest = find_model(run)
    folders = checkpoint_folders(run)
    word, _, number = which.partition(":")
    if which == "all":
        return folders
    if word == "every" and number.isdecimal() and int(number) > 0:
        kept = folders[:: int(number)]
        return kept if newest in kept else [*kept, newest]
    raise ImpastoError(f"--checkpoints takes all, or every:N such as every:5, not '{which}'")


def evaluate_folders(
    folders: Sequence[Path],
    evaluator: Evaluator,
    plan: SampleCounts,
    *,
    run: Path | None,
    home: Path,
    name: str,
    device: torch.device,
    truncation: float | None = None,
    batch: int = 64,
    again: bool = False,
    more: Callable[[Path, Collection, torch.device], Sequence[ScoreRow]],
) -> list[Outcome]:
    """Evaluate model folders one after the other; of several, say how far it is.

    Args:
        folders: such as checkpoints.
        evaluator: with the reference.
        plan: which pictures to make.
        run: that they are checkpoints of; None for a model.
        home: where `metrics.jsonl` is.
        name: of the run or model, for people.
        device: where to make the pictures.
        truncation: see `latents_of_seeds`.
        batch: pictures at once.
        again: score anew what is scored already.
        more: gives further scores of a model folder, such as of its discriminator.
    """
    found: list[Outcome] = []
    for number, folder in enumerate(folders):
        outcomes = evaluate_model(
            folder,
            name,
            evaluator,
            plan,
            home,
            of_run=run is not None,
            device=device,
            truncation=truncation,
            batch=batch,
            again=again,
            more=partial(more, folder, evaluator.collection, device),
        )
        found += outcomes
        if len(folders) > 1:
            before = ", scored before" if all(each.before for each in outcomes) else ""
            say(f"checkpoint {number + 1} of {len(folders)}: {folder}{before}")
    return found


@dataclass(frozen=True)
class Wanted:
    """What given pictures are compared with, and how they are brought to size."""

    split: Split
    limit: int | None
    fit: str | None
    side: int | None


def is_given(path: Path) -> bool:
    """Whether a path is of pictures (a folder, an archive, a collection), not of a run or a model.

    Raises:
        ImpastoError: it is another file.
    """
    if path.is_dir():
        return run_of(path) is None and not (path / MODEL_FILE).is_file()
    if path.is_file() and open_source(path).file is not None:
        raise ImpastoError(
            f"{path} is a single file; give a run, a model, a folder or archive of pictures, or a "
            "collection (impasto pack makes one of parquet, .npz and tables)"
        )
    return path.is_file()


def evaluate_given(
    path: Path,
    data: str | Path | Collection | None,
    wanted: Wanted,
    networks: Callable[[], list[FeatureNetwork]],
    out: Path | None,
) -> tuple[list[Outcome], Path]:
    """Evaluate the pictures of a folder, an archive or a collection; gives the outcomes and the folder
    that they lie in.

    The pictures are looked at before anything that takes long: loading the networks, packing the
    paintings in the package, looking at training pictures.

    Raises:
        ImpastoError: nothing to compare with, or no picture that can be compared.
    """
    if data is None:
        raise ImpastoError(f"{path} holds pictures: say with --data what to compare them with")
    if wanted.side is not None and wanted.fit is None:
        raise ImpastoError("--resolution goes with --fit")
    there = packed_at(data)
    if (path / "collection.json").is_file():
        if wanted.fit is not None:
            raise ImpastoError(
                f"{path} is a collection, whose pictures are squares already; --fit is for a folder "
                "or an archive of pictures"
            )
        given = Collection.open(path)
        side = common_side(given, there)
        collection = open_or_pack(data, side)
        pictures = of_collection(given, side, collection, wanted.split)
        notes = pictures.notes
    else:
        looked = look_through(path, there, fit=wanted.fit, side=wanted.side, progress=shown)
        notes, side = looked.notes, looked.side
        collection = open_or_pack(data, side)
        pictures = of_given(looked, collection)
    for note in notes:
        say(f"note: {note}")
    evaluator = Evaluator(
        networks(),
        collection,
        resolution=side,
        split=wanted.split,
        limit=wanted.limit,
        progress=shown,
    )
    whole = path.resolve()
    name = whole.name if path.is_dir() else whole.name.partition(".")[0] or whole.name
    home = out or Path("evaluations") / name
    return evaluate_pictures(pictures, name, evaluator, home), home
