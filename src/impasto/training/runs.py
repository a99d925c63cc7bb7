"""Runs: begun, resumed, taken back after a divergence, and their first stages.

The loop itself is in `loop.py`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from impasto.collection import Collection
from impasto.collection.provenance import taken_out_since
from impasto.config import FIRST_STAGE, RunConfig
from impasto.device import choose_device, machine_record, numbers, set_threads
from impasto.errors import ImpastoError, StoppedError
from impasto.files import WriteError
from impasto.formatting import quoted
from impasto.messages import say
from impasto.networks import count_parameters
from impasto.plugin_records import needs_of, read_plugins, records_of, require
from impasto.sampling.grid import columns_of
from impasto.sampling.model import Model, checkpoint_folders
from impasto.training import checkpoint, run_folder, transfer
from impasto.training.doctor import DivergedError, Intervention, gave_up, went_back
from impasto.training.doctor import in_passing as doctor_says
from impasto.training.evaluation import require_networks
from impasto.training.loop import TrainingLoop
from impasto.training.memory import require_memory
from impasto.training.pretrained import PretrainedModel
from impasto.training.records import board_of, require_tensorboard
from impasto.training.resolve import label_sizes, resolve
from impasto.training.session import Session
from impasto.training.state import TrainState


def train(
    config: RunConfig,
    collection: Collection,
    *,
    out: Path = Path("runs"),
    device: str = "auto",
    recipe_text: str = "",
    tensorboard: bool = False,
    start_from: Path | None = None,
) -> Path:
    """Train from the beginning; gives the run's folder, a new one in `out`.

    Args:
        config: the recipe's, with what is changed in it.
        collection: to learn from.
        out: the folder of runs.
        device: `auto`, `cpu`, `cuda`, ...
        recipe_text: what the recipe says of itself, for the report.
        tensorboard: whether TensorBoard events are written too.
        start_from: a model whose weights are taken over as far as they fit, see `transfer.py`; a run,
            a checkpoint, a model folder or the word `masters`. `training.ema_rampup` is null then, if
            nothing of the generator is new.

    Raises:
        ImpastoError: the config does not fit the collection, the model or this machine, or the
            folder cannot be written. Then no run has been made.
        StoppedError: stopped by Ctrl-C, after a checkpoint; `resume` goes on from there.
    """
    chosen = choose_device(device)
    source = None if start_from is None else PretrainedModel.load(start_from)
    config = resolve(config, collection)
    if source is not None:
        config = transfer.settled(config, collection, source)
    collection.verify()
    if tensorboard:
        require_tensorboard()
    require_networks(config)
    for stage in filter(None, (config.first_stage, config)):
        require_memory(stage, label_sizes(stage, collection), chosen, careful=False)
    session = Session(config, collection, chosen)
    record = _run_record(session, recipe_text=recipe_text, tensorboard=tensorboard)
    name = f"{config.recipe}-{collection.name}"
    if source is None:
        run = run_folder.create(out, name, record)
    else:
        taken = transfer.begin(session.state, source, session.model_record())
        say("\n".join(taken.lines()))
        record["started_from"] = taken.record()

        # With its first checkpoint in it from the beginning, so that it never asks for the model again.
        def put(run: Path) -> None:
            checkpoint.save(run, session.state, session.model_record())

        run = run_folder.create(out, name, record, put)
    say(f"run: {quoted(run)}")
    session.print_notes()
    with run_folder.exclusive(run), _resumable(run):
        _train_to_the_end(run, session, tensorboard=tensorboard)
    return run


def _run_record(session: Session, *, recipe_text: str, tensorboard: bool) -> dict[str, Any]:
    """What `run.json` says from the beginning."""
    config = session.config
    plugins = [record.model_dump(exclude_none=True) for record in records_of(needs_of(config))]
    return {
        "recipe": config.recipe,
        "recipe_text": recipe_text,
        "config": config.model_dump(mode="json"),
        "collection": session.known,
        "classes_shown": [
            {"class": name, "pictures": pictures, "share": round(share, 6)}
            for name, pictures, share in session.pictures.classes_shown()
        ],
        "grid": {"columns": columns_of(config.training.grid)},
        "class_grids": {
            name: grid.record(config.training.grid) for name, grid in session.class_grids.items()
        },
        "score": session.objective.score_meaning,
        "adversarial": session.objective.adversarial,
        "tensorboard": tensorboard,
        **({"plugins": plugins} if plugins else {}),
        "versions": run_folder.versions(),
        "machine": machine_record(session.device, config.training.precision),
        "parameters": {
            "generator": count_parameters(session.state.generator),
            "discriminator": count_parameters(session.state.discriminator),
        },
    }


def resume(
    run: Path, *, data: str | None = None, device: str | None = None, images: int | None = None
) -> Path:
    """Go on with an interrupted run from its newest checkpoint, or from its beginning.

    On the CPU, with as many threads as before, the finished weights are bit for bit those of a run
    that was never stopped.

    Args:
        run: its folder.
        data: where the collection is now, if it has moved.
        device: another device than before.
        images: another length in real images, of the second stage where there are two. Its intervals
            and schedules stay what they are: functions of the clock, not of the length.

    Raises:
        ImpastoError: not a run, one that cannot go on to `images`, its collection is gone or has
            changed, or its checkpoint is damaged.
        StoppedError: stopped by Ctrl-C, after a checkpoint.
    """
    config, record = run_folder.read_run(run)
    if "started_from" in record and not checkpoint_folders(run):
        raise ImpastoError(
            f"{run} started from the model {record['started_from']['model']} and has lost the "
            "checkpoint that held its weights; train anew with --from"
        )
    require(read_plugins(record.get("plugins")), needs_of(config), run)
    collection = _same_collection(run, record, data)
    require_networks(config, begun=True)
    set_threads(record["machine"]["threads"])
    chosen = choose_device(device or record["machine"]["device"])
    _note_other_numbers(record, config, chosen)
    with run_folder.exclusive(run), _resumable(run):
        if images is not None:
            config = run_folder.lengthen(run, config, record, images)
        session = Session(config, collection, chosen)
        session.print_notes()
        _train_to_the_end(run, session, tensorboard=record["tensorboard"])
    return run


def _note_other_numbers(record: dict[str, Any], config: RunConfig, device: torch.device) -> None:
    """Print a note where torch or the precision differ from those that the run began with."""
    computing = numbers(device, config.training.precision)
    # Runs that do not say are of a time when no CPU took bfloat16 by itself.
    itself = config.training.precision == "auto" and device.type == "cpu"
    before = record["machine"].get("precision", "float32" if itself else computing)
    for begun_with, now in (
        (f"torch {record['versions']['torch']}", f"torch {run_folder.versions()['torch']}"),
        (f"{before} numbers", f"{computing} numbers"),
    ):
        if begun_with != now:
            say(
                f"note: begun with {begun_with}, now {now}: it goes on, but not bit for bit",
                to_stderr=True,
            )


def _train_to_the_end(run: Path, session: Session, *, tensorboard: bool) -> bool:
    """Train a run from where it stands, its first stage before it; when its numbers break, go back to
    its last good checkpoint. Returns whether a stop was requested as it ended."""
    begun = _load_newest(run, session)
    if session.config.first_stage is not None and not begun:
        stage = _first_stage(run, session, session.config.first_stage, tensorboard=tensorboard)
        session.state.begin_with(Model.load(stage).generator)
        say(f"stage 2 of 2: {_in_short(session.config)}: {quoted(run)}")
    with _stop_requested() as stop:
        while True:
            try:
                with board_of(run, session.state.images_seen, wanted=tensorboard) as board:
                    TrainingLoop(run, session, stop, board).train()
                return bool(stop)
            except DivergedError as error:
                _go_back(run, session, error)
                _load_newest(run, session)


def _load_newest(run: Path, session: Session) -> bool:
    """Load the newest checkpoint and drop what the run noted after it; whether there was one."""
    state, folders = session.state, checkpoint_folders(run)
    if folders:
        checkpoint.load(folders[-1], state)
    run_folder.rewind(run, state.images_seen)
    # An intervention that another one went back behind lost its row; so it has one here.
    run_folder.Stats(run).add_events(state.images_seen, state.steps, went_back(state.interventions))
    return bool(folders)


def _go_back(run: Path, session: Session, error: DivergedError) -> None:
    """Make the last good checkpoint the newest, to go on from with lower learning rates.

    If a run diverges again before it has written another one, that one was too late, and the one
    before it is the last good one. Only scheduled ones count, so that it makes no difference whether
    somebody stopped the run in between.

    Raises:
        ImpastoError: this was tried as often as it may be.
    """
    state, config = session.state, session.config
    before = state.interventions
    if len(before) >= config.doctor.rollbacks:
        event = gave_up(error, state.images_seen, len(before))
        run_folder.Stats(run).add_events(state.images_seen, state.steps, [event])
        raise ImpastoError(f"training of {run} {doctor_says(event)}")
    assert config.training.checkpoint_every  # `resolve` has filled it in
    folders = checkpoint.scheduled(run, config.training.checkpoint_every)
    if not folders:
        fresh = TrainState.build(config, session.label_sizes, session.device)
        if config.first_stage is not None:
            fresh.begin_with(Model.load(run / FIRST_STAGE).generator)
        record = session.model_record().model_copy(update={"images_seen": 0})
        folders = [checkpoint.save(run, fresh, record)]
    if before and len(folders) > 1 and int(folders[-1].name) == before[-1].back_to:
        folders.pop()
    intervention = Intervention(
        symptom=error.symptom,
        words=error.words,
        seen_at=state.images_seen,
        back_to=int(folders[-1].name),
    )
    checkpoint.go_back(run, folders[-1], [*before, intervention])
    say(doctor_says(went_back([*before, intervention])[-1]))


def _in_short(config: RunConfig) -> str:
    return f"{config.resolution} pixels, {config.training.images:,} images"


def _first_stage(run: Path, session: Session, config: RunConfig, *, tensorboard: bool) -> Path:
    """Train what this run is stacked on, a run of its own in this one's folder; gives that folder."""
    stage = run / FIRST_STAGE
    first = Session(config, session.collection, session.device)
    if not stage.exists():
        record = _run_record(
            first, recipe_text=f"First stage of {run.name}.", tensorboard=tensorboard
        )
        run_folder.create_stage(stage, record)
    say(f"stage 1 of 2: {_in_short(config)}: {quoted(stage)}")
    with run_folder.exclusive(stage):
        if _train_to_the_end(stage, first, tensorboard=tensorboard):
            raise StoppedError("stopped, the first stage is finished")
    return stage


def _same_collection(run: Path, record: dict[str, Any], data: str | None) -> Collection:
    known = record["collection"]
    collection = run_folder.open_collection(run, record, data)
    collection.verify()
    if collection.content_hash != known["hash"]:
        why = taken_out_since(collection, known) or "its content hash differs"
        raise ImpastoError(
            f"{collection.path} has changed since {run} began ({why}); restore it, give the unchanged "
            "one with --data, or start a new run"
        )
    return collection


@contextmanager
def _resumable(run: Path) -> Iterator[None]:
    """Tell whoever is stopped midway how to go on."""
    try:
        yield
    except WriteError as error:
        raise ImpastoError(f"{error}; then go on: {_resume_command(run)}") from error
    except StoppedError as stopped:
        raise StoppedError(f"{stopped}; go on: {_resume_command(run)}") from None
    except KeyboardInterrupt:
        raise StoppedError(
            f"stopped at once; go on from the newest checkpoint: {_resume_command(run)}"
        ) from None


def _resume_command(run: Path) -> str:
    return f"impasto resume {quoted(run)}"


@contextmanager
def _stop_requested() -> Iterator[list[int]]:
    """Collect a request to stop (Ctrl-C, or SIGTERM as batch systems send it) instead of dying of it.

    The loop ends after the step it is in. A second Ctrl-C stops at once.
    """
    requests: list[int] = []

    def request(number: int, _frame: Any) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)

    try:
        before = {n: signal.signal(n, request) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread (the studio, a notebook): whoever runs us handles it
        yield requests
        return
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
