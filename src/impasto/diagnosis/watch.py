"""Watch a run row by row: which symptoms have begun, and which have passed.

The events of a row are a function of the rows up to it. So training, which adds each row as it
comes, and the report, which replays all rows, name the same symptoms, also in a resumed run. Rules
judge medians over several rows (spikes excepted), and a symptom lasts until its statistic is
clearly better than at its beginning. To avoid false alarms, the limits are outside the range of all
our healthy runs (hinge, binary cross-entropy with and without classes, categorical, relativistic,
Wasserstein; 200 to 4,500 steps).

There are two kinds of rules. `RULES` judge the newest rows, at every row. `_trends` judges whole
curves, which takes longer: whenever there are a quarter more rows than the last time, and at the
end of the run (`Watch.conclude`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from impasto.diagnosis.broken import ADVICE, Broken, broken
from impasto.diagnosis.collapse import ALONE, SHARE, collapse
from impasto.diagnosis.copying import copying
from impasto.diagnosis.losses import harder_labels, losses_apart, scores_apart
from impasto.diagnosis.memory import GRIDS, knows_by_heart, overfitting_sign
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
        knows_by_heart,
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
        more=lambda terms: f"Or make its work harder: {harder_labels(terms)}.",
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
"""The number of rows at which trends are first judged during training, and the factor to the next
time: some 30 times in a run of 100,000 rows. At the end of a run 24 rows are enough."""


@dataclass
class _Episode:
    """A symptom from when it began to when it passed; `passed` is None while it lasts."""

    symptom: str
    began: int
    sign: Sign
    passed: int | None = None


class Watch:
    """The symptoms of a run up to now; a function of its rows."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._notes = Notes(setup)
        self._alone = 0
        """Steps before the generator's first step."""
        self._step: int | None = 0
        self._next_trend = _FIRST_ROWS
        """The number of rows at which trends are judged next."""
        self._spells: list[_Episode] = []

    @property
    def lasting(self) -> list[str]:
        """Symptoms that have begun and not passed, in the order they began."""
        return [spell.symptom for spell in self._spells if spell.passed is None]

    def trouble(self, row: Mapping[str, Any]) -> Broken | None:
        """The divergence that the next row shows; None if it shows none."""
        if self._waits(row):
            # The generator's loss is null or missing while the discriminator trains alone.
            row = {name: value for name, value in row.items() if name != "loss/generator"}
        return broken(row, self._notes.series, critic=self.setup.critic)

    def look(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Add the next row, and give its events."""
        if self._waits(row):
            self._alone = row.get("step") or 0
            return []
        self._notes.add(row)
        self._step = row.get("step")
        if not self._may_judge():
            return []
        seen = int(row["images_seen"])
        events = []
        for name, rule in RULES.items():
            sign = rule.judge(self._notes.series, self._spell(name) is not None)
            if sign is not None and rule.more is not None:
                sign = replace(sign, advice=f"{sign.advice} {rule.more(self.setup.terms)}")
            began = self._lagged(rule, seen)
            events += self._take(name, sign, began, seen, rule.gone)
        if len(self._notes) >= self._next_trend:
            events += self._trends(seen)
            self._next_trend = int(len(self._notes) * _GROWTH) + 1
        return events

    def conclude(self) -> list[dict[str, Any]]:
        """Judge the finished run, and give the events."""
        if not self._may_judge() or not len(self._notes):
            return []
        return self._trends(int(self._notes.images_seen[-1]))

    def break_off(self, trouble: Broken, images_seen: int) -> list[dict[str, Any]]:
        """Record a divergence, and give its events the first time."""
        if any(spell.symptom == trouble.symptom for spell in self._spells):
            return []
        words = f"{trouble.words} Nothing that was trained after this is of use."
        return self._take(trouble.symptom, Sign(words, ADVICE), images_seen, images_seen, "")

    def findings(self) -> list[Finding]:
        """The findings up to now, one for each symptom, the earliest first."""
        found: dict[str, Finding] = {}
        for spell in self._spells:
            words, began = spell.sign.words, spell.began
            if spell.passed is not None:
                words += f" It has passed since, after {spell.passed:,} images."
            earlier = found.get(spell.symptom)
            if earlier is not None:
                words += (
                    f" It had begun and passed before, from {earlier.began_at_images:,} images."
                )
                began = min(began, earlier.began_at_images)
            found[spell.symptom] = Finding(spell.symptom, began, words, spell.sign.advice)
        return sorted(found.values(), key=lambda finding: finding.began_at_images)

    def _waits(self, row: Mapping[str, Any]) -> bool:
        """Whether the discriminator still trains alone."""
        return bool(row["images_seen"] <= self.setup.pretrain_images)

    def _may_judge(self) -> bool:
        return self._step is None or self._step - self._alone >= LEAST_STEPS

    def _spell(self, symptom: str) -> _Episode | None:
        return next((s for s in self._spells if s.symptom == symptom and s.passed is None), None)

    def _take(
        self, symptom: str, sign: Sign | None, began: int, seen: int, gone: str
    ) -> list[dict[str, Any]]:
        """Update a symptom by a rule's sign, with an event if it has begun or passed."""
        spell = self._spell(symptom)
        if sign is None:
            if spell is None:
                return []
            spell.passed = seen
            return [{"event": PASSED, "symptom": symptom, "words": gone}]
        if spell is not None:
            spell.sign = sign
            if sign.began is not None:  # more rows give a better date
                spell.began = sign.began
            return []
        began = began if sign.began is None else sign.began
        self._spells.append(_Episode(symptom, began, sign))
        about = {"words": sign.words, "advice": sign.advice, "began_at_images": began}
        return [{"event": BEGUN, "symptom": symptom, **about}]

    def _lagged(self, rule: Rule, seen: int) -> int:
        """The start of a symptom first seen now, corrected for the lag of its median."""
        for name in rule.of:
            if moments := self._notes.moments.get(name):
                return moments[max(0, len(moments) - 1 - rule.lag)]
        return seen

    def _trends(self, seen: int) -> list[dict[str, Any]]:
        """Judge the rules on whole curves, and give the events."""
        gone = (
            "The critic's scores no longer run apart."
            if self.setup.critic
            else "The losses no longer drift apart."
        )
        calm = "Measured by the whole run, the spikes are no longer many or high."
        return [
            *self._take("divergence", self._apart(), seen, seen, gone),
            *self._take("spikes", self._spikes(), seen, seen, calm),
        ]

    def _apart(self) -> Sign | None:
        notes = self._notes
        if self.setup.critic:
            real, fake = notes.curve("score/real"), notes.curve("score/fake")
            if real is None or fake is None:
                return None
            return scores_apart(notes.images_seen, real, fake)
        discriminator, generator = (notes.curve(name) for name in LOSSES)
        if discriminator is None or generator is None:
            return None
        # What was reported before it won has not passed by that.
        won = self._spell("divergence") is None and any(
            spell.symptom == "discriminator wins" for spell in self._spells
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
        """The spikes of both losses, in order of their beginning."""
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
    """Add written rows to a watch; gives (images seen, event) for all its events."""
    events_seen = []
    for row in rows:
        seen = int(row["images_seen"])
        trouble = watch.trouble(row)
        events = watch.break_off(trouble, seen) if trouble is not None else []
        events_seen += [(seen, event) for event in [*events, *watch.look(row)]]
    return events_seen
