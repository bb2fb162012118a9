# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Nuisance regression, against the normal equations and by what residuals must be."""

import numpy as np
import pytest
from layouts.bids import bids
from layouts.listing import listed

from dataset_builders.corpora.bids.bids import Bids
from dataset_builders.preparation.confounds import read_confounds, regress_out


STEM, RECORDING = "sub-01_task-story_run-1", "sub-01/task-story_run-1"
TABLE = "derivatives/fmriprep/sub-01/func/sub-01_task-story_run-01_desc-confounds_timeseries.tsv"


@pytest.fixture
def written(tmp_path):
    return tmp_path / "ds", bids(tmp_path / "ds", {STEM: 1})


def residuals(values, *columns):
    """Of a fit with a constant by the normal equations, with the mean put back."""
    design = np.column_stack([np.ones(len(values)), *columns])
    weights = np.linalg.solve(design.T @ design, design.T @ values)
    return values - design @ weights + values.mean(0)


class TestOfARun:
    def test_confounds_and_trend(self, written):
        root, truth = written
        found = listed(Bids, root, confounds=["trans_*"], detrend=True)[1][RECORDING].read()
        confounds = truth.confounds[STEM][:, :2].copy()
        confounds[0, 1] = confounds[1, 1]  # n/a in the file
        expected = residuals(truth.values[STEM], np.arange(40), confounds)
        np.testing.assert_allclose(found, expected, atol=1e-4)

    def test_trend_alone(self, written):
        root, truth = written
        found = listed(Bids, root, detrend=True)[1][RECORDING].read()
        np.testing.assert_allclose(found, residuals(truth.values[STEM], np.arange(40)), atol=1e-4)

    def test_the_older_name(self, written):
        root, truth = written
        (root / TABLE).rename(root / TABLE.replace("timeseries", "regressors"))
        found = listed(Bids, root, confounds=["trans_x", "rot_z"])[1][RECORDING].read()
        np.testing.assert_allclose(found, residuals(truth.values[STEM], truth.confounds[STEM][:, [0, 2]]), atol=1e-4)

    def test_a_table_of_another_run(self, written):
        root, _ = written
        lines = (root / TABLE).read_text().splitlines(keepends=True)
        (root / TABLE).write_text("".join(lines[:-1]))
        recording = listed(Bids, root, confounds=["rot_z"])[1][RECORDING]
        with pytest.raises(ValueError, match=r"timeseries\.tsv: the series has 40 frames and the confounds have 39"):
            recording.read()

    def test_missing_table(self, written):
        root, _ = written
        (root / TABLE).unlink()
        with pytest.raises(FileNotFoundError, match=r"run-1_desc-confounds_timeseries\.tsv \(nor _regressors\.tsv\)"):
            listed(Bids, root, confounds=["rot_z"])


class TestResiduals:
    def test_are_orthogonal_and_keep_their_mean(self):
        generator = np.random.default_rng(0)
        values = generator.standard_normal((50, 6)).astype(np.float32) + 100
        confounds = generator.standard_normal((50, 3))
        confounds = np.column_stack([confounds, confounds[:, 0] * 2, np.ones(50)])  # dependent and constant ones
        found = regress_out(values, confounds, detrend=True)
        np.testing.assert_allclose(found.mean(0), values.mean(0), rtol=1e-6)
        centred = found - found.mean(0, dtype=np.float64)
        for column in [*confounds.T, np.arange(50) / 50]:
            np.testing.assert_allclose((column - column.mean()) @ centred, 0, atol=1e-3)
        np.testing.assert_allclose(regress_out(found, confounds, detrend=True), found, atol=1e-4)

    def test_nothing_to_take_out(self):
        values = np.ones((5, 2), np.float32)
        assert regress_out(values) is values

    def test_voxels_without_values_spoil_no_others(self):
        values = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
        confounds = np.arange(20.0)[:, None] ** 2
        alone = regress_out(values, confounds)
        values[:, 1] = np.nan
        found = regress_out(values, confounds)
        assert np.isnan(found[:, 1]).all()
        np.testing.assert_allclose(found[:, [0, 2]], alone[:, [0, 2]], atol=1e-6)


class TestTable:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a\tb\n1\t2\n", r"no column rot_\*: choose from a, b"),
            ("rot_x\n1\nn/a\n", "line 3: rot_x has no finite value"),
            ("rot_x\n1\ninf\n", "line 3: rot_x has no finite value"),
            ("rot_x\n1\nx\n", "line 3: rot_x is 'x', expected a number"),
        ],
    )
    def test_damaged(self, tmp_path, content, message):
        path = tmp_path / "confounds.tsv"
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_confounds(path, ["rot_*"])
