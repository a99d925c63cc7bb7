"""The training loop. Start reading here: `train` and `resume` set the table, `_run` plays.

What one step does is in `players.py`; what is noted on the way in `records.py`; what is made of that in
`doctor.py`; the run's folder and its checkpoints in `run_folder.py` and `checkpoint.py`.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impasto.collection import Collection
from impasto.collection.provenance import taken_out, taken_out_since
from impasto.config import FIRST_STAGE, RunConfig
from impasto.device import choose_device, machine_record, memory_format, numbers, set_threads
from impasto.errors import ImpastoError, StoppedError
from impasto.files import WriteError
from impasto.formatting import quoted
from impasto.networks import count_parameters
from impasto.objectives import Objective
from impasto.progress import ProgressLine, say
from impasto.sampling import Sampler, latents_of_seeds
from impasto.sampling.class_choice import ClassGrid
from impasto.sampling.grid import columns_of
from impasto.sampling.model import (
    CollectionRecord,
    LabelRecord,
    Model,
    ModelRecord,
    checkpoint_folders,
    find_model,
    ranked,
    stalled,
    to_uint8,
)
from impasto.sampling.output import save_grid
from impasto.training import checkpoint, run_folder, transfer
from impasto.training.data import TrainingPictures
from impasto.training.doctor import (
    EVENTS,
    DivergedError,
    Doctor,
    Intervention,
    gave_up,
    went_back,
)
from impasto.training.doctor import in_passing as doctor_says
from impasto.training.evaluation import (
    TrainingEvaluator,
    in_passing,
    in_short,
    require_networks,
)
from impasto.training.heldout_probe import probe_heldout
from impasto.training.memory import memory_told, require_memory
from impasto.training.records import (
    Averages,
    TensorBoard,
    diversity,
    require_tensorboard,
)
from impasto.training.resolve import label_sizes, resolve
from impasto.training.trainer import Trainer, TrainState


class Session:
    """A run in memory: all that it plays with."""

    def __init__(self, config: RunConfig, collection: Collection, device: torch.device) -> None:
        form = memory_format(device, config.training.channels_last)
        fields = [collection.fields[collection.field(name)] for name in config.labels]
        self.config = config
        self.device = device
        self.collection = collection
        self.objective = Objective(config.objective)
        self.pictures = TrainingPictures(
            collection,
            config.labels,
            config.training.seed,
            device,
            form,
            resolution=config.resolution,
            balance=config.training.balance,
            balance_by=config.training.balance_by,
        )
        self.label_sizes = tuple(len(field.classes) for field in fields)
        self.players = TrainState.build(config, self.label_sizes, device)
        self.game = Trainer(config, self.objective, self.pictures, self.players)
        self.evaluator = TrainingEvaluator(config, collection, device)
        # What every grid is painted from, and compared with: the same from first to last.
        self.fixed_latents = latents_of_seeds(range(config.training.grid), config.latent)
        self.reals, self.fixed_labels = self.pictures.fixed(config.training.grid)
        self.real_diversity = diversity(self.reals)
        rows, counts = self.pictures.combinations()
        labels = tuple(LabelRecord(name=f.name, classes=f.classes) for f in fields)
        # And for each label field the same few latents in every class, side by side.
        self.class_grids = {
            field.name: ClassGrid.of(position, labels, rows, counts)
            for position, field in enumerate(labels)
        }
        self.known = run_folder.collection_record(collection)
        self._model_record = ModelRecord(
            recipe=config.recipe,
            resolution=config.resolution,
            latent=config.latent,
            generator=config.generator,
            discriminator=config.discriminator,
            labels=labels,
            label_rows=tuple(map(tuple, rows.tolist())),
            label_counts=tuple(counts.tolist()),
            collection=CollectionRecord(
                **{key: self.known[key] for key in CollectionRecord.model_fields},
            ),
            parameters=count_parameters(self.players.generator),
            images_seen=0,
            real_noise=config.training.real_noise,
            fake_noise=config.training.fake_noise,
        )

    def tell(self) -> None:
        """Print what is to be known before it plays: how often which class is shown, and whether
        pictures were taken out of the collection."""
        told = [self.pictures.shown_in_words(), taken_out(self.known["forgotten"])]
        for line in told:
            if line:
                say(line)

    def model_record(self) -> ModelRecord:
        """What is known of the generator at this moment."""
        return self._model_record.model_copy(update={"images_seen": self.players.images_seen})


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
    source = None if start_from is None else transfer.Source.load(start_from)
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
        taken = transfer.begin(session.players, source, session.model_record())
        say("\n".join(taken.lines()))
        record["started_from"] = taken.record()

        # With its first checkpoint in it from the beginning, so that it never asks for the model again.
        def put(run: Path) -> None:
            checkpoint.save(run, session.players, session.model_record())

        run = run_folder.create(out, name, record, put)
    say(f"run: {quoted(run)}")
    session.tell()
    with run_folder.exclusive(run), _resumable(run):
        _play(run, session, tensorboard=tensorboard)
    return run


def _run_record(session: Session, *, recipe_text: str, tensorboard: bool) -> dict[str, Any]:
    """What `run.json` says from the beginning."""
    config = session.config
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
        "tensorboard": tensorboard,
        "versions": run_folder.versions(),
        "machine": machine_record(session.device, config.training.precision),
        "parameters": {
            "generator": count_parameters(session.players.generator),
            "discriminator": count_parameters(session.players.discriminator),
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
    collection = _same_collection(run, record, data)
    require_networks(config, begun=True)
    set_threads(record["machine"]["threads"])
    chosen = choose_device(device or record["machine"]["device"])
    computing = numbers(chosen, config.training.precision)
    # Runs that do not say are of a time when no CPU took bfloat16 by itself.
    itself = config.training.precision == "auto" and chosen.type == "cpu"
    before = record["machine"].get("precision", "float32" if itself else computing)
    for begun_with, now in (
        (f"torch {record['versions']['torch']}", f"torch {run_folder.versions()['torch']}"),
        (f"{before} numbers", f"{computing} numbers"),
    ):
        if begun_with != now:
            print(
                f"note: begun with {begun_with}, now {now}: it goes on, but not bit for bit",
                file=sys.stderr,
            )
    with run_folder.exclusive(run), _resumable(run):
        if images is not None:
            config = run_folder.lengthen(run, config, record, images)
        session = Session(config, collection, chosen)
        session.tell()
        _play(run, session, tensorboard=record["tensorboard"])
    return run


def _play(run: Path, session: Session, *, tensorboard: bool) -> bool:
    """Play a run to its end from wherever it stands, its first stage before it; where its numbers
    break, from its last good checkpoint again. Gives whether it was asked to stop as it ended."""
    begun = _take_up(run, session)
    if session.config.first_stage is not None and not begun:
        stage = _first_stage(run, session, session.config.first_stage, tensorboard=tensorboard)
        session.players.begin_with(Model.load(find_model(stage)).generator)
        say(f"stage 2 of 2: {_in_short(session.config)}: {quoted(run)}")
    with _stop_requested() as stop:
        while True:
            try:
                _run(run, session, stop, tensorboard=tensorboard)
                return bool(stop)
            except DivergedError as error:
                _go_back(run, session, error)
                _take_up(run, session)


def _take_up(run: Path, session: Session) -> bool:
    """Put the players to where the run stands, and its folder too; whether it has a checkpoint."""
    players, folders = session.players, checkpoint_folders(run)
    if folders:
        checkpoint.load(folders[-1], players)
    run_folder.rewind(run, players.images_seen)
    # An intervention that another one went back behind lost its row; so it has one here.
    run_folder.Stats(run).tell(players.images_seen, players.steps, went_back(players.interventions))
    return bool(folders)


def _go_back(run: Path, session: Session, error: DivergedError) -> None:
    """Make the last good checkpoint the newest, to go on from with lower learning rates.

    If a run diverges again before it has written another one, that one was too late, and the one
    before it is the last good one. Only scheduled ones count, so that it makes no difference whether
    somebody stopped the run in between.

    Raises:
        ImpastoError: this was tried as often as it may be.
    """
    players, config = session.players, session.config
    before = players.interventions
    if len(before) >= config.doctor.rollbacks:
        event = gave_up(error, players.images_seen, len(before))
        run_folder.Stats(run).tell(players.images_seen, players.steps, [event])
        raise ImpastoError(f"training of {run} {doctor_says(event)}")
    assert config.training.checkpoint_every  # `resolve` has filled it in
    folders = checkpoint.scheduled(run, config.training.checkpoint_every)
    if not folders:
        fresh = TrainState.build(config, session.label_sizes, session.device)
        if config.first_stage is not None:
            fresh.begin_with(Model.load(find_model(run / FIRST_STAGE)).generator)
        record = session.model_record().model_copy(update={"images_seen": 0})
        folders = [checkpoint.save(run, fresh, record)]
    if before and len(folders) > 1 and int(folders[-1].name) == before[-1].back_to:
        folders.pop()
    intervention = Intervention(
        symptom=error.symptom,
        words=error.words,
        seen_at=players.images_seen,
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
        if _play(stage, first, tensorboard=tensorboard):
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


def _run(run: Path, session: Session, stop: list[int], *, tensorboard: bool) -> None:
    """Play until the run's length is reached, noting what happens at each interval's end.

    Args:
        run: its folder.
        session: all that it plays with.
        stop: filled when somebody asks it to.
        tensorboard: whether TensorBoard events are written too.

    Raises:
        DivergedError: its numbers are of no more use.
        StoppedError: stopped, after a checkpoint.
    """
    players, training = session.players, session.config.training
    evaluation = session.config.evaluation
    assert training.images
    assert training.stats_every
    assert training.samples_every
    assert training.checkpoint_every  # `resolve` has filled in all four
    every = evaluation.every or 0  # left open in runs from before there were evaluations
    stats, averages = run_folder.Stats(run), Averages()
    doctor = Doctor(
        stats.rows(),
        adversarial=session.objective.adversarial,
        critic=session.objective.score_meaning == "critic",
        pretrain_images=training.pretrain_images,
    )
    last_row = (players.images_seen, players.seconds)

    with ExitStack() as stack:
        board = TensorBoard(run, players.images_seen) if tensorboard else None
        if board is not None:
            stack.callback(board.close)
        line = stack.enter_context(ProgressLine(training.images, players.images_seen).shown())
        stack.enter_context(memory_told(session.config, session.label_sizes, session.device))
        if players.images_seen == 0:
            save_grid(run / "samples" / "reals.png", to_uint8(session.reals).cpu().numpy())
            _draw_samples(run, session, board)

        clock = time.monotonic()
        ended = stalled(stats.rows(), evaluation.patience)
        while players.images_seen < training.images and not ended:
            before = players.images_seen
            checkpoint.seed_step(training.seed, players.steps)
            averages.add(session.game.step())
            now = time.monotonic()
            players.seconds, clock = players.seconds + now - clock, now

            played = players.seconds  # without the evaluation: the speed is that of training
            finished = players.images_seen >= training.images

            def crossed(interval: int, before: int = before) -> bool:
                return players.images_seen // interval > before // interval

            row: dict[str, Any] = {}
            leading = False
            if every and (finished or crossed(every)):
                rows = stats.rows()
                row |= session.evaluator.evaluate(run, players, session.model_record(), rows)
                rows.append({"images_seen": players.images_seen, **row})
                say(in_passing(rows))
                leading = players.images_seen in ranked(rows)[: evaluation.keep_best]
                ended = stalled(rows, evaluation.patience)
                finished = finished or ended
                now = time.monotonic()
                players.seconds, clock = players.seconds + now - clock, now

            def due(interval: int, finished: bool = finished) -> bool:
                return finished or crossed(interval)

            # Asked once: a request that comes later in this turn is for the next one, which saves.
            stopping = bool(stop)
            saving = due(training.checkpoint_every) or stopping or leading
            if due(training.samples_every):
                row |= _describe_samples(session, _draw_samples(run, session, board))
            if due(training.stats_every) or saving or row:
                row |= averages.read()
                images, seconds = last_row
                row["images_per_second"] = (players.images_seen - images) / max(
                    played - seconds, 1e-9
                )
                last_row = (players.images_seen, players.seconds)
                row = {
                    "images_seen": players.images_seen,
                    "step": players.steps,
                    "seconds": round(players.seconds, 3),
                    **row,
                }
                trouble = doctor.trouble(row)
                events = doctor.look(row) if trouble is None else []
                stats.append({**row, EVENTS: events} if events else row)
                if board is not None:
                    board.row(row)
                if trouble is not None:
                    raise trouble
                for event in events:
                    say(f"after {players.images_seen:,} images, {doctor_says(event)}")
            if saving:
                checkpoint.save(run, players, session.model_record())
                checkpoint.prune(
                    run,
                    training.keep_newest,
                    training.keep_every,
                    training.checkpoint_every,
                    ranked(stats.rows())[: evaluation.keep_best],
                )
            line.update(players.images_seen)
            if stopping and not finished:
                raise StoppedError("stopped, a checkpoint is saved")
    for told in [
        *in_short(run, stats.rows(), session.config),
        *doctor.in_short(players.interventions),
    ]:
        say(told)


def _draw_samples(run: Path, session: Session, board: TensorBoard | None) -> torch.Tensor:
    """Write the grids of the fixed latents as the averaged generator paints them now; gives the
    pictures of the first."""
    sampler = Sampler(session.players.average, session.config.latent, session.device, fold=False)
    fakes = torch.cat(
        [
            sampler.images(latents, labels)
            for latents, labels in zip(
                session.fixed_latents.split(64), session.fixed_labels.split(64), strict=True
            )
        ]
    )
    pixels = to_uint8(fakes).cpu().numpy()
    images_seen = session.players.images_seen
    save_grid(run / "samples" / f"fakes-{images_seen:012d}.png", pixels)
    for name, grid in session.class_grids.items():
        latents, labels = grid.inputs(session.fixed_latents[: grid.rows])
        painted = [
            to_uint8(sampler.images(*some)).cpu().numpy()
            for some in zip(latents.split(64), labels.split(64), strict=True)
        ]
        path = run / "samples" / f"classes-{name}-{images_seen:012d}.png"
        save_grid(path, np.concatenate(painted), columns=len(grid.classes))
    if board is not None:
        board.grid(pixels, images_seen)
    return fakes


def _describe_samples(session: Session, fakes: torch.Tensor) -> dict[str, float]:
    """What a row of statistics says of a grid, and of the discriminator at that moment."""
    return {
        "diversity/fake": diversity(fakes),
        "diversity/real": session.real_diversity,
        **probe_heldout(
            session.players.discriminator,
            session.objective,
            session.pictures,
            session.config.labels,
            (fakes, session.fixed_labels),
            real_noise=session.config.training.real_noise,
            fake_noise=session.config.training.fake_noise,
        ),
    }


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
