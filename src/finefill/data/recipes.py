"""Named, complete training settings. A run is one of these, with few typed overrides."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from finefill.errors import FinefillError

GENERATORS = ("paper", "plus", "context_encoder", "gfc")
DISCRIMINATORS = ("image", "patch", "local", "local+image", "features")
AUGMENTS = ("colour", "shift", "cutout")
MASKS = ("square", "box", "strokes", "wide", "object", "silhouette", "center")


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on besides data and device.

    Lengths are in pixels, learning rates per step, stage lengths in samples (images shown).
    """

    name: str
    seed: int = 0
    # Data (§4.1): shorter side scaled down to `shorter_side`, random `crop`, scaled to `size`.
    # A crop's side is drawn from the range `crop` and cut to the photograph's. The crop is turned
    # by up to `rotation` degrees, as far as it stays inside.
    size: int = 128
    # A batch is scaled to `size` or one of these instead, drawn for each; one that is named twice
    # comes twice as often. Holes scale along. A network that saw one side only knows where that
    # one ends. Validation and the card keep to `size`.
    other_sizes: tuple[int, ...] = ()
    crop: tuple[int, int] = (128, 128)
    rotation: float = 0.0
    shorter_side: int | None = None
    flip: bool = True
    validation: int = 128  # photographs kept out of training
    square_sides: tuple[int, int] = (48, 80)  # at size 128; scaled with size
    mask_mix: tuple[tuple[str, float], ...] = (("square", 1.0),)  # kinds: see MASKS
    # Networks (§3.1, §3.2)
    generator: str = "paper"  # or "plus" (nets/plus.py), "context_encoder", "gfc"
    widths: tuple[int, ...] = (32, 64, 128, 128)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    dilated: bool = True
    intermediate: bool = True
    # Of "plus": copies features of known places into the hole (nets/attention.py). Its weights,
    # which begin at 0, may learn `attention_rate` times as fast as the rest.
    attention: bool = False
    attention_rate: float = 1.0
    # One score, as in the paper; "patch": a score for each cell; "local": one for the window
    # around the hole; "local+image": that and one for the image; "features": heads on the features
    # of the perceptual network, at `judged_layers`, for each of their cells.
    discriminator: str = "image"
    discriminator_width: int = 64
    judged_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    discriminator_sees: str = "composite"  # or "output" (Fig. 8)
    two_sided_smoothing: bool = True
    # A patch discriminator may look only at a window of so many pixels around each hole, at `size`,
    # which saves time; 0: at the whole image.
    discriminator_window: int = 0
    # Eq. 5 and 6, or "relativistic": which of the two, original and completed, is the original.
    adversarial: str = "paper"
    # The same augmentation of original and completed before the discriminator: kinds, see AUGMENTS.
    augment: tuple[str, ...] = ()
    # Perceptual network (§3.3, §4.5): w_l by layer. `perceptual_window` > 0 looks only at a
    # window of that many pixels around each hole, at `size` (scaled with a batch's size), which
    # saves time; 0 at the whole image.
    vgg_layers: tuple[tuple[str, float], ...] = (
        ("relu2_2", 1.0),
        ("relu3_3", 1.0),
        ("relu4_3", 1.0),
    )
    perceptual_window: int = 0
    # Steps from one in which the perceptual term counts to the next; it then weighs as many times
    # as much, so that its share over the steps stays. Saves most of the perceptual network's time.
    perceptual_every: int = 1
    # Share of the channels that each convolution of the perceptual network computes; the others
    # follow from them (nets/low_rank.py). Below 1 it is nearly itself, and quicker.
    perceptual_rank: float = 1.0
    # Eq. 3, or "l2": Context Encoders' squared error that reaches `overlap` pixels (at size 128)
    # beyond the hole.
    reconstruction: str = "smooth_l1"
    overlap: int = 7
    # Loss weights from gradient norms (§4.2): |lambda_t grad L_t| = proportion_t |grad L_rec|.
    # 0 switches a term off.
    # `matching` is the difference of the patch discriminator's own features (beyond the paper).
    adversarial_proportion: float = 0.3
    perceptual_proportion: float = 2.0
    matching_proportion: float = 0.0
    fixed_lambdas: tuple[tuple[str, float], ...] = ()  # by term, in place of measuring
    balance_batches: int = 8
    balance_every: int = 0  # steps between later measurements; 0 = once, as in the paper
    discriminator_warmup: int = 100  # steps of the discriminator alone before the measurement
    # Optimisation: Adam, polynomial decay from the first rate to the second in each stage.
    batch: int = 16
    rec_samples: int = 2_000_000
    all_samples: int = 2_000_000
    rec_rates: tuple[float, float] = (1e-3, 1e-4)
    all_rates: tuple[float, float] = (3e-4, 1e-5)
    discriminator_rates: tuple[float, float] = (2e-4, 1e-5)
    decay_power: float = 1.0
    rec_beta1: float = 0.9
    all_beta1: float = 0.5
    ema_decay: float = 0.0  # 0 = off
    precision: str = "auto"  # auto, bf16 or fp32
    # Several processes share a batch: batch normalisation counts the whole of it, or a process's.
    sync_bn: bool = True
    # Writing
    log_every: int = 50  # steps
    checkpoint_every: int = 500  # steps; also validation and image grid

    def __post_init__(self) -> None:
        problems = {
            "batch must be at least 2 (batch normalisation)": self.batch < 2,
            "discriminator_sees must be composite or output": self.discriminator_sees
            not in ("composite", "output"),
            f"generator must be one of {', '.join(GENERATORS)}": self.generator not in GENERATORS,
            f"discriminator must be one of {', '.join(DISCRIMINATORS)}": (
                self.discriminator not in DISCRIMINATORS
            ),
            "size and other_sizes must be at least 1": min(self.sizes) < 1,
            "other_sizes needs generator=paper or plus and discriminator=patch or features: the "
            "others have one size": bool(self.other_sizes)
            and not (
                self.generator in ("paper", "plus")
                and (
                    self.discriminator in ("patch", "features") or self.adversarial_proportion == 0
                )
            ),
            "crop must be a range from a smaller to a larger side": not 0
            < self.crop[0]
            <= self.crop[1],
            "rotation must be from 0 to 45 degrees": not 0 <= self.rotation <= 45,
            "square_sides must be a range from a smaller to a larger side, below 128": not 0
            < self.square_sides[0]
            <= self.square_sides[1]
            < 128,
            "validation and balance_batches must be at least 1": min(
                self.validation, self.balance_batches
            )
            < 1,
            "rec_samples, all_samples, balance_every, discriminator_warmup, discriminator_window "
            "and perceptual_window must be at least 0": min(
                self.rec_samples,
                self.all_samples,
                self.balance_every,
                self.discriminator_warmup,
                self.discriminator_window,
                self.perceptual_window,
            )
            < 0,
            "discriminator_window must be a multiple of 8": self.discriminator_window % 8 > 0,
            "discriminator_window needs discriminator=patch; --set discriminator_window=0 does "
            "without": self.discriminator_window > 0 and self.discriminator != "patch",
            "proportions must be at least 0; 0 switches a term off": min(
                self.adversarial_proportion, self.perceptual_proportion, self.matching_proportion
            )
            < 0,
            "perceptual_every must be at least 1, and 1 where the discriminator sees features": (
                self.perceptual_every < 1
                or (self.discriminator == "features" and self.perceptual_every > 1)
            ),
            "perceptual_rank must be more than 0, at most 1": not 0 < self.perceptual_rank <= 1,
            "reconstruction must be smooth_l1 or l2": self.reconstruction
            not in ("smooth_l1", "l2"),
            "fixed_lambdas knows adv, per and match": any(
                name not in ("adv", "per", "match") for name, _ in self.fixed_lambdas
            ),
            "matching_proportion needs discriminator=patch and an adversarial_proportion; "
            "--set matching_proportion=0 does without": (
                self.matching_proportion > 0
                and not (self.discriminator == "patch" and self.adversarial_proportion > 0)
            ),
            "a patch discriminator sees the composite: the raw output has no original cells": (
                self.discriminator in ("patch", "features")
                and self.discriminator_sees != "composite"
            ),
            "adversarial must be paper or relativistic": self.adversarial
            not in ("paper", "relativistic"),
            "attention needs generator=plus": self.attention and self.generator != "plus",
            "attention_rate must be more than 0": not self.attention_rate > 0,
            f"augment knows {', '.join(AUGMENTS)}": not set(self.augment) <= set(AUGMENTS),
            "augment needs discriminator=image or patch; --set 'augment=[]' does without": bool(
                self.augment
            )
            and self.discriminator not in ("image", "patch"),
            "precision must be auto, bf16 or fp32": self.precision not in ("auto", "bf16", "fp32"),
            f"mask_mix knows {', '.join(MASKS)}": not self.mask_mix
            or any(kind not in MASKS for kind, _ in self.mask_mix),
            "the shares of mask_mix must be at least 0, one of them more": any(
                share < 0 for _, share in self.mask_mix
            )
            or not any(share for _, share in self.mask_mix),
            "ema_decay must be in [0, 1)": not 0 <= self.ema_decay < 1,
            "log_every and checkpoint_every must be at least 1": min(
                self.log_every, self.checkpoint_every
            )
            < 1,
        }
        for text, wrong in problems.items():
            if wrong:
                raise FinefillError(f"recipe {self.name}: {text}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sides that a batch's crops may be scaled to, in pixels; the first is ``size``."""
        return (self.size, *self.other_sizes)

    @property
    def rec_steps(self) -> int:
        """Steps of the first stage (L_rec alone)."""
        return self.rec_samples // self.batch

    @property
    def total_steps(self) -> int:
        """Steps of both stages."""
        return self.rec_steps + self.all_samples // self.batch

    @property
    def perceptual_layers(self) -> tuple[str, ...]:
        """Layers of the perceptual network that a term looks at; empty where none does."""
        looked_at = dict(self.vgg_layers) if self.perceptual_proportion > 0 else {}
        if self.discriminator == "features" and self.adversarial_proportion > 0:
            looked_at |= dict.fromkeys(self.judged_layers, 0.0)
        return tuple(looked_at)

    def to_json(self) -> str:
        """The recipe as JSON, read back by :func:`from_json`."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def celeba() -> Recipe:
    """The paper's faces: random 160x160 crop scaled to 128x128."""
    return Recipe("celeba", crop=(160, 160))


def paris() -> Recipe:
    """The paper's streets: shorter side to 128, 128x128 crop."""
    return Recipe("paris", shorter_side=128)


# What the recipes of the shipped models share; squares are mixed with boxes and strokes, because
# people mask objects. On an accelerator make the stages longer.
SHIPPED = Recipe(
    "shipped",
    validation=96,
    discriminator_width=32,
    mask_mix=(("square", 0.7), ("box", 0.15), ("strokes", 0.15)),
    balance_batches=16,
    balance_every=500,
    ema_decay=0.995,
)


def scenes() -> Recipe:
    """Natural scenes and streets, shorter side 150: what the model ``places`` is trained with.

    The generator beyond the paper's and a discriminator of patches. About three and a half hours
    on two CPU cores. The shipped model came to these settings on the way, and was finished with
    stronger terms (docs/results).
    """
    return dataclasses.replace(
        SHIPPED,
        name="scenes",
        shorter_side=150,
        generator="plus",
        widths=(48, 96, 128),
        depths=(1, 2, 1),
        dilations=(1, 2, 4, 8, 1, 2, 4, 8, 1, 2),
        discriminator="patch",
        discriminator_window=96,
        perceptual_window=80,
        perceptual_rank=0.5,
        adversarial_proportion=0.1,
        perceptual_proportion=5.0,
        balance_every=1000,
        rec_samples=80_000,
        all_samples=160_000,
        rec_rates=(1.2e-3, 2e-4),
        all_rates=(4e-4, 1e-5),
        ema_decay=0.998,
        discriminator_rates=(4e-4, 1e-4),
        checkpoint_every=250,
    )


def faces() -> Recipe:
    """Faces at many scales, shorter side 160: nearly what version 6 of ``faces`` was trained with.

    The networks of :func:`scenes`. An hour and a half on two CPU cores. The shipped model began
    with the weights of version 5 and came to these settings on the way (docs/results); from
    scratch they were not tried.
    """
    return dataclasses.replace(
        scenes(),
        name="faces",
        shorter_side=160,
        crop=(84, 230),
        rotation=15.0,
        mask_mix=(
            ("square", 0.44),
            ("center", 0.2),
            ("box", 0.08),
            ("strokes", 0.1),
            ("wide", 0.1),
            ("object", 0.08),
        ),
        augment=("colour", "shift", "cutout"),
        adversarial_proportion=2.0,
        matching_proportion=1.5,
        balance_batches=8,
        balance_every=600,
        rec_samples=144_000,
        all_samples=100_000,
        rec_rates=(1e-3, 3e-4),
        all_rates=(3e-4, 5e-6),
    )


def tiny() -> Recipe:
    """A minute on a CPU, to see that everything works: 32x32, narrow networks."""
    return Recipe(
        "tiny",
        size=32,
        crop=(32, 32),
        shorter_side=40,
        validation=8,
        widths=(8, 16, 16),
        depths=(1, 1, 1),
        dilations=(2, 4),
        discriminator_width=8,
        vgg_layers=(("relu1_2", 1.0), ("relu2_2", 1.0)),
        batch=4,
        rec_samples=160,
        all_samples=160,
        balance_batches=2,
        discriminator_warmup=4,
        ema_decay=0.9,
        log_every=5,
        checkpoint_every=20,
    )


RECIPES = {maker.__name__: maker for maker in (celeba, paris, scenes, faces, tiny)}


def get(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        FinefillError: there is none; the message lists the names.
    """
    try:
        return RECIPES[name]()
    except KeyError:
        raise FinefillError(f"unknown recipe {name!r}: choose from {', '.join(RECIPES)}") from None


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Change fields by ``key=value`` strings; a value is JSON (``[1e-3, 1e-4]``) or a bare word.

    Raises:
        FinefillError: an unknown key or a value of another type than the field's.
    """
    values: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise FinefillError(f"--set {setting}: write key=value")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return _with_values(recipe, values)


def from_json(text: str) -> Recipe:
    """The inverse of :meth:`Recipe.to_json`.

    Raises:
        FinefillError: a field is unknown or of another type.
    """
    values = json.loads(text)
    if isinstance(values.get("crop"), int):  # of a checkpoint from before it was a range
        values["crop"] = [values["crop"]] * 2
    return _with_values(Recipe("unnamed"), values)


def _with_values(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    types = typing.get_type_hints(Recipe)
    changes = {}
    for key, value in values.items():
        if key not in types:
            raise FinefillError(f"unknown setting {key!r}: choose from {', '.join(types)}")
        changes[key] = _typed(key, value, types[key])
    return dataclasses.replace(recipe, **changes)  # type: ignore[arg-type]  # checked above


def _typed(key: str, value: object, wanted: object) -> object:
    """Check a JSON value against a field's annotation; lists become tuples, ints floats."""
    if wanted is float and type(value) in (int, float):
        return float(typing.cast(float, value))
    if wanted in (int, str, bool) and type(value) is wanted:
        return value
    arguments = typing.get_args(wanted)
    if type(None) in arguments:
        return None if value is None else _typed(key, value, arguments[0])
    if typing.get_origin(wanted) is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_typed(key, item, arguments[0]) for item in value)
        if len(value) == len(arguments):
            return tuple(_typed(key, v, t) for v, t in zip(value, arguments, strict=True))
    raise FinefillError(f"setting {key}: {value!r} is not of type {wanted}")
