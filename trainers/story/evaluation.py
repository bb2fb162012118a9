# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What was told beside what was heard, window by window, and beside what chance would have scored.

Two forms of windows: those of Tang et al. (2023), 20 s long and a second apart, and those of Ye et al. (2025), 20 s
end to end. A score of a window means something only beside its nulls:

- circular shift: the windows of the decoded text are moved against those of the story, round and round. It keeps the
  style
  of the decoded text, and asks whether its words came at the right time.
- other brains: the story is told again from brains that did not hear it at that time. It asks what the language model
  and the rhythm alone would have scored, and gives each window and the story their z.
- random likelihood: the story is told again with a brain likelihood drawn at random (Tang et al. 2023). It asks what
  language model and beam alone would have scored, without any brain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .window_metrics import WINDOW_METRICS, WindowMetric
from .windows import TimedWord


WINDOW_SECONDS = 20.0


@dataclass(frozen=True)
class WindowGrid:
    """
    Windows of equal length at equal distances.

    Args:
        starts (`np.ndarray` of shape `(windows,)`):
            When each begins, in seconds.
        length, step (`float`):
            Seconds of each, and from one to the next.
    """

    starts: np.ndarray
    length: float
    step: float

    @classmethod
    def over(cls, start: float, end: float, step: float, length: float = WINDOW_SECONDS) -> "WindowGrid":
        """
        All windows that lie within `[start, end]` seconds.

        A step of 1 is the form of Tang et al. (2023), one as long as a window that of Ye et al. (2025).

        Raises:
            ValueError: a number is not positive, or no window fits.
        """
        if step <= 0 or length <= 0 or end - start < length - 1e-6:
            raise ValueError(
                f"Windows of {length} s every {step} s between {start:.1f} s and {end:.1f} s: both must be positive, "
                "and one window must fit."
            )
        number = int((end - start - length) / step + 1e-6) + 1
        return cls(start + step * np.arange(number), length, step)

    def texts(self, words: Sequence[TimedWord]) -> list[str]:
        """Of each window the words that begin in it, `start <= onset < start + length`."""
        ordered = sorted(words, key=lambda word: word.onset)
        onsets = np.array([word.onset for word in ordered])
        bounds = np.searchsorted(onsets, np.stack([self.starts, self.starts + self.length]), side="left")
        return [" ".join(word.text for word in ordered[a:b]) for a, b in bounds.T]

    @property
    def windows_apart(self) -> int:
        """Windows from one to the next that shares no word with it."""
        return int(np.ceil(self.length / self.step - 1e-6))


@dataclass(frozen=True)
class StoryScore:
    """
    One metric of one decoded text beside its nulls.

    Args:
        name (`str`):
            Of the metric.
        starts (`np.ndarray` of shape `(windows,)`):
            When each window begins, in seconds.
        windows (`np.ndarray` of shape `(windows,)`):
            Score of each window; their mean is the score of the story.
        shifts (`np.ndarray` of shape `(shifts,)`):
            Scores of the story with its windows moved.
        other_brains (`np.ndarray` of shape `(decodings, windows)`):
            Scores of the windows told from other brains.
        random_likelihoods (`np.ndarray` of shape `(decodings, windows)`):
            Scores of the windows told with a random likelihood.
    """

    name: str
    starts: np.ndarray
    windows: np.ndarray
    shifts: np.ndarray
    other_brains: np.ndarray
    random_likelihoods: np.ndarray

    @property
    def story(self) -> float:
        """The plain mean over windows."""
        return float(self.windows.mean())

    @property
    def shift_rank(self) -> int:
        """Place of the true alignment among all shifts and itself, 1 for the best; ties count against it."""
        return 1 + int((self.shifts >= self.story).sum())

    @property
    def shift_p(self) -> float:
        """Share of alignments, the true one among them, that score at least as well; one-sided by its question."""
        return self.shift_rank / (1 + len(self.shifts))

    @property
    def window_z(self) -> np.ndarray:
        """`(score - mean) / std` of each window over other brains; NaN where these all score the same."""
        spread = self.other_brains.std(axis=0, ddof=1)
        deviation = self.windows - self.other_brains.mean(axis=0)
        return np.divide(deviation, spread, out=np.full(len(spread), np.nan), where=spread > 0)

    @property
    def story_z(self) -> float:
        """`(score - mean) / std` of the story over other brains; NaN where all tell the same, whatever the brain."""
        return _standard_score(self.story, self.other_brains)

    @property
    def other_brains_p(self) -> float:
        """
        Two-sided: share of decoded texts, the true one among them, as far or
        farther from the mean of all of them.
        """
        return _two_sided_p(self.story, self.other_brains)

    @property
    def random_z(self) -> float:
        """As `story_z`, over random likelihoods."""
        return _standard_score(self.story, self.random_likelihoods)

    @property
    def random_p(self) -> float:
        """As `other_brains_p`, among random likelihoods."""
        return _two_sided_p(self.story, self.random_likelihoods)

    @property
    def above_nulls(self) -> bool:
        """
        Whether no shift scores as well, and the story is above both kinds of
        decoded texts at two-sided p <= .05.
        """
        is_above = self.story_z > 0 and self.random_z > 0
        return self.shift_rank == 1 and is_above and max(self.other_brains_p, self.random_p) <= 0.05

    def summary(self) -> dict[str, Any]:
        """One row of a table, as JSON holds it."""
        return {
            "metric": self.name,
            "score": self.story,
            "shift_mean": float(self.shifts.mean()),
            "shift_rank": f"{self.shift_rank} of {1 + len(self.shifts)}",
            "shift_p": self.shift_p,
            **_null_summary("other", self.other_brains, self.story_z, self.other_brains_p),
            **_null_summary("random", self.random_likelihoods, self.random_z, self.random_p),
            "windows_above": float(np.mean(self.window_z > 1.96)),
        }


def _standard_score(story: float, decoded_texts: np.ndarray) -> float:
    """
    `(story - mean) / std` over the stories of decoded texts `(decoded texts,
    windows)`; NaN where these are all alike.
    """
    stories = decoded_texts.mean(axis=1)
    spread = float(stories.std(ddof=1))
    return float(story - stories.mean()) / spread if spread > 1e-12 else math.nan


def _two_sided_p(story: float, decoded_texts: np.ndarray) -> float:
    """
    Share of stories, the true one among them, as far or farther from the mean of all of them.

    The mean is of all: under the null the true decoded text is one like the others, and must not alone be measured
    from a point that it had no part in.
    """
    stories = np.append(decoded_texts.mean(axis=1), story)
    distances = np.abs(stories - stories.mean())
    return float((distances >= distances[-1] - 1e-12).mean())


def _null_summary(name: str, decoded_texts: np.ndarray, z: float, p: float) -> dict[str, Any]:
    stories = decoded_texts.mean(axis=1)
    return {
        f"{name}_mean": float(stories.mean()),
        f"{name}_std": float(stories.std(ddof=1)),
        f"{name}_z": None if math.isnan(z) else z,
        f"{name}_p": p,
    }


def score_story(
    heard: Sequence[TimedWord],
    told: Sequence[TimedWord],
    told_from_others: Sequence[Sequence[TimedWord]],
    told_at_random: Sequence[Sequence[TimedWord]],
    grid: WindowGrid,
    metrics: Mapping[str, WindowMetric] | None = None,
) -> dict[str, StoryScore]:
    """
    Scores a decoded text beside its nulls. Windows in which nothing was heard have no score and are left out.

    Args:
        heard (`Sequence[TimedWord]`), told (`Sequence[TimedWord]`):
            The story, and what was told of it.
        told_from_others (`Sequence[Sequence[TimedWord]]`):
            Decoded texts from other brains, two or more.
        told_at_random (`Sequence[Sequence[TimedWord]]`):
            Decoded texts with a random likelihood, two or more.
        grid ([`WindowGrid`]):
            The windows. Shifts are whole lengths of a window, so that no shifted window shares a moment with its own.
        metrics (`Mapping[str, WindowMetric]`, *optional*):
            By name; [`WINDOW_METRICS`] by default.

    Returns:
        `dict[str, StoryScore]`.

    Raises:
        ValueError: fewer than two decoded texts of either kind, nothing was heard, or the story is too short to be
        shifted.
    """
    references = grid.texts(heard)
    kept = [i for i, text in enumerate(references) if text]
    shifts = range(grid.windows_apart, len(references) - grid.windows_apart + 1, grid.windows_apart)
    if min(len(told_from_others), len(told_at_random)) < 2 or not kept or not len(shifts):
        raise ValueError(
            f"{len(told_from_others)} texts of other brains, {len(told_at_random)} with a random likelihood, "
            f"{len(kept)} of {len(references)} windows with words, {len(shifts)} shifts: two texts, one window and "
            "one shift are the least."
        )
    references = [references[i] for i in kept]
    own = grid.texts(told)
    moved = [[own[(i + shift) % len(own)] for i in kept] for shift in shifts]
    others = [[texts[i] for i in kept] for texts in map(grid.texts, [*told_from_others, *told_at_random])]
    decoded_texts = [[own[i] for i in kept], *moved, *others]
    found = {}
    for name, metric in (WINDOW_METRICS if metrics is None else metrics).items():
        # Telling by decoded text, since a metric may weigh words by all references of a call.
        scores = np.array([metric(decoded_text, references) for decoded_text in decoded_texts], float)
        shifted, other, random = np.split(scores[1:], np.cumsum([len(moved), len(told_from_others)]))
        found[name] = StoryScore(name, grid.starts[kept], scores[0], shifted.mean(axis=1), other, random)
    return found


def score_alone(
    heard: Sequence[TimedWord],
    told: Sequence[TimedWord],
    grid: WindowGrid,
    metrics: Mapping[str, WindowMetric] | None = None,
) -> dict[str, float]:
    """Scores of a decoded text without its nulls: the mean over windows in which something was heard."""
    pairs = [pair for pair in zip(grid.texts(told), grid.texts(heard), strict=True) if pair[1]]
    predictions, references = zip(*pairs, strict=True)
    found = WINDOW_METRICS if metrics is None else metrics
    return {name: float(np.mean(metric(predictions, references))) for name, metric in found.items()}


__all__ = [
    "WINDOW_SECONDS",
    "StoryScore",
    "WindowGrid",
    "score_alone",
    "score_story",
]
