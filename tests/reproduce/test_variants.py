"""What the paper compares, as recipes."""

from __future__ import annotations

import dataclasses

import pytest

from finefill.errors import FinefillError
from finefill.reproduce import experiments
from finefill.reproduce.measure import cost
from finefill.reproduce.variants import OURS, PERCEPTUAL_SETS, Budget, base, variants


class TestVariants:
    @pytest.mark.parametrize("size", [64, 128])
    def test_every_variant_gets_the_same_samples(self, size: int) -> None:
        plans = variants(Budget(10_000, size))
        for name, variant in plans.items():
            samples = variant.recipe.rec_samples + variant.recipe.all_samples
            assert samples == (5_000 if name.endswith("stage1") else 10_000), name
            assert variant.recipe.size == size

    def test_a_child_shares_everything_of_the_first_stage(self) -> None:
        plans = variants(Budget())
        for variant in plans.values():
            if variant.parent is None:
                continue
            parent = plans[variant.parent].recipe
            same = ("seed", "size", "crop", "widths", "depths", "dilations", "generator", "batch",
                    "rec_samples", "rec_rates", "mask_mix", "reconstruction")  # fmt: skip
            assert all(getattr(variant.recipe, f) == getattr(parent, f) for f in same)

    def test_ablations_differ_in_what_they_say(self) -> None:
        plans = variants(Budget())

        def changed(name: str, other: str) -> set[str]:
            one, two = (dataclasses.asdict(plans[n].recipe) for n in (name, other))
            return {key for key in one if one[key] != two[key]}

        assert changed("adv", OURS) == {"perceptual_proportion"}
        assert changed("per", OURS) == {"adversarial_proportion"}
        assert changed("raw", OURS) == {"discriminator_sees"}
        assert changed("no-dilation", "rec") == {"dilated"}
        assert changed("no-intermediate", "rec") == {"intermediate"}
        assert changed("ce-generator", "rec") == {"generator"}
        for name in PERCEPTUAL_SETS:
            if name != "relu2_2+3_3+4_3":
                assert changed(f"vgg-{name}", OURS) == {"vgg_layers"}

    def test_experiments_name_existing_variants(self) -> None:
        plans = variants(Budget())
        for experiment in experiments.EXPERIMENTS.values():
            assert set(experiment.variants) <= set(plans)
            assert experiment.baseline in experiment.variants

    def test_the_full_generator_is_smaller_than_context_encoders(self) -> None:
        plans = variants(Budget(size=64))
        ours, theirs = (cost(plans[name].recipe)[0] for name in ("rec", "ce-generator"))
        assert ours < 10_000_000 < theirs

    def test_cost_by_hand(self) -> None:
        recipe = dataclasses.replace(
            base(Budget(size=64)), widths=(4, 8), depths=(1, 1), dilations=(2,)
        )
        # 2 a multiplication: 3x3 convolutions at 64 and at 32 pixels, a 4x4 deconvolution.
        full = 9 * (4 * 4 + 4 * 4 + 8 * 4 + 4 * 3) * 64**2  # first, carried, joined, last
        deep = 9 * (4 * 8 + 8 * 8) * 32**2 + 16 * 8 * 4 * 32**2
        assert cost(recipe)[1] == pytest.approx(2 * (full + deep) / 1e9)

    def test_the_generator_beyond_the_paper_costs_less_than_the_papers(self) -> None:
        plans = variants(Budget(size=128))
        assert 0 < cost(plans["plus"].recipe)[1] < cost(plans["rec"].recipe)[1]

    def test_bad_budgets(self) -> None:
        with pytest.raises(FinefillError, match="64 and 128"):
            Budget(size=100)
        with pytest.raises(FinefillError, match="--samples 5"):
            Budget(5)


class TestWithout:
    def test_rows_are_left_out_of_every_experiment_that_has_them(self) -> None:
        chosen = experiments.select(("table1", "figure5"))
        table, figure = experiments.without(chosen, ["gfc", "adv"])
        assert table.variants == ("ce-center", "ce-random", OURS)
        assert figure.variants == ("dcgan", OURS)
        assert figure.classical == experiments.CLASSICAL  # they need no training
        assert experiments.without(chosen, []) == chosen
