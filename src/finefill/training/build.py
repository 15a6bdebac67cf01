"""The networks that a recipe describes, with fresh weights."""

from __future__ import annotations

from finefill.data import Recipe
from finefill.errors import FinefillError
from finefill.nets import (
    CompletionNet,
    ContextEncoder,
    Discriminator,
    FeatureDiscriminator,
    Generator,
    GFCGenerator,
    PatchDiscriminator,
    PlusGenerator,
    RegionDiscriminator,
)


def generator(recipe: Recipe) -> CompletionNet:
    """The generator of a recipe.

    Raises:
        FinefillError: the recipe's sizes do not fit the network.
    """
    net: CompletionNet
    if recipe.generator == "plus":
        net = PlusGenerator(
            recipe.widths, recipe.depths, recipe.dilations, attention=recipe.attention
        )
    elif recipe.generator == "context_encoder":
        net = ContextEncoder(recipe.size)
    elif recipe.generator == "gfc":
        net = GFCGenerator(recipe.size)
    else:
        net = Generator(
            recipe.widths,
            recipe.depths,
            recipe.dilations,
            dilated=recipe.dilated,
            intermediate=recipe.intermediate,
        )
    for size in recipe.sizes:
        if size % net.size_multiple:
            raise FinefillError(
                f"recipe {recipe.name}: size {size} is not a multiple of {net.size_multiple}"
            )
    return net


AnyDiscriminator = Discriminator | PatchDiscriminator | RegionDiscriminator | FeatureDiscriminator


def discriminator(recipe: Recipe) -> AnyDiscriminator:
    """The discriminator of a recipe."""
    width = recipe.discriminator_width
    if recipe.discriminator == "features":
        return FeatureDiscriminator(recipe.judged_layers, width)
    if recipe.discriminator == "patch":
        return PatchDiscriminator(width)
    if recipe.discriminator in ("local", "local+image"):
        return RegionDiscriminator(recipe.size, width, whole=recipe.discriminator != "local")
    return Discriminator(recipe.size, width)
