# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which tokens may follow: the language model's likeliest, less those that would repeat what has just been said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Proposals:
    """
    Choice of the tokens that a beam may go on with.

    The defaults are those of the released code of Ye et al. (2025), which follow Tang et al. (2023).

    Args:
        top_k (`int`, *optional*, defaults to 200):
            Likeliest tokens that are considered.
        nucleus (`float`, *optional*, defaults to 1.0):
            Of these, the fewest whose probability reaches this mass; 1 cuts nothing (Tang et al.: 0.9).
        context (`int`, *optional*, defaults to 10):
            Tokens back that the next three look at.
        bar_bigrams (`bool`, *optional*, defaults to `True`):
            Whether what followed the last token before may not follow it again.
        bar_repeats (`bool`, *optional*, defaults to `True`):
            Whether a token of the context that is no stop word may not come again.
        bar_stop_words (`int`, *optional*, defaults to 3):
            Tokens back within which a stop word may not come again; 0 bars none.
    """

    top_k: int = 200
    nucleus: float = 1.0
    context: int = 10
    bar_bigrams: bool = True
    bar_repeats: bool = True
    bar_stop_words: int = 3

    def __post_init__(self):
        if self.top_k < 1 or not 0 < self.nucleus <= 1 or self.context < 0 or self.bar_stop_words < 0:
            raise ValueError(
                f"{self}: expected `top_k` of at least 1, `nucleus` above 0 and up to 1, and no negative number."
            )

    def blocked(self, recent: Sequence[int], stop_ids: Collection[int]) -> set[int]:
        """
        Tokens that would repeat what has just been said.

        Args:
            recent (`Sequence[int]`):
                Tokens said so far, or the last of them.
            stop_ids (`Collection[int]`):
                Tokens that are stop words.
        """
        context = list(recent[-self.context :]) if self.context else []
        found: set[int] = set()
        if self.bar_bigrams and context:
            found.update(after for token, after in pairwise(context) if token == context[-1])
        if self.bar_repeats:
            found.update(token for token in context if token not in stop_ids)
        if self.bar_stop_words:
            found.update(token for token in recent[-self.bar_stop_words :] if token in stop_ids)
        return found

    def choose(self, log_probs: torch.Tensor) -> torch.Tensor:
        """
        Which tokens are proposed: the nucleus of the likeliest, before any are blocked.

        Args:
            log_probs (`torch.Tensor` of shape `(hypotheses, vocabulary)`):
                -inf where a token is never said.

        Returns:
            `torch.BoolTensor` of shape `(hypotheses, vocabulary)`.
        """
        best, ids = log_probs.topk(min(self.top_k, log_probs.shape[-1]), dim=-1)
        # The token that brings the mass to the nucleus belongs to it; a margin keeps all of a mass of 1.
        before = best.exp().cumsum(-1) - best.exp()
        inside = (before < self.nucleus - 1e-6) | (self.nucleus == 1)
        return torch.zeros_like(log_probs, dtype=torch.bool).scatter(-1, ids, inside & best.isfinite())


def stop_word_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that are an English stop word by themselves, by scikit-learn's list (published: NLTK's)."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    pieces = tokenizer.batch_decode([[index] for index in range(len(tokenizer))])
    return frozenset(i for i, piece in enumerate(pieces) if piece.strip().lower() in ENGLISH_STOP_WORDS)


def allowed_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str] | None, vocab_size: int) -> torch.Tensor:
    """
    Tokens that may be said at all, `torch.BoolTensor` of shape `(vocabulary,)`: none of the special ones.

    Args:
        tokenizer (`PreTrainedTokenizerBase`):
            Of the language model.
        texts (`Sequence[str]`, *optional*):
            If given, only tokens that occur in these, such as the words of the training stories (Tang et al.'s
            decoder vocabulary).
        vocab_size (`int`):
            Tokens of the language model.
    """
    allowed = torch.ones(vocab_size, dtype=torch.bool)
    if texts is not None:
        found = {index for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for index in ids}
        allowed = torch.zeros(vocab_size, dtype=torch.bool)
        allowed[sorted(index for index in found if index < vocab_size)] = True
    special = [index for index in tokenizer.all_special_ids if index < vocab_size]
    allowed[special] = False
    return allowed


__all__ = ["Proposals", "allowed_ids", "stop_word_ids"]
