"""A model by itself as the record of a run, for comparing it with runs."""

from pathlib import Path

import numpy as np

from impasto.evaluation.record import METRICS_FILE, read_rows
from impasto.reporting.record import RunRecord
from impasto.sampling.records import ModelRecord


def record_of_model(model: ModelRecord, home: Path) -> RunRecord:
    """The record of a model that is no checkpoint of a run, with the evaluations in the folder
    `home`."""
    named = {"recipe", "resolution", "buckets", "latent"}
    named |= {"generator", "discriminator", "autoencoder"}
    return RunRecord(
        folder=home,
        run={
            "recipe": model.recipe,
            "config": model.model_dump(mode="json", include=named),
            "collection": model.collection.model_dump(
                mode="json", include={"name", "hash", "count", "only"}
            ),
            "parameters": {"generator": model.parameters},
        },
        images_seen=np.array([], dtype=np.int64),
        series={},
        grids=[],
        reals=None,
        class_grids=[],
        evaluations=read_rows(home / METRICS_FILE),
        doctor=[],
        rows=[],
        of_model=True,
    )
