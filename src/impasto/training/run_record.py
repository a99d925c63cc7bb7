"""What a new run writes into its `run.json`."""

from typing import Any

from impasto.device import machine_record
from impasto.networks import count_parameters
from impasto.plugin_records import needs_of, records_of
from impasto.sampling.bucket_grids import cell_of, in_order
from impasto.sampling.grid import columns_of
from impasto.training import run_folder
from impasto.training.session import Session


def run_record(session: Session, *, recipe_text: str, tensorboard: bool) -> dict[str, Any]:
    """The initial contents of `run.json`.

    Args:
        session: of the run.
        recipe_text: the recipe's docstring.
        tensorboard: whether TensorBoard events are written too.
    """
    config = session.config
    plugins = [record.model_dump(exclude_none=True) for record in records_of(needs_of(config))]
    return {
        "recipe": config.recipe,
        "recipe_text": recipe_text,
        "config": config.model_dump(mode="json"),
        "collection": session.known,
        "classes_shown": [
            {"class": name, "pictures": pictures, "share": round(share, 6)}
            for name, pictures, share in session.pictures.classes_shown()
        ],
        "grid": {
            "columns": columns_of(config.training.grid),
            # With several sizes, the cell that each picture is in.
            **({"cell": cell_of(config.buckets)} if config.buckets else {}),
        },
        "class_grids": {
            name: grid.record(
                config.training.grid,
                in_order(config.resolution, config.buckets) if config.buckets else (),
            )
            for name, grid in session.class_grids.items()
        },
        "score": session.objective.score_meaning,
        "adversarial": session.objective.adversarial,
        "tensorboard": tensorboard,
        **({"plugins": plugins} if plugins else {}),
        "versions": run_folder.versions(),
        "machine": machine_record(session.device, config.training.precision),
        "parameters": {
            network: count_parameters(getattr(session.state, network))
            for network in ("generator", "discriminator")
            if getattr(config, network) is not None
        },
    }


def stage_record(session: Session, *, tensorboard: bool) -> dict[str, Any]:
    """The initial contents of the `run.json` of a first stage."""
    text = "First stage of the run in the folder above."
    return run_record(session, recipe_text=text, tensorboard=tensorboard)
