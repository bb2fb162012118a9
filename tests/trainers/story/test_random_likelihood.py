# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A random likelihood: numbers change places among tokens that are about as likely, and nowhere else."""

import math

import numpy as np
import pytest
import torch

from trainers.story.beam import SearchOptions
from trainers.story.proposals import Proposals
from trainers.story.random_likelihood import RandomLikelihoodSearch, exchange_alike


class Reader:
    """What a search asks of a scorer before it reads anything."""

    context_tokens = 1


LIKELY = np.log([0.3, 0.02, 0.25, 0.25, 0.01, 0.15, 0.02])  # a power of ten below .3 ends at .03
ALIKE = [{0, 2, 3, 5}, {1, 4, 6}]


def test_every_order_within_a_power_of_ten_and_none_across():
    generator = np.random.default_rng(0)
    orders = [tuple(exchange_alike(LIKELY, generator).tolist()) for _ in range(12_000)]
    for group in ALIKE:
        assert all({order[i] for i in group} == group for order in set(orders))
    # 4! 3! = 144 orders, each in one of 144 cases; the statistic of the chi-squared test has 143 degrees of freedom.
    counts = np.array([orders.count(order) for order in set(orders)])
    expected = len(orders) / 144
    assert len(counts) == math.factorial(4) * math.factorial(3)
    assert ((counts - expected) ** 2 / expected).sum() < 143 + 4 * math.sqrt(2 * 143)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_what_the_brain_adds_is_dealt_out_among_allowed_tokens(weight):
    """`log p_silent + w (log p_silent - log p_reference)`, and another token's `(1 + w) (log p - log p_silent)`."""
    torch.manual_seed(0)
    free = Proposals(top_k=6, bar_bigrams=False, bar_repeats=False, bar_stop_words=0)
    search = RandomLikelihoodSearch(
        generators=[np.random.default_rng(3), np.random.default_rng(4)], scorers=[Reader()] * (2 + (weight > 0)),
        options=SearchOptions(contrast_weight=weight), proposals=free, allowed=torch.arange(7) != 6, stop_ids=(),
    )  # fmt: skip
    silent = torch.tensor(LIKELY).repeat(3, 1)
    brain, reference = (torch.randn(3, 7, dtype=silent.dtype).log_softmax(-1) for _ in range(2))
    decoded_texts = [2 * search.start()[0], search.start()[0]]
    scores = search._score(decoded_texts, [brain, silent, reference][: 2 + (weight > 0)])
    language = silent + weight * (silent - reference)
    added = (1 + weight) * (brain - silent)
    for row in range(3):
        assert scores[row, 6] == -torch.inf
        for group in ALIKE:
            ids = sorted(group - {6})
            dealt = (scores - language)[row, ids]
            np.testing.assert_allclose(dealt.sort().values, added[row, ids].sort().values, atol=1e-12)
    again = RandomLikelihoodSearch(
        generators=[np.random.default_rng(4)], scorers=search.scorers, options=search.options, proposals=free,
        allowed=search.allowed, stop_ids=(),
    )  # fmt: skip
    alone = again._score(decoded_texts[1:], [some[2:] for some in (brain, silent, reference)][: 2 + (weight > 0)])
    assert torch.equal(alone[0], scores[2])  # a decoded text draws from its own generator, whoever stands beside it
