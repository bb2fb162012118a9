# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Intervals over subjects cover what intervals over stimuli alone do not."""

import numpy as np
import pytest

from trainers.statistics.resampling import cluster_bootstrap_ci, subject_bootstrap_ci, subject_bootstrap_score


def crossed(seed: int, people: float, num_subjects: int = 8, num_groups: int = 20):
    generator = np.random.default_rng(seed)
    values = people * generator.standard_normal((num_subjects, 1)) + generator.standard_normal(num_groups)
    values = values + generator.standard_normal((num_subjects, num_groups))
    subjects, groups = np.indices(values.shape)
    return values.ravel(), groups.ravel().astype(str).tolist(), subjects.ravel().astype(str).tolist()


def test_covers_the_mean_when_people_differ():
    covered = np.zeros(2)
    for seed in range(200):
        values, groups, subjects = crossed(seed, people=1.0)
        wide = subject_bootstrap_ci(values, groups, subjects, num_resamples=600, seed=seed)
        narrow = cluster_bootstrap_ci(values, groups, num_resamples=600, seed=seed)
        covered += [low < 0 < high for low, high in (wide, narrow)]
    assert covered[0] / 200 >= 0.91
    assert covered[1] / 200 < 0.85


def test_is_no_narrower_than_that_over_stimuli_when_people_agree():
    widths = []
    for seed in range(20):
        values, groups, subjects = crossed(seed, people=0.0)
        ends = subject_bootstrap_ci(values, groups, subjects, seed=seed), cluster_bootstrap_ci(values, groups)
        widths.append([high - low for low, high in ends])
    assert np.mean(widths, axis=0)[0] > np.mean(widths, axis=0)[1]


def test_one_subject_is_refused():
    with pytest.raises(ValueError, match=r"of 1 subject\(s\) and 3 group\(s\).*needs two of each"):
        subject_bootstrap_ci(np.ones(3), list("abc"), ["s1"] * 3)


def test_the_score_of_a_corpus_is_resampled_alike():
    """A ratio of sums equals the mean of values where all weigh alike; and of one cell each, by a loop over cells."""
    values, groups, subjects = crossed(3, people=1.0, num_subjects=4, num_groups=6)
    statistics = np.stack([values, 2 * np.ones(len(values))], axis=1)
    found = subject_bootstrap_score(statistics, groups, subjects, lambda s: s[..., 0] / s[..., 1], num_resamples=250)
    ends = subject_bootstrap_ci(values, groups, subjects, num_resamples=250)
    assert found == pytest.approx([end / 2 for end in ends])
    assert subject_bootstrap_score(np.ones((24, 1)), groups, subjects, lambda s: 0 * s[..., 0] + 7) == (7, 7)
