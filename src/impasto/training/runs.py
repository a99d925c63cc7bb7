"""Begin and resume runs, go back after divergence, and train first stages.

The loop itself is in `loop.py`.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from impasto.collection import Collection
from impasto.config import FIRST_STAGE, RunConfig
from impasto.device import choose_device, numbers, set_threads
from impasto.errors import ImpastoError, StoppedError
from impasto.formatting import quoted
from impasto.messages import say
from impasto.plugin_records import needs_of, read_plugins, require
from impasto.processes import Processes, joined
from impasto.resolution import times
from impasto.sampling.model import BEST, Model, checkpoint_folders
from impasto.threads import chosen_threads, threads_a_process
from impasto.training import checkpoint, run_folder, transfer
from impasto.training.doctor import (
    DivergedError,
    Intervention,
    event_line,
    give_up_event,
    rollback_events,
)
from impasto.training.encoding import with_scale
from impasto.training.evaluation import require_networks
from impasto.training.loop import TrainingLoop
from impasto.training.memory import require_memory
from impasto.training.pretrained import PretrainedModel
from impasto.training.records import board_of, require_tensorboard
from impasto.training.resolve import label_sizes, resolve
from impasto.training.resuming import require_weights, same_collection
from impasto.training.run_record import run_record, stage_record
from impasto.training.session import Session
from impasto.training.state import TrainState
from impasto.training.stopping import resumable, stop_requested
from impasto.training.transfer import Transfer


def train(
    config: RunConfig,
    collection: Collection,
    *,
    out: Path = Path("runs"),
    run: Path | None = None,
    device: str = "auto",
    recipe_text: str = "",
    tensorboard: bool = False,
    start_from: Path | None = None,
    planned: Mapping[str, Any] | None = None,
) -> Path:
    """Train from the beginning, or go on with `run`; gives the run's folder.

    Under `torchrun` or `srun` all processes call this and train the run together.

    Args:
        config: of the recipe, with changes.
        collection: the training collection.
        out: the folder of runs, in which a new one is made; not used where `run` is given.
        run: its folder. If it is there, it goes on from its newest checkpoint, provided that it is of
            the same config and collection.
        device: `auto`, `cpu`, `cuda`, ...
        recipe_text: the recipe's docstring, for the report.
        tensorboard: also write TensorBoard events.
        start_from: a model whose fitting weights are copied, see `transfer.py`: a run, a
            checkpoint, a model folder or `masters`. If no layer of the generator is new,
            `training.ema_rampup` becomes null. Of a run that grows the first stage starts from it.
        planned: further entries of a new run's `run.json`; see `time_plan.planned`.

    Raises:
        ImpastoError: the config does not fit the collection, the model or this machine, or is another
            than that of `run`, or the folder cannot be written. No run is made then.
        StoppedError: stopped by Ctrl-C, after a checkpoint; `resume` goes on from there.
    """
    with joined() as processes:
        set_threads(threads_a_process(torch.get_num_threads(), processes.count))
        settle = partial(_settle, config, collection, start_from, device)
        config, source = processes.local_first(settle)
        if run is not None and processes.on_first((run / "run.json").exists):
            processes.on_first(partial(run_folder.require_same, run, config, collection))
            return resume(run, data=str(collection.path), device=device)

        def prepare() -> tuple[list[Session], Transfer | None]:
            if tensorboard:
                require_tensorboard()
            return _prepare(config, collection, device, source, processes)

        (session, *stages), taken = processes.local_first(prepare)
        if taken is not None:
            say("\n".join(taken.lines()))
        record = run_record(session, recipe_text=recipe_text, tensorboard=tensorboard)
        record |= planned or {}
        run = processes.on_first(partial(_create, out, run, session, stages, record, taken))
        del stages  # They are built again when their time has come.
        say(f"run: {quoted(run)}")
        session.print_notes()
        with _held(run, processes), resumable(run):
            _train_to_the_end(run, session, tensorboard=tensorboard)
        return run


def _settle(
    config: RunConfig, collection: Collection, start_from: Path | None, device: str
) -> tuple[RunConfig, PretrainedModel | None]:
    """The config with nothing left open, and the model to start from.

    Raises:
        ImpastoError: something does not fit.
    """
    source = None if start_from is None else PretrainedModel.load(start_from)
    config = resolve(config, collection)
    if source is not None:
        config = transfer.settled(config, collection, source)
    return with_scale(config, collection, choose_device(device)), source


def _prepare(
    config: RunConfig,
    collection: Collection,
    device: str,
    source: PretrainedModel | None,
    processes: Processes,
) -> tuple[list[Session], Transfer | None]:
    """A run in memory, and what it takes from a model; nothing is written.

    Returns:
        The session of the run. If it starts from a model, also those of its earlier stages, of which the
        last one is trained first and has that model's weights.

    Raises:
        ImpastoError: something does not fit.
    """
    chosen = choose_device(device)
    if processes.local_rank == 0:
        collection.verify()
    require_networks(config)
    for stage in config.stages:
        processes.portions(stage.training.accumulate)
        require_memory(stage, label_sizes(stage, collection), chosen, careful=False)
    sessions = [Session(config, collection, chosen, processes)]
    if source is None:
        return sessions, None
    while sessions[-1].config.grows:
        sessions.append(_session_before(sessions[-1]))
    first = sessions[-1]
    return sessions, transfer.begin(first.state, source, first.model_record())


def _create(
    out: Path,
    run: Path | None,
    session: Session,
    stages: Sequence[Session],
    record: dict[str, Any],
    taken: Transfer | None,
) -> Path:
    """Make the folder of a new run: `run`, or the next one in `out`.

    Args:
        out: the folder of runs.
        run: the folder, if it was named.
        session: of the run.
        stages: of its earlier stages, if it starts from a model, the one that is trained first last.
        record: the contents of `run.json`.
        taken: what it takes from a model.
    """

    first = [session, *stages][-1]

    # With the first checkpoint, so that resuming does not need the model.
    def put(folder: Path) -> None:
        if taken is None:
            return
        for stage in stages:
            folder /= FIRST_STAGE
            own = stage_record(stage, tensorboard=record["tensorboard"])
            if stage is first:
                own["started_from"] = taken.record()
            run_folder.create_at(folder, own)
        checkpoint.save(folder, first.state, first.model_record())

    if taken is not None:
        record["started_from"] = taken.record()
    if run is not None:
        run_folder.create_at(run, record, put)
        return run
    name = f"{session.config.recipe}-{session.collection.name}"
    return run_folder.create(out, name, record, put)


@contextmanager
def _held(run: Path, processes: Processes) -> Iterator[None]:
    """Hold the run's lock, in the first of the processes."""
    with run_folder.exclusive(run) if processes.first else nullcontext():
        yield


def resume(
    run: Path, *, data: str | None = None, device: str | None = None, images: int | None = None
) -> Path:
    """Continue an interrupted run from its newest checkpoint, or from its beginning.

    On the CPU, with as many threads as before, the final weights are bit for bit those of an
    uninterrupted run.

    Args:
        run: its folder.
        data: the collection's folder, if it has moved.
        device: another device than before.
        images: a new length in real images (of the second stage if there are two). Intervals and
            schedules do not change, because they do not depend on the length.

    Raises:
        ImpastoError: it is no run, it cannot continue to `images`, its collection is missing or has
            changed, or its checkpoint is damaged.
        StoppedError: stopped by Ctrl-C, after a checkpoint.
    """
    with joined() as processes:
        config, record = processes.on_first(lambda: run_folder.read_run(run))
        folders = processes.on_first(lambda: checkpoint_folders(run))
        require_weights(run, record, folders)
        set_threads(threads_a_process(record["machine"]["threads"], processes.count))

        def prepare() -> tuple[Collection, torch.device]:
            require(read_plugins(record.get("plugins")), needs_of(config), run)
            require_networks(config, begun=True)
            chosen = choose_device(device or record["machine"]["device"])
            return same_collection(run, record, data, verify=processes.local_rank == 0), chosen

        collection, chosen = processes.local_first(prepare)
        _note_other_numbers(record, config, chosen)
        with _held(run, processes), resumable(run):
            if images is not None:
                config = processes.on_first(
                    lambda: run_folder.lengthen(run, config, record, images)
                )
            session = Session(config, collection, chosen, processes)
            session.print_notes()
            _train_to_the_end(run, session, tensorboard=record["tensorboard"])
    return run


def _note_other_numbers(record: dict[str, Any], config: RunConfig, device: torch.device) -> None:
    """Print a note if impasto, torch, the precision or the threads differ from the run's beginning."""
    computing = numbers(device, config.training.precision)
    # Older runs lack it; no CPU used bfloat16 by default then.
    itself = config.training.precision == "auto" and device.type == "cpu"
    before = record["machine"].get("precision", "float32" if itself else computing)
    versions = [
        known["impasto"].rpartition(".")[0] for known in (record["versions"], run_folder.versions())
    ]
    for begun_with, now in (
        (f"impasto {versions[0]}", f"impasto {versions[1]}"),
        (f"torch {record['versions']['torch']}", f"torch {run_folder.versions()['torch']}"),
        (f"{before} numbers", f"{computing} numbers"),
        (f"{record['machine']['threads']} threads", f"{torch.get_num_threads()} threads"),
    ):
        if begun_with != now:
            say(
                f"note: begun with {begun_with}, now {now}: it goes on, but not bit for bit",
                to_stderr=True,
            )


def _train_to_the_end(
    run: Path, session: Session, *, tensorboard: bool, of: int | None = None
) -> set[int]:
    """Train a run from its current state, its first stage before it; after divergence go back to
    the last good checkpoint.

    Args:
        run: its folder.
        session: the run in memory.
        tensorboard: also write TensorBoard events.
        of: number of stages of the whole run; by default this one's.

    Returns:
        The signals that asked to stop at the end.
    """
    processes = session.processes
    stages = len(session.config.stages)
    begun = _load_newest(run, session)
    if session.config.first_stage is not None and not begun:
        stage = _first_stage(run, session, tensorboard=tensorboard, of=of or stages)
        _begin_with(stage, run, session)
        say(f"stage {stages} of {of or stages}: {_in_short(session.config)}: {quoted(run)}")
    alone_on_cpu = processes.count == 1 and session.device.type == "cpu"
    with stop_requested() as stop, chosen_threads("step", free=alone_on_cpu) as threads:
        while True:
            try:
                wanted = tensorboard and processes.first
                with board_of(run, session.state.images_seen, wanted=wanted) as board:
                    TrainingLoop(run, session, stop, threads, board).train()
                return set[int]().union(*processes.gather(stop))
            except DivergedError as error:
                processes.on_first(partial(_go_back, run, session, error))
                _load_newest(run, session)


def _load_newest(run: Path, session: Session) -> bool:
    """Load the newest checkpoint and drop later records; gives whether there was one."""
    state, processes = session.state, session.processes

    def newest() -> checkpoint.Checkpoint | None:
        folders = checkpoint_folders(run)
        return checkpoint.Checkpoint.read(folders[-1]) if folders else None

    def rewind() -> None:
        run_folder.rewind(run, state.images_seen)
        # An intervention whose row was dropped by a later one gets a row here.
        events = rollback_events(state.interventions)
        run_folder.Stats(run).add_events(state.images_seen, state.steps, events)

    found = processes.on_first(newest)
    if found is not None:
        with processes.agreeing():
            found.put_into(state)
    processes.on_first(rewind)
    return found is not None


def _go_back(run: Path, session: Session, error: DivergedError) -> None:
    """Make the last good checkpoint the newest, to continue from it with lower learning rates.

    If a run diverges again before its next checkpoint, the one before is used. Only scheduled
    checkpoints count, so that interruptions make no difference.

    Raises:
        ImpastoError: the number of tries is used up.
    """
    state, config = session.state, session.config
    before = state.interventions
    if len(before) >= config.doctor.rollbacks:
        event = give_up_event(error, state.images_seen, len(before))
        run_folder.Stats(run).add_events(state.images_seen, state.steps, [event])
        raise ImpastoError(f"training of {run} {event_line(event)}")
    assert config.training.checkpoint_every  # `resolve` has filled it in
    folders = checkpoint.scheduled(run, config.training.checkpoint_every)
    if not folders:
        fresh = TrainState.build(config, session.label_sizes, session.device)
        if config.first_stage is not None:
            fresh.begin_with(Model.load(run / FIRST_STAGE).generator.state_dict())
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
    kept = checkpoint.go_back(run, folders[-1], [*before, intervention])
    say(event_line(rollback_events([*before, intervention])[-1]))
    for model in kept:
        say(f"{model}: a checkpoint that was taken back, as a model with what was kept beside it")


def _in_short(config: RunConfig) -> str:
    return f"{config.resolution} pixels, {config.training.images:,} images"


def _begin_with(stage: Path, run: Path, session: Session) -> None:
    """Begin a run with what its finished first stage has learned: as the frozen first part of the
    generator, or as the weights to start from."""
    processes, state = session.processes, session.state
    if not session.config.grows:
        weights = processes.on_first(lambda: Model.load(stage).generator.state_dict())
        state.begin_with(weights)
        return
    first = session.config.first_stage
    assert first is not None
    # One that ended early got worse since its best checkpoint.
    better = processes.on_first(lambda: run_folder.stopped_early(stage, first))
    source = processes.on_first(lambda: PretrainedModel.load(stage / BEST if better else stage))
    taken = transfer.begin(state, source, session.model_record())
    say("\n".join(taken.lines()))
    # So that resuming does not need the first stage.
    processes.on_first(lambda: checkpoint.save(run, state, session.model_record()))
    if processes.count > 1:  # Their machines may have fitted the last layer a little differently.
        _load_newest(run, session)


def _first_stage(run: Path, session: Session, *, tensorboard: bool, of: int) -> Path:
    """Train the first stage, a run in this run's folder; gives its folder."""
    stage, config = run / FIRST_STAGE, session.config.first_stage
    assert config is not None
    processes = session.processes
    first = _session_before(session)
    if not processes.on_first(stage.exists):
        record = stage_record(first, tensorboard=tensorboard)
        processes.on_first(lambda: run_folder.create_at(stage, record))
    if config.first_stage is None:
        say(f"stage 1 of {of}: {_in_short(config)}: {quoted(stage)}")
    with _held(stage, processes):
        stop = _train_to_the_end(stage, first, tensorboard=tensorboard, of=of)
    if stop:
        raise StoppedError("stopped, the first stage is finished", ended=signal.SIGTERM in stop)
    return stage


def _session_before(session: Session) -> Session:
    """A new session of a run's first stage."""
    config, collection = session.config.first_stage, session.collection
    assert config is not None
    if session.config.grows:
        # Its own size, where it is packed, need not be averaged from a larger one.
        sizes = [size for size in collection.resolutions if times(size, config.resolution)]
        collection = collection.at(sizes[0])
    return Session(config, collection, session.device, session.processes)
