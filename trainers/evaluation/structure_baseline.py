# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What ridge regression finds in the structure of an experiment, in the place of the brain."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.structure import Structure
from .ridge_baseline import Embedder, RidgeBaseline, ridge_baseline


Row = Mapping[str, Any]


def structure_baseline(train: Sequence[Row], tested: Sequence[Row], embed: Embedder) -> RidgeBaseline:
    """
    Identifies and retrieves texts by what is known of them without a brain.

    Args:
        train (`Sequence[Mapping]`), tested (`Sequence[Mapping]`):
            Rows with `subject`, `group`, `brain_id` and `completion`, whose words and characters are counted; see
            [`~trainers.data.structure.Structure`].
        embed (`Callable`):
            Texts → embeddings `[texts, embedding]`.

    Returns:
        [`~trainers.evaluation.ridge_baseline.RidgeBaseline`]: With the numbers in the place of the brain.
    """
    measure = Structure(train, "completion")

    def replace_brains(rows: Sequence[Row]) -> list[Row]:
        return [{**row, "brain_values": numbers[None]} for row, numbers in zip(rows, measure(rows), strict=True)]

    return ridge_baseline(replace_brains(train), replace_brains(tested), embed)


__all__ = ["structure_baseline"]
