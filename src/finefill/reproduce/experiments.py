"""What the paper's tables and figures compare, row by row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field

from finefill.errors import FinefillError
from finefill.reproduce.variants import OURS, PERCEPTUAL_SETS

LATENT = "latent search"  # the method that a trained DCGAN becomes
CLASSICAL = ("mean", "telea", "ns", "biharmonic", "patchmatch")


@dataclass(frozen=True)
class Experiment:
    """A table or figure: which methods on which masks, and what the paper says of it.

    Attributes:
        variants: trained networks, by name, in the order of the rows.
        classical: classical fills in front of them.
        baseline: the variant that others are compared with, image by image.
        curve: draw the error against the samples seen, and the quality against the parameters.
        sheet: put completions of random images side by side.
        paper: mean L1, mean L2, PSNR of the paper's Table 1, by (row, masks).
    """

    name: str
    title: str
    claim: str
    variants: tuple[str, ...]
    masks: tuple[str, ...] = ("center", "random")
    classical: tuple[str, ...] = ()
    baseline: str = OURS
    curve: bool = False
    sheet: bool = True
    paper: dict[tuple[str, str], tuple[float, float, float]] = field(default_factory=dict)


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "table1",
            "Table 1: Context Encoder, ours without the perceptual loss, ours",
            "Ours gains 1.05 dB over Context Encoder in the centre and 4.17 dB at random places, "
            "and loses nothing from the centre to random places.",
            ("ce-center", "ce-random", "adv", OURS),
            sheet=False,
            paper={
                ("ce-center", "center"): (0.1487, 0.0545, 20.49),
                ("ce-random", "random"): (0.2205, 0.1005, 17.34),
                ("adv", "center"): (0.1320, 0.0456, 21.39),
                ("adv", "random"): (0.1338, 0.0472, 21.39),
                (OURS, "center"): (0.1310, 0.0436, 21.53),
                (OURS, "random"): (0.1334, 0.0460, 21.51),
            },
        ),
        Experiment(
            "figure2",
            "Figure 2: the terms of the loss",
            "L_rec alone is blurry; L_adv makes the border continuous but lacks detail; L_per "
            "brings detail and artifacts; all together are consistent and detailed.",
            ("rec", "adv", "per", OURS),
        ),
        Experiment(
            "figure4",
            "Figure 4: levels of VGG16",
            "Shallow features (relu1_2, relu2_2) leave the result blurry, deeper ones bring "
            "structure, and three of them together are best.",
            (*(f"vgg-{name}" for name in PERCEPTUAL_SETS if name != "relu2_2+3_3+4_3"), OURS),
        ),
        Experiment(
            "figure5",
            "Figure 5: side by side, faces",
            "Content-aware fill cannot invent a face; GFC's parts do not meet their surroundings; "
            "ours does without post-processing.",
            ("dcgan", "gfc", "adv", OURS),
            masks=("random",),
            classical=CLASSICAL,
        ),
        Experiment(
            "figure6",
            "Figure 6: side by side, streets",
            "Content-aware fill continues textures without semantics; Context Encoder leaves a "
            "visible border; ours is consistent and detailed.",
            ("dcgan", "ce-center", "adv", OURS),
            masks=("center",),
            classical=CLASSICAL,
        ),
        Experiment(
            "figure7",
            "Figure 7: structures of the generator",
            "Dilation helps a lot, intermediate layers help, and the generator is better than "
            "Context Encoder's with far fewer parameters.",
            ("ce-generator", "no-dilation", "no-intermediate", "rec"),
            baseline="rec",
            curve=True,
        ),
        Experiment(
            "figure8",
            "Figure 8: what the discriminator sees",
            "Judging the completed image makes results more continuous at the border than judging "
            "the raw output.",
            ("raw", OURS),
        ),
        Experiment(
            "beyond",
            "Beyond the paper: the generator `plus`",
            "It has no such generator: this one starts from a smooth continuation of the "
            "surroundings. Data, samples and losses are those of ours.",
            ("ce-center", "ce-random", OURS, "rec", "plus", "plus-rec"),
            baseline="plus",
            sheet=False,
        ),
        Experiment(
            "margin",
            "Table 1's margin in the centre, like for like",
            "Ours gains 1.05 dB over Context Encoder in the centre. Here each method is trained on "
            "the very square that it is tested on, as Context Encoder is; few trainings, so that "
            "many samples fit. The generator `plus` is not the paper's. Nor is L_rec alone, which "
            "asks for what PSNR measures, as Context Encoder's loss does.",
            ("ce-center", "rec-center", "plus-center", "ours-center"),
            masks=("center",),
            baseline="ours-center",
        ),
        Experiment(
            "mild",
            "Table 1's margin in the centre, with more of L_per and less of L_adv",
            "Ours gains 1.05 dB over Context Encoder in the centre. Here each method is trained on "
            "the very square that it is tested on, ours with the shares of the gradient that gave "
            "the nearest features among the loss weights: perceptual 5, adversarial 0.1.",
            ("ce-center", "mild-center"),
            masks=("center",),
            baseline="mild-center",
        ),
        Experiment(
            "weights",
            "Loss weights: shares of the gradient",
            "Weights are chosen so that the terms act in chosen proportions (§4.2); which "
            "proportions, the paper leaves open.",
            ("per-0.7", "per-5", "adv-0.1", "adv-1", OURS),
        ),
    )
}


def select(names: tuple[str, ...]) -> list[Experiment]:
    """Experiments by name; ``all`` is every one.

    Raises:
        FinefillError: an unknown name.
    """
    if "all" in names:
        return list(EXPERIMENTS.values())
    for name in names:
        if name not in EXPERIMENTS:
            raise FinefillError(
                f"unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}, figure9, all"
            )
    return [EXPERIMENTS[name] for name in dict.fromkeys(names)]


def without(experiments: Iterable[Experiment], left_out: Iterable[str]) -> list[Experiment]:
    """The experiments without some of their variants, where a machine is too slow for all.

    Raises:
        FinefillError: no experiment has such a variant, or one compares the others with it.
    """
    found = list(experiments)
    for name in dict.fromkeys(left_out):
        if name not in variants_of(found):
            raise FinefillError(
                f"--without {name}: no such row; there are {', '.join(variants_of(found))}"
            )
        for experiment in found:
            if experiment.baseline == name:
                raise FinefillError(
                    f"--without {name}: {experiment.name} compares the others with it: leave out "
                    "another row, or the experiment"
                )
    gone = set(left_out)
    return [
        dataclasses.replace(e, variants=tuple(name for name in e.variants if name not in gone))
        for e in found
    ]


def variants_of(experiments: Iterable[Experiment]) -> list[str]:
    """All variants that the experiments need, each once."""
    return list(dict.fromkeys(name for e in experiments for name in e.variants))
