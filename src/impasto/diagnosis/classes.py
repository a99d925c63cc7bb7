"""Whether the generator paints the classes it is asked for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.diagnosis.curves import Counts, Floats, finite, rolling_median, since
from impasto.diagnosis.signs import Finding
from impasto.formatting import percent

# Of the way from chance to never being wrong: a discriminator that knows a class, and one that
# cannot tell it. Between the two is no news.
_KNOWN, _GUESSED = 0.5, 0.15

LEAST_CHANGE = 0.02
"""Mean distance of pictures, as a share of the way from black to white, below which the eye hardly
tells them apart."""
LITTLE_SAY, MUCH_SAY = 0.3, 0.6
"""How much the class changes a picture, by how much the latent does. Below the first the pictures of
a latent look alike in all classes, above the second a class is seen at once. In two runs of GANGogh on
21 paintings: 0.23, and the rows of the grid look alike; 0.43, and two of eight classes are browner
than the others; 1.0, and most can be told by their colours. As squares, in which independent changes
add up, the limits are a tenth and a third."""


@dataclass(frozen=True)
class Classes:
    """What is known of the classes of a label field, besides the curves.

    Attributes:
        field: its name.
        chance: share of pictures whose class one names right without looking at them.
        images_seen: [M] moments of the grids of classes.
        by_class: [M] mean distance there between pictures of one latent in two classes.
        by_latent: [M] mean distance there between pictures of two latents in one class. Distances
            are shares of the way from black to white, as in `diversity/fake`.
        balanced: whether training shows every class equally often.
    """

    field: str
    chance: float
    images_seen: Counts
    by_class: Floats
    by_latent: Floats
    balanced: bool = False


@dataclass(frozen=True)
class _Witness:
    """What one witness says of a field's classes.

    Attributes:
        text: it, as a part of a sentence.
        ignored_since: images seen, if the generator ignores them by this witness; else None.
        learnt_since: images seen, if it paints them; else None.
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
    """Whether the generator paints the classes it is asked for, or ignores them.

    Two witnesses. The discriminator: the share of pictures whose class it names right, of real ones
    and (the class that was asked for) of generated ones; the median of the last third of at least 12
    rows, placed between chance (0) and never wrong (1). It knows a class above 0.5, and guesses below
    0.15. The eye: the newest grid of classes, where pictures of one latent in two classes should
    differ, see `LITTLE_SAY`, `MUCH_SAY` and `LEAST_CHANGE`.

    Ignored: the discriminator knows the classes of real pictures and guesses those of generated ones;
    or to the eye the class has little say. Learnt: the discriminator knows both, and to the eye the
    class has more than little say; or, where it names no classes, to the eye they have much. The eye
    has nothing to say while the latent changes hardly anything either (the generator is at its start,
    or has collapsed).

    Args:
        images_seen: [N].
        accuracy_real: [N] label accuracy on real pictures, if recorded.
        accuracy_fake: [N] the same on generated ones.
        classes: chance, and what the grids measure.
        terms: names of the objective's terms, for the advice.
    """
    names: _Witness | None = None
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
    told = names or looks
    if told is None or told.learnt_since is None:
        return None
    texts = "; ".join(witness.text for witness in (names, looks) if witness)
    sentence = f"The generator paints the classes of {field}: {texts}."
    return Finding("learnt", told.learnt_since, sentence, "", good=True)


def _by_names(
    images_seen: Counts, accuracy_real: Floats, accuracy_fake: Floats, chance: float
) -> _Witness | None:
    """What the discriminator says of the classes, see `classes_learnt`; None: too early."""
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
    return _Witness(
        f"the discriminator names the class of {percent(of_real)} of the real pictures, and of "
        f"{percent(of_fake)} of the generated ones the class they were asked for (by chance: "
        f"{percent(chance)})",
        int(images[last]) if knows >= _KNOWN and paints <= _GUESSED else None,
        learnt_since,
    )


def _by_looks(classes: Classes) -> _Witness | None:
    """What the grids of classes say, see `classes_learnt`; None while even latents look alike."""
    seen = classes.by_latent >= LEAST_CHANGE
    if not len(seen) or not seen[-1]:
        return None
    say = np.where(seen, classes.by_class / np.where(seen, classes.by_latent, 1.0), np.nan)
    now = float(say[-1])
    return _Witness(
        f"under the same latent another class changes the picture {now:.2g} times as much as "
        "another latent does within a class",
        since(classes.images_seen, say < LITTLE_SAY) if now < LITTLE_SAY else None,
        since(classes.images_seen, say >= MUCH_SAY) if now >= MUCH_SAY else None,
    )


def _class_advice(classes: Classes, terms: Collection[str]) -> str:
    """What to try so that the generator minds the classes."""
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
    """Of each label field, whether its classes are learnt or ignored.

    It is told by the report only: the eye's part is read from the grids in the run's folder.

    Args:
        images_seen: [N], rising.
        series: arrays [N], named as in `stats.jsonl`.
        classes: of each label field that the run is conditioned on.
        terms: names of the objective's terms, for the advice.
        pretrain_images: images for which the discriminator trains alone.
        progress: share of the planned run that is done. Classes part late, so that they are ignored
            is said in the second half only.
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
