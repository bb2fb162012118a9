# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Perplexity and its gap: by hand, and against the cross-entropy of every token."""

import numpy as np
import pytest

from trainers.metrics import corpus_perplexity_gap, perplexity_gap


def test_gap_of_each_sample():
    np.testing.assert_allclose(perplexity_gap([2.0, 1.0], [1.5, 1.25]), [0.5, -0.25])
    # Several permutations: their mean.
    np.testing.assert_allclose(perplexity_gap([[2.0, 1.0], [3.0, 1.0]], [1.5, 1.25]), [1.0, -0.25])


def test_corpus_counts_tokens():
    """As if the tokens of all samples stood in one text."""
    generator = np.random.default_rng(0)
    lengths = [3, 1, 7, 4]
    model, control = ([generator.exponential(size=length) for length in lengths] for _ in range(2))
    means = [[tokens.mean() for tokens in arm] for arm in (control, model)]
    found = corpus_perplexity_gap(*means, num_tokens=lengths)
    whole, other = (np.exp(np.concatenate(arm).mean()) for arm in (model, control))
    assert found["perplexity"] == pytest.approx(whole)
    assert found["control_perplexity"] == pytest.approx(other)
    assert found["perplexity_ratio"] == pytest.approx(other / whole)
    assert found["perplexity_gap"] == pytest.approx(np.log(other / whole))


def test_samples_count_alike_without_numbers_of_tokens():
    found = corpus_perplexity_gap([2.0, 3.0], [1.0, 1.0])
    assert found["perplexity_gap"] == pytest.approx(1.5)
    assert found["perplexity"] == pytest.approx(np.e)


def test_the_same_losses_have_no_gap():
    found = corpus_perplexity_gap([1.0, 2.0], [1.0, 2.0], [3, 4])
    assert (found["perplexity_gap"], found["perplexity_ratio"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("control", "model", "message"),
    [
        ([1.0], [1.0, 2.0], r"found \(1, 1\) and \(2,\)"),
        ([[1.0]], [[1.0]], r"found \(1, 1\) and \(1, 1\)"),
        ([], [], r"found \(1, 0\) and \(0,\)"),
        ([np.nan], [1.0], "NaN or infinity"),
        ([1.0], [np.inf], "NaN or infinity"),
    ],
)
def test_bad_losses(control, model, message):
    with pytest.raises(ValueError, match=message):
        perplexity_gap(control, model)


@pytest.mark.parametrize("num_tokens", [[1], [1, 0]])
def test_bad_numbers_of_tokens(num_tokens):
    with pytest.raises(ValueError, match="at least 1 for each of 2 samples"):
        corpus_perplexity_gap([1.0, 1.0], [1.0, 1.0], num_tokens)
