# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the structure of an experiment tells of a text without any brain: its length, place, session and rate.

Long sentences are told apart from short ones by any signal that grows with time. So these numbers take the place of
the brain in [`~trainers.evaluation.ridge_baseline`]; a brain that says no more than they do is not read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .ridge_baseline import Embedder, RidgeBaseline, ridge_baseline


Row = Mapping[str, Any]


def structure_baseline(train: Sequence[Row], tested: Sequence[Row], embed: Embedder) -> RidgeBaseline:
    """
    Identifies and retrieves texts by what is known of them without a brain.

    Args:
        train (`Sequence[Mapping]`), tested (`Sequence[Mapping]`):
            Rows with `subject`, `group`, `brain_id` and `completion`, whose words and characters are counted;
            `session`, `position` and `words_per_second` are used where they exist.
        embed (`Callable`):
            Texts → embeddings `[texts, embedding]`.

    Returns:
        [`~trainers.evaluation.ridge_baseline.RidgeBaseline`]: With the numbers in the place of the brain.
    """
    sessions = sorted({str(row["session"]) for row in train if row.get("session") is not None})
    known = np.array([_measure(row, sessions) for row in train])
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread[spread == 0] = 1

    def replace_brains(rows: Sequence[Row]) -> list[Row]:
        return [{**row, "brain_values": ((_measure(row, sessions) - mean) / spread)[None]} for row in rows]

    return ridge_baseline(replace_brains(train), replace_brains(tested), embed)


def _measure(row: Row, sessions: Sequence[str]) -> np.ndarray:
    text = row["completion"].strip()
    # Not the columns `num_words` and `num_characters`: they count all that was perceived, and this is a part of it.
    numbers = [len(text.split()), len(text), row.get("position") or 0, row.get("words_per_second") or 0]
    return np.array([*numbers, *(str(row.get("session")) == session for session in sessions)], float)


__all__ = ["structure_baseline"]
