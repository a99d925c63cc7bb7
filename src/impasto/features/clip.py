"""CLIP, ViT-B/32: features learned from images and captions, which include art and its styles.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
(2021). 512 features: the image embedding, not normalised. The network is open_clip's (extra
`vision`). The weights (0.6 GB) are OpenAI's, MIT, as safetensors. OpenAI's own file is a program
and is never run here. The same file has the text encoder (`text_features`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
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
_VISUAL = "visual."
"""What the names of the image encoder's tensors begin with."""


def _package() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise not_installed("clip", "open_clip", error) from error
    return open_clip


def _network(package: Any) -> Any:
    """Both encoders, with random weights. open_clip's `create_model` makes the same, and warns of
    them."""
    return package.CLIP(**package.get_model_config(ARCHITECTURE))


def load(*, weights: str | None = None, device: torch.device) -> FeatureNetwork:
    """Load CLIP's image encoder. The file's tensors of the text encoder are not used.

    Raises:
        ImpastoError: the extra `vision` is not installed, weights are missing, or a file of other
            weights.
    """
    package = _package()
    path, found = find_weights(weights, PUBLISHED)
    tensors = {
        name.removeprefix(_VISUAL): tensor
        for name, tensor in read_tensors(path).items()
        if name.startswith(_VISUAL)
    }
    network = _network(package).visual
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


@torch.inference_mode()
def text_features(texts: Sequence[str], *, weights: str | None = None) -> Tensor:
    """The features [N, D] of texts, of length 1, which are compared with those of images.

    Args:
        texts: English, such as `a stormy sea`.
        weights: as of `load_network`. The file's tensors of the image encoder are not used.

    Raises:
        ImpastoError: as of `load`; or a text is empty, or longer than CLIP reads.
    """
    package = _package()
    tokens = package.get_tokenizer(ARCHITECTURE)(list(texts))
    for text, row in zip(texts, tokens, strict=True):
        if not text.strip():
            raise ImpastoError(
                "a text for CLIP is empty; describe pictures, such as 'a stormy sea'"
            )
        if row[-1]:  # the tokenizer cuts what is longer, and ends it here
            raise ImpastoError(
                f"'{text}' is too long for CLIP, which reads {len(row)} parts of words: shorten it"
            )
    path, _ = find_weights(weights, PUBLISHED)
    network = _network(package)
    network.visual = nn.Identity()  # without tensors
    tensors = {
        name: tensor for name, tensor in read_tensors(path).items() if not name.startswith(_VISUAL)
    }
    fill(network, tensors, path, "CLIP")
    found: Tensor = network.eval().encode_text(tokens, normalize=True)
    return found
