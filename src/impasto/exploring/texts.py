"""Pairs of texts, such as `a calm sea` and `a stormy sea`, as functions of pictures' CLIP features."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features.clip import text_features


@dataclass(frozen=True)
class TextPair:
    """How much more like one text than like another pictures are."""

    name: str
    how: str
    """How it is read, in words."""
    towards: Tensor
    """[D], of length 1: from the features of the first text to those of the second."""

    def __call__(self, features: Tensor) -> Tensor:
        """Its value [N] of CLIP's features [N, D]: their cosine along `towards`."""
        return F.normalize(features, dim=1) @ self.towards


def parse_pair(text: str) -> tuple[str, str, str]:
    """Name, first and second text of a text such as `a calm sea|a stormy sea` or
    `storm=a calm sea|a stormy sea`.

    Raises:
        ImpastoError: not such a text.
    """
    before, bar, last = text.partition("|")
    name, equals, named = before.partition("=")
    first, last = (named if equals else before).strip(), last.strip()
    if not bar or "|" in last or not (first and last) or (equals and not name.strip()):
        raise ImpastoError(
            f"--texts takes FROM|TO or NAME=FROM|TO, such as 'a calm sea|a stormy sea', not '{text}'"
        )
    if first == last:
        raise ImpastoError(f"--texts {text}: the two texts are the same")
    return name.strip() if equals else f"{first} to {last}", first, last


def pairs_of(parsed: Sequence[tuple[str, str, str]], weights: str | None) -> tuple[TextPair, ...]:
    """One pair or more, read by CLIP.

    Args:
        parsed: see `parse_pair`.
        weights: of CLIP; see `features.load_network`.

    Raises:
        ImpastoError: see `features.clip.text_features`.
    """
    found = text_features([text for _, *both in parsed for text in both], weights=weights)
    ways = F.normalize(found[1::2] - found[::2], dim=1)
    return tuple(
        TextPair(name, f"read from features of clip, from '{first}' to '{last}'", way)
        for (name, first, last), way in zip(parsed, ways, strict=True)
    )
