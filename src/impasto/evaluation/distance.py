"""A quick distance of a collection's pictures to a model's, measured in some seconds."""

import torch

from impasto.collection import Collection
from impasto.evaluation.reference import collection_features
from impasto.features import load_network
from impasto.metrics import Sample, metric_module
from impasto.resolution import Resolution
from impasto.sampling.model import Model

PICTURES = 256
"""Number of real, and of generated, pictures that are compared."""
_BATCH = 64


def distance(model: Model, collection: Collection, size: Resolution | None = None) -> float:
    """Kernel distance (KID) of a collection's training pictures to a model's own, of 256 of each, by
    EfficientNet-Lite0.

    Args:
        model: the model.
        collection: the real pictures.
        size: that they are averaged down to; None: as they are packed.

    Raises:
        ImpastoError: the collection has no training pictures, or a file of it has changed.
    """
    network = load_network("lite0", device=torch.device("cpu"))
    (known,) = collection_features([network], collection, resolution=size, limit=PICTURES)
    painted = torch.from_numpy(model.sample(range(PICTURES)))
    fake = torch.cat([network(batch).features for batch in painted.split(_BATCH)])
    prepared = metric_module("kid").prepare(Sample(fake, None), known.sample)
    return float(prepared(torch.arange(len(fake)))["kid"])
