"""The doctor: watches a run during training, and goes back to a checkpoint after divergence.

It reports the symptoms of `impasto.diagnosis` when they begin and when they have passed. Non-finite
or exploded numbers raise a `DivergedError`: the run goes back to the last good checkpoint and
continues with learning rates halved, an `Intervention`, at most a few times.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from impasto.config import Config, RunConfig
from impasto.diagnosis import BEGUN, GAVE_UP, WENT_BACK, Setup, Watch, replay
from impasto.errors import ImpastoError

REMEDY = "learning rates halved"


class Intervention(Config):
    """A return to an earlier checkpoint; saved in the state of every later checkpoint."""

    symptom: str
    words: str
    """What was seen."""
    seen_at: int
    """The moment of the symptom, in images seen."""
    back_to: int
    """The checkpoint that the run continued from, in images seen."""
    remedy: str = REMEDY


class DivergedError(ImpastoError):
    """A run has diverged."""

    def __init__(self, symptom: str, words: str) -> None:
        super().__init__(symptom, words)
        self.symptom = symptom
        self.words = words

    def __str__(self) -> str:
        return self.words


def learning_rate_factor(interventions: Sequence[Intervention]) -> float:
    """The factor of the learning rates: one half for each intervention."""
    return float(0.5 ** len(interventions))


class Doctor:
    """Watches a run during training. Its state is a function of the rows of `stats.jsonl`."""

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        config: RunConfig,
        *,
        adversarial: str | None,
        score: str | None,
    ) -> None:
        """
        Args:
            rows: of the run's statistics so far.
            config: the run's.
            adversarial: the label of the objective's adversarial term, as in rows; None without a
                discriminator.
            score: what scores are, `probability` or `critic`.
        """
        settings = {
            "config": config.model_dump(mode="json"),
            "adversarial": adversarial,
            "score": score,
        }
        self._watch = Watch(Setup.of(settings))
        replay(self._watch, rows)

    def trouble(self, row: Mapping[str, Any]) -> DivergedError | None:
        """The error to raise if the next row shows that the run has diverged; None if it does not."""
        found = self._watch.divergence(row)
        return DivergedError(found.symptom, found.words) if found is not None else None

    def look(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Add the next row; returns the events (symptoms that begin or have passed) that it causes."""
        return self._watch.look(row)

    def closing_lines(self, interventions: Sequence[Intervention]) -> list[str]:
        """The lines to print when a run ends: symptoms of whole curves, the number of interventions,
        and symptoms that have not passed."""
        lines = [event_line(event) for event in self._watch.conclude()]
        parts = []
        if interventions:
            parts.append(
                f"went back {_times(len(interventions))}, so learning rates ended at "
                f"{learning_rate_factor(interventions):.3g} of what was set"
            )
        if last := self._watch.lasting:
            parts.append(f"not passed by the end: {', '.join(last)}")
        return [*lines, *([f"doctor: {'; '.join(parts)}"] if parts else [])]


def rollback_events(interventions: Sequence[Intervention]) -> list[dict[str, Any]]:
    """The events of all interventions of a run so far, for its rows in `stats.jsonl`."""
    return [
        {
            "event": WENT_BACK,
            **each.model_dump(),
            "learning_rate_factor": learning_rate_factor(interventions[: place + 1]),
        }
        for place, each in enumerate(interventions)
    ]


def give_up_event(error: DivergedError, images_seen: int, times: int) -> dict[str, Any]:
    """The event of a run that is stopped because it diverged after this many interventions."""
    tried = f", below {0.5**times:.3g} of these" if times else ""
    return {
        "event": GAVE_UP,
        "symptom": error.symptom,
        "words": error.words,
        "advice": f"Start again with lower learning rates{tried}: "
        "--set generator_optimiser.learning_rate=... (and discriminator_optimiser.learning_rate); "
        "in bfloat16 try --set training.precision=float32 first.",
        "seen_at": images_seen,
        "times": times,
    }


def event_line(event: Mapping[str, Any]) -> str:
    """The line that is printed when an event happens."""
    words = event["words"]
    if event["event"] == BEGUN:
        return f"doctor: {words} {event['advice']}"
    if event["event"] == WENT_BACK:
        return (
            f"doctor: {words} Seen after {event['seen_at']:,} images; went back to "
            f"{event['back_to']:,}, {event['remedy']} ({event['learning_rate_factor']:.3g} of what was "
            "set)."
        )
    if event["event"] == GAVE_UP:
        back = f", also after going back {_times(event['times'])}" if event["times"] else ""
        return (
            f"has diverged by {event['seen_at']:,} images{back}: {_within(words)}. Its checkpoints are "
            f"whole. {event['advice'].rstrip('.')}"
        )
    return f"doctor: {words}"


def _within(sentence: str) -> str:
    """A sentence as a clause inside another: first letter lower case, no full stop."""
    return sentence[0].lower() + sentence[1:].rstrip(".")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
