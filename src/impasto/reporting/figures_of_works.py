"""The figures of published works that sections of the report answer to.

A recipe of a work has one line for each heading of the report under which the same is shown as in a
figure of the work.
"""

from collections.abc import Mapping

from impasto.reporting.record import RunRecord

_FRAUSTO = "in Frausto's report"
_GANTOR = "on the poster of GANtor"
_GANGOGH = "in the article on GANGogh"
_MARIN = "in Marin Moreno's report on ArtGAN"
_JAPANESE = "on the page Japanese Art DCGAN"

_GANTOR_BOTH = {
    "Data": f"Figure 1 {_GANTOR}, there by genre.",
    "The newest scores": f"Figure 4 {_GANTOR}: Inception Score and Top-1.",
}
_GANTOR_V2 = {
    **_GANTOR_BOTH,
    "The discriminator over time": f"Figure 5 {_GANTOR}.",
    "Scores over time": f"Figure 6 {_GANTOR}: Inception Score and Top-1.",
    "Each class at two moments": f"Figure 7 {_GANTOR}: portraits, epochs 50 and 80.",
    "Scores of each class": f"Figure 8 {_GANTOR}: FID by genre, epochs 50 to 80.",
}
_ARTGAN = {
    "Over time": f"Figure 4 (first epochs) {_MARIN}.",
    "Each class over time": f"Figures 4 (first epochs) and 5 to 12 (later epochs) {_MARIN}.",
    "Losses": f"Figures 13 (discriminator) and 14 (generator) {_MARIN}.",
}


def _japanese(version: int) -> dict[str, str]:
    """Of a version of the Japanese-art DCGAN; the figures have titles and no numbers."""
    return {
        "Over time": f"“Version {version} Generated Images” {_JAPANESE}.",
        "Losses": f"“Version {version} Discriminator and Generator Loss” {_JAPANESE}.",
    }


FIGURES: Mapping[str, Mapping[str, str]] = {
    "wikiart_dcgan": {
        "Pictures": f"Figure 1 {_FRAUSTO}: real pictures.",
        "Over time": f"Figure 3 {_FRAUSTO}: after the first epoch, and at the end.",
        "Losses": f"Figure 4, left, {_FRAUSTO}.",
        "Scores": f"Figure 4, right, {_FRAUSTO}.",
        "From the painting to what the network sees": f"Figure 2 {_FRAUSTO}.",
    },
    "gantor_stage_1": _GANTOR_BOTH,
    "gantor_v1": _GANTOR_BOTH,
    "gantor_v2": _GANTOR_V2,
    "gangogh": {
        "Chosen by the discriminator": f"the title figure and those of “Results” {_GANGOGH}.",
        "The same latents in every class": f"the figures of the appendix {_GANGOGH}.",
    },
    "artgan": _ARTGAN,
    "artgan_tricks": _ARTGAN,
    "ukiyoe_dcgan_v1": _japanese(1),
    "ukiyoe_dcgan_v2": _japanese(2),
    "ukiyoe_dcgan_v3": _japanese(3),
}
"""Recipe -> heading of the report -> figure; the page puts "Compare" before it."""


def figures_of(record: RunRecord) -> Mapping[str, str]:
    """The figures of the work that a run's recipe is of, by heading; empty for other recipes."""
    recipe = record.get("recipe") or record.get("config", "recipe")
    return FIGURES.get(recipe, {}) if isinstance(recipe, str) else {}
