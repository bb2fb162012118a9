# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The noise ceiling that a corpus brings along is shown, and its absence is said."""

import numpy as np
from safetensors.numpy import load_file

from trainers.data.geometry import SubjectGeometry
from trainers.reports.noise_ceiling import find_noise_ceiling, noise_ceiling_section


def test_numbers_of_each_subject():
    ceiling = np.append(np.linspace(0, 100, 101), np.nan).astype(np.float32)
    unit = "percent of the variance of a single repeat"
    geometries = {"s1": SubjectGeometry(102, noise_ceiling=ceiling, noise_ceiling_unit=unit), "s2": SubjectGeometry(9)}
    section = noise_ceiling_section(geometries)
    (row,) = section.rows
    assert (row["subject"], row["voxels"], row["median"], row["quarter"], row["tenth"]) == ("s1", 102, 50, 75, 90)
    assert row["unit"] == unit
    assert "Unknown for s2" in section.text


def test_a_corpus_without_repeats():
    assert noise_ceiling_section({"s1": SubjectGeometry(9)}) is None


def test_of_the_tested_subjects_of_a_corpus(tmp_path):
    """What the builder knows of its unit and its values is what the report says, of those who are tested alone."""
    from dataset_builders import prepare_corpus, save_corpus

    options = {"num_subjects": 2, "num_sessions": 2, "trials_per_session": 24, "num_shared": 4, "num_voxels": 40}
    builder = prepare_corpus("synthetic_images", cache_dir=tmp_path / "cache", **options)
    save_corpus(builder, tmp_path / "corpus")
    section = find_noise_ceiling(str(tmp_path / "corpus"), {"subj02"})
    (row,) = section.rows
    truth = load_file(tmp_path / "corpus/subjects/subj02.safetensors")["geometry/noise_ceiling"]
    assert (row["subject"], row["unit"], row["voxels"]) == ("subj02", "percent", len(truth))
    assert row["median"] == np.median(truth)
    # Data that were saved without files of subjects.
    (tmp_path / "plain").mkdir()
    assert find_noise_ceiling(str(tmp_path / "plain"), {"subj02"}) is None
