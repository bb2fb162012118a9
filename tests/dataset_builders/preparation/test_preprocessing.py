# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.decomposition import PCA

from dataset_builders.preparation.fitting import fit_preprocessing
from dataset_builders.preparation.preprocessing import Preprocessing, unit_of
from dataset_builders.preparation.recording_statistics import Moments, compute_recording_statistics
from dataset_builders.schema import Geometry, Recording


def _recordings(values, sessions=None):
    sessions = sessions or [""] * len(values)
    return [
        Recording(f"s/run{i}", "s", *v.shape, partial(np.asarray, v), session=sessions[i])
        for i, v in enumerate(values)
    ]


def _values(num_runs=4, frames=30, voxels=20, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(i, 1 + i, (frames, voxels)).astype(np.float32) for i in range(num_runs)]


def _recording_statistics(recordings, training, folder):
    return [
        compute_recording_statistics(r, training.get(r.recording_id, np.empty(0, int)), folder=folder)
        for r in recordings
    ]


def _fit(values, training, tmp_path, sessions=None, **options):
    recordings = _recordings(values, sessions)
    training = {f"s/run{i}": np.asarray(frames) for i, frames in training.items()}
    recording_statistics = _recording_statistics(recordings, training, tmp_path)
    options = {"standardize": "none", "bad_voxels": "drop", "dtype": "float32", **options}
    return fit_preprocessing(recordings, recording_statistics, training, **options)


class TestMoments:
    def test_parts_add_up(self):
        values = np.random.default_rng(0).normal(1000, 0.1, (301, 5)).astype(np.float32)
        moments = Moments.of(values[:7]) + Moments.of(values[7:200]) + Moments.of(values[200:])
        assert moments.count == 301
        np.testing.assert_allclose(moments.mean, values.astype(np.float64).mean(0), rtol=1e-9)
        np.testing.assert_allclose(moments.deviation, values.astype(np.float64).std(0), rtol=1e-6)


class TestValuesThatWouldBeLost:
    def test_rounding_of_raw_values_to_float16_is_refused(self, tmp_path):
        """Raw BOLD lies in the thousands: float16 knows only every eighth or sixteenth number there."""
        values = [np.random.default_rng(0).normal(20_000, 50, (40, 30)).astype(np.float32)]
        lost = np.sqrt(np.mean((values[0].astype(np.float16).astype(np.float64) - values[0]) ** 2))
        assert lost == pytest.approx(4.6, abs=0.15)
        with pytest.raises(ValueError, match=r"changes values by 4.6 .*, 9\.\d% of what they vary by: choose dtype"):
            _fit(values, {0: range(40)}, tmp_path / "a", dtype="float16")
        for name, options in {"b": {}, "c": {"dtype": "float16", "standardize": "recording"}}.items():
            fitted = _fit(values, {0: range(40)}, tmp_path / name, **options)
            assert fitted(values[0], "s/run0").shape == (40, 30)

    @pytest.mark.parametrize("scale", [1e-3, 1, 300])
    def test_values_about_zero_may_be_rounded(self, tmp_path, scale):
        values = [np.random.default_rng(0).normal(0, scale, (40, 30)).astype(np.float32)]
        stored = _fit(values, {0: range(40)}, tmp_path, dtype="float16")(values[0], "s")
        assert np.sqrt(np.mean((stored - values[0]) ** 2)) < 1e-3 * scale

    def test_frames_without_any_value_are_named(self, tmp_path):
        values = _values(1)
        values[0][[3, 7]] = np.nan
        with pytest.raises(
            ValueError, match=r"s/run0: 2 of 30 frames hold no value \(the first is 3, counted from 0\)"
        ):
            _fit(values, {0: range(30)}, tmp_path)


class TestStandardize:
    def test_over_training_frames_of_a_subject(self, tmp_path):
        values = _values()
        fitted = _fit(values, {0: range(30), 2: range(10, 20)}, tmp_path, standardize="train")
        seen = np.concatenate([values[0], values[2][10:20]])
        expected = (values[3] - seen.mean(0)) / seen.std(0)
        np.testing.assert_allclose(fitted(values[3], "s"), expected, rtol=1e-4, atol=1e-5)

    def test_over_training_frames_of_a_session(self, tmp_path):
        values, sessions = _values(), ["a", "a", "b", "b"]
        fitted = _fit(values, {0: range(15), 2: range(30)}, tmp_path, sessions, standardize="session")
        expected = (values[1] - values[0][:15].mean(0)) / values[0][:15].std(0)
        np.testing.assert_allclose(fitted(values[1], "s/a"), expected, rtol=1e-4, atol=1e-5)

    def test_a_held_out_run_within_itself(self, tmp_path):
        values = _values()
        fitted = _fit(values, {0: range(30)}, tmp_path, standardize="recording")
        result = fitted(values[3], "s/run3")
        np.testing.assert_allclose(result.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(result.std(0), 1, rtol=1e-4)

    def test_what_is_standardised_already_is_left_alone(self, tmp_path):
        values, training = _values(), {"s/run0": np.arange(30)}
        recordings = [replace(r, standardized=r.recording_id == "s/run3") for r in _recordings(values, ["a"] * 4)]
        recording_statistics = _recording_statistics(recordings, training, tmp_path)
        options = {"standardize": "session", "bad_voxels": "drop", "dtype": "float32"}
        fitted = fit_preprocessing(recordings, recording_statistics, training, **options)
        assert set(fitted.means) == {"s/a"}
        np.testing.assert_array_equal(fitted(values[3], unit_of(recordings[3], "session")), values[3])

    def test_unknown_session(self, tmp_path):
        with pytest.raises(ValueError, match="the session of s/run0 is not known; choose 'recording' or 'train'"):
            _fit(_values(), {0: range(30)}, tmp_path, standardize="session")

    @pytest.mark.parametrize("options", [{"standardize": "train"}, {"standardize": "train", "num_components": 6}])
    def test_nothing_is_fitted_on_other_frames(self, tmp_path, options):
        values = _values()
        training = {0: range(30), 1: range(12)}
        first = _fit(values, training, tmp_path / "first", **options)
        changed = [values[0], values[1].copy(), *(10 * v for v in values[2:])]
        changed[1][12:] += 100
        second = _fit(changed, training, tmp_path / "second", **options)
        np.testing.assert_array_equal(first(values[3], "s"), second(values[3], "s"))


class TestBadVoxels:
    def _damaged(self):
        values = _values()
        values[3][4, 2] = np.nan  # in a run that is not for training: NaN counts wherever it is
        for run in values:
            run[:, 7] = 5.0
        return values

    def test_drop(self, tmp_path):
        values = self._damaged()
        fitted = _fit(values, {0: range(30)}, tmp_path, standardize="recording")
        assert fitted.width == 18
        assert not {2, 7} & set(fitted.kept.tolist())
        assert np.isfinite(fitted(values[3], "s/run3")).all()

    def test_zero(self, tmp_path):
        values = self._damaged()
        result = _fit(values, {0: range(30)}, tmp_path, bad_voxels="zero", standardize="recording")(
            values[3], "s/run3"
        )
        assert result.shape == (30, 20)
        assert not result[:, [2, 7]].any()
        assert result[:, [0, 1, 3]].all()

    def test_error(self, tmp_path):
        with pytest.raises(ValueError, match="2 of 20 voxels hold NaN or never vary: choose bad_voxels='drop'"):
            _fit(self._damaged(), {0: range(30)}, tmp_path, bad_voxels="error")

    def test_nothing_left(self, tmp_path):
        with pytest.raises(ValueError, match="no voxel is left of 20"):
            _fit([np.full((30, 20), np.nan, np.float32)], {0: range(30)}, tmp_path)


class TestComponents:
    @pytest.mark.parametrize("runs", [1, 4])
    def test_equal_those_of_all_frames_at_once(self, tmp_path, runs):
        # Six strong directions: batches then lose nothing.
        generator = np.random.default_rng(0)
        mixing = generator.normal(size=(6, 20))
        values = [(generator.normal(size=(40, 6)) @ mixing).astype(np.float32) for _ in range(runs)]
        fitted = _fit(values, {i: range(40) for i in range(runs)}, tmp_path, num_components=6)
        expected = PCA(6).fit(np.concatenate(values))
        overlap = np.abs(np.linalg.svd(fitted.components @ expected.components_.T)[1])
        np.testing.assert_allclose(overlap, 1, atol=1e-4)
        np.testing.assert_allclose(fitted.center, np.concatenate(values).mean(0), atol=1e-4)
        rebuilt = fitted(values[0], "") @ fitted.components + fitted.center
        np.testing.assert_allclose(rebuilt, values[0], atol=1e-3)

    def test_more_than_there_can_be(self, tmp_path):
        with pytest.raises(ValueError, match="5 training frames of 20 features give at most 4"):
            _fit(_values(), {0: range(5)}, tmp_path, num_components=5)


class TestStored:
    def test_float16_that_does_not_fit(self, tmp_path):
        values = [1e6 * v for v in _values()]
        with pytest.raises(OverflowError, match="does not fit into float16: choose dtype='float32'"):
            _fit(values, {0: range(30)}, tmp_path, dtype="float16")(values[3], "")

    def test_file_round_trip(self, tmp_path):
        values = _values()
        fitted = _fit(values, {0: range(30)}, tmp_path, standardize="recording", num_components=3, dtype="float16")
        geometry = Geometry(np.zeros((20, 3), np.float32), "here", {"a": np.ones(20, np.int16)}, {"a": ["all"]})
        fitted.save(tmp_path / "s.safetensors", geometry)
        loaded = Preprocessing.load(tmp_path / "s.safetensors")
        np.testing.assert_array_equal(loaded(values[1], "s/run1"), fitted(values[1], "s/run1"))
        assert loaded(values[1], "s/run1").dtype == np.float16
