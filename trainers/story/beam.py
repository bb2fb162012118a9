# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Beam search through a story, as many tokens a window as were heard, under the brain of each window."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from modeling_brainllm.modeling_brainllama import BrainFeatures

from .proposals import Proposals
from .scoring import StoryScorer


@dataclass(frozen=True)
class SearchOptions:
    """
    How wide is searched, and by which score. Defaults: README of the released code of Ye et al. (2025).

    Args:
        beam_width (`int`, *optional*, defaults to 3):
            Hypotheses that are kept (default of that code: 5; Tang et al. 2023: 200).
        extensions (`int`, *optional*, defaults to 3):
            Most continuations of the best hypothesis; the one of rank r of B, counted from 0, gets
            `ceil(extensions (B - r) / B)`.
        score_tokens (`int`, *optional*, defaults to 10):
            Hypotheses are ranked by the log-probability of the newest token and of so many before it; `None`: of all.
        contrast_weight (`float`, *optional*, defaults to 0.0):
            Weight w of the brain contrast in a token's score,
            `log p(token | brain) + w (log p(token | brain) - log p(token | reference))`. Not published; our choice.
    """

    beam_width: int = 3
    extensions: int = 3
    score_tokens: int | None = 10
    contrast_weight: float = 0.0

    def __post_init__(self):
        if self.beam_width < 1 or self.extensions < 1 or self.contrast_weight < 0:
            raise ValueError(f"{self}: expected a beam and extensions of at least 1, and no negative weight.")
        if self.score_tokens is not None and self.score_tokens < 0:
            raise ValueError(f"{self}: expected `score_tokens` of at least 0, or None for all.")


class _Link(NamedTuple):
    """A token and all before it. Hypotheses share their past, so that a story costs its own length once."""

    token: int
    before: "_Link | None"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """
    One decoded text so far.

    Args:
        last (`_Link`, *optional*):
            What was said, from its end; the opening is no part of it.
        recent (`tuple[int, ...]`), scores (`tuple[float, ...]`):
            The last tokens, and the last tokens' scores (or the sum of all), as many as anyone looks at.
    """

    last: _Link | None
    recent: tuple[int, ...]
    scores: tuple[float, ...] = ()

    def tokens(self) -> list[int]:
        """All tokens said, in order."""
        return list(self._backwards())[::-1]

    def _backwards(self) -> Iterator[int]:
        link = self.last
        while link is not None:
            yield link.token
            link = link.before


class BeamSearch:
    """
    Searches one window after another.

    Args:
        scorers (`Sequence[StoryScorer]`):
            What expects the next token under the brain; and, where the contrast is weighed, a second one for the
            reference.
        options ([`SearchOptions`]), proposals ([`Proposals`]):
            How wide, and among which tokens.
        allowed (`torch.BoolTensor` of shape `(vocabulary,)`), stop_ids (`Collection[int]`):
            Tokens that may be said at all, and those that are stop words.
    """

    def __init__(
        self,
        scorers: Sequence[StoryScorer],
        options: SearchOptions,
        proposals: Proposals,
        allowed: torch.Tensor,
        stop_ids: Collection[int],
    ):
        self.scorers, self.options, self.proposals = scorers, options, proposals
        self.allowed, self.stop_ids = allowed, stop_ids
        self.memory = max(scorers[0].context_tokens, proposals.context, proposals.bar_stop_words)

    def start(self, num_decoded_texts: int = 1, opening: Sequence[int] = ()) -> list[list[Hypothesis]]:
        """For each decoded text the one hypothesis that nothing has been said after the opening."""
        return [[Hypothesis(None, tuple(opening[-self.memory :]))] for _ in range(num_decoded_texts)]

    def advance(
        self, decoded_texts: list[list[Hypothesis]], num_tokens: int, features: Sequence[BrainFeatures | None]
    ) -> list[list[Hypothesis]]:
        """
        Says the tokens of one window, in several decoded texts side by side, each with a beam of its own.

        Args:
            decoded_texts (`list[list[Hypothesis]]`):
                Their hypotheses from [`BeamSearch.start`] or the window before, best first.
            num_tokens (`int`):
                How many are said; with 0 nothing changes.
            features (`Sequence[BrainFeatures]`):
                What each scorer reads: one brain sample for each decoded text, or one for all; `None` for the text
                alone.

        Returns:
            `list[list[Hypothesis]]`: the best of each decoded text, in order.

        Raises:
            ValueError: a decoded text has no token left to be said.
        """
        if num_tokens == 0:
            return decoded_texts
        device = self.allowed.device
        contexts = torch.tensor(
            [h.recent for decoded_text in decoded_texts for h in decoded_text], dtype=torch.long, device=device
        )
        owners = [number for number, decoded_text in enumerate(decoded_texts) for _ in decoded_text]
        contexts, owners = contexts.view(len(owners), -1), torch.tensor(owners, device=device)
        found = [scorer.begin(contexts, brain, owners) for scorer, brain in zip(self.scorers, features, strict=True)]
        for number in range(1, num_tokens + 1):
            rows, steps = (
                [h for decoded_text in decoded_texts for h in decoded_text],
                self._select(decoded_texts, found),
            )
            parents = torch.tensor([parent for some in steps for parent, _, _ in some], device=device)
            tokens = torch.tensor([token for some in steps for _, token, _ in some], device=device)
            decoded_texts = [
                [self._follow(rows[parent], token, score) for parent, token, score in some] for some in steps
            ]
            if number < num_tokens:
                found = [scorer.extend(parents, tokens) for scorer in self.scorers]
        for scorer in self.scorers:
            scorer.keep(parents)
        return decoded_texts

    def _follow(self, hypothesis: Hypothesis, token: int, score: float) -> Hypothesis:
        kept = self.options.score_tokens
        scores = (*hypothesis.scores, score)
        scores = (sum(scores),) if kept is None else scores[max(len(scores) - kept, 0) :]
        return Hypothesis(_Link(token, hypothesis.last), (*hypothesis.recent, token)[-self.memory :], scores)

    def _select(
        self, decoded_texts: list[list[Hypothesis]], found: list[torch.Tensor]
    ) -> list[list[tuple[int, int, float]]]:
        """For each decoded text the best continuations, best first: row of the hypothesis, token and its score."""
        scores = self._score(decoded_texts, found)
        most = min(self.options.extensions, scores.shape[-1])
        best, ids = (found.tolist() for found in scores.topk(most, dim=-1))
        chosen, first = [], 0
        for decoded_text in decoded_texts:
            chosen.append(self._select_one(decoded_text, best[first:], ids[first:], first))
            first += len(decoded_text)
        return chosen

    def _score(self, decoded_texts: list[list[Hypothesis]], found: list[torch.Tensor]) -> torch.Tensor:
        """Scores `(hypotheses, vocabulary)` of all next tokens; -inf where one may not follow."""
        log_probs = found[0].masked_fill(~self.allowed, -torch.inf)
        scores = log_probs
        if len(found) > 1:
            scores = log_probs + self.options.contrast_weight * (log_probs - found[1])
        allowed = self.proposals.choose(log_probs)
        for row, hypothesis in enumerate(h for decoded_text in decoded_texts for h in decoded_text):
            allowed[row, sorted(self.proposals.blocked(hypothesis.recent, self.stop_ids))] = False
        return scores.masked_fill(~allowed, -torch.inf)

    def _select_one(
        self, decoded_text: list[Hypothesis], best: list[list[float]], ids: list[list[int]], first: int
    ) -> list[tuple[int, int, float]]:
        candidates = []
        for rank, (hypothesis, row, tokens) in enumerate(zip(decoded_text, best, ids, strict=False)):
            quota = math.ceil(self.options.extensions * (len(decoded_text) - rank) / len(decoded_text))
            past = sum(hypothesis.scores)
            steps = [(past + score, first + rank, token, score) for score, token in zip(row, tokens, strict=True)]
            candidates += [step for step in steps[:quota] if math.isfinite(step[-1])]
        if not candidates:
            raise ValueError(
                f"No token is left after {decoded_text[0].recent}: all {self.proposals.top_k} likeliest are blocked. "
                "Raise `top_k` or `nucleus`, allow repeats, or allow more of the vocabulary."
            )
        candidates.sort(key=lambda step: -step[0])
        return [step[1:] for step in candidates[: self.options.beam_width]]


__all__ = ["BeamSearch", "Hypothesis", "SearchOptions"]
