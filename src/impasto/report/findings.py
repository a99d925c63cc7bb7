"""What went wrong in a training run, and when: a few rules over the curves, in plain words. And, of a
run with classes, what went right: whether it has learnt them.

Every detector is a pure function of arrays with a row an interval: `images_seen` (int, rising) and
series of floats of the same length. In a series NaN means 'not recorded in this row', and infinity
means 'recorded, but not a finite number'. A detector gives a `Finding`, or None where it has
nothing to say; a short or noisy run says nothing, because a false alarm costs more trust than a
late one.

The rules are made for curves that are noisy by nature. They compare medians, never single rows
(except for spikes), and ask of a change that it lasts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Trends are looked for in at most so many points: enough for every picture of a run, and it keeps
# the rolling medians of a run with a hundred thousand rows quick.
_TREND_POINTS = 1000

LEAST_STEPS = 200
"""Optimiser steps before which a run is not judged, but for broken numbers."""


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
class Finding:
    """Something that went wrong: what, from when on (`began_at_images`), and what to try.

    Or, if it is `good`, something that went well.
    """

    kind: str
    began_at_images: int
    sentence: str
    advice: str
    good: bool = False


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


def _rolling_median(values: Floats, window: int) -> Floats:
    """Centred median over `window` rows (made odd); the ends are mirrored."""
    half = min(window // 2, len(values) - 1)
    if half < 1:
        return values
    padded = np.pad(values, half, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.asarray(np.median(windows, axis=1), dtype=np.float64)


def _spread(residuals: Floats) -> float:
    """Standard deviation by way of the median, so that outliers have no say."""
    return 1.4826 * float(np.median(np.abs(residuals))) if len(residuals) else 0.0


def _finite(images_seen: Counts, *series: Floats) -> tuple[Counts, list[Floats]]:
    """The rows in which every series is a number, up to the first row in which one broke."""
    broken = np.any([np.isinf(values) for values in series], axis=0)
    end = int(np.argmax(broken)) if broken.any() else len(images_seen)
    keep = np.all([np.isfinite(values) for values in series], axis=0)
    keep[end:] = False
    return images_seen[keep], [values[keep] for values in series]


def _condense(images_seen: Counts, *series: Floats) -> tuple[Counts, list[Floats]]:
    """At most `_TREND_POINTS` points: the means of equal stretches, each at its first row."""
    if len(images_seen) <= _TREND_POINTS:
        return images_seen, list(series)
    starts = np.linspace(0, len(images_seen), _TREND_POINTS, endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, len(images_seen)))
    return images_seen[starts], [np.add.reduceat(values, starts) / sizes for values in series]


def _knee(heights: Floats) -> int:
    """The row at which two joined lines, the second the steeper, fit `heights` best (squares)."""
    rows = np.arange(len(heights), dtype=np.float64)
    ramps = np.maximum(rows[None, :] - rows[1:-1, None], 0)
    # What a single line explains is taken out of both: what is left tells the knees apart.
    line, _ = np.linalg.qr(np.stack([np.ones_like(rows), rows], axis=1))
    ramps -= (ramps @ line) @ line.T
    along = ramps @ (heights - line @ (line.T @ heights))
    gain = np.where(along > 0, along**2 / np.square(ramps).sum(axis=1), 0.0)
    return int(gain.argmax()) + 1 if len(gain) else 0


def _lasting_rise(values: Floats, least: float, share: float) -> tuple[int, float, float] | None:
    """Where `values` began to rise and never came back: (row, level before, level at the end).

    The first tenth is left out, for there every run moves. The rest is smoothed by a median over a
    twentieth of the run. The rise, from the lowest twentieth of the smoothed values to their end,
    must reach `least`, `share` times the size of the lower level, six times the noise of the rows,
    and six times what the smoothed values wandered before. It began at the knee of the two
    joined lines that best fit its first part: 30% of the rise, or more where there is more noise.
    """
    rows = len(values)
    if rows < 24:
        return None
    start = rows // 10
    window = max(5, rows // 20)
    calm = values[start:]
    smooth = _rolling_median(calm, window)
    noise = _spread(calm - smooth)
    low = float(np.quantile(smooth, 0.05))
    end = float(np.median(calm[-window:]))

    def last_below(level: float, portion: float) -> int:
        below = np.flatnonzero(smooth <= level + portion * (end - level))
        return int(below[-1]) if len(below) else 0

    # The lowest twentieth of a flat but wavy stretch lies beneath its middle; once the rise is
    # roughly placed, the middle of what came before is the better level.
    before = smooth[: last_below(low, 0.25) + 1]
    before = before[: max(len(before) - window, 3)]
    level = max(low, float(np.median(before)))
    wander = _spread(before - level) if len(before) >= 2 * window else 0.0
    if end - level < max(least, share * abs(low), 6 * noise, 6 * wander):
        return None
    # As little of the rise as stands clear of the noise: later on it need not be straight.
    clear = float(np.clip(12 * noise / (end - level), 0.3, 0.6))
    began = _knee(smooth[: last_below(level, clear) + 1 + max(3, window // 2)])
    return start + began, level, end


def _lasting_stretch(holds: NDArray[np.bool_], least: int) -> tuple[int, bool] | None:
    """The last stretch of True that matters: (first row, whether it lasts to the end).

    It matters with at least `least` rows, and if it lasts to the end or fills a fifth of all rows.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    for first, stop in reversed(edges.reshape(-1, 2).tolist()):
        to_the_end = stop == len(holds)
        if stop - first >= least and (to_the_end or stop - first >= 0.2 * len(holds)):
            return first, to_the_end
    return None


def not_a_number(images_seen: Counts, values: Floats, what: str) -> Finding | None:
    """A loss or score stopped being a number.

    Rule: the first row in which the series `what` was recorded as NaN or infinity.
    """
    broken = np.flatnonzero(np.isinf(values))
    if not len(broken):
        return None
    return Finding(
        "nan",
        int(images_seen[broken[0]]),
        f"{what} stopped being a number (NaN or infinity). "
        "Nothing that was trained after this is of use.",
        "Go on from a checkpoint saved before this, or start again, with lower learning rates "
        "(a half of both is a good first try). If it ran in bfloat16, try "
        "--set training.precision=float32. If a penalty on gradients has a large weight, lower it.",
    )


def _harder_labels(terms: Collection[str]) -> str:
    """How to make the discriminator's targets harder, in an objective of these terms."""
    if "categorical" in terms:
        return "flip some of its labels (--set objective.categorical.flip=0.05)"
    if "bce" in terms:
        return "smooth its labels (--set objective.bce.real_labels=[0.7,1])"
    return "add noise to the real pictures it sees (--set training.real_noise=0.1)"


def divergence(
    images_seen: Counts,
    loss_discriminator: Floats,
    loss_generator: Floats,
    terms: Collection[str] = ("bce",),
) -> Finding | None:
    """The two losses drift apart: the generator's up, the discriminator's not.

    For losses in nats (cross-entropy and its kin), whose zero means something; a Wasserstein
    critic's generator loss wanders freely, so see `runaway` for critics.

    Rule: the gap, generator minus discriminator, rises after the first tenth of the run and stays
    up to the end, by at least 1.2 nats, by half of the gap it rose from, and by six times the noise
    of the rows. At least half of that comes from the generator, and the discriminator's loss rises
    by no more than a quarter of it. Needs 24 rows.
    """
    images, (loss_d, loss_g) = _condense(
        *_unpack(_finite(images_seen, loss_discriminator, loss_generator))
    )
    rise = _lasting_rise(loss_g - loss_d, least=1.2, share=0.5)
    if rise is None:
        return None
    row, level, end = rise
    last = slice(-max(5, len(images) // 20), None)
    first = slice(min(len(images) // 10, row), max(row, min(len(images) // 10, row) + 3))
    d_before, d_now = float(np.median(loss_d[first])), float(np.median(loss_d[last]))
    g_before, g_now = float(np.median(loss_g[first])), float(np.median(loss_g[last]))
    if g_now - g_before < 0.5 * (end - level) or d_now - d_before > 0.25 * (end - level):
        return None
    return Finding(
        "divergence",
        int(images[row]),
        f"The losses drift apart: the generator's went from {g_before:.2g} to {g_now:.2g}, the "
        f"discriminator's from {d_before:.2g} to {d_now:.2g}. The discriminator learns faster than "
        "the generator can follow.",
        "Pictures from before this are often the better ones: compare the grids. Then hold the "
        f"discriminator back: {_harder_labels(terms)}, or lower "
        "its learning rate to a half or a quarter of the generator's "
        "(--set discriminator_optimiser.learning_rate=...). More pictures help most; out of few "
        "large ones, impasto pack --fit tiles makes many.",
    )


def runaway(images_seen: Counts, score_real: Floats, score_fake: Floats) -> Finding | None:
    """A critic's scores of real and generated pictures run apart without bound.

    Rule: the margin, mean score of real minus that of generated pictures, rises after the first
    tenth of the run and stays up to the end, to at least three times the margin it rose from, by
    at least 3 and by six times the noise of the rows. Needs 24 rows.
    """
    images, (real, fake) = _condense(*_unpack(_finite(images_seen, score_real, score_fake)))
    rise = _lasting_rise(real - fake, least=3.0, share=2.0)
    if rise is None:
        return None
    row, level, end = rise
    return Finding(
        "divergence",
        int(images[row]),
        f"The critic's scores of real and generated pictures run apart: their margin went from "
        f"{level:.2g} to {end:.2g}. The critic learns faster than the generator can follow.",
        "Pictures from before this are often the better ones: compare the grids. Then hold the "
        "critic back: fewer of its steps per generator step "
        "(--set training.discriminator_steps=...), a lower learning rate "
        "(--set discriminator_optimiser.learning_rate=...), or, where the objective has it, more "
        "weight on its gradient penalty (--set objective.gradient_penalty.weight=...). More "
        "pictures help most; out of few large ones, impasto pack --fit tiles makes many.",
    )


def _unpack(rows: tuple[Counts, list[Floats]]) -> tuple[Counts, *tuple[Floats, ...]]:
    return (rows[0], *rows[1])


def _spike_rows(values: Floats, level_of: Floats, some: float, strong: float) -> list[int]:
    """Rows that stand far above both sides, see `spikes`; [] where they are too few to matter."""
    side = 10
    rows = len(values)
    if rows < 12:
        return []
    padded = np.concatenate([np.full(side, np.nan), values, np.full(side, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, side)
    inner = np.arange(3, rows - 3)
    left = np.nanmedian(windows[inner], axis=1)
    right = np.nanmedian(windows[inner + side + 1], axis=1)
    height = values[inner] - np.maximum(left, right)
    noise = 1.4826 * _rolling_median(np.abs(values[inner] - (left + right) / 2), 51)
    level = np.maximum(
        np.abs(_rolling_median(level_of, 2 * side)[inner]), np.median(np.abs(level_of))
    )
    noise = np.maximum(noise, 0.01 * level + 1e-12)
    is_spike = (height > 10 * noise) & (height > some * level)
    is_strong = (height > 20 * noise) & (height > strong * level)
    # Neighbouring rows are one spike that lasted.
    starts = np.flatnonzero(is_spike & ~np.concatenate([[False], is_spike[:-1]]))
    if len(starts) < max(3, rows / 300) and not is_strong.any():
        return []
    return [int(row) for row in inner[starts]]


def spikes(images_seen: Counts, means: Floats, maxima: Floats | None, what: str) -> Finding | None:
    """A loss shoots up for a moment and comes back.

    Rule: a row is a spike if it stands above the medians of the ten rows before and of the ten rows
    after it, by ten times the local noise (from the median deviation of 51 rows) and by 0.75
    times the usual level of the loss. Three spikes are a finding (in long runs, one for every 300
    rows), or one that reaches 20 times the noise and 3 times the level. In the interval maxima,
    wild by nature, the heights asked are 4 and 10 times the level of the means. So a run that
    starts high, or steps up for good, has no spike. Needs 12 rows.

    Args:
        images_seen: [N].
        means: [N] the loss, mean over each interval.
        maxima: [N] the largest loss of one step in each interval, if recorded.
        what: the loss's name for the sentence.
    """
    images, (mean,) = _finite(images_seen, means)
    rows = _spike_rows(mean, mean, 0.75, 3.0)
    if rows:
        peak = float(mean[rows].max())
    elif maxima is not None:
        images, (mean, largest) = _finite(images_seen, means, maxima)
        rows = _spike_rows(largest, mean, 4.0, 10.0)
        peak = float(largest[rows].max()) if rows else 0.0
    if not rows:
        return None
    usual = float(np.median(mean))
    times = "once" if len(rows) == 1 else f"{len(rows)} times"
    return Finding(
        "spikes",
        int(images[rows[0]]),
        f"{what} shot up and came back {times}, to {peak:.2g} at the highest; it is usually near "
        f"{usual:.2g}.",
        "A few spikes that leave no trace in the grids may be let pass. Otherwise lower the "
        "learning rates, raise the batch (--set training.batch=...), or lower Adam's first beta to "
        "0.5 or 0. A moving average of the weights (--set training.ema_half_life=...) keeps spikes "
        "out of the pictures.",
    )


def saturation(
    images_seen: Counts,
    loss_discriminator: Floats,
    score_real: Floats | None,
    score_fake: Floats | None,
    *,
    probability: bool,
    labels: tuple[float, float] = (0.0, 1.0),
    terms: Collection[str] = ("bce",),
) -> Finding | None:
    """The discriminator has won, so the generator has nothing left to learn from.

    Rule, with every series smoothed by a median over a twentieth of the run (five rows or more), so
    that a passing spike changes nothing: mean D(x) above 0.95 and mean D(G(z)) below 0.05, where
    scores are probabilities; or the discriminator's loss below 0.05, where it is never negative
    (as it is for a Wasserstein critic, for which near 0 is good news) and, for a critic, the scores
    are at least 1 apart. This must hold for ten rows and a tenth of the run, and to the end or for
    a fifth of the run.

    Args:
        images_seen: [N].
        loss_discriminator: [N].
        score_real: [N] mean D(x), if recorded.
        score_fake: [N] mean D(G(z)), if recorded.
        probability: whether scores lie in [0, 1]; else they are a critic's.
        labels: mean label of generated and of real pictures, if smoothed. A discriminator that is
            told 0.15 and 0.85 has won at these values; 0.95 and 0.05 above are shares of the way
            from the one to the other.
        terms: names of the objective's terms, for the advice.
    """
    scored = score_real is not None and score_fake is not None
    series = [loss_discriminator]
    if score_real is not None and score_fake is not None:
        series += [score_real, score_fake]
    images, values = _condense(*_unpack(_finite(images_seen, *series)))
    if len(images) < 10:
        return None
    lowest = float(values[0].min())
    loss, *scores = [_rolling_median(value, max(5, len(images) // 20)) for value in values]
    won = np.zeros(len(images), dtype=np.bool_)
    if scored and probability:
        low, high = labels
        won |= (scores[0] > low + 0.95 * (high - low)) & (scores[1] < low + 0.05 * (high - low))
    if lowest >= 0:
        idle = loss < 0.05
        won |= idle & (scores[0] - scores[1] >= 1) if scored and not probability else idle
    stretch = _lasting_stretch(won, max(10, len(images) // 10))
    if stretch is None:
        return None
    row, to_the_end = stretch
    signs = "its loss is near 0"
    if scored and probability:
        real, fake = (float(np.median(score[won])) for score in scores)
        signs = f"D(x) is near {real:.2g}, D(G(z)) near {fake:.2g}"
    return Finding(
        "saturation",
        int(images[row]),
        f"The discriminator wins: {signs}. The generator hardly learns anything from a "
        f"discriminator that is never in doubt.{'' if to_the_end else ' Later it recovered.'}",
        f"Make the discriminator's work harder: {_harder_labels(terms)}, lower its learning rate "
        "(--set discriminator_optimiser.learning_rate=...), or make it narrower than the generator. "
        "With few pictures it may know them all by heart: add more, or cut them into many with "
        "impasto pack --fit tiles.",
    )


def overfitting(
    images_seen: Counts,
    accuracy_real: Floats,
    accuracy_fake: Floats,
    loss_generator: Floats,
    terms: Collection[str] = ("bce",),
) -> Finding | None:
    """The discriminator is hardly ever mistaken, and the generator's loss rises under it.

    For discriminators whose scores are probabilities. A Wasserstein critic that tells all pictures
    apart is doing its work.

    Rule: both accuracies, smoothed by a median over a tenth of the rows, are at least 0.95 in all
    of the last third of the run; the generator's loss rises after the first tenth and stays up to the
    end, by 0.5, by a fifth of the level it rose from, and by six times its noise; and a seventh or
    more of that rise falls into the last third. Needs 24 rows.
    """
    images, (real, fake, loss) = _condense(
        *_unpack(_finite(images_seen, accuracy_real, accuracy_fake, loss_generator))
    )
    rise = _lasting_rise(loss, least=0.5, share=0.2)
    if rise is None:
        return None
    row, level, end = rise
    rows = len(images)
    last, ninth = rows - rows // 3, rows // 9
    window = max(9, rows // 10)
    sure = np.minimum(_rolling_median(real, window), _rolling_median(fake, window)) >= 0.95
    late = float(np.median(loss[-ninth:]) - np.median(loss[last : last + ninth]))
    if not sure[last:].all() or late < (end - level) / 7:
        return None
    mistaken = np.flatnonzero(~sure)
    surely_from = int(mistaken[-1]) + 1 if len(mistaken) else 0
    return Finding(
        "overfitting",
        int(images[max(row, surely_from)]),
        f"The discriminator is hardly ever mistaken: in the last third of the run it takes "
        f"{_percent(float(np.median(real[last:])))} of the real and "
        f"{_percent(float(np.median(fake[last:])))} of the generated pictures for what they are, and "
        f"the generator's loss rose from {level:.2g} to {end:.2g}. It knows the training pictures by "
        "heart, or has grown too strong for the generator.",
        "Pictures from before this are often the better ones: compare the grids. Then make the "
        f"discriminator's work harder: {_harder_labels(terms)}"
        + (
            ""
            if "real_noise" in _harder_labels(terms)
            else ", add noise to the real pictures it sees (--set training.real_noise=0.1)"
        )
        + ", or lower its learning rate (--set discriminator_optimiser.learning_rate=...). More "
        "pictures help most; out of few large ones, impasto pack --fit tiles makes many.",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


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
    images, (real, fake) = _finite(images_seen, accuracy_real, accuracy_fake)
    if len(images) < 12 or chance >= 1:
        return None
    last = len(images) - len(images) // 3
    of_real, of_fake = float(np.median(real[last:])), float(np.median(fake[last:]))
    knows, paints = ((share - chance) / (1 - chance) for share in (of_real, of_fake))
    learnt_since: int | None = None
    if knows >= _KNOWN and paints >= _KNOWN:
        smooth = _rolling_median(fake, max(5, len(fake) // 20))
        learnt_since = since(images, smooth >= chance + _KNOWN * (1 - chance))
    return _Witness(
        f"the discriminator names the class of {_percent(of_real)} of the real pictures, and of "
        f"{_percent(of_fake)} of the generated ones the class they were asked for (by chance: "
        f"{_percent(chance)})",
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


def since(images_seen: Counts, holds: NDArray[np.bool_]) -> int:
    """The first row from which it holds to the end, or the last row."""
    not_so = np.flatnonzero(~holds)
    first = int(not_so[-1]) + 1 if len(not_so) else 0
    return int(images_seen[min(first, len(images_seen) - 1)])


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


def collapse(
    images_seen: Counts, diversity_fake: Floats, diversity_real: Floats | None
) -> Finding | None:
    """Generated pictures become alike, whatever the latent.

    Rule: take the mean distance between generated pictures as a share of that between real ones
    (or as it is, where that was not recorded), smoothed by a median over three grids. It has
    collapsed when it is under 0.45 times its own best so far (a best above 1 counts as 1), for
    three grids, and to the end or for a fifth of the grids. Before that it must have been up for
    two grids. A share that stays under 0.2 for all of at least ten grids never rose at all, which
    is a finding from the start.

    Args:
        images_seen: [N].
        diversity_fake: [N] mean pairwise distance of the fixed-latent pictures; NaN between grids.
        diversity_real: [N] the same of as many real pictures, if recorded.
    """
    series = [diversity_fake] if diversity_real is None else [diversity_fake, diversity_real]
    keep = np.all([np.isfinite(values) for values in series], axis=0)
    images = images_seen[keep]
    share = diversity_fake[keep]
    relative = diversity_real is not None and bool(np.all(diversity_real[keep] > 0))
    if len(images) < 5:
        return None
    if relative and diversity_real is not None:
        share = share / diversity_real[keep]
    smooth = _rolling_median(share, 3)
    best = np.maximum.accumulate(smooth)
    if relative:
        best = np.minimum(best, 1.0)
    advice = (
        "Go back to the pictures from before this, and continue from there with a lower "
        "discriminator learning rate or smoothed labels; a larger batch and another seed help too. "
        "If it comes back, take another objective (wasserstein with gradient_penalty, or hinge)."
    )
    if relative and len(images) >= 10 and float(smooth.max()) < 0.2:
        return Finding(
            "collapse",
            int(images[0]),
            "The generated pictures have been alike from the start: the distance between them "
            f"never passed {100 * float(smooth.max()):.0f}% of that between real pictures.",
            advice,
        )
    stretch = _lasting_stretch(smooth < 0.45 * best, 3)
    if stretch is None or stretch[0] < 2:
        return None
    row, to_the_end = stretch
    now = float(np.median(share[row:]))
    fall = (
        f"from {100 * best[row]:.0f}% to {100 * now:.0f}% of that between real pictures"
        if relative
        else f"from {best[row]:.3g} to {now:.3g}"
    )
    return Finding(
        "collapse",
        int(images[row]),
        f"The generated pictures became alike: the distance between them fell {fall}."
        f"{'' if to_the_end else ' Later it recovered.'}",
        advice,
    )


def find(
    images_seen: Counts,
    series: Mapping[str, Floats],
    *,
    probability: bool = True,
    labels: tuple[float, float] = (0.0, 1.0),
    steps: int | None = None,
    pretrain_images: int = 0,
    terms: Collection[str] = ("bce",),
    classes: Sequence[Classes] = (),
    progress: float = 1.0,
) -> list[Finding]:
    """All findings of a run, the earliest first; `series` is named as in `stats.jsonl`.

    In a run of fewer than `LEAST_STEPS` optimiser steps nothing has settled, so only broken numbers
    count. So they do while the discriminator trains alone: then it should win.

    Args:
        images_seen: [N], rising.
        series: arrays [N]; NaN: not recorded in that row; infinity: recorded as not finite.
        probability: whether the scores are probabilities in [0, 1]; else a critic's.
        labels: mean label of generated and of real pictures, if smoothed.
        steps: optimiser steps of the generator, if known.
        pretrain_images: images for which the discriminator trains alone.
        terms: names of the objective's terms, for the advice.
        classes: of each label field that the run is conditioned on.
        progress: share of the planned run that is done. Classes part late, so that they are ignored
            is said in the second half only.
    """
    losses = {
        "loss/discriminator": "The discriminator's loss",
        "loss/generator": "The generator's loss",
    }
    scores = {"score/real": "D(x)", "score/fake": "D(G(z))"}
    found: list[Finding | None] = []

    broken = [
        not_a_number(images_seen, series[key], what)
        for key, what in {**losses, **scores}.items()
        if key in series
    ]
    # Once one number breaks, all others follow within a row or so: the first says it all.
    found += sorted((item for item in broken if item), key=lambda item: item.began_at_images)[:1]

    if steps is not None and steps < LEAST_STEPS:
        return [item for item in found if item]

    playing = images_seen > pretrain_images
    images_seen, series = images_seen[playing], {n: v[playing] for n, v in series.items()}
    discriminator, generator = series.get("loss/discriminator"), series.get("loss/generator")
    real, fake = series.get("score/real"), series.get("score/fake")
    right_real, right_fake = series.get("accuracy/real"), series.get("accuracy/fake")
    saturated = discriminator is not None and saturation(
        images_seen, discriminator, real, fake, probability=probability, labels=labels, terms=terms
    )
    if saturated:
        found.append(saturated)
    too_strong: Finding | None = None
    if (
        probability
        and not saturated
        and generator is not None
        and right_real is not None
        and right_fake is not None
    ):
        too_strong = overfitting(images_seen, right_real, right_fake, generator, terms)
        found.append(too_strong)
    # Losses that drift apart under such a discriminator are the same thing told with less.
    if probability and not too_strong and discriminator is not None and generator is not None:
        found.append(divergence(images_seen, discriminator, generator, terms))
    if not probability and real is not None and fake is not None:
        found.append(runaway(images_seen, real, fake))
    spiked = [
        spikes(images_seen, series[key], series.get(f"{key}/max"), what)
        for key, what in losses.items()
        if key in series
    ]
    found += spiked
    if "diversity/fake" in series:
        found.append(collapse(images_seen, series["diversity/fake"], series.get("diversity/real")))
    for item in classes:
        named = f"accuracy/{item.field}"
        of_real, of_fake = series.get(f"{named}/real"), series.get(f"{named}/fake")
        learnt = classes_learnt(images_seen, of_real, of_fake, item, terms)
        if learnt and (learnt.good or progress >= 0.5):
            found.append(learnt)
    return sorted((item for item in found if item), key=lambda item: item.began_at_images)
