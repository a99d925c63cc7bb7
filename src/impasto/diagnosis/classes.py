"""Whether the generator depends on its class labels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.diagnosis.curves import Counts, Floats, finite, rolling_median, since
from impasto.diagnosis.signs import Finding
from impasto.formatting import percent

_KNOWN, _GUESSED = 0.5, 0.15
"""Accuracies, scaled so that chance is 0 and perfect is 1. A discriminator knows the classes from the
first on, and guesses up to the second."""

LEAST_CHANGE = 0.02
"""Pictures look the same if their mean pixel distance is below this, where 1 is black against white."""
IGNORED_BELOW, OBVIOUS_ABOVE = 0.3, 0.6
"""Limits of the ratio of the change by the class to the change by the latent. Below the first, the
pictures of a latent look the same in all classes. Above the second, classes are obvious. In two
runs of GANGogh on 21 paintings the rows of the grid look the same at 0.23, two of eight classes are
browner at 0.43, and most differ in colour at 1.0. The squares of the limits are about a tenth and a
third; squares add up for independent changes."""


@dataclass(frozen=True)
class Classes:
    """The data on a label field's classes, besides the curves.

    Mean pixel distances are from 0 to 1, black against white, as in `diversity/fake`.

    Attributes:
        field: its name.
        chance: accuracy of guessing.
        images_seen: [M] images seen at each class grid.
        by_class: [M] mean distance in the grid between pictures of one latent in two classes.
        by_latent: [M] mean distance in the grid between pictures of two latents in one class.
        balanced: whether training shows every class equally often.
    """

    field: str
    chance: float
    images_seen: Counts
    by_class: Floats
    by_latent: Floats
    balanced: bool = False


@dataclass(frozen=True)
class _Evidence:
    """One kind of evidence on a field's classes.

    Attributes:
        text: a part of a sentence.
        ignored_since: images seen since when the generator ignores the classes; None if it does not.
        learnt_since: images seen since when it has learnt them; None if it has not.
    """

    text: str
    ignored_since: int | None
    learnt_since: int | None


def classes_learnt(
    images_seen: Counts,
    accuracy_real: Floats | None,
    accuracy_fake: Floats | None,
    classes: Classes,
    terms: Collection[str] = (),
) -> Finding | None:
    """Whether the generator has learnt the classes or ignores them.

    There are two kinds of evidence.

    - The discriminator: its accuracy on the classes of real pictures, and on the requested classes of
      generated ones. Each is the median of the last third of at least 12 rows, scaled from chance (0) to
      perfect (1). It knows the classes from 0.5 on, and guesses up to 0.15.
    - The newest class grid, where pictures of one latent in two classes should differ; see
      `IGNORED_BELOW`, `OBVIOUS_ABOVE` and `LEAST_CHANGE`. It is no evidence while the latent changes
      hardly anything either (early in training, or after a collapse).

    Classes are ignored if the discriminator knows those of real pictures and guesses those of generated
    ones, or if the grid's ratio is below `IGNORED_BELOW`. They are learnt if the discriminator knows
    both and the ratio is not below `IGNORED_BELOW`. If it does not classify, they are learnt if the
    ratio is above `OBVIOUS_ABOVE`.

    Args:
        images_seen: [N].
        accuracy_real: [N] label accuracy on real pictures, if recorded.
        accuracy_fake: [N] the same on generated ones.
        classes: chance, and the grids' distances.
        terms: names of the objective's terms, for the advice.
    """
    judged: _Evidence | None = None
    if accuracy_real is not None and accuracy_fake is not None:
        judged = _by_discriminator(images_seen, accuracy_real, accuracy_fake, classes.chance)
    grid = _by_grid(classes)
    field = classes.field
    if grid and grid.ignored_since is not None:
        if judged and judged.learnt_since is not None:
            sentence = (
                f"The classes of {field} can hardly be seen: {grid.text}, though {judged.text}. The "
                "discriminator uses differences that the eye does not see."
            )
        else:
            also = f"; and {judged.text}" if judged and judged.ignored_since is not None else ""
            sentence = f"The generator ignores the classes of {field}: {grid.text}{also}."
        return Finding("ignored", grid.ignored_since, sentence, _class_advice(classes, terms))
    if judged and judged.ignored_since is not None:
        sentence = f"The generator ignores the classes of {field}: {judged.text}."
        return Finding("ignored", judged.ignored_since, sentence, _class_advice(classes, terms))
    evidence = judged or grid
    if evidence is None or evidence.learnt_since is None:
        return None
    texts = "; ".join(each.text for each in (judged, grid) if each)
    sentence = f"The generator paints the classes of {field}: {texts}."
    return Finding("learnt", evidence.learnt_since, sentence, "", good=True)


def _by_discriminator(
    images_seen: Counts, accuracy_real: Floats, accuracy_fake: Floats, chance: float
) -> _Evidence | None:
    """The discriminator's evidence, see `classes_learnt`; None with too few rows or a single class."""
    images, (real, fake) = finite(images_seen, accuracy_real, accuracy_fake)
    if len(images) < 12 or chance >= 1:
        return None
    last = len(images) - len(images) // 3
    of_real, of_fake = float(np.median(real[last:])), float(np.median(fake[last:]))
    on_real, on_fake = ((share - chance) / (1 - chance) for share in (of_real, of_fake))
    learnt_since: int | None = None
    if on_real >= _KNOWN and on_fake >= _KNOWN:
        smooth = rolling_median(fake, max(5, len(fake) // 20))
        learnt_since = since(images, smooth >= chance + _KNOWN * (1 - chance))
    return _Evidence(
        f"the discriminator names the class of {percent(of_real)} of the real pictures, and of "
        f"{percent(of_fake)} of the generated ones the class they were asked for (by chance: "
        f"{percent(chance)})",
        int(images[last]) if on_real >= _KNOWN and on_fake <= _GUESSED else None,
        learnt_since,
    )


def _by_grid(classes: Classes) -> _Evidence | None:
    """The grids' evidence, see `classes_learnt`; None if pictures of different latents look the same."""
    differ = classes.by_latent >= LEAST_CHANGE
    if not len(differ) or not differ[-1]:
        return None
    ratio = np.where(differ, classes.by_class / np.where(differ, classes.by_latent, 1.0), np.nan)
    now = float(ratio[-1])
    return _Evidence(
        f"under the same latent another class changes the picture {now:.2g} times as much as "
        "another latent does within a class",
        since(classes.images_seen, ratio < IGNORED_BELOW) if now < IGNORED_BELOW else None,
        since(classes.images_seen, ratio >= OBVIOUS_ABOVE) if now >= OBVIOUS_ABOVE else None,
    )


def _class_advice(classes: Classes, terms: Collection[str]) -> str:
    """Advice for a generator that ignores the classes."""
    advice = []
    if "auxiliary_classifier" in terms:
        advice.append(
            "Give the classes more weight (--set objective.auxiliary_classifier.weight=5)."
        )
    advice.append(
        "Let the discriminator learn them before the generator begins "
        "(--set training.pretrain_images=..., some epochs of them)."
    )
    if not classes.balanced:
        advice.append(
            "Show every class, and ask for it, equally often "
            f"(--set training.balance={classes.field})."
        )
    advice.append(
        "And train for longer: in our runs pictures differ by their latents first, and later by their "
        "classes."
    )
    return " ".join(advice)


def class_findings(
    images_seen: Counts,
    series: Mapping[str, Floats],
    classes: Sequence[Classes],
    *,
    terms: Collection[str] = (),
    pretrain_images: int = 0,
    progress: float = 1.0,
) -> list[Finding]:
    """A finding for each label field whose classes are learnt or ignored.

    Only the report uses it, because it reads the grids in the run's folder.

    Args:
        images_seen: [N], ascending.
        series: arrays [N], named as in `stats.jsonl`.
        classes: one for each label field that the run is conditioned on.
        terms: names of the objective's terms, for the advice.
        pretrain_images: images for which the discriminator trains alone.
        progress: share of the planned run that is done. Classes are learnt late, so ignored ones are
            reported in the second half only.
    """
    with_generator = images_seen > pretrain_images
    found = []
    for item in classes:
        real, fake = (series.get(f"accuracy/{item.field}/{kind}") for kind in ("real", "fake"))
        learnt = classes_learnt(
            images_seen[with_generator],
            None if real is None else real[with_generator],
            None if fake is None else fake[with_generator],
            item,
            terms,
        )
        if learnt and (learnt.good or progress >= 0.5):
            found.append(learnt)
    return found
