"""Evaluate checkpoints of a run, or a folder of pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from impasto.collection import Collection, open_or_pack
from impasto.collection.opening import packed_resolutions
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.given import common_size, look_through, of_collection, of_given
from impasto.evaluation.outcome import Outcome, PaintingOptions, evaluate_model, evaluate_pictures
from impasto.evaluation.record import ScoreRow
from impasto.evaluation.reference import Split
from impasto.evaluation.subjects import Subject
from impasto.features import FeatureNetwork
from impasto.messages import say
from impasto.progress import shown
from impasto.resolution import Resolution
from impasto.sampling.model import MODEL_FILE, checkpoint_folders, find_model, name_of, run_of
from impasto.sources.remote.path import Place, RemotePath
from impasto.sources.trees import open_source

_EVALUATIONS = Path("evaluations")


def checkpoints_of(run: Path, which: str | None) -> list[Path]:
    """The run's checkpoints chosen by `which`: None, the newest; `all`; or `every:N`, which
    includes the newest.

    Raises:
        ImpastoError: `which` is none of these, or the run has no checkpoint.
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


def home_of(model: Path, run: Path | None) -> Path:
    """The folder of a model's evaluations: its run, or `evaluations/NAME` for a model by itself."""
    return run or _EVALUATIONS / name_of(model)


def evaluate_folders(
    folders: Sequence[Path],
    evaluator: Evaluator,
    plan: SampleCounts,
    painting: PaintingOptions,
    *,
    run: Path | None,
    home: Path,
    name: str,
    again: bool = False,
    more: Callable[[Path, Collection, torch.device | str], Sequence[ScoreRow]],
) -> list[Outcome]:
    """Evaluate model folders one after another; with several, progress is printed.

    Args:
        folders: such as checkpoints.
        evaluator: with the reference.
        plan: which pictures to make.
        painting: how to make them.
        run: their run; None for a model.
        home: the folder of `metrics.jsonl`.
        name: of the run or model, for display.
        again: repeat evaluations that are recorded already.
        more: computes further scores of a model folder, such as of its discriminator.
    """
    found: list[Outcome] = []
    for number, folder in enumerate(folders):
        outcomes = evaluate_model(
            folder,
            name,
            evaluator,
            plan,
            home,
            painting,
            of_run=run is not None,
            again=again,
            more=partial(more, folder, evaluator.collection, painting.device),
        )
        found += outcomes
        if len(folders) > 1:
            before = ", scored before" if all(each.before for each in outcomes) else ""
            say(f"checkpoint {number + 1} of {len(folders)}: {folder}{before}")
    return found


@dataclass(frozen=True)
class ComparedWith:
    """The reference pictures of a comparison.

    Attributes:
        data: a collection, its folder or the word `masters`; None: the model's training collection.
        split: which of the collection's pictures.
        limit: the most of them, chosen at random; None: all.
        whole: all of the collection, if the model was trained on a part of it.
    """

    data: str | Path | Collection | None
    split: Split
    limit: int | None
    whole: bool = False


def is_given(path: Place) -> bool:
    """Whether a path is of pictures (a folder, an archive, a collection), not of a run or a model, which
    are on disk.

    Raises:
        ImpastoError: it is another file, or an address at which nothing can be read.
    """
    if isinstance(path, RemotePath):
        path.check()
        if path.is_dir():
            return True
    elif path.is_dir():
        return run_of(path) is None and not (path / MODEL_FILE).is_file()
    if path.is_file() and open_source(path).file is not None:
        raise ImpastoError(
            f"{path} is a single file; give a run, a model, a folder or archive of pictures, or a "
            "collection (impasto pack makes one of parquet, .npz and tables)"
        )
    return path.is_file()


def evaluate_given(
    path: Place,
    real: ComparedWith,
    networks: Callable[[], list[FeatureNetwork]],
    out: Path | None,
    *,
    fit: str | None,
    size: Resolution | None,
) -> tuple[list[Outcome], Path]:
    """Evaluate the pictures of a folder, an archive or a collection; gives the outcomes and their
    folder.

    The pictures are checked before any long work: loading networks, packing the paintings in the
    package, computing the reference.

    Args:
        path: of the pictures.
        real: what to compare them with.
        networks: loads the feature networks.
        out: folder for `metrics.jsonl`; None: `evaluations/NAME`.
        fit: `crop`, `squash` or `pad`: resize the pictures; None: leave out those of other sizes.
        size: of the pictures, with `fit`; None: the most frequent one, or else the
            collection's.

    Raises:
        ImpastoError: there is nothing to compare with, or no usable picture.
    """
    if real.data is None:
        raise ImpastoError(f"{path} holds pictures: say with --data what to compare them with")
    if size is not None and fit is None:
        raise ImpastoError("--resolution goes with --fit")
    if not isinstance(path, RemotePath) and (path / "collection.json").is_file():
        if fit is not None:
            raise ImpastoError(
                f"{path} is a collection, whose pictures have their size already; --fit is for a folder "
                "or an archive of pictures"
            )
        pictures, collection = _packed_pictures(path, real.data, real.split)
    else:
        pictures, collection = _loose_pictures(path, real.data, fit, size)
    evaluator = Evaluator(
        networks(),
        collection,
        resolution=pictures.size,
        split=real.split,
        limit=real.limit,
        progress=shown,
    )
    whole = path if isinstance(path, RemotePath) else path.resolve()
    name = whole.name if path.is_dir() else whole.name.partition(".")[0] or whole.name
    home = out or _EVALUATIONS / name
    return evaluate_pictures(pictures, name, evaluator, home), home


def _packed_pictures(
    path: Path, data: str | Path | Collection, split: Split
) -> tuple[Subject, Collection]:
    """The pictures of a collection, and the reference collection, at a common size."""
    given = Collection.open(path)
    size = common_size(given, packed_resolutions(data))
    collection = open_or_pack(data, size)
    pictures = of_collection(given, size, collection, split)
    _say_notes(pictures.notes)
    return pictures, collection


def _loose_pictures(
    path: Place, data: str | Path | Collection, fit: str | None, size: Resolution | None
) -> tuple[Subject, Collection]:
    """The pictures of a folder or an archive, and the reference collection."""
    looked = look_through(path, packed_resolutions(data), fit=fit, size=size, progress=shown)
    collection = open_or_pack(data, looked.size)
    pictures = of_given(looked, collection)
    _say_notes(looked.notes)
    return pictures, collection


def _say_notes(notes: Sequence[str]) -> None:
    for note in notes:
        say(f"note: {note}")
