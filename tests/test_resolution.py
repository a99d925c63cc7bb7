"""Sizes of pictures, as texts, in JSON and in configs."""

import pickle

import pytest

from impasto.config import parse_config
from impasto.errors import ImpastoError
from impasto.registry import load_recipe
from impasto.resolution import (
    Size,
    alike,
    area,
    divided,
    in_words,
    parse_resolution,
    recorded,
    resolution_of,
    times,
    width_and_height,
)
from impasto.settings import change


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (64, 64),
        ("64", 64),
        ("192x256", Size(192, 256)),
        (" 192 X 256 ", Size(192, 256)),
        ("192×256", Size(192, 256)),
        ("64x64", 64),
        (Size(192, 256), Size(192, 256)),
    ],
)
def test_a_size_is_read_as_width_x_height(text: object, found: object) -> None:
    size = parse_resolution(text)
    assert size == found
    assert parse_resolution(recorded(size)) == size
    assert resolution_of(*width_and_height(size)) == size
    assert pickle.loads(pickle.dumps(size)) == size


@pytest.mark.parametrize("text", ["", "x64", "64x", "64x32x16", "wide", "-4", 6.5, None, True])
def test_other_texts_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no size: give 64 for squares, or 192x256"):
        parse_resolution(text)


def test_a_square_has_one_form() -> None:
    with pytest.raises(ValueError, match="no rectangle"):
        Size(64, 64)


def test_sizes_compared() -> None:
    assert times(Size(192, 256), Size(48, 64)) == 4
    assert times(Size(192, 256), Size(64, 48)) == 0
    assert times(Size(192, 256), Size(192, 128)) == 0
    assert times(Size(192, 256), 64) == 0
    assert times(256, 64) == 4
    assert times(96, 64) == 0
    assert times(64, 64) == 1
    assert divided(Size(192, 256), 4) == Size(48, 64)
    assert divided(256, 4) == 64
    assert alike(Size(48, 64), Size(192, 256))
    assert not alike(Size(48, 64), Size(64, 48))
    assert (area(Size(48, 64)), area(64)) == (3072, 4096)
    assert (in_words(Size(48, 64)), in_words(64)) == ("48 x 64", "64 x 64")


def test_in_a_config() -> None:
    config = change(load_recipe("first_look")(), {"resolution": "48x64"})
    assert config.resolution == Size(48, 64)
    dumped = config.model_dump(mode="json")
    assert dumped["resolution"] == "48x64"
    assert parse_config(dumped, "here") == config
    square = change(config, {"resolution": 64})
    assert square.model_dump(mode="json")["resolution"] == 64
    for wrong in (0, "0x64", "48 by 64", None):
        with pytest.raises(ImpastoError, match="resolution: "):
            change(config, {"resolution": wrong})
