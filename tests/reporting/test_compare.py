"""Runs side by side: what is painted, what is compared, what is marked, what is said in words."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import impasto.api.comparing
from impasto.api.comparing import unique_names
from impasto.cli import app
from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError
from impasto.evaluation.record import EvaluationRow
from impasto.networks import build_generator
from impasto.reporting.compared import Asked, Compared, scored_alike
from impasto.reporting.painted import chosen, common_classes, side_by_side
from impasto.sampling.model import CollectionRecord, LabelRecord, Model, ModelRecord
from impasto.settings import settings_that_differ
from tests.helpers.pages import Page
from tests.helpers.report_runs import (
    CLASSES,
    evaluated_moments,
    evaluation,
    healthy,
    scored,
    write_evaluations,
    write_run,
)

HASH = "0" * 64
END = 40 * 1024


def model_record(
    classes: tuple[str, ...] = CLASSES, *, resolution: int = 16, dim: int = 8, seen: int = END
) -> ModelRecord:
    """Of a small generator; without classes, of one that was trained without labels."""
    network = NetworkConfig.model_validate({"network": "gangogh", "width": 4})
    return ModelRecord(
        recipe="ukiyoe_dcgan_v1",
        resolution=resolution,
        latent=LatentConfig(dim=dim),
        generator=network,
        discriminator=network,
        labels=(LabelRecord(name="genre", classes=classes),) if classes else (),
        label_rows=tuple((number,) for number in range(len(classes))) or ((),),
        label_counts=tuple(range(10, 10 + len(classes))) or (10,),
        collection=CollectionRecord(
            name="ukiyoe-64", hash=HASH, count=10, sources=10, fit="crop", licences={}
        ),
        parameters=1,
        images_seen=seen,
    )


def write_model(folder: Path, record: ModelRecord, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    generator = build_generator(
        record.generator.network,
        record.generator.options,
        latent_dim=record.latent.size,
        resolution=record.resolution,
        label_sizes=record.label_sizes,
    )
    Model.write(folder, generator.state_dict(), record)
    return folder


def make_run(
    folder: Path, told: list[dict[str, Any]], record: ModelRecord | None = None, **changes: Any
) -> Path:
    """A run with one checkpoint and these evaluations."""
    run = write_run(folder, *healthy(40), grids=0, **changes)
    write_model(run / "checkpoints" / f"{END:012d}", record or model_record(()))
    write_evaluations(run, told)
    return run


@pytest.fixture(autouse=True)
def no_evaluation(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A stand-in for the collection, the network and the evaluation; gives the runs evaluated."""
    evaluated: list[Path] = []

    def stand_in(runs: Any, *_: Any) -> None:
        for folder in runs.homes:
            folder.mkdir(parents=True, exist_ok=True)
            evaluated.append(folder)
            with (folder / "metrics.jsonl").open("a") as file:
                row = evaluation(END, scored(0.6, field=None), pictures=500)
                file.write(json.dumps(row) + "\n")

    collection = SimpleNamespace(name="ukiyoe-64", content_hash=HASH, bucketed=False)
    network = SimpleNamespace(name="lite0", weights_sha256="a" * 64)
    monkeypatch.setattr(impasto.api.comparing, "open_for", lambda *_: collection)
    monkeypatch.setattr(impasto.api.comparing, "load_networks", lambda *_, **__: [network])
    monkeypatch.setattr(impasto.api.comparing, "evaluate_alike", stand_in)
    return evaluated


def compare(folder: Path, *runs: Path, options: tuple[str, ...] = ()) -> tuple[Page, list[str]]:
    out = folder / "compare.html"
    arguments = ["compare", *map(str, runs), "--data", "x", "--out", str(out), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    lines = result.output.splitlines()
    assert lines[-1] == str(out)
    return Page(out), lines


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of which the second is clearly better in FD and KID."""
    folder = tmp_path_factory.mktemp("runs")
    kinds = ("fd", "kid", "copied", "top1")
    return (
        make_run(folder / "a", evaluated_moments(END, 4, level=1.5, only=kinds), model_record()),
        make_run(
            folder / "b",
            evaluated_moments(END, 5, level=0.8, only=kinds),
            model_record(("landscape", "actor <print>", "still life")),
            config={"resolution": 16, "training": {"images": END, "batch": 32}},
        ),
    )


def test_two_runs_side_by_side(
    two: tuple[Path, Path], tmp_path: Path, no_evaluation: list[Path]
) -> None:
    page, lines = compare(tmp_path, *two)
    assert no_evaluation == []
    assert lines[0] == (
        "2 runs compared on ukiyoe-64: a after 40,960 images, b after 40,960 images"
    )
    assert "a and b On ukiyoe-64" in page.text
    # Nothing from elsewhere, names are unique, and what comes from files is escaped.
    assert "link" not in page.tags
    assert all((i.get("src") or "data:").startswith("data:") for i in page.tags["img"])
    assert len(page.identities) == len(set(page.identities))
    assert "<print>" not in page.source

    worse, better = scored(1.0, level=1.5)[2], scored(1.0, level=0.8)[2]
    expected = f"KID (lite0) {worse['value']:.4f} {worse['low']:.4f} to {worse['high']:.4f}"
    assert expected in page.text
    assert f'<td class="best"><strong>{better["value"]:.4f}</strong>' in page.source
    # As many are copied by both: nothing is marked there.
    row = page.source[page.source.index("<tr><th>Copied (lite0)</th>") :]
    assert 'class="best"' not in row[: row.index("</tr>")]
    assert "only where its interval overlaps none of the others'" in page.text

    labels = [svg["aria-label"] for svg in page.tags["svg"]]
    assert "KID (lite0) over images seen" in labels
    assert "KID (lite0) by time of training over minutes of training" in labels
    assert "FillBetweenPolyCollection" in page.source
    assert "training.batch 64 32" in page.text


def test_tables_by_class(two: tuple[Path, Path], tmp_path: Path) -> None:
    page, _ = compare(tmp_path, *two)
    _, _, told = page.text.partition("Scores by class")
    assert "By genre, as lite0 sees them" in told
    assert "KID (lite0), lower is better genre a b landscape" in told
    assert "Top-1 (judge), higher is better" in told
    first = scored(1.0, level=0.8)
    of = next(s for s in first if s["name"] == "kid-lite0" and s["cls"] == "landscape")
    assert f"<strong>{of['value']:.3f}" in page.source


def test_the_same_latents_in_the_classes_both_know(two: tuple[Path, Path], tmp_path: Path) -> None:
    page, _ = compare(tmp_path, *two)
    described = [image["alt"] for image in page.tags["img"]]
    assert described == [
        "seeds 0 to 15 of a",
        "seeds 0 to 15 of b",
        "actor <print> by a",
        "actor <print> by b",
        "landscape by a",
        "landscape by b",
    ]
    models = [next((run / "checkpoints").iterdir()) for run in two]
    painted = side_by_side(models)
    again = side_by_side([models[1], models[0]])
    for key in (("genre", "landscape"), ("genre", "actor <print>")):
        assert [place for place, _ in painted.by_class[key]] == [0, 1]
        np.testing.assert_array_equal(painted.by_class[key][0][1], again.by_class[key][1][1])
    assert painted.drawn[0].shape == (16, 16, 16, 3)
    assert painted.notes == []


def test_classes_are_asked_for_by_name() -> None:
    first, second = model_record(), model_record(("still life", "landscape"))
    assert common_classes([first, second]) == [("genre", "landscape")]
    assert chosen(first, {"genre": "landscape", "style": "x"}) == {0: 0}
    assert chosen(second, {"genre": "landscape"}) == {0: 1}
    assert chosen(second, {"genre": "actor <print>"}) == {}
    assert common_classes([first, model_record(())]) == []


def test_what_is_not_alike_between_generators_is_said(tmp_path: Path) -> None:
    folders = [
        write_model(tmp_path / "a", model_record()),
        write_model(tmp_path / "b", model_record((), dim=12, resolution=32)),
    ]
    notes = " ".join(side_by_side(folders).notes)
    assert "not the same noise" in notes
    assert "different sizes" in notes
    assert "trained without labels" in notes


def test_overlapping_intervals_leave_nothing_marked(tmp_path: Path) -> None:
    told = evaluated_moments(END, 1, field=None, only=("kid",))
    runs = [make_run(tmp_path / name, told) for name in "ab"]
    page, _ = compare(tmp_path, *runs)
    assert 'class="best"' not in page.source
    assert "No run is certainly better than the others in any of these." in page.text
    assert "None: the runs have the same settings." in page.text


def test_other_conditions_stand_in_no_common_table(
    tmp_path: Path, no_evaluation: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(level: float, **conditions: Any) -> list[dict[str, Any]]:
        return evaluated_moments(END, 1, field=None, only=("kid",), level=level, **conditions)

    runs = [
        make_run(tmp_path / "a", told(1.0)),
        make_run(tmp_path / "b", told(2.0)),
        make_run(tmp_path / "c", told(0.2, reference=100)),
    ]
    # The stand-in's evaluation has other pictures still, and is of all three runs alike.
    page, lines = compare(tmp_path, *runs)
    assert no_evaluation == runs
    assert "500 generated pictures against 2,235 training pictures" in page.text
    assert "No run is certainly better" in page.text
    assert len(lines) == 2

    for run in runs:
        told_rows = (run / "metrics.jsonl").read_text().splitlines()[:1]
        (run / "metrics.jsonl").write_text(told_rows[0] + "\n")
    no_evaluation.clear()
    monkeypatch.setattr(impasto.api.comparing, "evaluate_alike", lambda *_: None)
    page, lines = compare(tmp_path, *runs)
    assert (
        "c was measured otherwise (2,000 generated pictures against 100 training pictures of "
        "ukiyoe-64 at 16 pixels, as lite0 sees them), so the scores stand in a table of their own and "
        "are not compared with the others'." in lines
    )
    assert lines[1] in page.text
    heads = [part.split("</thead>")[0] for part in page.source.split("<thead>")[1:]]
    scored_by = [head for head in heads if "better is" in head]
    assert ["<th>c</th>" in head for head in scored_by] == [False, True]
    assert page.source.count('class="best"') == 1


def test_a_checkpoint_without_an_evaluation_is_evaluated(
    tmp_path: Path, no_evaluation: list[Path]
) -> None:
    earlier = evaluation(END // 2, scored(0.5, field=None))
    by_training = evaluation(END, scored(0.5, field=None), during_training=True)
    other_weights = evaluation(END, scored(0.5, field=None), weights_sha256="f" * 64)
    elsewhere = evaluation(END, scored(0.5, field=None), collection_hash="1" * 64)
    good = evaluation(END, scored(0.5, field=None))
    first = make_run(tmp_path / "a", [good])
    for number, row in enumerate((earlier, by_training, other_weights, elsewhere)):
        run = make_run(tmp_path / f"b{number}", [row])
        no_evaluation.clear()
        compare(tmp_path, first, run)
        assert no_evaluation == [first, run]
    no_evaluation.clear()
    compare(tmp_path, first, make_run(tmp_path / "c", [good]))
    assert no_evaluation == []


def test_models_and_checkpoints_beside_a_run(
    tmp_path: Path, no_evaluation: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's rows are where `evaluate` has them; a checkpoint's are its run's."""
    monkeypatch.chdir(tmp_path)
    good = evaluation(END, scored(0.5, field=None))
    run = make_run(Path("run"), [good], model_record())
    model = write_model(Path("models/lake"), model_record(resolution=32), seed=1)
    page, lines = compare(tmp_path, run, model)
    assert no_evaluation == [run, Path("evaluations/lake")]
    assert "run after 40,960 images, lake after 40,960 images" in lines[0]
    assert "Trained on ukiyoe-64 ukiyoe-64" in page.text
    assert "Resolution 16 32" in page.text
    assert "training.batch" not in page.text, "a model does not say it"
    no_evaluation.clear()
    checkpoint = run / "checkpoints" / f"{END:012d}"
    compare(tmp_path, checkpoint, model, options=("--best",))
    assert no_evaluation == []


def test_counts_asked_for_are_the_counts_compared(
    tmp_path: Path, no_evaluation: list[Path]
) -> None:
    told = evaluated_moments(END, 1, field=None, only=("kid",))
    runs = [make_run(tmp_path / name, told) for name in "ab"]
    for options in (("--pictures", "2000"), ("--per-class", "100"), ("--reference", "9999")):
        compare(tmp_path, *runs, options=options)
        assert no_evaluation == []
    for options in (("--per-class", "7"), ("--reference", "50")):
        compare(tmp_path, *runs, options=options)
        assert no_evaluation == runs
        no_evaluation.clear()
    for run in runs:
        write_evaluations(run, told)
    page, _ = compare(tmp_path, *runs, options=("--pictures", "500"))
    assert no_evaluation == runs
    # The other counts are there too, and are not what was asked for.
    _, _, scores = page.text.partition("✓ marks")
    assert "500 generated pictures against" in scores
    assert "2,000 generated pictures" not in scores


def test_of_several_evaluations_alike_those_that_runs_share_by_class() -> None:
    def run(*portions: int) -> Compared:
        told = [evaluation(END, scored(0.5), per_class=portion) for portion in portions]
        record: Any = SimpleNamespace(evaluations=[EvaluationRow.model_validate(r) for r in told])
        return Compared(record, "run", END, "")

    def portions(*runs: Compared) -> list[int]:
        return [
            row.pictures.per_class for found in scored_alike(runs, HASH) for row in found.values()
        ]

    assert portions(run(100, 0), run(0)) == [0, 0]
    assert portions(run(100, 0), run(0, 100)) == [100, 100]
    assert portions(run(100), run(0)) == [100, 0]


def test_runs_of_other_resolutions_are_not_sent_to_evaluate_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impasto.api.comparing, "evaluate_alike", lambda *_: None)

    def run(name: str, resolution: int) -> Path:
        told = evaluation(END, scored(0.5, field=None), resolution=resolution)
        return make_run(tmp_path / name, [told], model_record((), resolution=resolution))

    small, large, third = run("small", 16), run("large", 32), run("third", 32)
    page, lines = compare(tmp_path, small, large)
    assert (
        "The runs paint at different resolutions, and scores depend on it: each is compared with the "
        "collection's pictures at its own, and no score is marked as the best." in lines
    )
    assert len(lines) == 3  # nothing of evaluating them again
    assert " small (16 pixels) large (32 pixels) better is " in page.text
    _, lines = compare(tmp_path, small, large, third)
    assert (
        "small paints at 16 pixels, not at 32, and scores depend on it; so these stand in a table of "
        "their own and are not compared with the others'." in lines
    )


def test_stages_of_two_resolutions_share_tables_and_charts(tmp_path: Path) -> None:
    def run(name: str, resolution: int, value: float) -> Path:
        told = [
            evaluation(seen, scored(value, field="genre"), resolution=resolution)
            for seen in (END // 2, END)
        ]
        return make_run(tmp_path / name, told, model_record((), resolution=resolution))

    # Far apart, so that only the resolutions keep the better one from being marked.
    page, _ = compare(tmp_path, run("small", 16, 0.1), run("large", 32, 0.9))
    assert page.text.count(" small (16 pixels) large (32 pixels) ") >= 2  # overall and by class
    assert "at each run's resolution, as lite0 sees them" in page.text.replace("’", "'")
    assert 'class="best"' not in page.source
    assert "never measured so" not in page.text
    same, _ = compare(tmp_path, run("a", 16, 0.1), run("b", 16, 0.9))
    assert "(16 pixels)" not in same.text
    assert 'class="best"' in same.source


def test_a_run_without_scores_keeps_no_others_from_charts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impasto.api.comparing, "evaluate_alike", lambda *_: None)

    def run(name: str, resolution: int, moments: tuple[int, ...]) -> Path:
        told = [
            evaluation(seen, scored(0.5, field=None), resolution=resolution) for seen in moments
        ]
        return make_run(tmp_path / name, told, model_record((), resolution=resolution))

    small, large = (run(name, side, (END // 2, END)) for name, side in (("s", 16), ("l", 32)))
    page, _ = compare(tmp_path, small, large, run("none", 16, ()))
    assert " s (16 pixels) l (32 pixels) better is " in page.text
    assert "none was never measured so, and was left out." in page.text


def test_held_out_pictures_stand_beside_once(two: tuple[Path, Path], tmp_path: Path) -> None:
    page, _ = compare(tmp_path, *two)
    assert " a b held-out real better is FD (lite0) " in page.text
    assert "Top-1 of genre (judge)" in page.text
    assert "always the commonest genre 61.0% 61.0% 66.0% " in page.text
    # Not where they differ, as the pictures held out of another packing would.
    told = evaluated_moments(END, 1, field=None, only=("kid",))
    other = evaluated_moments(END, 1, field=None, only=("kid",))
    other[0]["heldout"] = []
    page, _ = compare(tmp_path, make_run(tmp_path / "a", told), make_run(tmp_path / "b", other))
    assert "held-out real" not in page.text


def test_runs_that_differ_by_seed_show_it(tmp_path: Path) -> None:
    told = evaluated_moments(END, 1, field=None, only=("kid",))
    runs = [
        make_run(
            tmp_path / name,
            told,
            config={"resolution": 16, "training": {"images": END, "seed": seed}},
        )
        for seed, name in enumerate("ab")
    ]
    page, _ = compare(tmp_path, *runs)
    before, _, _ = page.text.partition("The same latents")
    assert "Seed 0 1 " in before
    assert "Settings that differ a b training.seed 0 1" in before


def test_judges_are_only_of_what_some_run_paints_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[str, ...] | None] = []
    references: list[int | None] = []

    def stand_in(runs: Any, _networks: Any, asked: Asked, *_: Any) -> None:
        judged.append(runs.judged)
        references.append(asked.reference)

    monkeypatch.setattr(impasto.api.comparing, "evaluate_alike", stand_in)
    runs = [make_run(tmp_path / name, [], model_record()) for name in "ab"]
    compare(tmp_path, *runs, options=("--reference", "50"))
    assert judged == [("genre",)]
    assert references == [50]
    compare(tmp_path, *[make_run(tmp_path / name, []) for name in "cd"])
    assert judged[1:] == [None]  # without labels, as evaluate does


def test_settings_that_differ_by_their_dotted_names() -> None:
    first: dict[str, Any] = {
        "a": 1,
        "b": None,
        "labels": [],
        "objective": [{"term": "bce", "weight": 1.0}],
    }
    second = {"a": 1, "labels": ["genre"], "objective": [{"term": "hinge", "weight": 1.0}]}
    assert settings_that_differ([first, second]) == [
        ("labels", ["[]", '["genre"]']),
        ("objective.bce.weight", ["1.0", ""]),
        ("objective.hinge.weight", ["", "1.0"]),
    ]
    assert settings_that_differ([first, first]) == []


def test_many_settings_that_differ_unfold(tmp_path: Path) -> None:
    told = evaluated_moments(END, 1, field=None, only=("kid",))
    config = {"resolution": 16, "training": {"images": END}}
    many = {**config, "first_stage": {f"setting{number}": number for number in range(13)}}
    runs = [
        make_run(tmp_path / name, told, config=each) for name, each in (("a", config), ("b", many))
    ]
    page, _ = compare(tmp_path, *runs)
    assert "Settings that differ 13 settings a b first_stage.setting0 0 " in page.text


def test_names_are_as_long_as_needed(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "run", tmp_path / "y" / "run", tmp_path / "other"]
    assert unique_names(paths) == ["x/run", "y/run", "other"]
    with pytest.raises(ImpastoError, match="given twice"):
        unique_names([tmp_path, tmp_path])


def test_bad_input_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", [])
    other = make_run(tmp_path / "other", [])
    bare = write_run(tmp_path / "bare", *healthy(2), grids=0)
    empty = tmp_path / "empty"
    empty.mkdir()

    def error(*arguments: str) -> str:
        found = CliRunner().invoke(app, ["compare", *arguments]).exception
        assert isinstance(found, ImpastoError)
        assert "\n" not in str(found)
        return str(found)

    data = ("--data", "x")
    assert "two runs or more" in error(str(run), *data)
    assert "neither a run" in error(str(run), str(empty), *data)
    assert "does not exist" in error(str(run), str(tmp_path / "no"), *data)
    assert "no checkpoint yet" in error(str(run), str(bare), *data)
    assert "given twice" in error(str(run), str(run), *data)
    assert "too many" in error(*[str(run)] * 7, *data)
    assert "is a folder" in error(str(run), str(other), *data, "--out", str(tmp_path))
    monkeypatch.undo()
    assert "there is no" in error(str(run), str(other), "--data", str(tmp_path / "gone"))


def test_a_collection_must_fit_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    packed: Any = SimpleNamespace(resolution=64, name="c", view_for=lambda _: packed)
    monkeypatch.setattr("impasto.api.comparing.open_or_pack", lambda *_: packed)
    assert impasto.api.comparing.open_for("c", [Path("a"), Path("b")], [32, 64]) is packed
    with pytest.raises(ImpastoError, match="b paints 48 x 48 pixels"):
        impasto.api.comparing.open_for("c", [Path("a"), Path("b")], [64, 48])


def test_a_field_that_one_run_paints_by_is_said_and_not_tabled(tmp_path: Path) -> None:
    kinds = ("kid",)
    told = evaluated_moments(END, 1, only=kinds)
    other = evaluated_moments(END, 1, only=kinds, field="style", classes=("Ukiyo-e",))
    page, lines = compare(tmp_path, make_run(tmp_path / "a", told), make_run(tmp_path / "b", other))
    assert any(line.startswith("Only a paints by genre") for line in lines)
    assert any(line.startswith("Only b paints by style") for line in lines)
    assert "Scores by class" not in page.text
