"""Starting from another model: what is kept, what is said of it, and that resuming stays exact."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection, PackOptions, open_or_pack, pack
from impasto.config import NetworkConfig, RunConfig, read_record
from impasto.errors import ImpastoError
from impasto.exploring.places import place_beside
from impasto.networks._conditioning import LabelEmbedding
from impasto.registry import load_recipe
from impasto.reporting.page import write_report
from impasto.sampling import Model, find_model
from impasto.sampling.model import (
    MODEL_FILE,
    LabelRecord,
    ModelRecord,
    checkpoint_folders,
    export,
    load_discriminator,
)
from impasto.sampling.painter import Painter
from impasto.sampling.shipped import SHIPPED
from impasto.settings import change
from impasto.training import choosing, matching, resume, train, transfer
from impasto.training.pretrained import PretrainedModel
from impasto.training.resolve import resolve
from impasto.training.run_folder import find_collection
from impasto.training.session import Session
from impasto.training.transfer import begin
from tests.helpers.command_line import Say
from tests.helpers.pictures import paint
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, small

R3GAN: dict[str, Any] = {
    "resolution": 16,
    "latent.dim": 8,
    "training.batch": 4,
    "training.images": 16,
    "training.grid": 4,
    "training.checkpoint_every": 8,
    "training.ema_half_life": 20,
    "generator.network": "r3gan",
    "generator.width": 8,
    "generator.full_width_upto": 8,
    "generator.blocks": 1,
    "generator.group_width": 4,
    "generator.embedding": 4,
    "discriminator.network": "r3gan",
    "discriminator.width": 8,
    "discriminator.full_width_upto": 8,
    "discriminator.blocks": 1,
    "discriminator.group_width": 4,
}


FASTGAN: dict[str, Any] = {
    **{name: value for name, value in R3GAN.items() if not name.startswith("generator.")},
    "generator.network": "fastgan",
    "generator.width": 2,
    "generator.embedding": 4,
    "generator.spectral_norm": False,
}


def tiny_r3gan(**settings: Any) -> RunConfig:
    """A conditional pair of a few thousand weights whose layers are named by their side."""
    more = {name.replace("__", "."): value for name, value in settings.items()}
    return change(load_recipe("first_look")(), {**R3GAN, **more})


@pytest.fixture(scope="module")
def by_style(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of such a pair, trained on the styles Cubism, Rococo and Ukiyo-e."""
    config = tiny_r3gan(labels=["style"])
    return train(config, labelled, out=tmp_path_factory.mktemp("runs"), device="cpu")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A collection of other styles, two of them the same, which stand elsewhere in the order."""
    folder = tmp_path_factory.mktemp("others")
    paint(folder / "pictures", 16)
    lines = ["file,style"]
    for index in range(16):
        kind = "warm" if index % 2 else "cold"
        style = ("Baroque", "Cubism", "Tachisme", "Ukiyo-e")[index // 2 % 4]
        lines.append(f"{kind}/{index:03d}.png,{style}")
    (folder / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PackOptions(resolution=32, fit="crop", name="others", labels=("style",))
    pack(folder / "pictures", folder / "collection", options)
    return Collection.open(folder / "collection")


def begun(config: RunConfig, collection: Collection, source: Path) -> tuple[Session, Any]:
    """A session that has started from a model, and what was taken."""
    session = Session(resolve(config, collection), collection, CPU)
    return session, begin(session.state, PretrainedModel.load(source), session.model_record())


@pytest.mark.usefixtures("told")
def test_where_nothing_differs_it_paints_what_the_model_paints(
    by_style: Path, labelled: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_r3gan(labels=["style"], training__seed=9, training__keep_newest=5)
    run = train(config, labelled, out=tmp_path, device="cpu", start_from=by_style)
    first = checkpoint_folders(run)[0]
    assert first.name == "0" * 12
    seeds = list(range(6))
    pictures = []
    for folder in (find_model(by_style), first):
        painter = Painter.load(folder)
        pictures.append(next(iter(painter.paint(seeds, painter.labels(seeds, {})))))
    assert (pictures[0] == pictures[1]).all()
    opponents = [load_discriminator(f).state_dict() for f in (find_model(by_style), first)]
    assert all(torch.equal(opponents[0][name], opponents[1][name]) for name in opponents[0])
    told = capsys.readouterr().out.splitlines()[:2]
    assert told[0].startswith(f"from {by_style.name} (first_look, 16 pixels, 16 images seen): gen")
    assert "layers kept (" in told[0]
    assert "new" not in told[0]
    assert "so its average has no ramp-up" in told[1]
    assert told[1].endswith("classes of style kept: 3 of 3")
    noted = json.loads((run / "run.json").read_text())["started_from"]
    assert noted["model"] == by_style.name
    assert noted["images_seen"] == 16
    assert noted["generator"]["new"] == noted["discriminator"]["new"] == []
    known = read_record(find_model(by_style) / MODEL_FILE, "model", ModelRecord)
    assert noted["weights_sha256"] == known.weights_sha256
    assert str(tmp_path.parent) not in json.dumps(noted)
    page = write_report(run).page.read_text()
    assert f"Started from {by_style.name} (first_look, 16 images seen): 14 of 14 layers" in page


def test_classes_go_by_their_names(by_style: Path, others: Collection) -> None:
    session, taken = begun(tiny_r3gan(labels=["style"]), others, by_style)
    assert taken.classes == {"style": (["Cubism", "Ukiyo-e"], ["Baroque", "Tachisme"])}
    theirs = PretrainedModel.load(by_style)
    assert theirs.discriminator is not None
    before = Session(session.config, others, CPU).state
    fresh = {**before.generator.state_dict(), **before.discriminator.state_dict()}
    for network, tensors, name in (
        (session.state.generator, theirs.generator, "embedding.fields.0"),
        (session.state.discriminator, theirs.discriminator, "projection.embedding.fields.0"),
    ):
        rows, old = network.state_dict()[name], tensors[name]
        # Baroque, Cubism, Tachisme, Ukiyo-e here; Cubism, Rococo, Ukiyo-e there.
        assert torch.equal(rows[[1, 3]], old[[0, 2]])
        # New ones lie around the mean of them.
        assert torch.allclose(rows[[0, 2]], fresh[name][[0, 2]] + old.mean(0))
    assert taken.generator.partly == ("embedding",)
    assert taken.generator.line().startswith("13 of 14 layers kept, 1 in part (")
    assert taken.generator.new == ()
    assert taken.generator.values == taken.generator.of - 2 * 4
    assert "classes of style kept: 2 of 4, new: Baroque, Tachisme" in taken.lines()[1]
    assert "ramp-up" not in taken.lines()[1]
    average, generator = session.state.average, session.state.generator
    assert torch.equal(average.embedding.fields[0], generator.embedding.fields[0])  # type: ignore


def test_classes_are_new_where_their_embedding_is(by_style: Path, labelled: Collection) -> None:
    config = tiny_r3gan(labels=["style"], generator__embedding=3)
    _, taken = begun(config, labelled, by_style)
    assert "embedding" in taken.generator.new
    assert taken.classes == {"style": ([], ["Cubism", "Rococo", "Ukiyo-e"])}


def test_a_field_goes_by_its_name_too(by_style: Path, labelled: Collection) -> None:
    session, taken = begun(tiny_r3gan(labels=["genre", "style"]), labelled, by_style)
    kept, new = taken.classes["style"]
    assert (kept, new) == (["Cubism", "Rococo", "Ukiyo-e"], [])
    assert taken.classes["genre"][0] == []
    old = PretrainedModel.load(by_style).generator["embedding.fields.0"]
    assert torch.equal(session.state.generator.state_dict()["embedding.fields.1"], old)


def test_another_resolution_adds_layers_and_keeps_the_others(
    by_style: Path, labelled: Collection
) -> None:
    session, taken = begun(tiny_r3gan(labels=["style"], resolution=32), labelled, by_style)
    assert set(taken.generator.new) == {
        *(f"blocks.32.0.{name}" for name in ("expand", "mix", "contract")),
        "changes.32",
        "to_rgb.32",
    }
    assert taken.generator.line().endswith("; new: blocks.32, changes.32, to_rgb")
    state, old = session.state.generator.state_dict(), PretrainedModel.load(by_style).generator
    shared = [name for name in old if name in state]
    assert len(shared) == len(old) - 1  # but for to_rgb.16
    assert all(torch.equal(state[name], old[name]) for name in shared)
    sizes = {name: p.numel() for name, p in session.state.generator.named_parameters()}
    assert taken.generator.values == sum(sizes[name] for name in shared)
    assert taken.generator.of == sum(sizes.values())


def test_without_labels_what_reads_them_is_new(by_style: Path, labelled: Collection) -> None:
    _, taken = begun(tiny_r3gan(), labelled, by_style)
    assert taken.generator.new == ("strengths",)
    assert taken.classes == {}
    assert "layers that read them are new" in taken.lines()[1]


@pytest.mark.parametrize("self_modulation", [True, False])
def test_a_generator_told_of_classes_by_its_norms(
    labelled: Collection, tmp_path: Path, *, self_modulation: bool
) -> None:
    """Without classes it paints as the model told the mean of its classes; with classes that the model
    had not, as the model, whatever the class; and with other classes around that mean."""
    settings = {**FASTGAN, "generator.self_modulation": self_modulation}
    latents = torch.randn(5, 8)

    def configured(*labels: str) -> RunConfig:
        return change(load_recipe("first_look")(), {**settings, "labels": list(labels)})

    def painted(
        config: RunConfig, source: PretrainedModel, told: int = 0
    ) -> tuple[torch.Tensor, str]:
        session = Session(resolve(config, labelled), labelled, CPU)
        embedding = session.state.generator.embedding
        for rows in embedding.fields if isinstance(embedding, LabelEmbedding) else []:
            torch.nn.init.zeros_(rows)  # so that new rows are the mean itself
        taken = begin(session.state, source, session.model_record())
        labels = torch.full((len(latents), len(config.labels)), told)
        with torch.no_grad():
            images: torch.Tensor = session.state.average.eval()(latents, labels)
        return images, taken.lines()[1]

    both = PretrainedModel.load(
        train(configured("style", "genre"), labelled, out=tmp_path, device="cpu")
    )
    for name, values in both.generator.items():
        if name.endswith(("gain.weight", "shift.weight")):
            values *= 10  # as if it had learned for longer
    mean = {name: v.clone() for name, v in both.generator.items()}
    for name in ("embedding.fields.0", "embedding.fields.1"):
        mean[name][:] = mean[name].mean(0)
    by_mean = PretrainedModel(both.name, both.record, mean, None)
    asked, _ = painted(configured("style", "genre"), by_mean)
    assert asked.std() > 0.01

    without, told = painted(configured(), both)
    assert torch.allclose(without, asked, atol=1e-5)
    assert "it begins as the mean of that model's classes" in told
    # One field is dropped, and its mean is told by the other, or by one that is new.
    kept = {**both.generator, "embedding.fields.1": mean["embedding.fields.1"]}
    by_style = painted(configured("style", "genre"), PretrainedModel("", both.record, kept, None))[
        0
    ]
    assert torch.allclose(painted(configured("style"), both)[0], by_style, atol=1e-5)
    theirs = [r.model_copy(update={"name": f"other {r.name}"}) for r in both.record.labels]
    renamed = both.record.model_copy(update={"labels": tuple(theirs)})
    for labels in (("style",), ("style", "genre")):
        other, _ = painted(configured(*labels), PretrainedModel("", renamed, both.generator, None))
        assert torch.allclose(other, asked, atol=1e-5)

    none = PretrainedModel.load(train(configured(), labelled, out=tmp_path, device="cpu"))
    assert "no ramp-up" in painted(configured(), none)[1]
    smooth = change(
        configured(), {"generator.blur": True}
    )  # no layer is new, yet it is another one
    assert transfer.settled(resolve(smooth, labelled), labelled, none).training.ema_rampup
    assert "no ramp-up" not in painted(smooth, none)[1]
    alike, told = painted(configured("style"), none)
    assert torch.allclose(alike, painted(configured(), none)[0], atol=1e-5)
    assert torch.allclose(alike, painted(configured("style"), none, told=1)[0], atol=1e-5)
    assert "at first it paints all classes alike" in told


def test_another_latent(by_style: Path, labelled: Collection) -> None:
    _, taken = begun(tiny_r3gan(labels=["style"], latent__dim=12), labelled, by_style)
    assert taken.generator.new == ("strengths",)
    assert "the latent has 12 values, there 8" in taken.lines()[1]


def test_what_is_one_hot_is_kept_only_with_the_same_classes(
    labelled: Collection, others: Collection, tmp_path: Path
) -> None:
    # GANGogh's networks read one-hot labels, and its critic names the class.
    config = small("gangogh", labels=["style"], training__balance="style", training__images=40)
    run = train(config, labelled, out=tmp_path, device="cpu")
    _, same = begun(config, labelled, run)
    assert same.generator.new == same.discriminator.new == ()
    assert same.classes["style"][1] == []
    session, taken = begun(config, others, run)
    assert "gates.0.label" in taken.generator.new
    assert taken.classes["style"][0] == []
    assert taken.discriminator.partly == ("classes.linear",)
    old = PretrainedModel.load(run).discriminator
    assert old is not None
    here = session.state.discriminator.state_dict()
    for name in ("classes.linear.weight", "classes.linear.bias"):
        assert torch.equal(here[name][[1, 3]], old[name][[0, 2]])


def test_as_many_other_classes_are_not_taken_for_the_same() -> None:
    """Shapes alone would keep these rows."""

    class OneHot(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.label = nn.Linear(classes, 2)
            self.paint = nn.Linear(2, 3)

    mine = [LabelRecord(name="style", classes=("a", "b"))]
    theirs = [LabelRecord(name="style", classes=("b", "c"))]
    there = OneHot(2).state_dict()
    sized = frozenset({"label.weight"})
    kept, pairs = matching.fill(OneHot(2), mine, there, theirs, sized)
    assert (kept.kept, kept.new, pairs) == (("paint",), ("label",), set())


def test_spectral_norm_and_batch_norm_are_layers_like_others(
    tiny: Collection, tmp_path: Path
) -> None:
    run = train(small("first_look", training__images=16), tiny, out=tmp_path, device="cpu")
    session, taken = begun(small("first_look"), tiny, run)
    assert taken.generator.new == taken.discriminator.new == ()
    assert "halvings.0" in taken.discriminator.kept
    old = PretrainedModel.load(run).discriminator
    assert old is not None
    assert any(name.endswith("parametrizations.weight.0._u") for name in old)
    state = session.state.discriminator.state_dict()
    assert all(torch.equal(state[name], old[name]) for name in old)


def test_a_run_that_died_at_once_ends_as_one_that_did_not(
    by_style: Path, others: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(by_style, tmp_path / "source")
    config = tiny_r3gan(labels=["style"], resolution=32)
    whole = train(config, others, out=tmp_path / "whole", device="cpu", start_from=source)
    for steps in (0, 1):
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            with pytest.raises(StoppedByTest):
                train(config, others, out=tmp_path / f"{steps}", device="cpu", start_from=source)
    shutil.rmtree(source)  # nobody needs it any more
    for steps in (0, 1):
        (died,) = (tmp_path / f"{steps}").iterdir()
        assert [folder.name for folder in checkpoint_folders(died)] == ["0" * 12]
        resume(died)
        assert fingerprint(died) == fingerprint(whole)


def test_the_average_goes_on_from_the_models(
    by_style: Path, labelled: Collection, tmp_path: Path
) -> None:
    slow = {"training.ema_half_life": 1e9, "training.ema_rampup": 0.05}
    config = change(tiny_r3gan(labels=["style"]), slow)
    run = train(config, labelled, out=tmp_path, device="cpu", start_from=by_style)
    assert json.loads((run / "run.json").read_text())["config"]["training"]["ema_rampup"] is None
    before, after = (Model.load(find_model(each)).generator for each in (by_style, run))
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.allclose(old, new, atol=1e-6)  # after four steps, and a half-life of 1e9


def test_where_something_is_new_the_average_ramps_up(
    by_style: Path, labelled: Collection, others: Collection
) -> None:
    source = PretrainedModel.load(by_style)

    def rampup(collection: Collection, **changes: Any) -> float | None:
        config = tiny_r3gan(labels=["style"], training__ema_rampup=0.05, **changes)
        settled = transfer.settled(resolve(config, collection), collection, source)
        return settled.training.ema_rampup

    assert rampup(labelled) is None
    assert rampup(labelled, resolution=32) == 0.05
    assert rampup(labelled, latent__dim=9) == 0.05
    assert rampup(labelled, generator__embedding=3) == 0.05
    assert rampup(others) == 0.05  # other styles


def test_nor_does_a_half_life_grow_again(by_style: Path, labelled: Collection) -> None:
    growing = {"start": 0.0, "end": 50.0, "images": 100}
    config = resolve(tiny_r3gan(labels=["style"], training__ema_half_life=growing), labelled)
    settled = transfer.settled(config, labelled, PretrainedModel.load(by_style))
    assert settled.training.ema_half_life == 50


def test_without_its_checkpoints_it_does_not_begin_from_nothing(
    by_style: Path, labelled: Collection, tmp_path: Path
) -> None:
    config = tiny_r3gan(labels=["style"])
    run = train(config, labelled, out=tmp_path, device="cpu", start_from=by_style)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(ImpastoError, match=r"lost the checkpoint .* train anew with --from"):
        resume(run)


def test_nothing_kept_is_an_error(
    by_style: Path, tiny: Collection, labelled: Collection, tmp_path: Path
) -> None:
    with pytest.raises(ImpastoError, match=r"of the family 'r3gan', recipe first_look .* 'lean'"):
        train(small("first_look"), tiny, out=tmp_path, device="cpu", start_from=by_style)
    wide = tiny_r3gan(labels=["style"], generator__width=12, generator__embedding=3)
    with pytest.raises(ImpastoError, match=r"other sizes; .*--set generator.width=8"):
        train(wide, labelled, out=tmp_path, device="cpu", start_from=by_style)
    # Only embeddings are as large as there; they are next to nothing.
    wider = tiny_r3gan(labels=["style"], generator__width=64, generator__group_width=64)
    with pytest.raises(ImpastoError, match=r"nothing of .* can be kept: .*--set generator.width=8"):
        train(wider, labelled, out=tmp_path, device="cpu", start_from=by_style)
    stacked = small("gantor_v2", labels=["style"], training__balance=None)
    with pytest.raises(ImpastoError, match="two stages"):
        train(stacked, labelled, out=tmp_path, device="cpu", start_from=by_style)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_has_diverged_is_no_start(by_style: Path, tmp_path: Path) -> None:
    model = Model.load(find_model(by_style))
    weights = model.generator.state_dict()
    weights["strengths.weight"][0, 0] = float("nan")
    Model.write(tmp_path, weights, model.record)
    with pytest.raises(ImpastoError, match=f"{tmp_path} holds weights that are not finite"):
        PretrainedModel.load(tmp_path)


def test_another_discriminator_begins_afresh(
    by_style: Path, labelled: Collection, tmp_path: Path
) -> None:
    export(by_style, tmp_path / "model")  # without its opponent
    _, taken = begun(tiny_r3gan(labels=["style"]), labelled, tmp_path / "model")
    assert taken.discriminator is None
    assert "discriminator new; there is none beside that model" in taken.lines()[1]
    assert taken.record()["discriminator"] is None
    lean = change(tiny_r3gan(resolution=32), {"discriminator.network": "lean"})
    _, taken = begun(lean, labelled, by_style)
    assert "the one there is of the family 'r3gan'" in taken.lines()[1]


# The model in the package


@pytest.fixture
def shipped(by_style: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model in the place of the package's own, in half precision."""
    folder = tmp_path / "package" / "model"
    folder.mkdir(parents=True)
    source = find_model(by_style)
    model = Model.load(source)

    def halves(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}

    opponent = load_discriminator(source).state_dict()
    Model.write(folder, halves(model.generator.state_dict()), model.record, halves(opponent))
    monkeypatch.setitem(SHIPPED, "masters", folder)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_the_word_masters_is_the_model_in_the_package(
    shipped: Path, by_style: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_model(Path("masters")) == shipped
    model = Model.load(shipped)
    assert {p.dtype for p in model.generator.parameters()} == {torch.float32}
    code, out, _ = say("sample", "masters", "--seeds", "0-3")
    assert code == 0
    assert "4 pictures in samples/masters" in out
    monkeypatch.setattr("impasto.training.run_folder.open_or_pack", lambda data, side: (data, side))
    found: object = find_collection(Path("masters"), model.record, None)
    assert found == ("masters", 16)  # what evaluate and classify take where no --data is given
    # A folder of that name is only a model's or a run's if it is one.
    Path("masters").mkdir()
    assert find_model(Path("masters")) == shipped
    shutil.copytree(find_model(by_style), "masters", dirs_exist_ok=True)
    assert find_model(Path("masters")) == Path("masters")
    shutil.rmtree("masters")
    shutil.rmtree(shipped)
    with pytest.raises(ImpastoError, match="no model masters is in this installation"):
        find_model(Path("masters"))


def test_the_word_of_another_model_in_the_package(
    shipped: Path, by_style: Path, say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While it is not in the package, one line; then its own name, and no collection of its own."""
    monkeypatch.setitem(SHIPPED, "paintings", tmp_path / "package" / "paintings" / "model")
    monkeypatch.delitem(SHIPPED, "paintings-128")
    code, out, error = say("sample", "paintings", "--seeds", "0-3")
    lines = "impasto: no model paintings is in this installation of impasto; there is masters\n"
    assert (code, out, error) == (2, "", lines)
    shutil.copytree(shipped, SHIPPED["paintings"])
    code, out, _ = say("sample", "paintings", "--seeds", "0-3")
    assert (code, "4 pictures in samples/model" in out) == (0, False)
    assert "4 pictures in samples/paintings" in out
    assert PretrainedModel.load(Path("paintings")).name == "paintings"
    with pytest.raises(ImpastoError, match="say which pictures to name with --data"):
        find_collection(Path("paintings"), Model.load(shipped).record, None)
    favourites = place_beside(SHIPPED["paintings"], "favourites.json")
    assert favourites.parent.name == "paintings"
    assert SHIPPED["paintings"] not in favourites.parents


def test_weights_in_half_precision_are_taken_over_in_single() -> None:
    source = PretrainedModel.load(SHIPPED["masters"])
    assert source.discriminator is not None
    for tensors in (source.generator, source.discriminator):
        assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float32}


def test_training_starts_from_masters(shipped: Path, labelled: Collection, say: Say) -> None:
    settings = [part for name, value in R3GAN.items() for part in ("--set", f"{name}={value}")]
    data = ["--data", str(labelled.path), "--device", "cpu", "--from", "masters"]
    code, out, err = say("train", "first_look", *data, *settings, "--labels", "style", "--dry-run")
    assert code == 0, err
    assert "from masters (first_look, 16 pixels, 16 images seen): generator 1" in out
    assert not Path("runs").exists()
    # Without a recipe: the model's own, with its own networks and labels.
    short = ["--images", "8", "--set", "training.grid=4"]
    code, out, err = say("train", *data, *short)
    assert code == 0, err
    assert "classes of style kept: 3 of 3" in out
    run = Path("runs/00000-first_look-labelled")
    noted = json.loads((run / "run.json").read_text())
    assert noted["started_from"]["model"] == "masters"
    assert noted["config"]["generator"]["width"] == 8
    code, out, err = say("train", *data, *short, "--labels", "")
    assert code == 0, err
    assert "new: strengths" in out


def test_labels_that_the_collection_has_not_are_left_out(
    shipped: Path, tiny: Collection, say: Say
) -> None:
    short = ["--images", "8", "--set", "training.grid=4", "--device", "cpu"]
    code, out, err = say("train", "--data", str(tiny.path), "--from", "masters", *short)
    assert code == 0, err
    assert "new: strengths" in out


# The recipe that is trained where none is named


def test_the_flagship_for_a_collection(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"flagship_{side}": "flagship" for side in (32, 64, 128, 256)}
    monkeypatch.setattr("impasto.registry.recipe_modules", lambda: {**names, "dcgan": "dcgan"})
    usual = choosing.default_recipe
    assert usual(str(tiny.path)) == "flagship_32"
    assert usual("masters") == usual(str(tmp_path)) == "flagship_64"
    packed = Path(shutil.copytree(tiny.path, tmp_path / "collection"))
    about = json.loads((packed / "collection.json").read_text())
    opened = Collection.open(packed)
    for sides, recipe in (
        ((64,), "64"),
        ((96,), "32"),
        ((128,), "128"),
        ((512,), "256"),
        ((40,), "64"),
        ((64, 96), "64"),
    ):
        other = type("Packed", (), {"resolutions": sides})
        monkeypatch.setattr(Collection, "open", lambda path, other=other: other)
        assert usual(str(packed)) == f"flagship_{recipe}"
    assert opened.resolution == about["resolution"]


@pytest.fixture
def narrower() -> ModelRecord:
    """What is known of the package's own model, a flagship of 64 pixels by style, made narrower."""
    known = read_record(SHIPPED["masters"] / MODEL_FILE, "model", ModelRecord)
    options = {**known.generator.options, "width": 8}
    return known.model_copy(update={"generator": NetworkConfig(network="fastgan", **options)})


def test_the_flagships_side_goes_by_what_is_wanted_then_by_the_model(
    narrower: ModelRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "collection.json").touch()
    monkeypatch.setattr(
        Collection, "open", lambda path: type("Packed", (), {"resolutions": (64, 256)})
    )
    usual, data = choosing.default_recipe, str(tmp_path)
    assert usual(data) == "flagship_256"
    assert usual(data, wanted=64) == usual(data, model=narrower) == "flagship_64"
    assert usual(data, wanted=128, model=narrower) == "flagship_128"
    assert usual(data, wanted=100) == "flagship_256"
    monkeypatch.setattr(
        Collection, "open", lambda path: type("Packed", (), {"resolutions": (256,)})
    )
    assert usual(data, model=narrower) == "flagship_256"


def test_a_flagship_grows_with_its_networks_and_classes(narrower: ModelRecord) -> None:
    grown = choosing.configure("flagship_128", {}, model=narrower)
    assert (grown.resolution, grown.labels) == (128, ("style",))
    assert grown.generator.options == narrower.generator.options
    assert narrower.discriminator is not None
    assert grown.discriminator is not None
    theirs = narrower.discriminator.options
    assert theirs["read_at"] == 64
    assert grown.discriminator.options == {**theirs, "read_at": 128}
    same = choosing.configure("flagship_64", {}, model=narrower)
    assert (same.resolution, same.discriminator) == (64, narrower.discriminator)
    other = NetworkConfig.model_validate({"network": "fastgan", "width": 8})
    opposed = narrower.model_copy(update={"discriminator": other})
    assert choosing.configure("flagship_128", {}, model=opposed).discriminator == other


def test_labels_that_the_flagship_would_not_learn_are_told(say: Say, labelled: Collection) -> None:
    data = (
        "--data",
        str(labelled.path),
        "--images",
        "32",
        "--dry-run",
        "--set",
        "training.batch=2",
    )
    told = "note: labels are not learned (style, genre); to paint by class: --labels style\n"
    for words, expected in (((), True), (("--labels", "genre"), False), (("flagship_32",), False)):
        code, _, err = say("train", *words, *data)
        assert (code, told in err) == (0, expected)


def test_no_recipe_and_no_collection_are_told(say: Say) -> None:
    code, _, err = say("train", "masters")
    assert code == 2
    assert "unknown recipe 'masters'; there is artgan" in err
    assert err.endswith("to learn from masters: --data masters\n")
    code, _, err = say("train", "first_look")
    assert code == 2
    assert err.startswith("impasto: say what to learn from: --data")


def test_a_model_beside_the_paintings_is_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.collection import opening as cache
    from impasto.collection import preparing

    before = open_or_pack("masters", 32)
    place = Path(shutil.copytree(preparing.MASTERS, tmp_path / "masters"))
    (place / "model").mkdir(exist_ok=True)
    for name in ("generator.safetensors", "discriminator.safetensors", "model.json"):
        (place / "model" / name).write_text("{}")
    monkeypatch.setattr(preparing, "MASTERS", place)
    monkeypatch.setattr(cache, "MASTERS", place)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    after = open_or_pack("masters", 32)
    assert after.path != before.path
    assert after.content_hash == before.content_hash
    for name in ("left-out.csv", "sources.csv"):
        assert (after.path / name).read_text() == (before.path / name).read_text()
