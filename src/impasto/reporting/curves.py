"""Charts of a run: losses, scores, and the discriminator's accuracy."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from impasto.diagnosis import Finding
from impasto.diagnosis.curves import Counts
from impasto.reporting.axes import AxisChoice
from impasto.reporting.charts import Level, Line, Mark, chart
from impasto.reporting.classification import FieldAccuracy
from impasto.reporting.elements import Card
from impasto.reporting.figures_of_works import figures_of
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render

Named = dict[str, str]
"""Names of series in `stats.jsonl`, and their lines' names."""


class Charts:
    """Draws charts of a run, with the same marked findings and shading."""

    def __init__(self, record: RunRecord, findings: Sequence[Finding], choice: AxisChoice) -> None:
        self.record = record
        self.choice = choice
        self.works = figures_of(record)
        self.marks = _marks(record, findings)
        self._drawn = 0

    def of(
        self,
        title: str,
        names: Named,
        explanation: str,
        *,
        bounds: tuple[float, float] | None = None,
        from_zero: bool = False,
        levels: Sequence[Level] = (),
    ) -> list[Card]:
        """A card with the recorded ones of the named series; no card if there are none."""
        series = self.record.series
        lines = [
            Line(text, series[name])
            for name, text in names.items()
            if name in series and np.isfinite(series[name]).any()
        ]
        if not lines:
            return []
        card = self.draw(
            title,
            self.record.images_seen,
            lines,
            explanation,
            bounds=bounds,
            from_zero=from_zero,
            levels=levels,
        )
        return [card]

    def draw(
        self,
        title: str,
        images_seen: Counts,
        lines: Sequence[Line],
        explanation: str,
        *,
        bounds: tuple[float, float] | None = None,
        from_zero: bool = False,
        levels: Sequence[Level] = (),
    ) -> Card:
        """A card with a chart of any lines over `images_seen`."""
        end = max(int(images_seen[-1]), self.record.images_done)
        drawing = chart(
            images_seen,
            lines,
            self.marks,
            identity=f"chart{self._drawn}",
            label=f"{title} over training",
            bounds=bounds,
            from_zero=from_zero,
            levels=levels,
            shaded_until=min(self.record.pretrain_images, end),
            end=end,
            axes=self.choice.axes,
        )
        self._drawn += 1
        return Card(title, drawing, explanation, self.works.get(title, ""))

    @property
    def legend(self) -> str:
        """The explanations common to all charts, a sentence each."""
        says = ["Faint: as recorded. Strong: smoothed."]
        if self.marks:
            says.append("Dashed lines with a number: where a finding began.")
        if self.record.pretrain_images:
            says.append(
                f"Shaded: the discriminator trains alone, for {self.record.pretrain_images:,} images."
            )
        return " ".join(says)


def _marks(record: RunRecord, findings: Sequence[Finding]) -> list[Mark]:
    """The findings' numbers at their moments; close ones share a mark."""
    if not len(record.images_seen):
        return []
    apart = 0.03 * float(record.images_seen[-1])
    marks: list[Mark] = []
    for number, finding in enumerate(findings, 1):
        at = finding.began_at_images
        if marks and at - marks[-1].images < apart:
            marks[-1] = Mark(marks[-1].images, f"{marks[-1].text}, {number}")
        else:
            marks.append(Mark(at, str(number)))
    return marks


def curves_section(record: RunRecord, charts: Charts, missing: list[str]) -> Markup:
    """Losses, scores, diversity, the shares of the objective's terms, speed."""
    if not len(record.images_seen):
        missing.append("There are no statistics yet (stats.jsonl has no whole row).")
        return Markup()
    cards = charts.of(
        "Losses",
        {"loss/discriminator": "discriminator", "loss/generator": "generator"},
        "The losses that the two networks minimise. A constant distance between them means "
        "that neither wins; they do not measure the quality of the pictures."
        if "loss/discriminator" in record.series
        else "The loss that the generator minimises. It does not measure the quality of the pictures.",
    )
    cards += _scores(record, charts)
    cards += charts.of(
        "Diversity",
        {"diversity/fake": "generated", "diversity/real": "real"},
        "Mean distance between two pictures of a grid. Where generated ones fall far below real "
        "ones, they look alike.",
        from_zero=True,
    )
    for player in ("discriminator", "generator"):
        terms = {
            name: name.split("/")[1]
            for name in record.series
            if name.startswith("term/") and name.endswith(f"/{player}")
        }
        if len(terms) > 1:
            title = f"Terms of the {player}'s loss"
            cards += charts.of(title, terms, "Each term's weighted share of the loss.")
    cards += charts.of(
        "Speed",
        {"images_per_second": "images a second"},
        "Training images a second.",
        from_zero=True,
    )
    return render(
        "curves",
        heading="Curves",
        choice=charts.choice,
        works=charts.works,
        legend=charts.legend,
        cards=cards,
        classifier=[],
    )


def _scores(record: RunRecord, charts: Charts) -> list[Card]:
    """The discriminator's scores of real and generated pictures."""
    if record.probability:
        return charts.of(
            "Scores",
            {"score/real": "D(x), real", "score/fake": "D(G(z)), generated"},
            "How real the discriminator takes pictures to be, from 0 to 1. The closer the two"
            " lines, the less it can distinguish them.",
            bounds=(0.0, 1.0),
        )
    return charts.of(
        "Scores",
        {"score/real": "real", "score/fake": "generated"},
        "The critic's scores of real and generated pictures. Only their difference has a "
        "meaning; small is good.",
    )


def discriminator_section(
    record: RunRecord, charts: Charts, classifier: Sequence[FieldAccuracy]
) -> Markup:
    """The discriminator's accuracies; `classifier`, if any, goes below."""
    cards = _real_or_generated(record, charts)
    for name in _label_fields(record):
        levels, dotted = _chances(record, name)
        cards += charts.of(
            f"Classes of {name}",
            {
                f"accuracy/{name}/real": "real",
                f"accuracy/{name}/fake": "generated",
                f"accuracy/{name}/heldout": "held out",
            },
            "Share of the pictures whose class the discriminator names right; of generated ones, the "
            "class they were asked for; of held-out ones, which it never trains on, only now and then. "
            f"{dotted}",
            bounds=(0.0, 1.0),
            levels=levels,
        )
    if not cards and not classifier:
        return Markup()
    heading = "The discriminator over time"
    return render(
        "curves",
        heading=heading,
        choice=charts.choice,
        works=charts.works,
        legend=charts.legend,
        cards=cards,
        classifier=classifier,
    )


def _real_or_generated(record: RunRecord, charts: Charts) -> list[Card]:
    """Its accuracy on real and generated pictures, and how far it memorises real ones."""
    midway = (
        ""
        if record.probability
        else " A critic's values have no zero, so its boundary is drawn halfway between the two "
        "means; a critic should separate nearly all."
    )
    cards = charts.of(
        "Real or generated",
        {"accuracy/real": "real", "accuracy/fake": "generated"},
        "Share of real and of generated pictures that the discriminator classifies correctly."
        f" At 0.5 in both it is guessing.{midway}",
        bounds=(0.0, 1.0),
        levels=[Level("cannot tell", 0.5)],
    )
    return cards + charts.of(
        "By heart",
        {"overfitting": "held-out pictures"},
        "Overfitting of the discriminator, r_v of Karras et al. 2020: at 0 it scores held-out"
        " pictures like training pictures, at 1 like generated ones. With few held-out "
        "paintings it is noisy.",
        levels=[Level("no memorisation", 0.0), Level("full memorisation", 1.0)],
    )


def _chances(record: RunRecord, name: str) -> tuple[list[Level], str]:
    """The baselines of a field's accuracy, and their explanation."""
    field = next((field for field in record.fields if field.name == name), None)
    if field is None or not field.known:
        return [], ""
    random = Level("random", 1 / sum(count > 0 for _, count in field.classes))
    if record.balance == name:
        return [random], "Dotted: naming one at random."
    return (
        [Level("commonest", record.commonest(field)), random],
        "Dotted: always naming the commonest class; dashed: naming one at random.",
    )


def _label_fields(record: RunRecord) -> list[str]:
    """The fields that the discriminator classifies, by the statistics."""
    named = [name for name in record.series if name.startswith("accuracy/")]
    return sorted({name[len("accuracy/") : -len("/real")] for name in named if _of_field(name)})


def _of_field(name: str) -> bool:
    return name.count("/") > 1 and name.endswith("/real")
