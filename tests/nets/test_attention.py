"""Copying from known places: by hand, and as part of a generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from finefill.completion.catalog import locate
from finefill.data import recipes
from finefill.errors import FinefillError
from finefill.export.model import difference, export
from finefill.export.start import begin_with
from finefill.nets import PlusGenerator
from finefill.nets.attention import KEYS, MOST, CopyAttention, copied, thinned
from finefill.training import build, checkpoint, stages
from tests.training.runs import CPU

PLAIN = recipes.override(
    recipes.scenes(), ["widths=[4, 8, 8]", "dilations=[1, 2]", "precision=fp32"]
)
COPYING = recipes.override(PLAIN, ["attention=true", "attention_rate=10"])
SCENES = recipes.override(recipes.scenes(), ["attention=true"])


def test_an_equal_key_wins_over_a_longer_one_and_hides_nothing_unknown() -> None:
    """Keys at 0, 40 and 400 on a line, the last one unknown; K = 1, so distances count fully."""
    keys = torch.tensor([[[0.0, 40.0, 400.0]]])
    values = torch.tensor([[[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]]])
    known = torch.tensor([[[True, True, False]]])
    queries = torch.tensor([[[40.0, 0.0, 20.0, 400.0]]])
    found = copied(queries, keys, values, known)
    # Equal, equal, halfway between two, equal to the unknown one: the nearest known.
    expected = torch.tensor([[[2.0, 1.0, 1.5, 2.0], [20.0, 10.0, 15.0, 20.0]]])
    torch.testing.assert_close(found, expected)


def test_weights_are_the_softmax_of_squared_distances() -> None:
    """K = 4: weights 1 and exp(-d^2 / (2 sqrt 4)), d^2 = 8, that is e^-2."""
    keys = torch.tensor([[[0.0, 2.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]]])
    found = copied(
        torch.zeros(1, 4, 1), keys, torch.tensor([[[0.0, 1.0]]]), torch.ones(1, 1, 2) > 0
    )
    assert found.item() == pytest.approx(np.exp(-2) / (1 + np.exp(-2)), rel=1e-6)


def test_without_a_known_cell_nothing_is_copied() -> None:
    """Of a batch only the image without one; and no NaN in its gradient."""
    queries = torch.randn(2, 4, 6, requires_grad=True)
    known = torch.tensor([True, False]).view(2, 1, 1).expand(2, 1, 6)
    found = copied(queries, torch.randn(2, 4, 6), torch.ones(2, 3, 6), known)
    torch.testing.assert_close(found[0], torch.ones(3, 6))
    assert torch.equal(found[1], torch.zeros(3, 6))
    found.sum().backward()
    assert queries.grad is not None
    assert torch.isfinite(queries.grad).all()


def test_a_hole_cell_gets_what_the_known_cell_like_it_holds() -> None:
    """Two kinds of cells; those of the hole look like the second, whose value they get."""
    torch.manual_seed(0)
    part = CopyAttention(2, cell=4).eval()
    torch.nn.init.normal_(part.match[0].weight, std=50)  # sure of itself  # type: ignore[arg-type]  # BN has a weight
    part.take.weight.data = torch.eye(2).view(2, 2, 1, 1)
    x = torch.zeros(1, 2, 4, 6)
    x[:, 0, :, :3], x[:, 1, :, 3:] = 1, 3
    mask = torch.zeros(1, 1, 16, 24)
    mask[..., 4:12, 16:24] = 1  # cells of rows 1 and 2, columns 4 and 5
    mask[..., 0:2, 0:4] = 1  # half of the first cell
    with torch.no_grad():
        found = part(x, mask)
    expected = x.clone()
    expected[:, 1, 1:3, 4:] = 6
    expected[:, 0, 0, 0] = 1.5
    torch.testing.assert_close(found, expected)


def test_large_maps_are_thinned() -> None:
    x = torch.arange(50.0).expand(1, 1, 24, 50)
    assert thinned(x).shape == (1, 1, 24, 17)
    assert thinned(x)[0, 0, 0].tolist() == list(range(0, 50, 3))
    assert thinned(torch.zeros(1, 1, 128, 1)).shape == (1, 1, 22, 1)
    assert torch.equal(thinned(x[..., :MOST]), x[..., :MOST])


def test_a_generator_begins_as_it_is_without() -> None:
    """Also from a checkpoint without the part; of others nothing may be missing."""
    torch.manual_seed(3)
    plain, copying = build.generator(PLAIN), build.generator(COPYING)
    tensors = checkpoint.net_tensors("generator", plain)
    checkpoint.load_net("generator", copying, tensors)
    image, mask = torch.rand(2, 3, 32, 48) * 2 - 1, torch.zeros(2, 1, 32, 48)
    mask[..., 8:20, 10:30] = 1
    with torch.no_grad():
        expected = plain.eval()(image * (1 - mask), mask)
        assert torch.equal(copying.eval()(image * (1 - mask), mask), expected)
        torch.nn.init.ones_(copying.attention.take.bias)  # type: ignore[union-attr,arg-type]  # the part is there
        assert not torch.allclose(copying(image * (1 - mask), mask), expected, atol=1e-3)
    more = copying.parameter_count() - plain.parameter_count()
    assert more == 8 * KEYS + 2 * KEYS + 8 * 8 + 8
    assert PlusGenerator(attention=True).parameter_count() < 4_000_000
    with pytest.raises(FinefillError, match="does not fit"):
        checkpoint.load_net("generator", plain, checkpoint.net_tensors("generator", copying))
    del tensors["generator.last.bias"]
    with pytest.raises(FinefillError, match=r"1 tensors differ, last\.bias"):
        checkpoint.load_net("generator", copying, tensors)


def test_the_part_learns_at_its_own_rate() -> None:
    parts = stages.first_stage(COPYING, CPU)
    stages.set_rates(parts, 0)
    rates = [group["lr"] for group in parts.optimizer.param_groups]
    assert rates == pytest.approx([1.2e-3, 1.2e-2])
    names = [name for name, _ in parts.generator.named_parameters()]
    in_order = [p for group in parts.optimizer.param_groups for p in group["params"]]
    assert all(a is b for a, b in zip(in_order, parts.generator.parameters(), strict=True))
    assert (
        len(parts.optimizer.param_groups[1]["params"])
        == 5
        == len(names) - names.index("attention.match.0.weight")
    )
    with pytest.raises(FinefillError, match="attention needs generator=plus"):
        recipes.override(recipes.celeba(), ["attention=true"])
    with pytest.raises(FinefillError, match="attention_rate"):
        recipes.override(COPYING, ["attention_rate=0"])


def test_exported_it_computes_the_same_also_of_large_images(tmp_path: Path) -> None:
    """And a run can begin with the file, or with one of a network without the part."""
    torch.manual_seed(4)
    net = build.generator(COPYING)
    torch.nn.init.normal_(net.attention.take.weight, std=0.5)  # type: ignore[union-attr,arg-type]  # the part is there
    state = {"recipe": COPYING.to_json(), "samples": 0, "device": "cpu", "data": "0", "step": 0}
    source, model = tmp_path / "run.safetensors", tmp_path / "model.onnx"
    checkpoint.save(source, checkpoint.net_tensors("generator", net), state)
    assert export(source, model, {})["difference"] < 1e-4
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    image, mask = np.zeros((1, 3, 40, 520), np.float32), np.zeros((1, 1, 40, 520), np.float32)
    image += np.random.default_rng(0).uniform(-1, 1, image.shape).astype(np.float32)
    mask[..., 8:24, 300:340] = 1
    image *= 1 - mask
    (found,) = session.run(None, {"image": image, "mask": mask})
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(image), torch.from_numpy(mask)).numpy()
    assert np.abs((found - expected) * mask).max() < 1e-4

    batches = [(torch.from_numpy(image), torch.from_numpy(mask))]
    again = build.generator(COPYING)
    begin_with(model, again, batches)
    assert difference(again.eval(), model) < 1e-4
    shipped = locate("places-fp32")
    begin_with(shipped, again := build.generator(SCENES), batches)
    assert difference(again.eval(), shipped) < 1e-4
    assert not again.attention.take.weight.any()  # type: ignore[union-attr,operator]  # the part is there
