"""The model that guides another one (autoguidance); see `StepSettings`."""

from os import PathLike

from torch import nn

from impasto.errors import ImpastoError
from impasto.sampling.model import Model, ModelRecord, find_model
from impasto.sampling.step_settings import StepSettings


def made_with(how: StepSettings) -> str | None:
    """The settings in words, with the digest of the guide's weights; see `StepSettings.text`.

    Raises:
        ImpastoError: the guide is no model.
    """
    if how.guide is None:
        return how.text(None)
    record = ModelRecord.of(find_model(how.guide))
    return how.text(record.weights_sha256)


def guide_of(path: str | PathLike[str], record: ModelRecord) -> nn.Module:
    """The generator that guides a model.

    Args:
        path: a run, a checkpoint or a model.
        record: of the model that is guided.

    Raises:
        ImpastoError: it is no model, or of another network, resolution or classes.
    """
    guide = Model.load(path)
    for what, mine, theirs in (
        ("network", record.generator.network, guide.record.generator.network),
        ("resolution", record.resolution, guide.record.resolution),
        ("classes", record.labels, guide.record.labels),
    ):
        if mine != theirs:
            raise ImpastoError(
                f"{path} cannot guide this model, whose {what} it does not share; take an earlier "
                "checkpoint of the same run"
            )
    return guide.generator
