"""Shared by several tests: SEEN_AT, how, fit_bytes, result_of."""

import io

from impasto.decoding import colour as colour
from impasto.decoding.fit import Fitted, Fitting, fit_stream
from impasto.sources.trees import UnusableError

SEEN_AT = ((3, 3), (3, 12), (12, 3), (12, 12))


def how(resolution: int = 16, fit: str = "crop", **changes: object) -> Fitting:
    values = {
        "fit": fit,
        "resolutions": (resolution,),
        "exact": False,
        "background": (255, 255, 255),
        "max_upscale": 1.25,
        "max_pixels": 10**6,
    }
    return Fitting(**{**values, **changes})  # type: ignore[arg-type]


def fit_bytes(content: bytes, settings: Fitting) -> Fitted:
    return fit_stream(io.BytesIO(content), settings)


def result_of(content: bytes, settings: Fitting) -> Fitted | str:
    """What is seen of it, or why nothing is."""
    try:
        return fit_bytes(content, settings)
    except UnusableError as reason:
        return str(reason)
