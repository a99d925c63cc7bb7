"""The judge of a label field: a classifier of pictures on frozen features.

Multinomial logistic regression on the features of a frozen network, fitted on the collection's
training pictures. It measures whether a picture generated as a portrait looks like one.

**How far to trust it.** The judge depends on one feature network: it misses what that network
misses, and favours a generator that was selected by scores of the same network. Its accuracy on
held-out pictures (`Judge.accuracy`) belongs beside every Top-1: if real portraits are classified
correctly half the time, generated ones will hardly be more often, and a Top-1 above the held-out
accuracy means that the pictures are more typical of their class than real ones.

**Tiles.** Pictures of one source picture are not independent, so each source counts once: its
pictures share a weight of 1, in the fit and in the accuracies.

**Classes.** A class without training pictures has probability 0. Classes are not reweighted, so the
judge's prior is the collection's frequencies; compare a rare class's Top-1 with the same class's
held-out accuracy.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation.accuracy import FieldResult, result
from impasto.files import atomic_folder, read_json, write_json

STRENGTHS = (1.0, 0.1, 0.01, 0.001)
"""L2 strengths to choose among, strongest first; each fit starts from the stronger one's result."""
DEFAULT_STRENGTH = 0.1
"""Used with too few source pictures for a choice."""
FOLDS = 3
_ROUNDS = 60
"""Most iterations of L-BFGS; held-out probabilities converge long before the weights."""
_FORMAT = 1


@dataclass(frozen=True)
class JudgeFacts:
    """A judge's record, without its weights."""

    field: str
    classes: tuple[str, ...]
    """K names."""
    network_identity: str
    """The identity of the feature network; the judge is valid for its features only."""
    counts: tuple[int, ...]
    """The number of training pictures of each class."""
    source_counts: tuple[int, ...]
    """The number of their source pictures."""
    strength: float
    """The strength of the L2 penalty."""
    chosen: str
    """How `strength` was chosen, in words."""


@dataclass(frozen=True)
class Judge:
    """A fitted judge. C of the K classes have training pictures; D is the features' width."""

    facts: JudgeFacts
    mean: Tensor
    """float32 [D]: subtracted from features first."""
    scale: Tensor
    """float32 [D]: features are multiplied by it then."""
    weights: Tensor
    """float32 [C, D]"""
    bias: Tensor
    """float32 [C]"""

    @property
    def named(self) -> np.ndarray:
        """int64 [C]: the classes with training pictures, which it can predict."""
        return np.flatnonzero(self.facts.counts)

    @classmethod
    def fit(
        cls,
        field: str,
        classes: Sequence[str],
        features: Tensor,
        labels: np.ndarray,
        sources: np.ndarray,
        *,
        network_identity: str,
    ) -> "Judge":
        """Fit a judge on training pictures; deterministic on one machine with one number of threads.

        The loss is the mean over source pictures of their pictures' mean cross-entropy, plus half
        the strength times the weights' squared norm, with features standardised by the training
        pictures' mean and standard deviation. The strength is chosen by cross-validation, with all
        pictures of a source in one fold.

        Args:
            field: the label field.
            classes: K names.
            features: [N, D] of the training pictures.
            labels: int [N], their classes; -1 (unknown) is left out.
            sources: int [N], their source pictures.
            network_identity: of the network that made the features.

        Raises:
            ImpastoError: fewer than two classes have pictures, or features are not finite.
        """
        known = np.flatnonzero(labels >= 0)
        truth, sources = labels[known], sources[known]
        counts = np.bincount(truth, minlength=len(classes))
        named = np.flatnonzero(counts)
        _require_two(field, [classes[number] for number in named.tolist()])
        features = features[torch.from_numpy(known)].float()
        check_finite(features)
        weights = _source_weights(sources)
        mean, scale = _standard(features, weights)
        # The weight of the last column of ones is the bias.
        inputs = F.pad((features - mean) * scale, (0, 1), value=1.0)
        targets = torch.from_numpy(np.searchsorted(named, truth))
        strength, chosen = _choose_strength(inputs, targets, sources)
        fitted = torch.zeros(len(named), inputs.shape[1])
        for each in STRENGTHS:
            if each >= strength:
                fitted = _fit(inputs, targets, weights, each, fitted)
        facts = JudgeFacts(
            field=field,
            classes=tuple(classes),
            network_identity=network_identity,
            counts=tuple(counts.tolist()),
            source_counts=tuple(
                len(np.unique(sources[truth == number])) for number in range(len(classes))
            ),
            strength=strength,
            chosen=chosen,
        )
        return cls(facts, mean, scale, fitted[:, :-1].contiguous(), fitted[:, -1].contiguous())

    def probabilities(self, features: Tensor) -> Tensor:
        """Class probabilities, float64 [B, K]; rows sum to 1.

        Args:
            features: [B, D] of the network that the judge was fitted on.

        Raises:
            ImpastoError: features of another width, or not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ImpastoError(
                f"the judge of {self.facts.field} reads features [B, {len(self.mean)}], not "
                f"{list(features.shape)}: they are of another feature network"
            )
        check_finite(features)
        logits = F.linear((features.float() - self.mean) * self.scale, self.weights, self.bias)
        probabilities = torch.zeros(len(features), len(self.facts.classes), dtype=torch.float64)
        probabilities[:, torch.from_numpy(self.named)] = logits.double().softmax(dim=1)
        return probabilities

    def accuracy(
        self, features: Tensor, labels: np.ndarray, sources: np.ndarray
    ) -> FieldResult | None:
        """The judge's accuracy on real pictures, such as held-out ones.

        Args:
            features: [B, D].
            labels: int [B], their classes or -1.
            sources: int [B], their source pictures.

        Returns:
            The result; None if no picture has a class that the judge can predict. Pictures of
            unknown classes and of classes without training pictures are left out and counted.
        """
        usable = np.isin(labels, self.named)
        if not usable.any():
            return None
        predicted = self.probabilities(features[torch.from_numpy(usable)]).argmax(dim=1).numpy()
        return result(
            self.facts.field,
            self.facts.classes,
            labels[usable],
            predicted,
            sources[usable],
            commonest=int(np.argmax(self.facts.source_counts)),
            unknown=int((~usable).sum()),
        )

    def save(self, folder: Path) -> None:
        """Write `judge.json` and `judge.safetensors` into a new folder, atomically.

        Raises:
            ImpastoError: `folder` exists or cannot be written.
        """
        tensors = {name: getattr(self, name) for name in ("mean", "scale", "weights", "bias")}
        with atomic_folder(folder) as temporary:
            write_json(temporary / "judge.json", {"format": _FORMAT, **asdict(self.facts)})
            save_file(tensors, temporary / "judge.safetensors")

    @classmethod
    def load(cls, folder: Path, *, network_identity: str) -> "Judge":
        """Load the judge in a folder.

        Raises:
            ImpastoError: it is missing, damaged, or of another feature network.
        """
        record: dict[str, Any] = read_json(folder / "judge.json", "judge")
        again = "remove the folder, and it is made again"
        try:
            form = record.pop("format")
            if form != _FORMAT:
                raise ImpastoError(
                    f"{folder} is a judge of format {form}, and this impasto reads {_FORMAT}; {again}"
                )
            lists = {name: tuple(record[name]) for name in ("classes", "counts", "source_counts")}
            facts = JudgeFacts(**{**record, **lists})
            judge = cls(facts, **load_file(folder / "judge.safetensors"))
            shape = (len(judge.named), len(judge.mean))
            if judge.weights.shape != shape or judge.bias.shape != shape[:1]:
                raise ValueError("its parts do not fit together")
        except (
            SafetensorError,
            OSError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise ImpastoError(f"the judge in {folder} is damaged ({error}); {again}") from error
        if facts.network_identity != network_identity:
            raise ImpastoError(f"the judge in {folder} reads features of another network; {again}")
        return judge


def top1(judge: Judge, features: Tensor, asked: np.ndarray) -> FieldResult | None:
    """The share of generated pictures that the judge assigns to the requested class.

    This is GANtor's Top-1. Each picture is one observation; the interval is Wilson's. The confusion
    matrix shows the other classes predicted.

    Args:
        judge: of the label field.
        features: [B, D].
        asked: int [B], the class each was generated with; -1: none, left out.

    Returns:
        The result; None if no picture has a class that the judge can predict.
    """
    return judge.accuracy(features, asked, np.arange(len(asked)))


def check_finite(features: Tensor) -> None:
    """Raises: ImpastoError: some features are NaN or infinite."""
    if not features.isfinite().all():
        raise ImpastoError(
            "some features are not finite: pictures with NaN in them (a run that has diverged?), or "
            "damaged weights of the feature network"
        )


def _require_two(field: str, named: Sequence[str]) -> None:
    """Raises: ImpastoError: fewer than two classes have training pictures."""
    if len(named) < 2:
        there = f"all are of '{named[0]}'" if named else "there is none"
        raise ImpastoError(
            f"no judge of {field}: it needs training pictures of two classes or more, and "
            f"{there}; leave the field out, or pack a collection with more of its classes"
        )


def _source_weights(sources: np.ndarray) -> Tensor:
    """float32 [N]: equal total weights for all sources, which sum to 1."""
    _, places = np.unique(sources, return_inverse=True)
    counts = np.bincount(places)
    return torch.from_numpy(1 / counts[places] / len(counts)).float()


def _standard(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and inverse standard deviation [D]; the latter is 0 for a constant feature."""
    mean = weights @ features
    deviation = (weights @ (features - mean).square()).sqrt()
    varies = deviation > 1e-6 * mean.abs() + 1e-12
    return mean, torch.where(varies, 1 / deviation.clamp(min=1e-12), 0.0)


def _fit(
    inputs: Tensor, targets: Tensor, weights: Tensor, strength: float, start: Tensor
) -> Tensor:
    """The optimum [C, D + 1] for inputs [N, D + 1]; its last column, the bias, is not penalised."""
    parameters = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [parameters],
        max_iter=_ROUNDS,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = F.linear(inputs, parameters)
        value = weights @ F.cross_entropy(logits, targets, reduction="none")
        value = value + strength / 2 * parameters[:, :-1].square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return parameters.detach()


def _folds(targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """The fold [N] of each picture: all pictures of a source in one, each class's sources spread
    evenly."""
    _, first, places = np.unique(sources, return_index=True, return_inverse=True)
    order = np.argsort(targets[first], kind="stable")  # by the class of a source's first picture
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % FOLDS
    return fold[places]


def _choose_strength(inputs: Tensor, targets: Tensor, sources: np.ndarray) -> tuple[float, str]:
    """The strength for the fit, and how it was chosen, in words."""
    classes = targets.numpy()
    pairs = np.unique(np.stack([classes, sources]), axis=1)
    enough = int((np.bincount(pairs[0]) >= FOLDS).sum())
    if enough < 2:
        return DEFAULT_STRENGTH, (
            f"the default: fewer than two classes have {FOLDS} source pictures to choose it by"
        )
    folds = _folds(classes, sources)
    fitted = torch.zeros(FOLDS, int(classes.max()) + 1, inputs.shape[1])
    lowest, best = np.inf, DEFAULT_STRENGTH
    for strength in STRENGTHS:
        total = 0.0
        for fold in range(FOLDS):
            inside = np.flatnonzero(folds != fold)
            # A class in this fold only cannot be learned from the others.
            outside = np.flatnonzero((folds == fold) & np.isin(classes, classes[inside]))
            if not len(outside):
                continue
            weights = _source_weights(sources[inside])
            fitted[fold] = _fit(inputs[inside], targets[inside], weights, strength, fitted[fold])
            logits = F.linear(inputs[outside], fitted[fold]).double()
            lost = F.cross_entropy(logits, targets[outside], reduction="none")
            shares = _source_weights(sources[outside]).double()
            total += float(shares @ lost) * len(np.unique(sources[outside]))
        if total >= lowest:
            break  # weaker strengths are slower, and only worse from here on
        lowest, best = total, strength
    return best, f"lowest cross-entropy in {FOLDS} folds of source pictures"
