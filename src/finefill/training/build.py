"""The networks that a recipe describes, with fresh weights."""

from __future__ import annotations

from finefill.errors import FinefillError
from finefill.nets import (
    CompletionNet,
    Discriminator,
    Generator,
    PatchDiscriminator,
    PlusGenerator,
)
from finefill.recipes import Recipe


def generator(recipe: Recipe) -> CompletionNet:
    """The generator of a recipe.

    Raises:
        FinefillError: the recipe's sizes do not fit the network.
    """
    net: CompletionNet
    if recipe.generator == "plus":
        net = PlusGenerator(recipe.widths, recipe.depths, recipe.dilations)
    else:
        net = Generator(
            recipe.widths,
            recipe.depths,
            recipe.dilations,
            dilated=recipe.dilated,
            intermediate=recipe.intermediate,
        )
    if recipe.size % net.size_multiple:
        raise FinefillError(
            f"recipe {recipe.name}: size {recipe.size} is not a multiple of {net.size_multiple}"
        )
    return net


def discriminator(recipe: Recipe) -> Discriminator | PatchDiscriminator:
    """The discriminator of a recipe."""
    if recipe.discriminator == "patch":
        return PatchDiscriminator(recipe.discriminator_width)
    return Discriminator(recipe.size, recipe.discriminator_width)
