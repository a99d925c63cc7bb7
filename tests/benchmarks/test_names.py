"""Benchmarks name settings, options, files and functions as texts: all are those that there are."""

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import first_look, five_systems, five_works, kill_pack, kill_resume, same_weights
from benchmarks.wikiart_shape import READ_ALL
from impasto.collection import Collection, PackOptions, pack
from impasto.files import read_json
from impasto.registry import load_recipe
from impasto.settings import change, parse_settings
from impasto.training import train
from tests.helpers.command_line import invoke
from tests.helpers.pictures import paint
from tests.helpers.training import small

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"first_look, {name}": each for name, each in first_look.VARIANTS.items()},
    **{f"five_systems, {name}": each for name, each in five_systems.SYSTEMS.items()},
    **{
        f"same_weights, {name}": (name, {**same_weights.COMMON, **settings})
        for name, settings in same_weights.RECIPES.items()
    },
    **{f"five_works, {name}": (w.recipe, w.settings) for name, w in five_works.WORKS.items()},
    "kill_resume": ("ukiyoe_dcgan_v3", dict(kill_resume.SETTINGS)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_changed_settings_are_settings(name: str) -> None:
    recipe, settings = CONFIGS[name]
    texts = [f"{key}={value}" for key, value in settings.items() if isinstance(value, str)]
    config = load_recipe(recipe)()
    changed = change(config, {**settings, **parse_settings(texts)})
    assert (changed != config) == bool(settings)


def test_two_runs_alike_are_equal_but_for_their_times(tiny: Collection, tmp_path: Path) -> None:
    config = small(training__images=16, training__stats_every=8, training__checkpoint_every=8)
    runs = [train(config, tiny, out=tmp_path / name, device="cpu") for name in ("a", "b")]
    first, second = map(kill_resume.fingerprint, runs)
    assert first == second
    assert first["checkpoint"] == f"{16:012d}"
    old, new = map(same_weights.fingerprint, runs)
    assert same_weights.differences(old, new) == []
    assert {name.partition("/")[2] for name in old} >= {
        "generator.safetensors",
        "state.safetensors",
    }
    assert old["collection"] == tiny.content_hash
    assert [row["images_seen"] for row in old["rows"]] == [8, 16]
    same_weights.cut_in_half(runs[0])
    assert f"{8:012d}" in kill_resume.fingerprint(runs[0]).values()


def test_the_killed_packing_and_its_files(tmp_path: Path) -> None:
    paint(tmp_path / "pictures", 12)
    found = []
    for name in ("whole", "killed"):
        folder = tmp_path / name
        program, *arguments = kill_pack.command(str(tmp_path / "pictures"), folder, "16", 1)
        assert program == sys.executable
        assert arguments[:2] == ["-m", "impasto"]
        code, said = invoke(*arguments[2:])
        assert code == 0, said
        found.append(kill_pack.fingerprint(folder))
    assert found[0] == found[1]  # the time in collection.json is not in it
    assert "collection.json" in found[0]


def test_a_process_that_reads_each_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(tmp_path / "pictures", 12)
    options = PackOptions(resolution=16, duplicates="none")
    pack(tmp_path / "pictures", tmp_path / "packed", options)
    assert invoke("unpack", tmp_path / "packed", tmp_path / "out", "--as", "parquet")[0] == 0
    monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path / "out")])
    exec(READ_ALL, {})
    count, words = capsys.readouterr().out.split(maxsplit=1)
    assert int(count) > 12 * 100
    assert words == "bytes read\n"


def test_the_runs_of_five_works_are_trained_and_drawn(labelled: Collection, tmp_path: Path) -> None:
    settings = {"generator.width": 8, "discriminator.width": 8, "training.batch": 8}
    settings |= {"resolution": 32, "training.samples_every": 8}
    work = five_works.Work("wikiart_dcgan", 32, settings, only="genre=landscape")
    arguments = work.arguments(labelled.path, tmp_path / "runs" / "ukiyoe-v1")
    code, output = invoke(*arguments, "--device", "cpu")
    assert code == 0, output
    five_works.write_figures(tmp_path / "runs", ["ukiyoe-v1", "ukiyoe-v2"], tmp_path / "figures")
    written = {path.name for path in (tmp_path / "figures").iterdir()}
    assert written == {"ukiyoe-v1.jpg", "ukiyoe-v1-losses.svg", "ukiyoe-v1.json"}
    figures = read_json(tmp_path / "figures" / "ukiyoe-v1.json", "figures")
    assert (figures["images"], figures["steps"]) == (32, 4)
    assert len(figures["means"]["loss/generator"]) == len(figures["images_at"])
