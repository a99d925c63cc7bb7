"""Conditioning by labels against values worked by hand; an unknown label adds nothing."""

import math

import pytest
import torch
from torch import nn

from impasto.networks._conditioning import ConditionalBatchNorm2d, LabelEmbedding, Projection


def test_an_embedding_is_the_sum_of_the_known_fields_rows() -> None:
    embedding = LabelEmbedding((3, 2), 4)
    style, genre = embedding.fields
    labels = torch.tensor([[2, 1], [-1, 0], [0, -1], [-1, -1]])
    expected = torch.stack([style[2] + genre[1], genre[0], style[0], torch.zeros(4)])
    torch.testing.assert_close(embedding(labels), expected)


def test_embeddings_begin_with_unit_variance_whatever_the_number_of_fields() -> None:
    torch.manual_seed(0)
    for sizes in ((5,), (3, 4, 2)):
        values = LabelEmbedding(sizes, 2000)(torch.tensor([[0] * len(sizes)]))
        assert values.std().item() == pytest.approx(1, abs=0.1)


def test_conditional_batch_norm_by_hand() -> None:
    # Two pictures of one value, 1 and 3: mean 2, variance 1, so -1 and 1 after batch norm.
    norm = ConditionalBatchNorm2d(1, 2)
    nn.init.constant_(norm.weight, 2.0)
    nn.init.constant_(norm.bias, 0.5)
    norm.gain.weight.data = torch.tensor([[1.0, 0.0]])
    norm.shift.weight.data = torch.tensor([[0.0, 3.0]])
    maps = torch.tensor([1.0, 3.0])[:, None, None, None]
    given = norm(maps, torch.tensor([[0.5, 1.0], [0.0, 0.0]])).flatten()
    # (1 + 0.5) * (2 * -1 + 0.5) + 3 and, where nothing is known, 2 * 1 + 0.5
    torch.testing.assert_close(given, torch.tensor([0.75, 2.5]), rtol=0, atol=1e-4)
    # Unbiased variance 2 goes into the running one, as with plain batch norm.
    assert norm.running_mean is not None
    assert norm.running_mean.item() == pytest.approx(0.2)


def test_conditional_batch_norm_without_knowledge_is_batch_norm() -> None:
    torch.manual_seed(0)
    maps = torch.randn(4, 3, 5, 5)
    plain = nn.BatchNorm2d(3)
    for embedding in (None, torch.zeros(4, 6)):
        torch.testing.assert_close(ConditionalBatchNorm2d(3, 6)(maps, embedding), plain(maps))
    # What was trained without labels can be taken over with them: the names are the same.
    missing, unexpected = ConditionalBatchNorm2d(3, 6).load_state_dict(
        plain.state_dict(), strict=False
    )
    assert missing == ["gain.weight", "shift.weight"]
    assert not unexpected


def test_projection_by_hand() -> None:
    projection = Projection((2, 3), 4)
    colour, motif = projection.embedding.fields
    for rows in (colour, motif):
        nn.init.normal_(rows)
    features = torch.randn(3, 4, 2, 2)
    given = projection(features, torch.tensor([[1, 0], [0, -1], [-1, -1]]))
    assert given.shape == (3, 1, 2, 2)
    by_hand = (colour[1] + motif[0]) @ features[0, :, 0, 1] / math.sqrt(4)
    torch.testing.assert_close(given[0, 0, 0, 1], by_hand)
    by_hand = colour[0] @ features[1, :, 1, 0] / 2
    torch.testing.assert_close(given[1, 0, 1, 0], by_hand)
    assert given[2].abs().max() == 0


def test_conditioning_needs_no_value() -> None:
    # On torch's meta device there are none: nothing here reads one on the host.
    with torch.device("meta"):
        labels = torch.zeros(5, 2, dtype=torch.int64)
        maps = torch.randn(5, 4, 8, 8)
        known = LabelEmbedding((3, 2), 6)(labels)
        assert ConditionalBatchNorm2d(4, 6)(maps, known).shape == maps.shape
        assert Projection((3, 2), 4)(maps, labels).shape == (5, 1, 8, 8)
