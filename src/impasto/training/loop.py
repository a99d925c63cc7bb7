"""The training loop: step, evaluate, sample, record, save, stop. Start reading here.

What one step does is in `trainer.py`. How a run begins, goes on and goes back is in `runs.py`. Grids of
samples are in `samples.py`, averaged statistics in `records.py`, and the detection of symptoms in
`doctor.py`. With several processes, each runs this loop. What only one may do, such as writing, is done
by the first one (`processes.on_first`).
"""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.asking import SAMPLE, SAVE, Asked
from impasto.device import wait_for
from impasto.diagnosis import EVENTS
from impasto.errors import StoppedError
from impasto.messages import say
from impasto.progress import ProgressLine
from impasto.sampling.model import ranked
from impasto.threads import ThreadChoice
from impasto.time_left import TIMES, seconds_left
from impasto.training import checkpoint, run_folder
from impasto.training.doctor import Doctor, event_line
from impasto.training.evaluation import (
    PENDING,
    EvaluationStoppedError,
    closing_lines,
    ended_early,
    evaluation_line,
    is_affordable,
)
from impasto.training.memory import explain_out_of_memory
from impasto.training.records import Averages, TensorBoard
from impasto.training.samples import describe_samples, draw_reals, draw_samples
from impasto.training.session import Session


class Interval:
    """Every `images` real images; never, if that is 0 or None."""

    def __init__(self, images: int | None) -> None:
        self.images = images or 0

    def ends_between(self, before: int, now: int) -> bool:
        """Whether an interval ended after `before` images seen and by `now`."""
        return self.images > 0 and now // self.images > before // self.images


class TrainingLoop:
    """Trains a run from where its state stands to its end.

    Args:
        run: the run's folder.
        session: everything that training works with.
        stop_requests: numbers of received signals, appended by the signal handler. As soon as there is
            one, training stops after the current step.
        thread_choice: chooses the number of CPU threads for each step.
        board: TensorBoard, if the run writes its events too.
    """

    def __init__(
        self,
        run: Path,
        session: Session,
        stop_requests: Sequence[int],
        thread_choice: ThreadChoice,
        board: TensorBoard | None = None,
    ) -> None:
        training = session.config.training
        assert training.images  # `resolve` has filled in all lengths
        self.run = run
        self.session = session
        self.state = session.state
        self.stop_requests = stop_requests
        session.evaluator.stop_requests = stop_requests
        self.board = board
        self.processes = session.processes
        self.threads = thread_choice
        self.length = training.images
        self.evaluations = Interval(session.config.evaluation.every)
        self.grids = Interval(training.samples_every)
        self.statistics = Interval(training.stats_every)
        self.checkpoints = Interval(training.checkpoint_every)
        self.stats = run_folder.Stats(run)
        rows = self.processes.on_first(self.stats.rows)
        self.asked = Asked(run, alone=self.processes.count == 1)
        self.averages = Averages()
        self.times = [{name: row.get(name) for name in TIMES} for row in rows]
        self.seconds_left: float | None = None
        self.doctor = Doctor(
            rows,
            session.config,
            adversarial=session.objective.adversarial,
            score=session.objective.score_meaning,
        )
        self.images_before_step = self.state.images_seen
        self.last_recorded = (self.state.images_seen, self.state.seconds)
        self.seconds_of_steps = self.state.seconds
        self.clock = time.monotonic()
        self.finished = self.state.images_seen >= self.length or self._stalled(rows)

    def train(self) -> None:
        """Train to the end of the run.

        Raises:
            DivergedError: losses or weights have exploded or are not finite.
            StoppedError: stopped on request, after a checkpoint.
            ImpastoError: out of memory.
        """
        session = self.session
        with (
            ProgressLine(self.length, quiet=not self.processes.first).shown() as progress,
            explain_out_of_memory(session.config, session.label_sizes, session.device),
        ):
            if self.state.images_seen == 0:
                self.session.prepare()
                self.processes.on_first(self.draw_first_grids)
            self.clock = time.monotonic()
            self.evaluate_what_is_pending()
            while not self.finished:
                self.step()
                asked = self.asked.now()
                scores = self.evaluate()
                samples = self.sample(now=SAMPLE in asked)
                # Asked once: a request that comes later is for the next step, which saves.
                stopping = self.processes.any(bool(self.stop_requests))
                saving = stopping or self.due(self.checkpoints) or SAVE in asked
                if scores or samples or saving or self.due(self.statistics):
                    self.record({**scores, **samples})
                if saving or (scores and self.is_among_the_best()):
                    self.save()
                progress.update(self.state.images_seen, self.seconds_left)
                if stopping and (not self.finished or PENDING in scores):
                    raise self.stopped()
        self.processes.on_first(self.say_how_it_ended)

    def stopped(self) -> StoppedError:
        """The error that ends a run on request."""
        ended = self.processes.any(signal.SIGTERM in self.stop_requests)
        return StoppedError("stopped, a checkpoint is saved", ended=ended)

    def due(self, interval: Interval) -> bool:
        """Whether an interval ended in this step, or the run does."""
        return self.finished or interval.ends_between(
            self.images_before_step, self.state.images_seen
        )

    def step(self) -> None:
        """Train one step."""
        self.images_before_step = self.state.images_seen
        with self.threads.unit():
            self.averages.add(self.session.trainer.step())
        self.finished = self.state.images_seen >= self.length
        if self.due(self.statistics):
            wait_for(
                self.session.device
            )  # CUDA runs asynchronously; the row's speed needs the time
        self._add_time()
        # The speed that is recorded is that of training, without evaluations.
        self.seconds_of_steps = self.state.seconds

    def evaluate(self) -> dict[str, Any]:
        """Score the averaged generator if that is due; returns the scores for the record.

        The run is finished if the scores have not improved for long enough. A request to stop breaks
        the evaluation off.
        """
        if not self.evaluations.images or not self.due(self.evaluations):
            return {}
        rows = self.processes.on_first(self.stats.rows)
        share = self.session.config.evaluation.most_time
        if not self.finished and not is_affordable(
            rows, self.state.images_seen, self.length, share
        ):
            return {}
        try:
            return self.scores_after(rows)
        except EvaluationStoppedError:
            return {PENDING: True}

    def scores_after(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Score the averaged generator; returns the scores for the record.

        Args:
            rows: those of `stats.jsonl` so far; the scores are added as one more.

        Raises:
            EvaluationStoppedError: a stop was requested.
        """
        scores = self.session.evaluator.evaluate(
            self.run, self.state, self.session.model_record(), rows
        )
        rows.append({"images_seen": self.state.images_seen, **scores})
        say(evaluation_line(rows))
        self.finished = self.finished or self._stalled(rows)
        self._add_time()
        return scores

    def evaluate_what_is_pending(self) -> None:
        """Make the evaluation that was broken off when the run was stopped, if there is one.

        Raises:
            StoppedError: a stop was requested during it again.
        """
        rows = self.processes.on_first(self.stats.rows)
        if not rows or not rows[-1].get(PENDING):
            return
        try:
            scores = self.scores_after(rows)
        except EvaluationStoppedError:
            raise self.stopped() from None
        self.processes.on_first(lambda: self.stats.complete(scores, self.state.seconds))

    def sample(self, *, now: bool) -> dict[str, Any]:
        """Draw the grids if they are due or requested now; returns their statistics for the record."""
        if not (now or self.due(self.grids)):
            return {}

        def draw() -> dict[str, float]:
            return describe_samples(self.session, draw_samples(self.run, self.session, self.board))

        return self.processes.on_first(draw)

    def is_among_the_best(self) -> bool:
        """Whether the recorded scores make this moment's checkpoint one of the best, which are kept."""
        rows = self.processes.on_first(self.stats.rows)
        return self.state.images_seen in self._best(rows)

    def record(self, more: dict[str, Any]) -> None:
        """Append a row to `stats.jsonl`: averages since the last row, scores and the doctor's events.

        Args:
            more: further entries of the row.

        Raises:
            DivergedError: the row shows that the run has diverged.
        """
        images, seconds = self.last_recorded
        trained = self.seconds_of_steps - seconds
        self.last_recorded = (self.state.images_seen, self.state.seconds)
        row = {
            "images_seen": self.state.images_seen,
            "step": self.state.steps,
            "seconds": round(self.state.seconds, 3),
            **more,
            **self.averages.read(),
            **self._threads_now(),
            "images_per_second": (self.state.images_seen - images) / max(trained, 1e-9),
        }
        self.times.append({name: row[name] for name in TIMES})
        self.seconds_left = seconds_left(self.times, self.length, self.evaluations.images)
        self.processes.on_first(lambda: self._write(row))

    def _threads_now(self) -> dict[str, Any]:
        """The current number of CPU threads and its changes since the last row, where it is chosen."""
        changes, self.threads.changes = self.threads.changes, []
        if len(self.threads.counts) == 1:
            return {}
        return {
            "threads": self.threads.threads,
            **({"threads/changes": changes} if changes else {}),
        }

    def _write(self, row: dict[str, Any]) -> None:
        trouble = self.doctor.trouble(row)
        events = self.doctor.look(row) if trouble is None else []
        self.stats.append({**row, EVENTS: events} if events else row)
        if self.board is not None:
            self.board.row(row)
        if trouble is not None:
            raise trouble
        for event in events:
            say(f"after {self.state.images_seen:,} images, {event_line(event)}")

    def save(self) -> None:
        """Write a checkpoint, and remove those that are no longer to be kept."""
        self.processes.on_first(self._save)

    def _save(self) -> None:
        training = self.session.config.training
        assert training.checkpoint_every
        checkpoint.save(self.run, self.state, self.session.model_record())
        checkpoint.prune(
            self.run,
            training.keep_newest,
            training.keep_every,
            training.checkpoint_every,
            self._best(self.stats.rows()),
        )

    def draw_first_grids(self) -> None:
        """Draw real pictures and the untrained generator's."""
        draw_reals(self.run, self.session)
        draw_samples(self.run, self.session, self.board)

    def say_how_it_ended(self) -> None:
        """Print a line each about evaluations and what the doctor did."""
        for line in [
            *closing_lines(self.run, self.stats.rows(), self.session.config),
            *self.doctor.closing_lines(self.state.interventions),
        ]:
            say(line)

    def _best(self, rows: list[dict[str, Any]]) -> list[int]:
        return ranked(rows)[: self.session.config.evaluation.keep_best]

    def _stalled(self, rows: list[dict[str, Any]]) -> bool:
        return ended_early(rows, self.session.config)

    def _add_time(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self.clock
        self.clock = now
