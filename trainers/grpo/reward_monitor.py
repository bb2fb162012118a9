# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Does a reward rise because captions get better, or because they get longer, poorer, or all the same?"""

import logging
from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..metrics.cider import caption_words, ngrams


logger = logging.getLogger(__name__)


def completion_figures(completions: Sequence[str], groups: Sequence[Hashable]) -> dict[str, float]:
    """
    What a batch of completions looks like.

    Args:
        completions (`Sequence[str]`):
            Captions.
        groups (`Sequence[Hashable]`):
            What each was asked about (image, prompt).

    Returns:
        `dict[str, float]`: `words`, the mean number per completion; `distinct_1` and `distinct_2`, the share of
        different words and pairs of words among all of the batch; `copies`, the share of completions that stand word
        for word under another group too. The last three depend on the size of the batch.
    """
    tokens = [caption_words(text) for text in completions]
    runs = [ngrams(words) for words in tokens]
    figures = {"words": float(np.mean([len(words) for words in tokens]))}
    for order in (1, 2):
        counts = Counter(run for own in runs for run in own[order - 1])
        figures[f"distinct_{order}"] = len(counts) / max(counts.total(), 1)
    owners: dict[tuple[str, ...], set[Hashable]] = {}
    for words, group in zip(tokens, groups, strict=True):
        owners.setdefault(tuple(words), set()).add(group)
    figures["copies"] = float(np.mean([len(owners[tuple(words)]) > 1 for words in tokens]))
    return figures


class RewardMonitor:
    """
    Follows completions and rewards through reward tuning, and says so when the reward is being exploited.

    The first `window` steps are the baseline. Once the mean reward of the last `window` steps lies above it, their
    completions must not have drifted: a reward that rises while captions grow, shrink, repeat themselves or become the
    same for all images is not being earned. Captions may drift as they please while the reward does not rise.

    Args:
        window (`int`, *optional*, defaults to 20):
            Steps of the baseline, and of the mean that is compared with it.
        max_length_ratio (`float`, *optional*, defaults to 1.5):
            Most by which the mean length may be multiplied or divided.
        min_distinct_ratio (`float`, *optional*, defaults to 0.5):
            Least that may remain of the share of distinct pairs of words.
        max_copies (`float`, *optional*, defaults to 0.3):
            Most that may be added to the share of copies.
        action (`str`, *optional*, defaults to `"warn"`):
            `"warn"` logs each kind of exploit once; `"raise"` stops the run.
    """

    def __init__(
        self,
        window: int = 20,
        max_length_ratio: float = 1.5,
        min_distinct_ratio: float = 0.5,
        max_copies: float = 0.3,
        action: Literal["warn", "raise"] = "warn",
    ):
        if window < 1 or max_length_ratio <= 1 or not 0 < min_distinct_ratio < 1 or action not in ("warn", "raise"):
            raise ValueError(
                "`window` must be at least 1, `max_length_ratio` above 1, `min_distinct_ratio` between 0 and 1, and "
                f"`action` 'warn' or 'raise'; found {window}, {max_length_ratio}, {min_distinct_ratio}, {action!r}."
            )
        self.window = window
        self.max_length_ratio = max_length_ratio
        self.min_distinct_ratio = min_distinct_ratio
        self.max_copies = max_copies
        self.action = action
        self._first: list[dict[str, float]] = []
        self._last: deque[dict[str, float]] = deque(maxlen=window)
        self._reported: set[str] = set()

    def observe(
        self,
        completions: Sequence[str],
        groups: Sequence[Hashable],
        rewards: Mapping[str, Sequence[float]],
        weights: Mapping[str, float],
        step: int,
    ) -> dict[str, float]:
        """
        Takes in one step.

        Args:
            completions (`Sequence[str]`):
                Captions of the step.
            groups (`Sequence[Hashable]`):
                Image or prompt of each.
            rewards (`Mapping[str, Sequence[float]]`):
                Rewards of each term, before weights.
            weights (`Mapping[str, float]`):
                Weight of each term.
            step (`int`):
                Number of the step, for the message.

        Returns:
            `dict[str, float]`: for the log: `completions/words`, `/distinct_1`, `/distinct_2`, `/copies`,
            `rewards/<term>/weighted`.

        Raises:
            ValueError: with `action="raise"`, the reward is being exploited; tells how.
        """
        terms = {name: weights[name] * float(np.mean(values)) for name, values in rewards.items()}
        figures = completion_figures(completions, groups)
        row = {**figures, "reward": sum(terms.values())}
        if len(self._first) < self.window:
            self._first.append(row)
        else:
            self._last.append(row)
        for kind, message in self._exploits().items():
            self._report(kind, f"At step {step} the reward has risen {message}", terms)
        log = {f"completions/{name}": value for name, value in figures.items()}
        return log | {f"rewards/{name}/weighted": value for name, value in terms.items()}

    def _exploits(self) -> dict[str, str]:
        """Kind of exploit → what has happened."""
        if len(self._last) < self.window:
            return {}
        before, now = _means(self._first), _means(list(self._last))
        if now["reward"] <= before["reward"]:
            return {}
        found = {}
        change = f"from {before['reward']:.3f} to {now['reward']:.3f} while "
        ratio = (now["words"] + 1e-9) / (before["words"] + 1e-9)
        if max(ratio, 1 / ratio) > self.max_length_ratio:
            found["length"] = f"{change}captions went from {before['words']:.1f} to {now['words']:.1f} words."
        if now["distinct_2"] < self.min_distinct_ratio * before["distinct_2"]:
            found["repetition"] = (
                f"{change}the share of distinct pairs of words fell from {before['distinct_2']:.2f} to "
                f"{now['distinct_2']:.2f}."
            )
        if now["copies"] > before["copies"] + self.max_copies:
            found["copies"] = (
                f"{change}the share of captions that are given to several images went from {before['copies']:.2f} to "
                f"{now['copies']:.2f}."
            )
        return found

    def _report(self, kind: str, message: str, terms: Mapping[str, float]) -> None:
        largest = max(terms, key=lambda name: abs(terms[name]))
        text = f"{message} The largest term is '{largest}': lower its weight, raise `beta`, or stop earlier."
        if self.action == "raise":
            raise ValueError(text)
        if kind not in self._reported:
            self._reported.add(kind)
            logger.warning(text)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON can hold it."""
        return {"first": self._first, "last": list(self._last), "reported": sorted(self._reported)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self._first, self._reported = list(state["first"]), set(state["reported"])
        self._last = deque(state["last"], maxlen=self.window)


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


__all__ = ["RewardMonitor", "completion_figures"]
