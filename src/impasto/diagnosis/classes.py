"""Whether the generator depends on its class labels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.diagnosis.curves import Counts, Floats, finite, rolling_median, since
from impasto.diagnosis.signs import Finding
from impasto.formatting import percent

# Shares of the way from chance to perfect accuracy: above the first a discriminator knows a class,
# below the second it guesses.
_KNOWN, _GUESSED = 0.5, 0.15

LEAST_CHANGE = 0.02
"""Mean pixel distance, as a share of the way from black to white, below which pictures look the
same."""
LITTLE_SAY, MUCH_SAY = 0.3, 0.6
"""Limits of the ratio of the change by the class to the change by the latent. Below the first, the
pictures of a latent look the same in all classes; above the second, classes are obvious. In two
runs of GANGogh on 21 paintings the rows of the grid look the same at 0.23, two of eight classes are
browner at 0.43, and most differ in colour at 1.0. The squares of the limits, which add up for
independent changes, are a tenth and a third."""


@dataclass(frozen=True)
class Classes:
    """The data on a label field's classes, besides the curves.

    Attributes:
        field: its name.
        chance: accuracy of guessing.
        images_seen: [M] of the class grids.
        by_class: [M] mean distance in the grid between pictures of one latent in two classes.
        by_latent: [M] mean distance in the grid between pictures of two latents in one class.
            Distances are shares of the way from black to white, as in `diversity/fake`.
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
        ignored_since: images seen, if by this evidence the generator ignores them; else None.
        learnt_since: images seen, if it has learnt them; else None.
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

    There are two kinds of evidence. Discriminator: its accuracy on the classes of real pictures,
    and on the requested classes of generated ones; the median of the last third of at least 12
    rows, scaled from chance (0) to perfect (1). It knows a class above 0.5, and guesses below 0.15.
    Grid: in the newest class grid, pictures of one latent in two classes should differ, see
    `LITTLE_SAY`, `MUCH_SAY` and `LEAST_CHANGE`.

    Ignored: the discriminator knows the classes of real pictures and guesses those of generated
    ones; or the grid's ratio is below `LITTLE_SAY`. Learnt: the discriminator knows both and the
    ratio is above `LITTLE_SAY`; or, if it does not classify, the ratio is above `MUCH_SAY`. The
    grid is no evidence while the latent changes hardly anything either (early in training, or after
    a collapse).

    Args:
        images_seen: [N].
        accuracy_real: [N] label accuracy on real pictures, if recorded.
        accuracy_fake: [N] the same on generated ones.
        classes: chance, and the grids' distances.
        terms: names of the objective's terms, for the advice.
    """
    names: _Evidence | None = None
    if accuracy_real is not None and accuracy_fake is not None:
        names = _by_names(images_seen, accuracy_real, accuracy_fake, classes.chance)
    looks = _by_looks(classes)
    field = classes.field
    if looks and looks.ignored_since is not None:
        if names and names.learnt_since is not None:
            sentence = (
                f"The classes of {field} can hardly be seen: {looks.text}, though {names.text}. The "
                "discriminator reads signs that the eye does not see."
            )
        else:
            also = f"; and {names.text}" if names and names.ignored_since is not None else ""
            sentence = f"The generator ignores the classes of {field}: {looks.text}{also}."
        return Finding("ignored", looks.ignored_since, sentence, _class_advice(classes, terms))
    if names and names.ignored_since is not None:
        sentence = f"The generator ignores the classes of {field}: {names.text}."
        return Finding("ignored", names.ignored_since, sentence, _class_advice(classes, terms))
    evidence = names or looks
    if evidence is None or evidence.learnt_since is None:
        return None
    texts = "; ".join(witness.text for witness in (names, looks) if witness)
    sentence = f"The generator paints the classes of {field}: {texts}."
    return Finding("learnt", evidence.learnt_since, sentence, "", good=True)


def _by_names(
    images_seen: Counts, accuracy_real: Floats, accuracy_fake: Floats, chance: float
) -> _Evidence | None:
    """The discriminator's evidence, see `classes_learnt`; None: too early."""
    images, (real, fake) = finite(images_seen, accuracy_real, accuracy_fake)
    if len(images) < 12 or chance >= 1:
        return None
    last = len(images) - len(images) // 3
    of_real, of_fake = float(np.median(real[last:])), float(np.median(fake[last:]))
    knows, paints = ((share - chance) / (1 - chance) for share in (of_real, of_fake))
    learnt_since: int | None = None
    if knows >= _KNOWN and paints >= _KNOWN:
        smooth = rolling_median(fake, max(5, len(fake) // 20))
        learnt_since = since(images, smooth >= chance + _KNOWN * (1 - chance))
    return _Evidence(
        f"the discriminator names the class of {percent(of_real)} of the real pictures, and of "
        f"{percent(of_fake)} of the generated ones the class they were asked for (by chance: "
        f"{percent(chance)})",
        int(images[last]) if knows >= _KNOWN and paints <= _GUESSED else None,
        learnt_since,
    )


def _by_looks(classes: Classes) -> _Evidence | None:
    """The grids' evidence, see `classes_learnt`; None while even latents look the same."""
    seen = classes.by_latent >= LEAST_CHANGE
    if not len(seen) or not seen[-1]:
        return None
    say = np.where(seen, classes.by_class / np.where(seen, classes.by_latent, 1.0), np.nan)
    now = float(say[-1])
    return _Evidence(
        f"under the same latent another class changes the picture {now:.2g} times as much as "
        "another latent does within a class",
        since(classes.images_seen, say < LITTLE_SAY) if now < LITTLE_SAY else None,
        since(classes.images_seen, say >= MUCH_SAY) if now >= MUCH_SAY else None,
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
    advice.append("And train for longer: in our runs the classes part after the latents do.")
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
        images_seen: [N], rising.
        series: arrays [N], named as in `stats.jsonl`.
        classes: one for each label field that the run is conditioned on.
        terms: names of the objective's terms, for the advice.
        pretrain_images: images for which the discriminator trains alone.
        progress: share of the planned run that is done. Classes separate late, so ignored ones are
            reported in the second half only.
    """
    playing = images_seen > pretrain_images
    found = []
    for item in classes:
        real, fake = (series.get(f"accuracy/{item.field}/{kind}") for kind in ("real", "fake"))
        learnt = classes_learnt(
            images_seen[playing],
            None if real is None else real[playing],
            None if fake is None else fake[playing],
            item,
            terms,
        )
        if learnt and (learnt.good or progress >= 0.5):
            found.append(learnt)
    return found
