# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Prompt length: what the brain adds when the language model has already read more of the text (Ye et al. 2025)."""

from collections.abc import Callable, Sequence

import numpy as np

from ..reports.sections import Section
from .curves import Curve, make_curve
from .effects import Sample, loss_effects


NAME, QUANTITY = "prompt_length", "length of the prompt"
# Published: "counts with more than 50 samples".
MIN_SAMPLES = 50


def count_words(samples: Sequence[Sample]) -> np.ndarray:
    """Words `(samples,)` of each prompt."""
    return np.array([len(sample["prompt"].split()) for sample in samples])


def count_windows(samples: Sequence[Sample]) -> np.ndarray:
    """
    Windows of text `(samples,)` before each completion: 0 without a prompt, 1, 2, ... along a sentence.

    Corpora that cut a sentence into windows decode each from those before it. So a prompt that is prompt and truth of
    another sample, of the same subject and group, is one window longer than the other's.
    """
    before = {_place(sample, f"{sample['prompt']} {sample['references'][0]}"): sample["prompt"] for sample in samples}

    def count(sample: Sample, prompt: str) -> int:
        if not prompt.strip():
            return 0
        return 1 + count(sample, before.get(_place(sample, prompt), ""))

    return np.array([count(sample, sample["prompt"]) for sample in samples])


def _place(sample: Sample, text: str) -> tuple[str, str, str]:
    return sample["subject"], sample["group"], " ".join(text.split())


def token_counter(tokenizer: Callable) -> Callable[[Sequence[Sample]], np.ndarray]:
    """
    Counts a prompt's tokens, as the paper does.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Of the language model.
    """

    def count(samples: Sequence[Sample]) -> np.ndarray:
        ids = tokenizer([sample["prompt"].strip() for sample in samples], add_special_tokens=False)["input_ids"]
        return np.array([len(tokens) for tokens in ids])

    return count


def prompt_length_curve(
    samples: Sequence[Sample],
    count: Callable[[Sequence[Sample]], np.ndarray] = count_words,
    x_unit: str = "word",
    min_samples: int = MIN_SAMPLES,
    seed: int = 0,
) -> Curve:
    """
    What the brain adds, by the length of the prompt; each length that enough samples have is a bin of its own.

    The trend runs over the lengths above 0, if there are two: at 0 another text is read, the whole sentence.

    Args:
        samples (`Sequence[Sample]`):
            Lines of a report's table. Those of the task `sentence` have prompts of length 0.
        count (`Callable`, *optional*, defaults to [`count_words`]):
            Samples → length `(samples,)` of each prompt; or [`count_windows`], or [`token_counter`].
        x_unit (`str`, *optional*, defaults to `"word"`):
            What is counted.
        min_samples (`int`, *optional*, defaults to 50):
            Samples that a bin has at least; other lengths are left out, as published.
        seed (`int`, *optional*, defaults to 0):
            Seed of bootstrap and sign flips.

    Raises:
        ValueError: If fewer than two lengths have enough samples, or the samples are captions.
    """
    lengths = count(samples)
    places = {length: np.flatnonzero(lengths == length) for length in np.unique(lengths).tolist()}
    bins = {length: found for length, found in places.items() if len(found) >= min_samples}
    if len(bins) < 2:
        counts = ", ".join(f"{length}: {len(found)}" for length, found in places.items())
        raise ValueError(
            f"Fewer than two lengths have `min_samples={min_samples}` samples; found {counts}. Pool the reports of "
            "several folds, or lower it."
        )
    above = [found for length, found in bins.items() if length]
    effects, trend_bins = loss_effects(samples), above if len(above) > 1 else None
    values = list(bins.values())
    return make_curve(effects, lengths.astype(float), values, QUANTITY, x_unit, trend_bins=trend_bins, seed=seed)


def prompt_length_section(curve: Curve) -> Section:
    """The curve as a piece of evidence."""
    shares = ", ".join(f"{row['x']:g}: {row['accuracy']:.3f}" for row in curve.rows)
    text = (
        f"Does the brain help less when more of the text is known? Pairwise accuracy by {curve.x_unit}s: {shares}. "
        f"{curve.describe_trend()} Lengths were not set by an experiment: completions after longer prompts stand "
        "later in their sentence."
    )
    if curve.rows[0]["x"] == 0:
        text += (
            " At length 0 the whole sentence is read without a prompt: more text to tell brains apart by, and so left "
            "out of the trend where two other lengths remain."
        )
    return curve.section(f"{NAME}_{curve.x_unit}s", f"Prompt length ({curve.x_unit}s)", text)


__all__ = [
    "count_windows",
    "count_words",
    "prompt_length_curve",
    "prompt_length_section",
    "token_counter",
]
