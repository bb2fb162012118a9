# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The best that can be done without the recorded brain: what a brain adds is measured over it, and over nothing less.

Any conditioning tells a language model that a text belongs to the corpus. So a gain over the bare language model, or
over a permuted brain, which misleads a model that trusts brains, says too much. The rival here has the same recipe,
texts and steps: the model itself under the null condition or the mean brain, and twins that were trained on brains
shuffled across groups. Which is best is chosen on validation texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .arms import Batches


NULL, MEAN_BRAIN, DEAF_TWIN, STRUCTURE_TWIN = "null", "mean_brain", "deaf_twin", "structure_twin"


@dataclass(frozen=True)
class Deaf:
    """
    One way to decode rows without their brains.

    Args:
        rows ([`Batches`]):
            The rows, with the model that decodes them.
        embeds (`Mapping`):
            What stands in the place of each brain: encoder outputs per block.
    """

    rows: Batches
    embeds: Mapping[tuple[str, int], torch.Tensor]

    def losses(self) -> np.ndarray:
        """Mean cross-entropy `(rows,)` of each completion's tokens."""
        return self.rows.losses(self.rows.own, self.embeds)

    def generate(self, generation: Mapping[str, Any], advance: Callable) -> list[str]:
        """A completion of each row."""
        return self.rows.generate(self.rows.own, generation, advance, self.embeds)


def ways_without_brain(rows: Batches, twins: Sequence[Batches]) -> dict[str, Deaf]:
    """
    Everything that decodes the rows without their brains.

    Args:
        rows ([`Batches`]):
            The model that is evaluated, on some rows.
        twins (`Sequence[Batches]`):
            Its twins on the same rows; each under the brains that it is given, their mean, and the null condition.

    Returns:
        `dict`: `null` and `mean_brain` of the model; `twin_1`, `twin_1_mean_brain`, `twin_1_null` and so on.
    """
    found = {NULL: Deaf(rows, rows.null()), MEAN_BRAIN: Deaf(rows, rows.mean_brain())}
    for number, twin in enumerate(twins, start=1):
        found[f"twin_{number}"] = Deaf(twin, twin.embeds)
        found[f"twin_{number}_{MEAN_BRAIN}"] = Deaf(twin, twin.mean_brain())
        found[f"twin_{number}_{NULL}"] = Deaf(twin, twin.null())
    return found


def losses_of(ways: Mapping[str, Deaf]) -> dict[str, np.ndarray]:
    """Losses `(rows,)` of each of [`ways_without_brain`]."""
    return {name: way.losses() for name, way in ways.items()}


def choose_rival(losses: Mapping[str, np.ndarray], num_tokens: np.ndarray) -> str:
    """
    The arm that makes all texts together likeliest.

    Args:
        losses (`Mapping[str, np.ndarray]`):
            Result of [`losses_of`], in nats a token: of validation rows, so that the choice is no part of
            the test.
        num_tokens (`np.ndarray` of shape `(rows,)`):
            Tokens of each text.
    """
    return min(losses, key=lambda arm: float(losses[arm] @ num_tokens))


__all__ = [
    "DEAF_TWIN",
    "MEAN_BRAIN",
    "NULL",
    "STRUCTURE_TWIN",
    "Deaf",
    "choose_rival",
    "losses_of",
    "ways_without_brain",
]
