# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Size and performance: saved reports of several decoders become one curve.

Decoder capacity, training-set size and language-model size are one analysis: each decoder is a report and a size. All
are evaluated on the same samples, so that groups are compared with themselves along the curve.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ..reports.sections import Section
from .curves import Curve, make_curve
from .effects import Effects, Sample, brain_effects


def scaling_curve(
    samples: Mapping[float, Sequence[Sample]], quantity: str, x_unit: str, task: str | None = None, seed: int = 0
) -> Curve:
    """
    What the brain adds, by the size of something.

    Args:
        samples (`Mapping[float, Sequence[Sample]]`):
            Size → samples of the report of the decoder of that size; of several folds joined.
        quantity (`str`), x_unit (`str`):
            What has the size, such as `"training set"`, and its unit, such as `"passage"`.
        task (`str`, *optional*):
            Which task, where there are several; by default `sentence`.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Raises:
        ValueError: If there are fewer than two sizes, one is not above 0, or the reports are not of the same samples.
    """
    sizes = sorted(samples)
    if len(sizes) < 2 or sizes[0] <= 0:
        raise ValueError(f"A curve needs two sizes or more, all above 0; got {sizes}.")
    tested = {size: {sample["sample_id"] for sample in samples[size]} for size in sizes}
    differing = [size for size in sizes if tested[size] != tested[sizes[0]]]
    if differing:
        raise ValueError(
            f"The reports of sizes {sizes[0]:g} and {differing[0]:g} are of different samples, so that their "
            "difference may be that of the samples. Evaluate all decoders on the same split."
        )
    found = [brain_effects(samples[size], task) for size in sizes]
    counts = [len(effects.wins) for effects in found]
    x = np.repeat(np.array(sizes, float), counts)
    bins = np.split(np.arange(len(x)), np.cumsum(counts)[:-1])
    return make_curve(Effects.join(found), x, bins, quantity, x_unit, log_x=True, seed=seed)


def scaling_section(curve: Curve, name: str, title: str) -> Section:
    """
    The curve as a piece of evidence.

    Args:
        curve ([`Curve`]):
            By [`scaling_curve`].
        name (`str`), title (`str`):
            Of the section, such as `"training_set_size"` and `"Training-set size"`.
    """
    first, last = curve.rows[0], curve.rows[-1]
    text = (
        f"Does decoding grow with the {curve.quantity}? The own brain beats another group's in "
        f"{first['accuracy']:.3f} of pairs at {first['x']:g} and in {last['accuracy']:.3f} at {last['x']:g} "
        f"({curve.x_unit}s). "
        f"{curve.describe_trend()} Each size is one training run: intervals are over the tested samples, and say "
        "nothing of what another seed would give."
    )
    return curve.section(name, title, text)


__all__ = ["scaling_curve", "scaling_section"]
