"""Directions of a model: `directions`."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from impasto.collection import Collection
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.columns import learn_column
from impasto.exploring.directions import Directions, check_path, usual_path
from impasto.exploring.finding import Readings, Wanted, find
from impasto.exploring.texts import pairs_of, parse_pair
from impasto.features import load_network, load_networks
from impasto.sampling import find_model
from impasto.sampling.painter import Painter
from impasto.training.run_folder import find_collection


def directions(
    model: str | PathLike[str],
    destination: str | PathLike[str] | None = None,
    *,
    samples: int = 2048,
    components: int = 5,
    differences: Iterable[str] = (),
    columns: Iterable[str] = (),
    texts: Iterable[str] = (),
    weights: Mapping[str, str | Path] | None = None,
    data: str | Path | Collection | None = None,
    device: str = "auto",
    batch: int = 64,
    progress: Progress = silent,
) -> Directions:
    """Find directions in a model's latents and classes, and keep them in a file.

    Args:
        model: a run, a checkpoint, a model folder, `hf:OWNER/NAME`, or the word `masters`.
        destination: the file, which ends in `.safetensors`; None: `directions.safetensors` in the
            model's folder.
        samples: pictures to generate and measure.
        components: number of principal components, and number of SeFa directions.
        differences: pairs of classes, such as `style=Impressionism,Ukiyo-e`. Empty: the two most
            frequent classes of each field.
        columns: columns of the collection: numeric, such as `year`, or one value of a column, such as
            `artist=Claude Monet`.
        texts: pairs of English texts for CLIP (extra `vision`), such as `a calm sea|a stormy sea`, or
            with a name for the direction: `storm=a calm sea|a stormy sea`.
        weights: a file or URL of CLIP's weights, under the key `clip`.
        data: the collection that has the columns; None: that of the run.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.
        progress: shows the pictures generated.

    Raises:
        ImpastoError: no model, an unknown class or column, the file cannot be written, or CLIP or its
            weights are missing.
    """
    folder = find_model(model)
    target = usual_path(folder) if destination is None else Path(destination).expanduser()
    check_path(target)
    painter = Painter.load(folder, choose_device(device), batch=batch)
    readings = [
        *_text_readings(list(dict.fromkeys(texts)), weights, painter),
        *_column_readings(list(dict.fromkeys(columns)), model, data, painter, progress),
    ]
    wanted = Wanted(samples, components, tuple(differences), tuple(readings))
    found = find(painter, wanted, progress)
    found.save(target)
    return found


def _text_readings(
    wanted: Sequence[str], weights: Mapping[str, str | Path] | None, painter: Painter
) -> list[Readings]:
    """The pairs of texts, to be measured on pictures by features of CLIP."""
    parsed = [parse_pair(text) for text in wanted]
    if not parsed:
        if weights:
            raise ImpastoError("--weights are those of clip, which reads --texts: add them")
        return []
    (network,) = load_networks("clip", weights, device=painter.sampler.device)
    return [Readings(network, pairs_of(parsed, str(weights["clip"]) if weights else None))]


def _column_readings(
    wanted: Sequence[str],
    model: str | PathLike[str],
    data: str | Path | Collection | None,
    painter: Painter,
    progress: Progress,
) -> list[Readings]:
    """The collection's columns, to be measured on pictures by features of lite0."""
    if not wanted:
        return []
    network = load_network("lite0", device=painter.sampler.device)
    collection = find_collection(Path(model), painter.record, data)
    side = painter.record.resolution
    learned = [
        learn_column(collection, network, each, resolution=side, progress=progress)
        for each in wanted
    ]
    return [Readings(network, learned)]
