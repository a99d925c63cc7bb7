"""DINOv2, ViT-L/14: features learned without labels, which agree with people better than
Inception's.

Source: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023); for
evaluating generators: Stein et al., "Exposing flaws of generative model evaluation metrics"
(NeurIPS 2023). 1,024 features of the class token. The network is timm's (extra `vision`). The
weights (1.2 GB) are Meta's, Apache-2.0; timm's own file of them works too.
"""

import torch

from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork
from impasto.features._vision import not_installed, of_vision
from impasto.features._weights import Published, fill, find_weights, read_tensors

ARCHITECTURE = "vit_large_patch14_dinov2"
SIDE = 224
PUBLISHED = Published(
    what="DINOv2 ViT-L/14",
    file="dinov2_vitl14_pretrain.pth",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    sha256=None,
)

# ImageNet's channel means and deviations, of pixels in 0..1.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def load(*, weights: str | None = None, device: torch.device) -> FeatureNetwork:
    """Load DINOv2 at 224 px, with its position embedding resampled from 518 px.

    Raises:
        ImpastoError: the extra `vision` is not installed, weights are missing, or a file of other
            weights.
    """
    try:
        import timm
        from timm.models.vision_transformer import checkpoint_filter_fn
    except ImportError as error:
        raise not_installed("dinov2", "timm", error) from error
    path, found = find_weights(weights, PUBLISHED)
    tensors = read_tensors(path)
    network = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, img_size=SIDE)
    try:  # Meta's names to timm's, and the embedding to this size
        tensors = checkpoint_filter_fn(tensors, network)
    except Exception as error:  # it tries many kinds of files, with any exception
        raise ImpastoError(f"{path} does not hold weights of DINOv2: {error}") from error
    fill(network, tensors, path, "DINOv2")
    return of_vision(
        "dinov2",
        network,
        width=network.num_features,
        weights_sha256=found,
        side=SIDE,
        mean=_MEAN,
        deviation=_DEVIATION,
        device=device,
    )
