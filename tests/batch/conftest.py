"""Folders of photos and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.batch.folders import Files


@pytest.fixture
def files(tmp_path: Path, model_path: Path, demo_rgb: NDArray[np.uint8]) -> Files:
    return Files(tmp_path, model_path, demo_rgb)
