# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The best that can be done without the recorded brain: what a brain adds is measured over it, and over nothing less.

Any conditioning tells a language model that a text belongs to the corpus. So a gain over the bare language model, or
over a permuted brain, which misleads a model that trusts brains, says too much. The rival here has the same recipe,
texts and steps: the model itself under the null condition or the mean brain, and twins that were trained on brains
shuffled across groups. Which is best is chosen on validation texts.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .arms import Batches


NULL, MEAN_BRAIN, DEAF_TWIN = "null", "mean_brain", "deaf_twin"


def score_without_brain(rows: Batches, twins: Sequence[Batches]) -> dict[str, np.ndarray]:
    """
    Losses `(rows,)` of everything that decodes the rows without their brains.

    Args:
        rows ([`Batches`]):
            The model that is evaluated, on some rows.
        twins (`Sequence[Batches]`):
            Its twins on the same rows; each under the brains that it is given, their mean, and the null condition.

    Returns:
        `dict`: `null` and `mean_brain` of the model; `twin_1`, `twin_1_mean_brain`, `twin_1_null` and so on.
    """
    found = {NULL: rows.losses(rows.own, rows.null()), MEAN_BRAIN: rows.losses(rows.own, rows.mean_brain())}
    for number, twin in enumerate(twins, start=1):
        found[f"twin_{number}"] = twin.losses(twin.own)
        found[f"twin_{number}_{MEAN_BRAIN}"] = twin.losses(twin.own, twin.mean_brain())
        found[f"twin_{number}_{NULL}"] = twin.losses(twin.own, twin.null())
    return found


def choose_rival(losses: Mapping[str, np.ndarray], num_tokens: np.ndarray) -> str:
    """
    The arm that makes all texts together likeliest.

    Args:
        losses (`Mapping[str, np.ndarray]`):
            Result of [`score_without_brain`], in nats a token: of validation rows, so that the choice is no part of
            the test.
        num_tokens (`np.ndarray` of shape `(rows,)`):
            Tokens of each text.
    """
    return min(losses, key=lambda arm: float(losses[arm] @ num_tokens))


__all__ = ["DEAF_TWIN", "MEAN_BRAIN", "NULL", "choose_rival", "score_without_brain"]
