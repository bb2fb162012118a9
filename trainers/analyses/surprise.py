# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Surprise: does the brain help most where the language model alone is most surprised? (Ye et al. 2025.)

The samples are cut into equally large bins by the loss of the language model alone (arm `no_brain`) on the true
completion. In each bin the own brain is compared with those of other groups (arm `permuted`), never with `no_brain`: a
gain over the very losses that order the samples would grow along them by chance alone.
"""

from collections.abc import Sequence

import numpy as np

from ..reports.sections import Section
from .curves import Curve, make_curve
from .effects import Sample, arm_losses, equal_count_bins, loss_effects, samples_of


NAME = "surprise"


def surprise_curve(samples: Sequence[Sample], task: str = "continuation", num_bins: int = 10, seed: int = 0) -> Curve:
    """
    What the brain adds, by how much the true completion surprises the language model.

    Args:
        samples (`Sequence[Sample]`):
            Samples of a report.
        task (`str`, *optional*, defaults to `"continuation"`):
            Which of its tasks.
        num_bins (`int`, *optional*, defaults to 10):
            Bins of equally many samples; 10 as published.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Returns:
        [`Curve`]: Each row also tells `num_tokens`, the mean length of its completions.

    Raises:
        ValueError: If there is no such task, an arm is missing, or bins are too small.
    """
    rows = samples_of(samples, task)
    surprise = arm_losses(rows, "no_brain")[0]
    bins = equal_count_bins(surprise, num_bins)
    curve = make_curve(loss_effects(rows), surprise, bins, "surprise", "nat per token", seed=seed)
    tokens = np.array([row["num_tokens"] for row in rows])
    for row, chosen in zip(curve.rows, bins, strict=True):
        row["num_tokens"] = float(tokens[chosen].mean())
    return curve


def surprise_section(curve: Curve, task: str = "continuation") -> Section:
    """The curve as a piece of evidence."""
    first, last = curve.rows[0], curve.rows[-1]
    text = (
        f"Does the brain help more where the language model alone is surprised ({task})? The own brain beats "
        f"another group's in {first['accuracy']:.3f} of pairs where it is surprised least and in "
        f"{last['accuracy']:.3f} where it is surprised most. {curve.describe_trend()} Surprise is the loss of the "
        "language model alone on the true text; bins hold equally many samples. It was not set by an experiment: "
        f"surprising texts differ in other ways too (mean length {first['num_tokens']:.1f} tokens in the first bin, "
        f"{last['num_tokens']:.1f} in the last), and a loss that is low has less room to fall."
    )
    return curve.section(f"{NAME}_{task}", f"Surprise ({task})", text)


__all__ = ["surprise_curve", "surprise_section"]
