# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""q and p of maps: a level that is kept under the null, power where there is an effect, figures of other libraries."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from sklearn.metrics import roc_auc_score

from trainers.data.geometry import SubjectGeometry
from trainers.maps.sections import map_section
from trainers.maps.statistics import VoxelMap, pair_sums, recovery


NAMES = {"subject": "s1", "method": "gradient", "unit": "nats"}


def make(effects, pairs=None, **options) -> VoxelMap:
    pairs = np.arange(len(effects)) if pairs is None else pairs
    return VoxelMap.from_effects(effects, pairs, **NAMES, **options)


class TestVoxelMap:
    def test_error_rates_under_the_null(self):
        """Of 400 maps of correlated noise about 5 % hold a voxel that the max statistic finds."""
        generator = np.random.default_rng(0)
        found = 0
        for _ in range(400):
            effects = generator.standard_normal((24, 1)) + generator.standard_normal((24, 20))
            found += make(effects, num_permutations=199).p.min() <= 0.05
        assert 0.02 < found / 400 < 0.085

    def test_every_shuffle_of_few_pairs(self):
        effects = np.random.default_rng(1).standard_normal((8, 5)) + np.array([2, 0, 0, 0, 0])
        pairs = np.array([0, 1, 2, 3, 4, 0, 1, 2])
        sums = np.stack([effects[pairs == pair].sum(axis=0) for pair in range(5)])
        np.testing.assert_allclose(pair_sums(effects, pairs), sums)
        maps = np.array([np.array(signs) @ sums for signs in product((-1, 1), repeat=5)])
        sizes = np.abs(maps) / np.sqrt((sums**2).sum(axis=0))
        observed = np.abs(sums.sum(axis=0)) / np.sqrt((sums**2).sum(axis=0))
        found = make(effects, pairs, num_permutations=20_000)
        np.testing.assert_allclose(np.abs(found.z), observed)
        np.testing.assert_allclose(found.scores, effects.sum(axis=0) / 8)
        np.testing.assert_allclose(found.p, (sizes.max(axis=1)[:, None] >= observed - 1e-9).mean(axis=0), atol=0.015)
        single = (sizes >= observed - 1e-9).mean(axis=0)
        np.testing.assert_allclose(found.q, false_discovery_control(single), atol=0.015)

    def test_order_of_rows_does_not_matter(self):
        generator = np.random.default_rng(2)
        effects, pairs = generator.standard_normal((30, 6)), np.repeat(np.arange(15), 2)
        order = generator.permutation(30)
        one, other = make(effects, pairs), make(effects[order], pairs[order])
        np.testing.assert_allclose(one.p, other.p)
        np.testing.assert_allclose(one.scores, other.scores)

    def test_a_dead_voxel(self):
        effects = np.random.default_rng(3).standard_normal((20, 3)) * [1, 0, 1]
        found = make(effects, num_permutations=99)
        assert (found.scores[1], found.z[1], found.q[1], found.p[1]) == (0, 0, 1, 1)


class TestRecovery:
    def test_area_of_an_independent_library(self):
        generator = np.random.default_rng(4)
        truth = generator.random(50) < 0.3
        effects = generator.standard_normal((40, 50)) + 0.2 * truth
        found = recovery(effects, np.arange(40), truth)
        assert found.auc == pytest.approx(roc_auc_score(truth, effects.mean(axis=0)))
        assert found.null_low < 0.5 < found.null_high
        assert found.p < 0.05
        assert recovery(effects, np.arange(40), generator.permutation(truth)).p > 0.05

    def test_nothing_to_compare_with(self):
        with pytest.raises(ValueError, match="5 of 5 voxels are to be singled out"):
            recovery(np.ones((4, 5)), np.arange(4), np.ones(5, bool))


class TestSection:
    GEOMETRY = SubjectGeometry(
        num_voxels=6,
        regions={"streams": np.array([-1, 0, 1, 1, 2, 2])},
        region_names={"streams": ["early", "late"]},
    )

    def test_table_and_words(self):
        effects = np.random.default_rng(5).standard_normal((40, 6)) + np.array([0, 0, 3, 3, 0, 0])
        found, truth = make(effects), np.array([0, 0, 1, 1, 0, 0], bool)
        section = map_section(found, self.GEOMETRY, "streams", {"early": recovery(effects, np.arange(40), truth)})
        assert [row["region"] for row in section.rows] == [
            "all",
            "streams: unlabelled",
            "streams: early",
            "streams: late",
        ]
        early = section.rows[2]
        assert (early["voxels"], early["found_strictly"]) == (2, 2)
        assert early["mean"] == pytest.approx(effects[:, 2:4].mean())
        assert early["share"] == pytest.approx(effects[:, 2:4].sum() / effects.sum())
        assert sum(row["share"] for row in section.rows[1:]) == pytest.approx(1)
        assert set(section.columns) == set(early)
        assert section.name == "map_gradient_s1"
        assert "tells early from the rest with an AUC of 1.000" in section.text
        assert "no voxels" not in section.text

    def test_features_say_that_they_are_no_voxels(self):
        section = map_section(make(np.random.default_rng(6).standard_normal((20, 4))))
        assert "the map has no place in a brain" in section.text
        assert "Of 4 features, 0 help and 0 mislead" in section.text

    def test_an_atlas_that_nobody_has(self):
        with pytest.raises(ValueError, match=r"has no atlas 'areas'; it has \['streams'\]"):
            map_section(make(np.ones((4, 6))), self.GEOMETRY, "areas")
