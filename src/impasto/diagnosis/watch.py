"""Watch a run row by row: which symptoms have begun, and which have passed.

The events of a row are a function of the rows up to it. Training adds each row as it comes, and the
report replays all rows. So both name the same symptoms, also in a resumed run. Rules judge medians over
several rows (except for spikes), and a symptom lasts until its statistic is clearly better than at its
beginning. To avoid false alarms, the limits are outside the range of all our healthy runs (hinge, binary
cross-entropy with and without classes, categorical, relativistic, Wasserstein; 200 to 4,500 steps).

There are two kinds of rules. `RULES` judge the newest rows, at every row. `_trends` judges whole
curves, which takes longer. So it does this whenever there are a quarter more rows than the last time,
and at the end of the run (`Watch.conclude`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from impasto.diagnosis.collapse import ALONE, SHARE, collapse
from impasto.diagnosis.copying import copying
from impasto.diagnosis.divergence import ADVICE, Divergence, divergence_of
from impasto.diagnosis.losses import harder_labels, losses_apart, scores_apart
from impasto.diagnosis.memorisation import GRIDS, memorises, overfitting_sign
from impasto.diagnosis.notes import LOSSES, Notes
from impasto.diagnosis.opponents import discriminator_wins, generator_wins
from impasto.diagnosis.signs import COPIED_LOW, LEAST_STEPS, Finding, Rule, Setup, Sign
from impasto.diagnosis.spikes import spikes

EVENTS = "doctor"
"""The key of the list of events in a row of statistics."""
BEGUN, PASSED = "begun", "passed"
"""Kinds of events: a symptom has begun or passed."""
WENT_BACK, GAVE_UP = "went back", "gave up"
"""Kinds of events: training went back to a checkpoint, or stopped."""

RULES: dict[str, Rule] = {
    "knows by heart": Rule(
        memorises,
        "The discriminator no longer memorises its pictures.",
        ("shown less heldout",),
        GRIDS // 2,
    ),
    "overfitting sign": Rule(
        overfitting_sign, "The discriminator doubts training pictures again.", ("accuracy/real",)
    ),
    "discriminator wins": Rule(
        discriminator_wins,
        "The discriminator no longer wins.",
        ("loss/discriminator",),
        more_advice=lambda terms: f"Or make its work harder: {harder_labels(terms)}.",
    ),
    "generator wins": Rule(generator_wins, "The generator no longer wins.", ("accuracy/fake",)),
    "collapse": Rule(
        collapse, "The generated pictures are no longer alike.", (SHARE, ALONE), lag=1
    ),
    "copying": Rule(
        copying, "No more pictures are copied than chance explains.", (COPIED_LOW,), lag=1
    ),
}

_FIRST_ROWS, _GROWTH = 100, 1.25
"""The number of rows at which trends are first judged during training, and the factor to that of the
next time. So they are judged some 30 times in a run of 100,000 rows. At the end of a run 24 rows are
enough."""


@dataclass
class _Episode:
    """A symptom from its beginning to its end."""

    symptom: str
    began: int
    """In images seen."""
    sign: Sign
    """The newest one."""
    passed: int | None = None
    """When it passed, in images seen; None while it lasts."""


class Watch:
    """The symptoms of a run up to now. They are a function of the rows that were added."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._notes = Notes(setup)
        self._pretrain_steps = 0
        """The number of steps for which the discriminator trained alone."""
        self._step: int | None = 0
        """The newest row's step; None in old runs, which do not record it."""
        self._next_trend = _FIRST_ROWS
        """The number of rows at which trends are judged next."""
        self._episodes: list[_Episode] = []

    @property
    def lasting(self) -> list[str]:
        """Symptoms that have begun and not passed, in the order they began."""
        return [episode.symptom for episode in self._episodes if episode.passed is None]

    def divergence(self, row: Mapping[str, Any]) -> Divergence | None:
        """The divergence that the next row shows; None if it shows none."""
        if self._is_pretraining(row):
            # The generator's loss is null or missing while the discriminator trains alone.
            row = {name: value for name, value in row.items() if name != "loss/generator"}
        return divergence_of(row, self._notes.series, critic=self.setup.critic)

    def look(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Add the next row; returns its events, for the row's list `EVENTS`."""
        if self._is_pretraining(row):
            self._pretrain_steps = row.get("step") or 0
            return []
        self._notes.add(row)
        self._step = row.get("step")
        if not self._may_judge():
            return []
        seen = int(row["images_seen"])
        events = []
        for name, rule in RULES.items():
            sign = rule.judge(self._notes.series, self._lasting_episode(name) is not None)
            if sign is not None and rule.more_advice is not None:
                sign = replace(sign, advice=f"{sign.advice} {rule.more_advice(self.setup.terms)}")
            began = self._without_lag(rule, seen)
            events += self._update(name, sign, began, seen, rule.passed)
        if len(self._notes) >= self._next_trend:
            events += self._trends(seen)
            self._next_trend = int(len(self._notes) * _GROWTH) + 1
        return events

    def conclude(self) -> list[dict[str, Any]]:
        """Judge the whole curves of a run that has ended; returns the events."""
        if not self._may_judge() or not len(self._notes):
            return []
        return self._trends(int(self._notes.images_seen[-1]))

    def record_divergence(self, divergence: Divergence, images_seen: int) -> list[dict[str, Any]]:
        """Record a divergence; returns its event, the first time that its symptom is recorded."""
        if any(episode.symptom == divergence.symptom for episode in self._episodes):
            return []
        sign = Sign(f"{divergence.words} Nothing that was trained after this is of use.", ADVICE)
        return self._update(divergence.symptom, sign, images_seen, images_seen, "")

    def findings(self) -> list[Finding]:
        """The findings up to now, one for each symptom, the earliest first."""
        found: dict[str, Finding] = {}
        for episode in self._episodes:
            symptom, words, began = episode.symptom, episode.sign.words, episode.began
            if episode.passed is not None:
                words += f" It has passed since, after {episode.passed:,} images."
            earlier = found.get(symptom)
            if earlier is not None:
                words += (
                    f" It had begun and passed before, from {earlier.began_at_images:,} images."
                )
                began = min(began, earlier.began_at_images)
            found[symptom] = Finding(symptom, began, words, episode.sign.advice)
        return sorted(found.values(), key=lambda finding: finding.began_at_images)

    def _is_pretraining(self, row: Mapping[str, Any]) -> bool:
        """Whether the discriminator still trains alone at this row."""
        return bool(row["images_seen"] <= self.setup.pretrain_images)

    def _may_judge(self) -> bool:
        """Whether the generator has taken enough steps."""
        return self._step is None or self._step - self._pretrain_steps >= LEAST_STEPS

    def _lasting_episode(self, symptom: str) -> _Episode | None:
        lasting = (each for each in self._episodes if each.passed is None)
        return next((each for each in lasting if each.symptom == symptom), None)

    def _update(
        self, symptom: str, sign: Sign | None, began: int, seen: int, passed: str
    ) -> list[dict[str, Any]]:
        """Update a symptom by a rule's result; returns an event if it has begun or passed.

        Args:
            symptom: its name.
            sign: the rule's result.
            began: images seen at its beginning, if the sign does not say.
            seen: images seen now.
            passed: the text of the event if it has passed.
        """
        episode = self._lasting_episode(symptom)
        if sign is None:
            if episode is None:
                return []
            episode.passed = seen
            return [{"event": PASSED, "symptom": symptom, "words": passed}]
        if episode is not None:
            episode.sign = sign
            if sign.began is not None:  # more rows date it better
                episode.began = sign.began
            return []
        began = began if sign.began is None else sign.began
        self._episodes.append(_Episode(symptom, began, sign))
        about = {"words": sign.words, "advice": sign.advice, "began_at_images": began}
        return [{"event": BEGUN, "symptom": symptom, **about}]

    def _without_lag(self, rule: Rule, seen: int) -> int:
        """The beginning, in images seen, of a symptom that is first seen now: earlier by its median's
        lag."""
        for name in rule.series:
            if moments := self._notes.moments.get(name):
                return moments[max(0, len(moments) - 1 - rule.lag)]
        return seen

    def _trends(self, seen: int) -> list[dict[str, Any]]:
        """Judge whole curves; returns the events."""
        together = (
            "The critic's scores no longer drift apart."
            if self.setup.critic
            else "The losses no longer drift apart."
        )
        calm = "Measured by the whole run, the spikes are no longer many or high."
        return [
            *self._update("divergence", self._apart(), seen, seen, together),
            *self._update("spikes", self._spikes(), seen, seen, calm),
        ]

    def _apart(self) -> Sign | None:
        """The sign of losses or scores that drift apart."""
        notes = self._notes
        if self.setup.critic:
            real, fake = notes.curve("score/real"), notes.curve("score/fake")
            if real is None or fake is None:
                return None
            return scores_apart(notes.images_seen, real, fake)
        discriminator, generator = (notes.curve(name) for name in LOSSES)
        if discriminator is None or generator is None:
            return None
        # If losses that drift apart were reported first, they have not passed because it won since.
        won = self._lasting_episode("divergence") is None and any(
            episode.symptom == "discriminator wins" for episode in self._episodes
        )
        return losses_apart(
            notes.images_seen,
            discriminator,
            generator,
            notes.curve("accuracy/real"),
            notes.curve("accuracy/fake"),
            won=won,
            terms=self.setup.terms,
        )

    def _spikes(self) -> Sign | None:
        """The sign of spikes in either loss, or both in the order in which they began."""
        notes = self._notes
        found = []
        for name, what in LOSSES.items():
            means = notes.curve(name)
            if means is not None:
                found.append(spikes(notes.images_seen, means, notes.curve(f"{name}/max"), what))
        signs = sorted((sign for sign in found if sign), key=lambda sign: sign.began or 0)
        if not signs:
            return None
        return Sign(" ".join(sign.words for sign in signs), signs[0].advice, signs[0].began)


def diagnose(rows: Iterable[Mapping[str, Any]], setup: Setup) -> list[Finding]:
    """The findings of a run from its rows up to now, one for each symptom, the earliest first."""
    watch = Watch(setup)
    replay(watch, rows)
    watch.conclude()
    return watch.findings()


def replay(watch: Watch, rows: Iterable[Mapping[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Add written rows to a watch; returns images seen and the event, for each event."""
    events_seen = []
    for row in rows:
        seen = int(row["images_seen"])
        divergence = watch.divergence(row)
        events = watch.record_divergence(divergence, seen) if divergence is not None else []
        events_seen += [(seen, event) for event in [*events, *watch.look(row)]]
    return events_seen
