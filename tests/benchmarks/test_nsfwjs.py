"""Reading the layers of nsfwjs: its scripts as text, and TensorFlow's padding."""

import math

import torch

from benchmarks._nsfwjs import Network, _as_json, _same, _words


def test_a_script_is_read_as_text() -> None:
    values = 'name:"a:b",use:!0,not:!1,small:.25,less:-.5,list:[.1,-2],of:{}'
    script = f"function(e,a,n){{a.exports={{{values}}}}}"
    assert _as_json(script) == {
        "name": "a:b",
        "use": True,
        "not": False,
        "small": 0.25,
        "less": -0.5,
        "list": [0.1, -2],
        "of": {},
    }
    assert _words('a.exports="AAEC"},{}]') == bytes([0, 1, 2])


def test_padding_goes_to_the_end_first() -> None:
    """A side of 4 at stride 2 with a kernel of 3: one more row and column, at the end."""
    padded = _same(torch.ones(1, 1, 4, 4), (3, 3), (2, 2), 0.0)
    assert padded.shape == (1, 1, 5, 5)
    assert padded[0, 0, -1].tolist() == [0] * 5
    assert padded[0, 0, 0].tolist() == [1, 1, 1, 1, 0]


def test_layers_are_computed_in_order() -> None:
    network = Network.__new__(Network)
    network.weights = {
        "conv/kernel": torch.full((1, 1, 3, 2), 0.5),
        "conv/bias": torch.tensor([0.0, -10.0]),
    }
    options = {"strides": [1, 1], "padding": "same", "activation": "relu"}
    network.layers = [
        {"name": "in", "class_name": "InputLayer", "config": {}, "inbound_nodes": []},
        {"name": "conv", "class_name": "Conv2D", "config": options, "inbound_nodes": [[["in"]]]},
        {
            "name": "add",
            "class_name": "Add",
            "config": {},
            "inbound_nodes": [[["conv"], ["conv"]]],
        },
        {"name": "flat", "class_name": "Flatten", "config": {}, "inbound_nodes": [[["add"]]]},
    ]
    found = network(torch.ones(1, 3, 4, 4))
    assert found.tolist() == [[3.0, 0.0]]
    assert not math.isnan(float(found.sum()))
