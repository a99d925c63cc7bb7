"""A user's own networks, terms, metrics, readers, recipes, augmentations and feature networks, from a
file and from an installed package."""

import hashlib
import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import impasto
from impasto import plugin_records
from impasto.augmentations import Augmentation
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator
from impasto.evaluation.record import PicturesRecord, ScoreRow, SubjectRecord, read_rows
from impasto.evaluation.score_kinds import kind_of
from impasto.evaluation.subjects import Subject
from impasto.evaluation.table import better_ends
from impasto.features import load_network
from impasto.plugins import RECIPES, WHAT, forget_plugins, use_plugin
from impasto.registry import load_module, load_recipe, module_names, names, recipe_names
from impasto.reporting.page import write_report
from impasto.reporting.scores import best_of
from tests.helpers.command_line import Say, say
from tests.helpers.plugins import package, plain_file, plugged

__all__ = ["plugged", "say"]  # fixtures

pytestmark = pytest.mark.usefixtures("plugged")


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "1.2", **more: str
) -> None:
    """Put the package on the path, in place of one put there before."""
    for name in [name for name in sys.modules if name.startswith("impasto_plain")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(package(folder / version, version, **more))
    importlib.invalidate_caches()
    forget_plugins()


def needs(file: Path) -> list[tuple[str, str | None, str | None, list[str]]]:
    """The plugins that a run.json or a model.json names."""
    found = json.loads(file.read_text("utf-8"))["plugins"]
    return [
        (each["name"], each.get("version"), each.get("sha256"), each["provides"]) for each in found
    ]


def test_a_file_from_training_to_export(tiny: Collection, tmp_path: Path, say: Say) -> None:
    file = plain_file(tmp_path)
    given = ("--plugin", str(file))
    code, out, _ = say("recipes", *given)
    assert code == 0
    assert "plain_32" in [line.split()[0] for line in out.splitlines()]
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs"), "--device", "cpu"]
    code, _, err = say("train", "plain_32", *data, *given)
    assert (code, "note" in err) == (0, False)
    run = tmp_path / "runs" / "00000-plain_32-tiny"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    all_of_it = ["networks/plain", "objectives/plain"]
    assert needs(run / "run.json") == [("plain.py", None, digest, all_of_it)]
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert needs(checkpoint / "model.json") == [("plain.py", None, digest, ["networks/plain"])]
    few = ["--pictures", "24", "--reference", "24", "--per-class", "0", "--device", "cpu"]
    commands = (
        ["sample", str(run), "--seeds", "0-3", "--grid", str(tmp_path / "grid.png")],
        ["evaluate", str(run), *few],
        ["export", str(run), str(tmp_path / "model")],
        ["resume", str(run), "--images", "48"],
        ["train", "--config", str(run / "run.json"), *data],
        ["train", "first_look", "--set", "resolution=32", "--from", str(run), *data],
    )
    for command in commands:
        forget_plugins()  # as in a process of its own
        code, _, err = say(*command)
        assert code == 2, command
        assert "' of the file plain.py (SHA-256 " in err
        assert (
            "code that is not part of impasto; if you trust it, give the file with --plugin" in err
        )
        assert err.count("\n") == 1
    for command in commands[:4]:
        forget_plugins()
        code, out, err = say(*command, *given)
        assert (code, "note:" in err) == (0, False), (command, err)
        assert ("one also needs the file plain.py (SHA-256 " in out) == (command[0] == "export")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any(score["name"] == "gap-lite0" for score in rows[-1]["scores"])
    assert needs(tmp_path / "model" / "model.json")[0][0] == "plain.py"
    forget_plugins()
    use_plugin(file)
    model = impasto.Model.load(tmp_path / "model")
    assert type(model.generator).__module__ == "impasto_plugin_plain"


def test_another_file_than_the_one_of_the_run(tiny: Collection, tmp_path: Path, say: Say) -> None:
    file = plain_file(tmp_path)
    given = ("--plugin", str(file))
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs"), "--device", "cpu"]
    assert say("train", "plain_32", *data, *given)[0] == 0
    run = tmp_path / "runs" / "00000-plain_32-tiny"
    before = (run / "run.json").read_text()
    file.write_text(f"{file.read_text()}\n# changed\n")
    forget_plugins()
    code, _, err = say("resume", str(run), "--images", "48", *given)
    assert code == 0
    assert err.count("note: the network 'plain' is from ") == 1
    assert "not from the file plain.py (SHA-256 " in err
    assert json.loads((run / "run.json").read_text())["plugins"] == json.loads(before)["plugins"]
    newest = sorted((run / "checkpoints").iterdir())[-1]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert needs(newest / "model.json")[0][2] == digest


def test_an_installed_package_from_packing_to_export(
    tiny: Collection, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    assert "impasto_plain.networks" not in sys.modules
    pictures = tmp_path / "train-images-idx3-ubyte"
    grey = np.repeat(np.arange(40, dtype=np.uint8), 32 * 32)
    pictures.write_bytes(np.array([0x803, 40, 32, 32], ">u4").tobytes() + grey.tobytes())
    packed = tmp_path / "packed"
    options = ["--resolution", "32", "--duplicates", "none"]
    code, _, err = say("pack", str(pictures), str(packed), *options)
    assert code == 0, err
    assert "MNIST's format" in (packed / "collection.json").read_text("utf-8")
    data = ["--data", str(packed), "--out", str(tmp_path / "runs"), "--device", "cpu"]
    code, _, err = say("train", "plain_32", *data)
    assert code == 0, err
    run = tmp_path / "runs" / "00000-plain_32-packed"
    provided = ["networks/plain", "objectives/least_squares_2"]
    assert needs(run / "run.json") == [("impasto-plain", "1.2", None, provided)]
    few = ["--pictures", "24", "--reference", "24", "--per-class", "0", "--device", "cpu"]
    code, out, _ = say("evaluate", str(run), *few)
    assert code == 0
    assert "copied, gap; nearest to 1: diversity; higher: all others" in out
    assert {row.better for row in read_rows(run / "metrics.jsonl")[0].scores} == {None, "lower"}
    page = write_report(run).page.read_text("utf-8")
    assert re.search(r"gap-lite0(?:(?!</tr>).)*>lower<", page, re.DOTALL)
    assert say("export", str(run), str(tmp_path / "model"))[0] == 0
    model = ["sample", str(tmp_path / "model"), "--seeds", "1", "--out", str(tmp_path / "out")]
    assert say(*model)[0] == 0
    install(tmp_path, monkeypatch, "1.3")
    for command in (["resume", str(run), "--images", "48"], model):
        plugin_records._note.cache_clear()  # as in a process of its own
        code, _, err = say(*command)
        assert code == 0
        assert "is from package impasto-plain 1.3, not from the package impasto-plain 1.2" in err
    for version in ("1.2", "1.3"):
        sys.path.remove(str(tmp_path / version))
    forget_plugins()
    for command in (["resume", str(run), "--images", "64"], model):
        code, _, err = say(*command)
        assert code == 2
        assert "needs the network 'plain' of the package impasto-plain 1.2" in err
        assert "if you trust it, install the package from where this comes from" in err


def test_augmentations_and_feature_networks_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "from impasto.features import FeatureNetwork\n"
        "def augment(images):\n    return -images\n"
        "def load(*, weights, device):\n"
        "    seen = lambda pixels: (pixels.float().mean((1, 2)), None)\n"
        "    return FeatureNetwork('mine', 3, None, 'none', '0' * 64, False, device, seen)\n"
    )
    use_plugin(str(file))
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(Augmentation(("mine",))(images), -images)
    seen = load_network("mine")(torch.full((2, 8, 8, 3), 7, dtype=torch.uint8)).features
    assert seen.tolist() == [[7.0] * 3] * 2
    file.write_text(file.read_text().replace("-images", "images * 2"))
    use_plugin(file)  # it is read again
    assert torch.equal(Augmentation(("mine",))(images), images * 2)
    assert not list(tmp_path.glob("__pycache__"))


def test_the_tests_over_the_registry_see_the_package_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {room: module_names(room) for room in WHAT if room != RECIPES}
    install(tmp_path, monkeypatch)
    use_plugin(_file(tmp_path, "mine.py", "def augment(images):\n    return images\n"))
    assert {room: module_names(room) for room in own} == own
    added = {room: sorted({*names(room)} - {*own[room]}) for room in own}
    assert added == {
        "networks": ["plain"],
        "objectives": ["least_squares_2"],
        "metrics": ["mean_gap_2"],
        "readers": ["idx_2"],
        "augmentations": ["mine"],
        "features": [],
    }
    assert recipe_names()[-1] == "plain_32"
    assert load_recipe("plain_32")().recipe == "plain_32"


def _file(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


NETWORK = "class Generator: ...\n"


def test_a_name_that_is_there_twice_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dcgan = _file(tmp_path, "dcgan.py", NETWORK)
    use_plugin(dcgan)
    with pytest.raises(ImpastoError) as caught:
        load_module("networks", "dcgan", "network")
    assert "'dcgan' is in impasto itself (impasto.networks)" in str(caught.value)
    assert str(dcgan) in str(caught.value)
    forget_plugins()
    recipe = "def gangogh() -> 'impasto.RunConfig': ...\n"
    use_plugin(_file(tmp_path, "other.py", recipe))
    with pytest.raises(ImpastoError, match=r"'gangogh' is in impasto itself .* and in .*other.py"):
        load_recipe("gangogh")
    forget_plugins()
    install(tmp_path, monkeypatch)
    use_plugin(_file(tmp_path, "plain.py", NETWORK))
    with pytest.raises(ImpastoError, match=r"is in package impasto-plain 1.2 and in .*plain.py"):
        names("networks")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.py", "x = 1\n", "a.py has nothing that impasto knows: no class Generator"),
        ("a.py", "from impasto.recipes.first_look import first_look\n", "has nothing that"),
        ("a.py", "def f(:\n", "fails: line 1: invalid syntax"),
        ("a.py", "\n\n1 / 0\n", "fails: ZeroDivisionError: division by zero (a.py, line 3)"),
        ("a.py", "raise SystemExit\n", "fails: SystemExit (a.py, line 1)"),
        ("a.py", "import torch\ntorch.ones(2) @ torch.ones(3)\n", "fails: RuntimeError: "),
        ("a b.py", NETWORK, "a Python file named by letters, digits"),
        ("a.txt", NETWORK, "a Python file named by letters, digits"),
    ],
)
def test_files_that_do_not_serve(
    tmp_path: Path, say: Say, name: str, text: str, message: str
) -> None:
    code, _, err = say("recipes", "--plugin", str(_file(tmp_path, name, text)))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    code, _, err = say("recipes", "--plugin", str(tmp_path / "missing.py"))
    assert (code, "cannot read the plugin" in err) == (2, True)


def test_packages_that_do_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, networks="lost = impasto_plain.lost")
    with pytest.raises(
        ImpastoError, match=r"'lost' of package impasto-plain 1.2 cannot be imported"
    ):
        load_module("networks", "lost", "network")
    install(tmp_path, monkeypatch, "2", networks="lost = impasto_plain.metrics")
    sys.path.remove(str(tmp_path / "1.2"))
    with pytest.raises(ImpastoError, match="is not whole: it has no Generator or Discriminator"):
        load_module("networks", "lost", "network")


def test_a_recipe_that_gives_no_config(tmp_path: Path) -> None:
    use_plugin(_file(tmp_path, "odd.py", "def odd() -> 'RunConfig':\n    return 3\n"))
    with pytest.raises(ImpastoError, match=r"recipe 'odd' of .*odd.py gives no RunConfig"):
        load_recipe("odd")()


def test_no_run_has_its_plugin_run_by_itself(tiny: Collection, tmp_path: Path, say: Say) -> None:
    mark = tmp_path / "mark"
    file = plain_file(tmp_path)
    file.write_text(f"open({str(mark)!r}, 'w').close()\n{file.read_text()}")
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs"), "--device", "cpu"]
    assert say("train", "plain_32", *data, "--plugin", str(file))[0] == 0
    mark.unlink()
    forget_plugins()
    run = tmp_path / "runs" / "00000-plain_32-tiny"
    for command in (["resume", str(run)], ["train", "--config", str(run / "run.json"), *data]):
        assert say(*command)[0] == 2
    for damaged in ([{"name": "plain.py"}], "plain.py"):
        record = json.loads((run / "run.json").read_text())
        record["plugins"] = damaged
        (run / "run.json").write_text(json.dumps(record))
        code, _, err = say("resume", str(run))
        assert (code, "its plugins are damaged (" in err) == (2, True)
    assert not mark.exists()


def test_reports_do_not_guess_which_of_two_unknown_scores_is_better() -> None:
    kind = kind_of("gap-lite0")
    assert (kind.title, kind.better) == ("gap-lite0", "unknown")
    assert kind.sentence == "Whether higher or lower is better is not known."
    assert kind_of("kid-lite0").sentence == "Lower is better."
    assert kind_of("diversity-lite0").sentence == "Nearest to 1 is best."
    for name, best in (("gap-lite0", None), ("kid-lite0", 0), ("recall-lite0", 1)):
        scores = [
            ScoreRow(name=name, value=v, low=v - 0.1, high=v + 0.1, pictures=9, reference=9)
            for v in (0.2, 0.8)
        ]
        assert best_of(name, scores) == best


def test_scores_of_a_plugin_are_ranked_as_its_metric_declares() -> None:
    for better, best in (("lower", 0), ("higher", 1), ("nearest to 1", 1), (None, None)):
        scores = [
            ScoreRow.model_validate(
                {
                    "name": "gap-lite0",
                    "value": value,
                    "better": better,
                    "low": value - 0.1,
                    "high": value + 0.1,
                    "pictures": 9,
                    "reference": 9,
                }
            )
            for value in (0.2, 0.8)
        ]
        assert best_of("gap-lite0", scores) == best
        assert ("nearest to 1: diversity; not known: gap; higher" in better_ends(scores)) == (
            better is None
        )
    # Of two versions of the plugin.
    other = scores[1].model_copy(update={"better": "lower"})
    assert kind_of("gap-lite0", [*scores, other]).better == "lower"
    third = scores[1].model_copy(update={"better": "higher"})
    assert kind_of("gap-lite0", [other, third]).better == "unknown"
    assert kind_of("kid-lite0", [third.model_copy(update={"name": "kid-lite0"})]).better == "lower"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"gap": "smaller"}, "'plain' says 'smaller' of gap; there is higher, lower, nearest to 1"),
        (["gap"], "'plain' is no dict by score"),
        ({"gpa": "lower"}, "'plain' names no score of it: 'gpa'; did you mean gap?"),
    ],
)
def test_what_a_metric_declares_is_checked_before_any_work(
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    declared: object,
    message: str,
) -> None:
    file = plain_file(tmp_path)
    file.write_text(f"{file.read_text()}\nBETTER = {declared}\n")
    use_plugin(file)
    evaluator = Evaluator([load_network("lite0")], tiny, resolution=32)
    monkeypatch.setattr(evaluator, "reference", None)  # what would take long
    subject, pictures = SubjectRecord(kind="pictures", name="mine"), PicturesRecord(count=1)
    with pytest.raises(ImpastoError, match=re.escape(message)):
        evaluator.evaluate_subject(Subject([], 1, {}, torch.tensor, 32), subject, pictures)


def test_the_documentation_names_every_room() -> None:
    text = (Path(__file__).parents[1] / "docs" / "howto" / "plugins.md").read_text("utf-8")
    assert all(f"`impasto.{room}`" in text for room in WHAT)
