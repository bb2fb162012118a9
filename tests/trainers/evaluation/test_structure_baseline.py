# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The structure baseline reads length and session, and never a brain."""

import numpy as np

from trainers.evaluation.structure_baseline import structure_baseline
from trainers.metrics import Identification


def make_rows(name: str, num_groups: int, seed: int, **columns) -> list[dict]:
    generator = np.random.default_rng(seed)
    rows = []
    for i in range(2 * num_groups):
        words = 2 + int(generator.integers(0, 12))
        row = {
            "subject": "s",
            "group": f"{name}{i // 2}",
            "brain_id": f"{name}/{i}",
            "completion": f"{i} " + "a " * words,
        }
        rows.append(row | {"session": f"{i % 3}"} | columns)
    return rows


def embed(texts):
    """Knows how long a text is; all else of it is noise."""
    noise = np.array([np.random.default_rng([5, *text.encode()]).standard_normal(6) for text in texts])
    lengths = np.array([len(text.split()) for text in texts], float)
    return np.column_stack([lengths - 8, np.abs(lengths - 8), 0.3 * noise])


def accuracy(baseline) -> float:
    return Identification(*baseline.identification.T).summary()["pairwise_accuracy"]


def test_length_identifies_texts_without_a_brain():
    found = structure_baseline(make_rows("a", 60, 0), make_rows("b", 40, 1), embed)
    assert accuracy(found) > 0.75
    train = make_rows("a", 60, 0, brain_values=np.ones((3, 4)))
    assert accuracy(structure_baseline(train, make_rows("b", 40, 1), embed)) == accuracy(found)


def test_what_structure_does_not_tell_stays_at_chance():
    def random(texts):
        return np.array([np.random.default_rng([7, *text.encode()]).standard_normal(8) for text in texts])

    rows = [row | {"completion": f"{i:03d} a b c"} for i, row in enumerate(make_rows("b", 60, 1))]
    train = [row | {"completion": f"{i:03d} d e f"} for i, row in enumerate(make_rows("a", 60, 0))]
    assert 0.4 < accuracy(structure_baseline(train, rows, random)) < 0.6
