"""Evaluation during training: scores of the averaged generator at each interval, and decisions from
them.

The best checkpoints, and whether a run still improves, are functions of the rows of `stats.jsonl`,
so resuming needs no other state.
"""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.diagnosis.copying import copying
from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW
from impasto.errors import ImpastoError
from impasto.evaluation.by_size import of_all_sizes, sizes_with_pictures
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.gather import Update, silent
from impasto.evaluation.outcome import PaintingOptions
from impasto.evaluation.record import (
    METRICS_FILE,
    PICTURE,
    EvaluationRow,
    SubjectRecord,
    append_row,
)
from impasto.evaluation.subjects import NotFiniteError
from impasto.features import FeatureNetwork, load_network
from impasto.formatting import quoted
from impasto.messages import say
from impasto.processes import ALONE, Processes
from impasto.progress import ProgressLine
from impasto.resolution import Resolution
from impasto.sampling import Sampler
from impasto.sampling.model import (
    BEST,
    COPYING,
    SMOOTHED_KID,
    ModelRecord,
    ranked,
    stalled,
)
from impasto.sampling.painter import Painter
from impasto.sampling.tensors import sha256_of_tensors
from impasto.training.state import TrainState

PENDING = "evaluation/pending"
"""Key of a row whose evaluation was broken off; it is made when the run is resumed."""
_SECONDS, _READING_SECONDS = "evaluation/seconds", "evaluation/reading_seconds"
_SMOOTHED = 3
"""Number of evaluations in the smoothed KID's mean."""
_QUIET_SECONDS = 10
_READ = {f"{picture}s" for picture in PICTURE.values()}
"""Names under which `Evaluator` reports its progress in reading real pictures."""


def require_networks(config: RunConfig, *, begun: bool = False) -> None:
    """Check the feature networks of a run's stages before it begins or continues.

    Raises:
        ImpastoError: one is unknown, or its weights are missing.
    """
    for name in {stage.evaluation.features for stage in config.stages if stage.evaluation.every}:
        try:
            load_network(name)
        except ImpastoError as error:
            if begun:  # too late to choose
                raise
            raise ImpastoError(
                f"{error}; or train without evaluation: --set evaluation.every=0"
            ) from error


def is_affordable(
    rows: Sequence[Mapping[str, Any]], images: int, length: int, share: float | None
) -> bool:
    """Whether there is time to evaluate now, at the end of an interval before the last.

    The evaluations for which the share of time still suffices, among them the one at the end of the run,
    are spread evenly over the rest of the run.

    Args:
        rows: the run's statistics up to now.
        images: images seen up to now.
        length: of the run, in images.
        share: most time for evaluations, as a share of the training time; None: no limit.
    """
    evaluated = [row for row in rows if row.get(_SECONDS)]
    if share is None or not evaluated:
        return True
    # The real pictures are read once; that is no reason to evaluate less from then on.
    costs = [max(row[_SECONDS] - row.get(_READING_SECONDS, 0), 1e-9) for row in evaluated]
    latest = max(row["images_seen"] for row in rows if row.get(_SECONDS))
    trained = max(rows[-1]["seconds"] - sum(row[_SECONDS] for row in evaluated), 0.0)
    whole = trained * length / rows[-1]["images_seen"]
    # The cheapest one counts: another may have been slowed down by other programs.
    affordable = int((share * whole - sum(costs)) / min(costs))
    return affordable > 1 and images - latest >= (length - latest) / affordable


class EvaluationStoppedError(Exception):
    """A request to stop came in the middle of an evaluation."""


class TrainingEvaluator:
    """Scores a run's averaged generator; everything is loaded on first use.

    Attributes:
        stop_requests: signals that asked for a stop. If there is one, a run on one process breaks its
            evaluation off.
    """

    def __init__(
        self,
        config: RunConfig,
        collection: Collection,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.config = config
        self.processes = processes
        self.collection = collection
        self.device = device
        self.stop_requests: Sequence[int] = ()
        self._reading_seconds = 0.0

    @cached_property
    def _network(self) -> FeatureNetwork:
        return load_network(self.config.evaluation.features, device=self.device)

    @cached_property
    def _evaluators(self) -> dict[Resolution, Evaluator]:
        """An evaluator for each size, which compares with the real pictures of that size; the config's
        own size first."""
        views, _ = sizes_with_pictures(self.config, self.collection)
        pictures = sum(len(view.train_indices) for view in views.values())
        reference = self.config.evaluation.reference

        def limit(view: Collection) -> int:
            """Its share of the reference."""
            return max(2, math.ceil(reference * len(view.train_indices) / pictures))

        return {
            size: Evaluator(
                [self._network],
                view,
                resolution=size,
                labels=self.config.labels,
                limit=limit(view),
                progress=self._long_work if self.processes.first else silent,
                processes=self.processes,
            )
            for size, view in views.items()
        }

    def evaluate(
        self, run: Path, state: TrainState, record: ModelRecord, rows: Iterable[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Score the averaged generator, and append the evaluation to `metrics.jsonl`.

        With several sizes there is a row for each. The pictures are split evenly among them, so several
        sizes cost as much as one.

        Args:
            run: its folder.
            state: the training state; it is not changed.
            record: the generator's record.
            rows: the run's statistics up to now.

        Returns:
            The statistics for the row: the overall scores (of several sizes the mean of theirs,
            weighted by their shares of the training pictures), the lower bound of the copied share and
            its upper bound by chance, and the smoothed KID, as far as there are enough pictures;
            and the seconds. Empty for a diverged generator (non-finite weights or pictures).

        Raises:
            ImpastoError: the pictures cannot be scored, or a file cannot be written.
            EvaluationStoppedError: a stop was requested; nothing is written.
        """
        weights = state.average.state_dict()
        if not _finite(weights.values()):
            return {}
        began, self._reading_seconds = time.monotonic(), 0.0
        config, digest = self.config, sha256_of_tensors(weights)
        sampler = Sampler(
            state.average, config.latent, self.device, label_fields=len(config.labels)
        )
        subject = SubjectRecord(
            kind="run",
            name=run.resolve().name,
            images_seen=record.images_seen,
            weights_sha256=digest,
            recipe=config.recipe,
        )
        record = record.model_copy(update={"weights_sha256": digest})
        try:
            found = self._evaluate_sizes(sampler, subject, record)
        except NotFiniteError:
            return {}
        scores = self.processes.on_first(lambda: self._record_scores(run, found, rows))
        seconds = {_SECONDS: round(time.monotonic() - began, 3)}
        if self._reading_seconds:
            seconds[_READING_SECONDS] = round(self._reading_seconds, 3)
        return {**scores, **seconds}

    def _evaluate_sizes(
        self, sampler: Sampler, subject: SubjectRecord, record: ModelRecord
    ) -> list[EvaluationRow]:
        """The evaluation of each size. With several processes only the first one gets them.

        Raises:
            NotFiniteError: a picture is not finite.
        """
        found: list[EvaluationRow] = []
        chosen, evaluators = self.config.evaluation, self._evaluators
        count = max(2, math.ceil(chosen.pictures / len(evaluators)))
        plan = SampleCounts(count=count, per_class=chosen.per_class)
        for size, evaluator in evaluators.items():
            painter = Painter(sampler, record)
            if self.config.buckets:
                sampler.generator.paint_as(size)  # type: ignore[operator]
            if size != record.resolution:
                how = PaintingOptions().at(size).how.text(None)
                painter = Painter(sampler, record.of_size(size), made_with=how)
            made = evaluator.evaluate(painter, subject, plan, during_training=True)
            found += [each.row for each in made]
        return found

    @contextlib.contextmanager
    def _long_work(self, what: str, total: int) -> Iterator[Update]:
        """Progress of long work as lines, because the bar shows the images of training."""
        reading = what in _READ  # they are cached from then on
        if reading:
            say(f"reading {total:,} {what} once, for evaluation", to_stderr=True)
        line, began = ProgressLine(total, what=what), time.monotonic()

        def update(done: int) -> None:
            if self.stop_requests and self.processes.count == 1:
                raise EvaluationStoppedError
            if time.monotonic() - began > _QUIET_SECONDS:
                line.update(done)

        yield update
        if reading:
            self._reading_seconds += time.monotonic() - began

    def _record_scores(
        self, run: Path, found: Sequence[EvaluationRow], rows: Iterable[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Append an evaluation's rows, one for each size, to `metrics.jsonl`; returns its entries for
        the row of `stats.jsonl`."""
        for row in found:
            append_row(run / METRICS_FILE, row)
        whole = of_all_sizes(found) if len(found) > 1 else found[0]
        scores = {
            f"evaluation/{score.name}": score.value
            for score in whole.scores
            if score.field is None and score.cls is None and score.value is not None
        }
        memory = whole.memorisation or {}
        for name, key in ((COPIED_LOW, "low"), (COPIED_BY_CHANCE, "expected_at_most")):
            if memory.get(key) is not None:
                scores[name] = memory[key]
        if self.config.evaluation.only_if_copying:
            measured = [row for row in (*rows, scores) if row.get(COPIED_LOW) is not None]
            series = {
                name: [float(row.get(name) or 0) for row in measured]
                for name in (COPIED_LOW, COPIED_BY_CHANCE)
            }
            scores[COPYING] = float(copying(series, active=False) is not None)
        kid = f"evaluation/{self._network.score_name('kid')}"
        if kid in scores:
            known = [row[kid] for row in rows if row.get(kid) is not None]
            recent = [*known[1 - _SMOOTHED :], scores[kid]]
            scores[SMOOTHED_KID] = sum(recent) / len(recent)
        return scores


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all numbers are finite, with one synchronisation."""
    found = [t.isfinite().all() for t in tensors if t.is_floating_point()]
    return not found or bool(torch.stack(found).all())


def evaluation_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """The line that is printed about the evaluation in the last of these rows."""
    last = rows[-1]
    after = f"evaluated after {last['images_seen']:,} images"
    if _SECONDS not in last:
        return f"not {after}: the generator has diverged, its numbers are not finite"
    if SMOOTHED_KID not in last:
        return f"{after}: no KID; {METRICS_FILE} says why"
    scores = [
        f"{name.removeprefix('evaluation/')} {value:.3g}"
        for name, value in last.items()
        if name.startswith("evaluation/kid") and name != SMOOTHED_KID
    ]
    scores.append(f"smoothed {last[SMOOTHED_KID]:.3g}")
    best = ranked(rows)[0]
    if best == last["images_seen"]:
        scores.append("the best so far")
    else:
        scores.append(f"the best was {_smoothed(rows, best):.3g} after {best:,}")
    return f"{after}: {', '.join(scores)}"


def _smoothed(rows: Iterable[Mapping[str, Any]], moment: int) -> float:
    """The smoothed KID after this many images."""
    return float(
        next(
            row[SMOOTHED_KID]
            for row in rows
            if row["images_seen"] == moment and SMOOTHED_KID in row
        )
    )


def ended_early(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> bool:
    """Whether training ends before its length, by `evaluation.patience`."""
    chosen = config.evaluation
    return stalled(rows, chosen.patience, only_if_copying=chosen.only_if_copying)


def closing_lines(run: Path, rows: list[dict[str, Any]], config: RunConfig) -> list[str]:
    """The lines about its evaluations that are printed when a run ends."""
    seconds = [row[_SECONDS] for row in rows if _SECONDS in row]
    if not seconds:
        return []
    share = sum(seconds) / max(rows[-1]["seconds"], 1e-9)
    times = "once" if len(seconds) == 1 else f"{len(seconds)} times"
    lines = [f"evaluated {times}, which took {share:.1%} of the time"]
    moments = ranked(rows)
    if not moments:
        return [*lines, f"no KID, so no best checkpoint; why: {run / METRICS_FILE}"]
    best = (
        f"the best by {config.evaluation.features}: after {moments[0]:,} images, smoothed KID "
        f"{_smoothed(rows, moments[0]):.3g} (mean of up to three evaluations)"
    )
    if config.evaluation.keep_best:
        best += f"; paint with it: impasto sample {quoted(run / BEST)}"
    lines.append(best)
    if ended_early(rows, config) and max(moments) < (config.training.images or 0):
        copied = ", and more was copied than chance explains"
        lines.append(
            f"ended after {max(moments):,} images: for {config.evaluation.patience:,} the smoothed KID "
            f"was no better than that{copied if config.evaluation.only_if_copying else ''} "
            "(evaluation.patience)"
        )
    return lines
