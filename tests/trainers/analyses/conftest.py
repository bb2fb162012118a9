# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Tables of samples with a known truth: how much the own brain helps is a function that the test chooses."""

from collections.abc import Callable

import numpy as np
import pytest


NUM_PERMUTATIONS = 12


@pytest.fixture
def make_samples():
    def make(
        effect: Callable[[np.ndarray], np.ndarray] = np.zeros_like,
        num_groups: int = 40,
        per_group: int = 6,
        seed: int = 0,
        subject: str = "s1",
    ) -> list[dict]:
        """
        Samples whose own brain lowers the loss by `effect(surprise)`, surprise being the loss without a brain.

        What each group shares makes its samples alike, as those of a passage are.
        """
        generator = np.random.default_rng(seed)
        shared = np.repeat(generator.normal(0, 0.3, num_groups), per_group)
        surprise = np.maximum(generator.normal(4.5, 1, len(shared)) + shared, 0.5)
        permuted = surprise + generator.normal(0, 0.2, (NUM_PERMUTATIONS, len(shared)))
        own = surprise - effect(surprise) + 0.1 * shared + generator.normal(0, 0.2, len(shared))
        return [
            {
                "sample_id": f"toy/{i}",
                "subject": subject,
                "group": f"g{i // per_group}",
                "brain_id": f"toy/{i}",
                "task": "continuation",
                "prompt": " ".join(["word"] * (1 + i % 3)),
                "references": ["some more words"],
                "num_tokens": 3 + i % 4,
                "losses": {
                    "brain": float(own[i]),
                    "permuted": permuted[:, i].tolist(),
                    "no_brain": float(surprise[i]),
                },
            }
            for i in range(len(shared))
        ]

    return make
