"""The doctor: watches a run while it trains, and takes it back where its numbers break.

What it sees are the symptoms of `impasto.diagnosis`, each told once when it begins and once when it has
passed. Numbers that are not finite or have exploded would ruin the run. They are a `DivergedError`: the
loop goes back to the last good checkpoint and on from there with both learning rates halved, an
`Intervention`, but a few times at most.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from impasto.config import Config, RunConfig
from impasto.diagnosis import BEGUN, GAVE_UP, WENT_BACK, Setup, Watch, replay
from impasto.errors import ImpastoError

REMEDY = "both learning rates halved"


class Intervention(Config):
    """The doctor took the run back; kept in the state of every later checkpoint."""

    symptom: str
    words: str
    """What was seen."""
    seen_at: int
    """In images seen."""
    back_to: int
    """The checkpoint that the run went on from, in images seen."""
    remedy: str = REMEDY


class DivergedError(ImpastoError):
    """The numbers of a run are of no more use."""

    def __init__(self, symptom: str, words: str) -> None:
        super().__init__(symptom, words)
        self.symptom = symptom
        self.words = words

    def __str__(self) -> str:
        return self.words


def learning_rate_factor(interventions: Sequence[Intervention]) -> float:
    """What is left of both learning rates: a half for every intervention."""
    return float(0.5 ** len(interventions))


class Doctor:
    """Watches a run while it trains; what it has seen is a function of the run's rows."""

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        config: RunConfig,
        *,
        adversarial: str,
        critic: bool,
    ) -> None:
        """
        Args:
            rows: of the run's statistics so far.
            config: the run's.
            adversarial: the label of the objective's adversarial term, as its rows have it.
            critic: whether scores are those of a critic, rather than probabilities.
        """
        told = {
            "config": config.model_dump(mode="json"),
            "adversarial": adversarial,
            "score": "critic" if critic else "probability",
        }
        self._watch = Watch(Setup.of(told))
        replay(self._watch, rows)

    def trouble(self, row: Mapping[str, Any]) -> DivergedError | None:
        """Why the next row's numbers are of no more use, if so."""
        found = self._watch.trouble(row)
        return DivergedError(found.symptom, found.words) if found is not None else None

    def look(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What there is to tell of the next row: events for it."""
        return self._watch.look(row)

    def in_short(self, interventions: Sequence[Intervention]) -> list[str]:
        """What to tell when the run ends, a line each: what its whole curves show that no row has
        shown, how often it went back, and what has not passed."""
        lines = [in_passing(event) for event in self._watch.conclude()]
        told = []
        if interventions:
            told.append(
                f"went back {_times(len(interventions))}, so both learning rates ended at "
                f"{learning_rate_factor(interventions):.3g} of what was set"
            )
        if last := self._watch.lasting:
            told.append(f"not passed by the end: {', '.join(last)}")
        return [*lines, *([f"doctor: {'; '.join(told)}"] if told else [])]


def went_back(interventions: Sequence[Intervention]) -> list[dict[str, Any]]:
    """The events of these interventions, the first of the run and on."""
    return [
        {
            "event": WENT_BACK,
            **each.model_dump(),
            "learning_rate_factor": learning_rate_factor(interventions[: place + 1]),
        }
        for place, each in enumerate(interventions)
    ]


def gave_up(error: DivergedError, images_seen: int, times: int) -> dict[str, Any]:
    """The event of a run that has diverged after so many interventions, and is given up."""
    tried = f", below {0.5**times:.3g} of these" if times else ""
    return {
        "event": GAVE_UP,
        "symptom": error.symptom,
        "words": error.words,
        "advice": f"Start again with lower learning rates{tried}: "
        "--set generator_optimiser.learning_rate=... --set discriminator_optimiser.learning_rate=...; "
        "in bfloat16 try --set training.precision=float32 first.",
        "seen_at": images_seen,
        "times": times,
    }


def in_passing(event: Mapping[str, Any]) -> str:
    """What to tell of an event when it happens, a line."""
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
    """A sentence as a part of another."""
    return sentence[0].lower() + sentence[1:].rstrip(".")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
