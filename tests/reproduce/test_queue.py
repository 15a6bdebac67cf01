"""One queue of trainings."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from filelock import FileLock

from finefill.data.photos import Photos
from finefill.errors import FinefillError
from finefill.reproduce.queue import train_variants, with_parents
from finefill.reproduce.variants import OURS
from finefill.training import checkpoint
from finefill.training.loop import train
from tests.reproduce.small import samples_seen, small


class TestQueue:
    def test_parents_come_first_and_all_get_their_samples(self, runs: Path) -> None:
        assert with_parents([OURS, "no-dilation"], small()) == ["stage1", OURS, "no-dilation"]
        assert samples_seen(runs / "stage1") == 24
        assert {samples_seen(runs / n) for n in (OURS, "rec", "no-dilation", "dcgan")} == {48}

    def test_what_is_trained_stays_as_it_is(self, runs: Path, photos: Photos) -> None:
        before = (runs / OURS / checkpoint.LAST).stat().st_mtime_ns
        assert train_variants([OURS], small(), photos, runs, device="cpu", quiet=True)
        assert (runs / OURS / checkpoint.LAST).stat().st_mtime_ns == before

    def test_other_settings_are_refused(self, runs: Path, photos: Photos) -> None:
        plans = small()
        recipe = dataclasses.replace(plans[OURS].recipe, seed=5)
        plans[OURS] = dataclasses.replace(plans[OURS], recipe=recipe)
        with pytest.raises(FinefillError, match="ours: holds a run with other settings"):
            train_variants([OURS], plans, photos, runs, device="cpu", quiet=True)

    def test_stopped_in_time_and_gone_on(self, tmp_path: Path, photos: Photos) -> None:
        def work(deadline: float | None) -> bool:
            return train_variants(
                ["per"], small(), photos, tmp_path, deadline=deadline, device="cpu", quiet=True
            )

        assert not work(time.monotonic() - 1)
        assert not (tmp_path / "stage1").exists()
        stage = small()["stage1"].recipe
        assert not train(
            stage, photos, tmp_path / "stage1", max_minutes=0, device="cpu", quiet=True
        )
        assert 0 < samples_seen(tmp_path / "stage1") < 24
        assert work(None)
        assert samples_seen(tmp_path / "per") == 48

    def test_another_process_work_is_left_alone(
        self, tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Waiting(Exception):
            pass

        def waits(seconds: float) -> None:
            raise Waiting

        monkeypatch.setattr("finefill.reproduce.queue.time.sleep", waits)
        with FileLock(tmp_path / "no-dilation.lock"), pytest.raises(Waiting):
            train_variants(
                ["no-dilation", "no-intermediate"],
                small(),
                photos,
                tmp_path,
                device="cpu",
                quiet=True,
            )
        assert samples_seen(tmp_path / "no-intermediate") == 48
        assert not (tmp_path / "no-dilation").exists()
