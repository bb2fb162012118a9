# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What a task's texts are scored by, and what must stand beside these scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..metrics import corpus_bleu_from_statistics, meteor_from_statistics
from ..metrics.captions import bleu_from_statistics
from .table import BRAIN, CONSTANT, PERMUTED, RETRIEVAL, RIDGE, SHUFFLED


LOWER_IS_BETTER = ("loss", "perplexity", "brainllm_wer", "wer", "corpus_wer")
_LOSS_CONTROLS = (
    *("permuted", "matched", "no_brain", "mean_brain", "deaf_twin"),
    *("zero", "voxel_shuffle", "noise", "time_shift"),
)


def _bleu(metric: str, sums: np.ndarray) -> np.ndarray:
    return bleu_from_statistics(sums)[metric]


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


#: Scores that only a corpus has: summed counts `(..., counts)` → scores `(...)`.
CORPUS_SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "corpus_bleu_4": corpus_bleu_from_statistics,
    "corpus_wer": _ratio,
    **{f"bleu_{order}": partial(_bleu, f"bleu_{order}") for order in (1, 2, 3, 4)},
    "meteor": meteor_from_statistics,
}


@dataclass(frozen=True)
class Rules:
    """
    Which scores a task has, and what it is compared with; a report states them.

    Args:
        columns (`tuple[str, ...]`):
            Scores that the report shows, in this order.
        tested (`tuple[str, ...]`):
            Scores of texts whose gains are tested: more would only thin out the correction over tests.
        headline (`str`):
            The score of texts that the report's first sentence tells.
        controls (`tuple[str, ...]`, *optional*), baselines (`tuple[str, ...]`, *optional*):
            What a report must hold, by the beginning of the name.
        systems (`tuple[str, ...]`, *optional*, defaults to `("brain",)`):
            Arms that are compared with all else, and with each other.
        rival (`str`, *optional*, defaults to `"permuted"`):
            The arm that tells whether texts know of their brain.
        scale (`int`, *optional*, defaults to 1):
            By which the report multiplies scores of texts.
        knows_split (`bool`, *optional*, defaults to `True`):
            Whether the report can know what was held out.
    """

    columns: tuple[str, ...]
    tested: tuple[str, ...]
    headline: str
    controls: tuple[str, ...] = ()
    baselines: tuple[str, ...] = (CONSTANT, SHUFFLED, RETRIEVAL, RIDGE)
    systems: tuple[str, ...] = (BRAIN,)
    rival: str = PERMUTED
    scale: int = 1
    knows_split: bool = True

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Rules":
        """The rules that a report's JSON file holds."""
        known: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in fields.items()}
        return cls(**known)


#: Texts of which losses are measured. The published four scores and those by models carry the comparisons.
TEXT_RULES = Rules(
    columns=(
        *("loss", "perplexity", "brainllm_bleu_1", "brainllm_rouge_1", "brainllm_rouge_l", "brainllm_wer"),
        *("corpus_bleu_4", "rouge_1", "rouge_l", "corpus_wer", "text_similarity", "bert_score"),
    ),
    tested=(
        *("brainllm_bleu_1", "brainllm_rouge_1", "brainllm_rouge_l", "brainllm_wer"),
        *("text_similarity", "bert_score"),
    ),
    headline="brainllm_bleu_1",
    controls=_LOSS_CONTROLS,
)
_CAPTION_SCORES = ("cider", "rouge_l", "text_similarity", "bert_score")
_CAPTION_COLUMNS = (
    *("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider", "text_similarity", "bert_score"),
    *("distinct", "words"),
)
#: Captions, each with what several people wrote. BLEU-4 is tested: the lower orders say much the same.
CAPTION_RULES = Rules(
    columns=_CAPTION_COLUMNS,
    tested=(*_CAPTION_SCORES, "bleu_4", "meteor"),
    headline="cider",
    controls=("permuted", "no_brain", "zero", "voxel_shuffle", "noise", "time_shift", "other_subject"),
    scale=100,
)


__all__ = ["CAPTION_RULES", "CORPUS_SCORES", "LOWER_IS_BETTER", "TEXT_RULES", "Rules"]
