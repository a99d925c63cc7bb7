"""CLIP, ViT-B/32: features learned from images and captions, which include art and its styles.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
(2021). 512 features: the image embedding, not normalised. The network is open_clip's (extra
`vision`). The weights (0.6 GB) are OpenAI's, MIT, as safetensors. OpenAI's own file is a program
and is never run here.
"""

import torch

from impasto.features import FeatureNetwork
from impasto.features._vision import not_installed, of_vision
from impasto.features._weights import Published, fill, find_weights, read_tensors

# OpenAI trained with the fast approximation of GELU, which these weights need.
ARCHITECTURE = "ViT-B-32-quickgelu"
SIDE = 224
PUBLISHED = Published(
    what="CLIP ViT-B/32",
    file="clip-vit-b-32-openai.safetensors",
    url="https://huggingface.co/timm/vit_base_patch32_clip_224.openai/resolve/main/"
    "open_clip_model.safetensors",
    sha256=None,
)

# Channel means and deviations of CLIP's training images, of pixels in 0..1.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def load(*, weights: str | None = None, device: torch.device) -> FeatureNetwork:
    """Load CLIP's image encoder. The file's tensors of the text encoder are not used.

    Raises:
        ImpastoError: the extra `vision` is not installed, weights are missing, or a file of other
            weights.
    """
    try:
        import open_clip
    except ImportError as error:
        raise not_installed("clip", "open_clip", error) from error
    path, found = find_weights(weights, PUBLISHED)
    prefix = "visual."
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in read_tensors(path).items()
        if name.startswith(prefix)
    }
    network = open_clip.create_model(ARCHITECTURE, pretrained=None).visual
    fill(network, tensors, path, "CLIP")
    return of_vision(
        "clip",
        network,
        width=network.output_dim,
        weights_sha256=found,
        side=SIDE,
        mean=_MEAN,
        deviation=_DEVIATION,
        device=device,
    )
