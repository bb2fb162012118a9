# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How much of a feature's variance can be explained at all, from repeats of one stimulus.

A repeat is signal plus noise, `y[r, t] = s[t] + e[r, t]`. Whatever a model knows of the stimulus, it explains at most
the share of the signal: the noise ceiling. It rises as repeats are averaged, because the noise shrinks and the signal
stays.
"""

from collections.abc import Iterable, Sequence

import numpy as np


def signal_to_noise(repeats: Iterable[np.ndarray]) -> np.ndarray:
    """
    Standard deviation of the signal over that of the noise, for every feature.

    `sqrt(max(0, (B - W) / R) / W)`, where `B` and `W` are the mean squares between frames and within them, of a
    two-way analysis of variance over frames and `R` repeats. `B` expects `R` times the signal's variance plus the
    noise's, so the estimate of the signal's variance is unbiased however few the repeats. The mean of a repeat over
    its frames belongs to the run and not to the stimulus; it is taken out first. This is the quantity that NSD calls
    `ncsnr` (Allen et al. 2022, Nature Neuroscience 25:116, Methods, "Noise ceiling").

    Args:
        repeats (`Iterable[np.ndarray]`):
            The responses `[frames, features]` to one stimulus that was heard or seen several times; an array
            `[repeats, frames, features]` will do. One repeat is held at a time.

    Returns:
        `np.ndarray`: float32 `[features]`. 0 where the repeats have nothing in common, NaN where a value is NaN.

    Raises:
        ValueError: there are fewer than two repeats or two frames, or repeats differ in shape.
    """
    total = squares = np.zeros(())
    shapes = []
    for repeat in repeats:
        centred = repeat - repeat.mean(axis=0, dtype=np.float64)
        shapes.append(centred.shape)
        if centred.shape != shapes[0]:
            break
        total, squares = total + centred, squares + np.square(centred, out=centred).sum(axis=0)
    if len(shapes) < 2 or len(set(shapes)) > 1 or len(shapes[0]) != 2 or shapes[0][0] < 2:
        raise ValueError(
            f"the repeats have the shapes {shapes}: a noise ceiling needs at least 2 repeats [frames, features] of "
            "one shape, of at least 2 frames"
        )
    num_repeats, num_frames = len(shapes), shapes[0][0]
    explained = np.square(total).sum(axis=0) / num_repeats  # squares of the mean over repeats, once for each repeat
    between = explained / (num_frames - 1)
    within = np.maximum(squares - explained, 0) / ((num_repeats - 1) * (num_frames - 1))
    return _ratio(np.maximum((between - within) / num_repeats, 0), within)


def signal_to_noise_of_trials(trials: Iterable[tuple[np.ndarray, np.ndarray]], num_stimuli: int) -> np.ndarray:
    """
    The same ratio from single trials, where stimuli are repeated in any order and not equally often.

    `sqrt(max(0, (B - W) / n) / W)`, where `B` and `W` are the mean squares between stimuli and within them, of a
    one-way analysis of variance, and `n = (N - sum(n_i**2) / N) / (S - 1)` for `N` trials of `S` stimuli, the `i`-th
    of which has `n_i`: the mean number of repeats, less what their inequality costs (Sokal and Rohlf 1995, Biometry,
    box 9.2).

    Args:
        trials (`Iterable`):
            Pairs of responses `[trials, features]`, standardised so that sessions agree in level and scale, and int64
            `[trials]`, the number of each one's stimulus.
        num_stimuli (`int`):
            Stimuli, each with a trial at least.

    Returns:
        `np.ndarray`: float32 `[features]`. 0 where repeats have nothing in common.

    Raises:
        ValueError: there are fewer than two stimuli, or none of them is repeated.
    """
    counts = np.zeros(num_stimuli, np.int64)
    sums = squares = np.zeros((num_stimuli, 0), np.float32)
    for values, stimuli in trials:
        if not counts.any():
            sums, squares = np.zeros((num_stimuli, values.shape[1]), np.float32), np.zeros(values.shape[1])
        np.add.at(sums, stimuli, values)
        np.add.at(counts, stimuli, 1)
        squares += np.einsum("ij,ij->j", values, values, dtype=np.float64)
    num_trials = int(counts.sum())
    if num_stimuli < 2 or num_trials <= num_stimuli:
        raise ValueError(
            f"{num_trials} trials of {num_stimuli} stimuli: a noise ceiling needs repeats of two at least"
        )
    explained = sum(np.square(own, dtype=np.float64) / count for own, count in zip(sums, counts, strict=True))
    between = (explained - np.square(sums.sum(axis=0, dtype=np.float64)) / num_trials) / (num_stimuli - 1)
    within = np.maximum(squares - explained, 0) / (num_trials - num_stimuli)
    repeats = (num_trials - np.square(counts).sum() / num_trials) / (num_stimuli - 1)
    return _ratio(np.maximum((between - within) / repeats, 0), within)


def _ratio(signal: np.ndarray, within: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):  # no noise: infinity; neither noise nor signal: next line
        ratio = np.sqrt(signal / within)
    ratio[signal == 0] = 0
    return ratio.astype(np.float32)


def noise_ceiling(ratio: np.ndarray, num_repeats: int | Sequence[int] = 1) -> np.ndarray:
    """
    Largest share of variance that any model can explain in averages of repeats.

    `100 * ratio**2 / (ratio**2 + mean(1 / n))`, over the numbers `n` of repeats in each averaged item. With one number
    for all items this is the formula of the NSD data manual for `n` trials; with several it is the manual's formula
    for images that were seen one, two or three times.

    Args:
        ratio (`np.ndarray`):
            Standard deviation of signal over noise in single repeats, as [`signal_to_noise`] or NSD's `ncsnr` have it.
        num_repeats (`int` or `Sequence[int]`, *optional*, defaults to 1):
            How many repeats are averaged: one number, or one for each item. 1 gives the explainable variance of single
            repeats.

    Returns:
        `np.ndarray`: float32, the shape of `ratio`, in percent of variance.

    Raises:
        ValueError: a number of repeats is below 1, or there is none.
    """
    counts = np.atleast_1d(np.asarray(num_repeats))
    if not counts.size or counts.min() < 1:
        raise ValueError(f"num_repeats={num_repeats}: each item is the average of at least 1 repeat")
    noise = np.mean(1 / counts)
    with np.errstate(divide="ignore"):  # a ratio of 0 gives 100 / infinity = 0
        return (100 / (1 + noise / np.square(ratio, dtype=np.float64))).astype(np.float32)


__all__ = ["noise_ceiling", "signal_to_noise", "signal_to_noise_of_trials"]
