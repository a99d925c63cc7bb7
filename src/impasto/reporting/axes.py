"""The units of the charts' horizontal axis, between which a page switches: images, epochs, iterations.

Elements of class `in-UNIT` are shown with one unit only; `templates/page.html` has the rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.reporting.record import RunRecord

NAMES = ("images", "epochs", "iterations")


@dataclass(frozen=True)
class Axis:
    """A unit of the horizontal axis.

    Attributes:
        name: one of `NAMES`, or empty for an axis that is not switched.
        label: the text below a chart.
        images: images seen in one unit.
        explanation: what one unit is.
    """

    name: str
    label: str
    images: float = 1.0
    explanation: str = ""

    def text(self, images: int) -> str:
        """A moment as a number of units: with one decimal for fewer than 100 epochs, else whole."""
        value = images / self.images
        return f"{value:,.1f}" if self.name == "epochs" and value < 100 else f"{value:,.0f}"


IMAGES = Axis(
    "images", "images seen", explanation="Images: real pictures shown to the discriminator."
)


def check_axis(name: str) -> None:
    """Raises: ImpastoError: `name` is no unit."""
    if name not in NAMES:
        raise ImpastoError(f"the axis is {', '.join(NAMES[:-1])} or {NAMES[-1]}, not '{name}'")


def axes_of(record: RunRecord) -> list[Axis]:
    """The units that a run's files tell, images first."""
    axes = [IMAGES]
    if record.pictures:
        text = f"One epoch: {counted(record.pictures, 'image')}, the number of training pictures."
        axes.append(Axis("epochs", "epochs", record.pictures, text))
    if record.images_per_step:
        axes.append(Axis("iterations", "iterations", record.images_per_step, _iteration(record)))
    return axes


def _iteration(record: RunRecord) -> str:
    """What an iteration is: a step of training."""
    updates = [
        f"{counted(record.count('config', 'training', f'{player}_steps') or 1, 'update')} of the "
        f"{player}"
        for player in ("discriminator", "generator")
    ]
    alone = " (none while the discriminator trains alone)" if record.pretrain_images else ""
    images = counted(round(record.images_per_step or 0), "image")
    return f"One iteration: {updates[0]}, then {updates[1]}{alone}; {images}."


@dataclass(frozen=True)
class AxisChoice:
    """The units that a page offers, and that with which it opens."""

    axes: Sequence[Axis] = (IMAGES,)
    opens: str = IMAGES.name

    @classmethod
    def of(cls, record: RunRecord, wanted: str, missing: list[str]) -> "AxisChoice":
        """The units of a run. If its files do not tell the wanted one, its page opens with images,
        and `missing` gets a sentence."""
        axes = axes_of(record)
        if any(axis.name == wanted for axis in axes):
            return cls(axes, wanted)
        if len(record.images_seen):
            lacking = "number of training pictures" if wanted == "epochs" else "number of steps"
            missing.append(f"The charts are over images: there is no {lacking} in the run's files.")
        return cls(axes)
