"""A collection's judges as classifiers of generated images.

A discriminator that classifies was trained together with its generator, and the two can agree on
wrong classes. Some discriminators do not classify at all. A judge (`evaluation/judge.py`) was
trained on real images only, and its accuracy on held-out images is known. Model and collection
are matched by the names of fields and classes, so any collection with these names can be used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError, choices
from impasto.evaluation.evaluate import Evaluator
from impasto.evaluation.judge import Judge
from impasto.evaluation.record import JudgeRecord
from impasto.evaluation.subjects import painted
from impasto.features import FeatureNetwork
from impasto.sampling.model import ModelRecord


@dataclass(frozen=True)
class FieldJudges:
    """The judges of some of a model's label fields."""

    network: FeatureNetwork
    """The network whose features the judges classify."""
    judges: dict[int, Judge]
    """By column of the field in the model."""
    numbers: dict[int, dict[int, int]]
    """By column: the judge's numbers of the chosen classes, by the model's numbers."""
    records: tuple[JudgeRecord, ...]
    """The accuracy of each judge."""
    collection: str
    """Name of the collection that the judges were trained on."""

    @classmethod
    def of(
        cls, evaluator: Evaluator, record: ModelRecord, groups: Sequence[dict[int, int]]
    ) -> "FieldJudges":
        """The judges of all chosen fields, on the evaluator's first feature network.

        Args:
            evaluator: of the collection, at the model's resolution.
            record: of the model.
            groups: the chosen classes of each group, as `Group.chosen`.

        Raises:
            ImpastoError: no class is chosen, or the collection has no judge for a field or class.
        """
        network, collection = evaluator.networks[0], evaluator.collection
        wanted: dict[int, list[int]] = {}
        for chosen in groups:
            for column, number in chosen.items():
                wanted.setdefault(column, []).append(number)
        if not wanted:
            raise ImpastoError(
                "this model knows no classes: there is nothing for a judge to name; leave out --judge"
            )
        judges, numbers, records = {}, {}, []
        for column, classes in wanted.items():
            field = record.labels[column]
            collection.field(field.name)  # raises if there is no such field
            fitted = evaluator.judge(network, field.name)
            if fitted.judge is None:
                raise ImpastoError(fitted.record.warning or f"no judge of {field.name}")
            facts = fitted.judge.facts
            known = {facts.classes[number]: number for number in fitted.judge.named.tolist()}
            names = [field.classes[number] for number in sorted(set(classes))]
            unknown = [name for name in names if name not in known]
            if unknown:
                raise ImpastoError(
                    f"{collection.title} has no training pictures of {field.name} "
                    f"{choices(unknown)}, so its judge cannot name them; choose with --class "
                    f"among {choices(list(known))}, or take another collection"
                )
            judges[column] = fitted.judge
            numbers[column] = {
                number: known[field.classes[number]] for number in sorted(set(classes))
            }
            records.append(fitted.record)
        return cls(network, judges, numbers, tuple(records), collection.title)

    def confidence(self, images: Tensor, chosen: dict[int, int]) -> np.ndarray:
        """The judges' probability of the chosen classes, float64 [B]; with several fields the
        product.

        Args:
            images: [B, 3, H, W] in [-1, 1].
            chosen: numbers of classes by column, at least one.

        Raises:
            ImpastoError: the images are not finite.
        """
        features = self.network(painted(images)).features
        product = torch.ones(len(images), dtype=torch.float64)
        for column, number in chosen.items():
            judge = self.judges[column]
            product *= judge.probabilities(features)[:, self.numbers[column][number]]
        return product.numpy()

    def lines(self) -> list[str]:
        """A line for the user on each judge's accuracy."""
        lines = []
        for record in self.records:
            text = f"{record.field}: named by a judge from {self.collection}"
            if record.accuracy is not None and record.low is not None and record.high is not None:
                text += (
                    f", which names {record.accuracy:.1%} of held-out pictures right (95% interval "
                    f"{record.low:.1%} to {record.high:.1%}; always naming the commonest class: "
                    f"{record.baseline or 0:.1%})"
                )
            lines.append(f"{text}; {record.warning}" if record.warning else text)
        return lines
