# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
How much was said in a window: ridge regression from brain frames to a number of words or tokens.

Ye et al. (2025) take scikit-learn's `Ridge(alpha=1.0)` from flattened frames to the number of language-model tokens;
Tang et al. (2023) predict words from auditory voxels. How much is said is read from the brain too: nothing of the true
text, its length included, reaches a reconstruction.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data.brain_format import with_brain_arrays


if TYPE_CHECKING:
    from datasets import Dataset
    from sklearn.pipeline import Pipeline


class WordRate:
    """
    A fitted model of how much is said; see [`fit_word_rate`].

    Args:
        regression (`Pipeline`):
            Standardisation and ridge regression, fitted.
    """

    def __init__(self, regression: "Pipeline"):
        self.regression = regression

    @classmethod
    def fit(cls, brain_values: Sequence[np.ndarray], counts: Sequence[int], alpha: float = 1.0) -> "WordRate":
        """
        Fits the model on windows and their counts.

        Args:
            brain_values (`Sequence[np.ndarray]` of shape `(frames, features)` each):
                Windows of one subject.
            counts (`Sequence[int]`):
                Words or tokens of each window.
            alpha (`float`, *optional*, defaults to 1.0):
                Ridge penalty on standardised features; published: 1.0.

        Raises:
            ValueError: windows and counts differ in number.
        """
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if len(brain_values) != len(counts) or not len(counts):
            raise ValueError(
                f"{len(brain_values)} windows and {len(counts)} counts: a word rate is fitted on equally many of both."
            )
        regression = make_pipeline(StandardScaler(), Ridge(alpha=alpha))
        return cls(regression.fit(_flatten(brain_values), np.asarray(counts, float)))

    def predict(self, brain_values: Sequence[np.ndarray]) -> np.ndarray:
        """Predicted number, float64 `(windows,)`, not rounded; it may be negative."""
        return self.regression.predict(_flatten(brain_values))


def _flatten(brain_values: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(values, np.float64).ravel() for values in brain_values])


def count_tokens(rows: "Dataset", tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Language-model tokens `(rows,)` of each completion, as they follow its prompt."""
    prompts = [text.strip() for text in rows["prompt"]]
    wholes = [f"{a} {b.strip()}".strip() for a, b in zip(prompts, rows["completion"], strict=True)]
    whole, prompt = (
        np.array([len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]])
        for texts in (wholes, prompts)
    )
    return whole - prompt


def fit_word_rate(rows: "Dataset", subject: str, counts: Sequence[int] | np.ndarray, alpha: float = 1.0) -> WordRate:
    """
    Fits the word rate of one subject.

    Args:
        rows ([`~datasets.Dataset`]):
            Training rows of a corpus of stories.
        subject (`str`):
            Whose rows are taken.
        counts (`Sequence[int]`):
            For each of all rows how much was said: [`count_tokens`], or the lengths of `words`.
        alpha (`float`, *optional*, defaults to 1.0):
            Ridge penalty.

    Raises:
        ValueError: the subject has no rows.
    """
    own = [i for i, name in enumerate(rows["subject"]) if name == subject]
    if not own:
        raise ValueError(f"Subject '{subject}' has no training rows; found {sorted(set(rows['subject']))}.")
    values = with_brain_arrays(rows.select(own))["brain_values"]
    return WordRate.fit(list(values), [int(counts[i]) for i in own], alpha)


def better_than_shuffled(
    predicted: Sequence[float] | np.ndarray, counts: Sequence[int] | np.ndarray, num_shuffles: int = 5, seed: int = 0
) -> float:
    """
    `P(|prediction - count| < |another window's prediction - count|)`, ties one half: chance is 0.5.

    The sanity score of the released code of Ye et al. (2025), over `num_shuffles` shuffles of the predictions.
    """
    generator = np.random.default_rng(seed)
    guesses, truth = np.asarray(predicted, float), np.asarray(counts, float)
    error = np.abs(guesses - truth)
    wins = []
    for _ in range(num_shuffles):
        other = np.abs(generator.permutation(guesses) - truth)
        wins.append(np.mean((error < other) + 0.5 * (error == other)))
    return float(np.mean(wins))


__all__ = ["WordRate", "better_than_shuffled", "count_tokens", "fit_word_rate"]
