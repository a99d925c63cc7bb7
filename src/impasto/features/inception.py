"""Inception-v3 with the weights of the FID literature. Only its Fréchet distance is called `fid`.

Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium" (2017), with the weights as pytorch-fid ported them from TensorFlow (Apache-2.0) and
the resize rule of TensorFlow 1, as in torch-fidelity. 2,048 features of the last pool, and 1,008
logits without their bias, for the Inception Score.
"""

import torch
from torch import Tensor

from impasto.device import memory_format
from impasto.features import FeatureNetwork
from impasto.features._inception_v3 import CLASSES, SIDE, WIDTH, InceptionV3, resize
from impasto.features._weights import Published, fill, find_weights, read_tensors
from impasto.fold import fold_batch_norm

PUBLISHED = Published(
    what="Inception-v3",
    file="pt_inception-2015-12-05-6726825d.pth",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    elsewhere=("weights-inception-2015-12-05-6726825d.pth",),  # torch-fidelity's
)


def load(*, weights: str | None = None, device: torch.device) -> FeatureNetwork:
    """Load Inception-v3. With weights other than the published ones it is not `standard`.

    Raises:
        ImpastoError: weights are missing, or a file of weights of another network.
    """
    path, found = find_weights(weights, PUBLISHED)
    network = InceptionV3()
    fill(network, read_tensors(path), path, "the Inception-v3 of FID")
    folded = fold_batch_norm(network)
    folded.to(device, memory_format=memory_format(device, channels_last=True))  # type: ignore[call-overload]

    def extract(pixels: Tensor) -> tuple[Tensor, Tensor]:
        return folded(((resize(pixels) - 128) / 128).permute(0, 3, 1, 2))

    return FeatureNetwork(
        name="inception",
        width=WIDTH,
        classes=CLASSES,
        resize=f"bilinear as TensorFlow 1 has it, to {SIDE} x {SIDE} px",
        weights_sha256=found,
        standard=found == PUBLISHED.sha256,
        device=device,
        extract=extract,
    )
