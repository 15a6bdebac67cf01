"""Errors of a completion, over its hole and over the whole image.

Images are uint8 RGB (H, W, 3), masks bool (H, W) with True = completed. Differences are on the
scale where 0..255 maps to [-1, 1] (so a difference of one grey level is 1/127.5), as in the paper's
Table 1. A set's value is the mean of its per-image values; a :class:`SetMetric` has one number for
the set.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError
from finefill.masks import Mask

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]

# The smallest error 8-bit images can have (one value of a 1000x1000 hole off by one) gives a PSNR
# of 113 dB in theory; an exact completion would give infinity and make every mean infinite.
IDENTICAL_PSNR = 120.0

HOLE, IMAGE = "hole", "image"
HIGHER, LOWER, ZERO = "higher", "lower", "nearest 0"


def mean_l1(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Mean absolute difference over the hole, in [0, 2]."""
    return float(np.abs(_differences(original, completed, mask)).mean())


def mean_l2(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Mean squared difference over the hole, in [0, 4]."""
    return float(np.square(_differences(original, completed, mask)).mean())


def psnr(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Peak signal-to-noise ratio over the hole in dB: 10 log10(2^2 / mean L2), peak 2.

    An exact completion counts as ``IDENTICAL_PSNR``.
    """
    error = mean_l2(original, completed, mask)
    return min(IDENTICAL_PSNR, 10 * math.log10(4 / error)) if error else IDENTICAL_PSNR


def psnr_outside(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Peak signal-to-noise ratio in dB of what is not hole; infinite where it is unchanged."""
    error = mean_l2(original, completed, ~mask) if not mask.all() else 0.0
    return 10 * math.log10(4 / error) if error else math.inf


def _differences(original: Pixels, completed: Pixels, mask: Mask) -> Values:
    """Completed minus original in the hole: (hole pixels, 3), in [-2, 2]."""
    return (completed[mask].astype(np.float64) - original[mask]) / 127.5


def seam(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Step across the hole's edge, beyond the original's; 0 is best.

    Over all pairs of a pixel p in the hole and a 4-neighbour q outside: mean |y_p - y_q| minus
    mean |x_p - x_q|. Positive: the edge shows; negative: it is smoother than it was. In [-2, 2].
    """
    steps = [_edge_steps(image, mask) for image in (completed, original)]
    return float(steps[0].mean() - steps[1].mean()) if steps[0].size else 0.0


def _edge_steps(image: Pixels, mask: Mask) -> Values:
    """|difference| of every pair of neighbours on both sides of the hole's edge: (pairs, 3)."""
    values = image.astype(np.float64) / 127.5
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    steps = [(values[1:] - values[:-1])[down], (values[:, 1:] - values[:, :-1])[right]]
    return np.asarray(np.abs(np.concatenate(steps)))


def _ssim(original: Pixels, completed: Pixels) -> tuple[float, Values]:
    from skimage.metrics import structural_similarity

    # The settings of Wang et al. 2004.
    mean, values = structural_similarity(  # type: ignore[no-untyped-call]  # it has no types
        original,
        completed,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(mean), values


def ssim(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Structural similarity (Wang et al. 2004), its map averaged over the hole, in [-1, 1].

    A window at the hole's edge sees pixels on both sides.
    """
    return float(_ssim(original, completed)[1][mask].mean())


def ssim_image(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Structural similarity (Wang et al. 2004) of the whole image, in [-1, 1]."""
    return _ssim(original, completed)[0]


Ahead = Callable[[Sequence[Pixels], Sequence[Pixels]], None]


@dataclass(frozen=True)
class Metric:
    """A named per-image measure; ``measure(original, completed, mask)`` gives one number."""

    key: str
    label: str
    digits: int
    best: str  # HIGHER, LOWER or ZERO
    measure: Callable[[Pixels, Pixels, Mask], float]
    region: str = HOLE
    ahead: Ahead | None = None  # sees a batch of originals and completions before ``measure``
    trained_on: bool = False  # models are trained with what it measures


@dataclass(frozen=True)
class SetMetric:
    """A named measure of a whole set: ``distance`` between what ``embed`` makes of its images.

    ``embed(image, mask)`` gives one array for each image; ``distance`` takes the stacks (N, ...) of
    the originals and of the completions. It gives one number for the set, or one for each pair
    (N,), whose mean is the set's and has an interval.
    """

    key: str
    label: str
    digits: int
    embed: Callable[[Pixels, Mask], NDArray[Any]]
    distance: Callable[[NDArray[Any], NDArray[Any]], float | Values]
    region: str = HOLE
    best: str = LOWER
    ahead: Ahead | None = None  # as in :class:`Metric`
    trained_on: bool = False  # as in :class:`Metric`
    least: int = 1  # pairs, below which it is left out


AnyMetric = Metric | SetMetric


def everywhere(measure: Callable[[Pixels, Pixels, Mask], float]) -> Any:
    """The same measure over all pixels instead of the hole's."""
    return lambda original, completed, mask: measure(original, completed, np.ones_like(mask))


# The paper's three, over the hole.
METRICS: tuple[Metric, ...] = (
    Metric("l1", "mean L1", 4, LOWER, mean_l1),
    Metric("l2", "mean L2", 4, LOWER, mean_l2),
    Metric("psnr", "PSNR (dB)", 2, HIGHER, psnr),
)


def _structural() -> tuple[AnyMetric, ...]:
    _need("skimage", "scikit-image", "baselines")
    return (
        Metric("ssim", "SSIM", 3, HIGHER, ssim),
        Metric("ssim_image", "SSIM", 3, HIGHER, ssim_image, IMAGE),
    )


def _vgg16(vgg: Path | None) -> tuple[AnyMetric, ...]:
    from finefill.evaluation import features

    net = features.shared(vgg)
    return _both(Metric("vgg16", "VGG16 distance", 4, LOWER, net.distance, HOLE, net.ahead, True))


def _frechet(vgg: Path | None) -> tuple[AnyMetric, ...]:
    from finefill.evaluation import features

    net, label = features.shared(vgg), "VGG16 Fréchet distance"
    return _both(
        SetMetric(
            "frechet", label, 4, net.embedding, features.frechet, HOLE, LOWER, net.ahead, True
        )
    )


def _lite0() -> tuple[AnyMetric, ...]:
    from finefill.evaluation import lite0

    net = lite0.shared()
    return _both(Metric("lite0", "Lite0 distance", 4, LOWER, net.distance, HOLE, net.ahead))


def _lite0_set(name: str) -> tuple[AnyMetric, ...]:
    _need("sklearn", "scikit-learn", "evaluation")
    from finefill.evaluation import lite0
    from finefill.evaluation.features import frechet

    net = lite0.shared()
    if name == "lite0_fd":
        return _both(
            SetMetric(
                name,
                "Lite0 Fréchet distance",
                1,
                net.embedding,
                lambda one, two: frechet(*lite0.scaled(one, two)),
                ahead=net.ahead,
            )
        )
    label, distance = {
        "u_ids": ("U-IDS (Lite0)", lite0.u_ids),
        "fooled": ("taken for original", lite0.fooled),
    }[name]
    return _both(
        SetMetric(
            name, label, 3, net.embedding, distance, best=HIGHER, ahead=net.ahead, least=lite0.LEAST
        )
    )


def _both(metric: AnyMetric) -> tuple[AnyMetric, ...]:
    """A measure over the hole, and the same over the whole image."""
    key = f"{metric.key}_image"
    if isinstance(metric, Metric):
        measure = everywhere(metric.measure)
        return metric, dataclasses.replace(metric, key=key, measure=measure, region=IMAGE)
    embed = metric.embed

    def whole(image: Pixels, mask: Mask) -> NDArray[Any]:
        return embed(image, np.ones_like(mask))

    return metric, dataclasses.replace(metric, key=key, embed=whole, region=IMAGE)


def _lpips() -> tuple[AnyMetric, ...]:
    """LPIPS (Zhang et al. 2018), AlexNet, by its authors' package; of the whole image."""
    _need("lpips", "lpips", None)
    import torch

    try:
        import lpips

        net = lpips.LPIPS(net="alex", verbose=False)
    except Exception as error:  # torchvision missing, or whatever a download can raise
        raise FinefillError(f"lpips: the package or its weights fail ({error})") from error

    @torch.no_grad()
    def measure(original: Pixels, completed: Pixels, mask: Mask) -> float:
        pair = (
            torch.from_numpy(x / 127.5 - 1).permute(2, 0, 1)[None] for x in (original, completed)
        )
        return float(net(*(x.float() for x in pair)))

    return (Metric("lpips", "LPIPS (AlexNet)", 4, LOWER, measure, IMAGE),)


def _fid() -> tuple[AnyMetric, ...]:
    """FID (Heusel et al. 2017) by torch-fidelity, between originals and completions."""
    _need("torch_fidelity", "torch-fidelity", None)
    try:
        from torch_fidelity import calculate_metrics
    except ImportError as error:
        raise FinefillError(f"fid: torch-fidelity lacks a package ({error})") from error

    def distance(originals: NDArray[Any], completions: NDArray[Any]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / side for side in ("originals", "completions")]
            for path, images in zip(paths, (originals, completions), strict=True):
                path.mkdir()
                for i, image in enumerate(images):
                    Image.fromarray(image).save(path / f"{i:06}.png")
            try:
                one, two = map(str, paths)
                found = calculate_metrics(input1=one, input2=two, fid=True, cuda=False)
            except Exception as error:  # whatever a download can raise
                raise FinefillError(f"fid: torch-fidelity fails ({error})") from error
        return float(found["frechet_inception_distance"])

    return (SetMetric("fid", "FID", 2, lambda image, mask: image, distance, IMAGE),)


NAMES = (
    "l1", "l2", "psnr", "ssim", "seam", "lite0", "lite0_fd", "u_ids", "fooled", "vgg16", "frechet",
    "lpips", "fid",
)  # fmt: skip
ONLY_BY_NAME = ("lpips", "fid")  # they download weights


def select(
    names: Sequence[str] | None = None, vgg: Path | None = None
) -> tuple[tuple[AnyMetric, ...], dict[str, str]]:
    """Metrics by name, each over the hole and over the image where that makes sense.

    Args:
        names: of ``NAMES``; None for all that the installed packages and the weights at hand allow.
        vgg: VGG16 weights to use; found by themselves when None.

    Returns:
        The metrics, and why others were left out, by name (only when ``names`` is None).

    Raises:
        FinefillError: an unknown name; or a metric asked for by name lacks a package or weights.
    """
    chosen: list[AnyMetric] = []
    skipped: dict[str, str] = {}
    for name in NAMES if names is None else dict.fromkeys(names):
        if name not in NAMES:
            raise FinefillError(f"unknown metric {name!r}: choose from {', '.join(NAMES)}")
        if names is None and name in ONLY_BY_NAME:
            continue
        try:
            if names is None and name in ("vgg16", "frechet"):
                _weights_at_hand(vgg)
            chosen += _make(name, vgg)
        except FinefillError as error:
            if names is not None:
                raise
            skipped[name] = str(error)
    return tuple(chosen), skipped


def _make(name: str, vgg: Path | None) -> tuple[AnyMetric, ...]:
    if name in ("l1", "l2", "psnr"):
        return _both(METRICS[("l1", "l2", "psnr").index(name)])
    if name == "seam":
        return (Metric("seam", "seam", 4, ZERO, seam),)
    if name in ("vgg16", "frechet"):
        _need("torch", "PyTorch", "train")
        return _vgg16(vgg) if name == "vgg16" else _frechet(vgg)
    if name in ("lite0", "lite0_fd", "u_ids", "fooled"):
        _need("torch", "PyTorch", "evaluation")
        _need("efficientnet_lite_pytorch", "EfficientNet-Lite0", "evaluation")
        return _lite0() if name == "lite0" else _lite0_set(name)
    return {"ssim": _structural, "lpips": _lpips, "fid": _fid}[name]()


def _weights_at_hand(vgg: Path | None) -> None:
    """Refuse to download half a gigabyte that nobody asked for."""
    _need("torch", "PyTorch", "train")
    from finefill.nets import vgg16_at_hand

    if vgg is None and not vgg16_at_hand():
        raise FinefillError("VGG16 weights are not at hand; asked for by name they are downloaded")


def _need(module: str, title: str, extra: str | None) -> None:
    try:
        found = importlib.util.find_spec(module) is not None
    except ValueError:  # blocked in sys.modules
        found = False
    if not found:
        package = f"'finefill[{extra}]'" if extra else title
        raise FinefillError(f"{title} is not installed: pip install {package}")


@dataclass(frozen=True)
class Summary:
    """Mean of per-image values with the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


def summarise(
    values: Values, *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> Summary:
    """Mean of ``values`` (N,) and its percentile bootstrap interval (Efron 1979).

    The interval says how far the mean would move with other images of the same kind. It is a
    function of the seed.
    """
    rng = np.random.default_rng(seed)
    count = len(values)
    means = np.array([values[rng.integers(count, size=count)].mean() for _ in range(resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Summary(float(values.mean()), float(low), float(high))
