"""Whether a run can go on: its record, its first weights and its collection are as they were."""

from pathlib import Path
from typing import Any

from impasto.collection import Collection
from impasto.collection.provenance import taken_out_since
from impasto.config import FIRST_STAGE
from impasto.errors import ImpastoError
from impasto.sampling.model import checkpoint_folders
from impasto.training import run_folder


def require_resumable(run: Path) -> None:
    """Refuse a run that `resume` would refuse for its record, first weights or collection. The
    collection's pictures are not read.

    Args:
        run: its folder.

    Raises:
        ImpastoError: it is no run, its collection is missing or has changed, or the checkpoint that
            it began with is lost.
    """
    _, record = run_folder.read_run(run)
    require_weights(run, record, checkpoint_folders(run))
    same_collection(run, record, None, verify=False)


def require_weights(run: Path, record: dict[str, Any], checkpoints: list[Path]) -> None:
    """Refuse a run that started from a model if neither it nor one of its first stages has a checkpoint.

    Raises:
        ImpastoError: see above.
    """
    stage = run / FIRST_STAGE
    while not checkpoints and stage.is_dir():
        checkpoints, stage = checkpoint_folders(stage), stage / FIRST_STAGE
    if "started_from" in record and not checkpoints:
        raise ImpastoError(
            f"{run} started from the model {record['started_from']['model']} and has lost the "
            "checkpoint that held its weights; train anew with --from"
        )


def same_collection(
    run: Path, record: dict[str, Any], data: str | None, *, verify: bool
) -> Collection:
    """Open a run's collection, which must be as it was when the run began.

    Args:
        run: its folder.
        record: the whole of its `run.json`.
        data: the collection's folder, if it has moved.
        verify: whether to read its pictures and compare them with their hashes.

    Raises:
        ImpastoError: it is missing, damaged or has changed.
    """
    known = record["collection"]
    collection = run_folder.open_collection(run, record, data)
    if verify:
        collection.verify()
    if collection.content_hash != known["hash"]:
        why = taken_out_since(collection, known) or "its content hash differs"
        raise ImpastoError(
            f"{collection.path} has changed since {run} began ({why}); restore it, give the unchanged "
            "one with --data, or start a new run"
        )
    return collection
