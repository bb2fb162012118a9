# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of predicted text against the true text: BLEU, ROUGE and word error rate.

Each exists in two forms. The *field's* form (sacrebleu, rouge-score, jiwer) is what other papers report. *BrainLLM's*
form, prefix `brainllm_`, is what Ye et al., "Generative language reconstruction from brain recordings"
(Communications Biology 2025) report: the prediction is cut to the truth's length, so a long answer costs nothing.
Numbers of one form must never stand beside numbers of the other.

All scores lie in [0, 1] (a field-form word error rate may exceed 1); lists run over samples.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import jiwer
import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from .tokenization import detokenize, word_tokenize


MAX_ORDER = 4

_SPECIAL_TOKENS = re.compile(r"<\|endoftext\|>|\?\?|⁇|</?s>|<unk>")
_MISSING_SPACE = re.compile(r"(?<=\w)([.?!:;])(?=\w)")


def check_pairs(predictions: Sequence[str], references: Sequence[str]) -> None:
    if len(predictions) != len(references) or not references:
        raise ValueError(
            f"`predictions` and `references` must be equally many and at least one, found {len(predictions)} and "
            f"{len(references)}. Pass one prediction per reference, in the same order; an empty text is a prediction."
        )
    empty = [index for index, reference in enumerate(references) if not reference.strip()]
    if empty:
        raise ValueError(
            f"`references` holds empty texts at positions {empty[:5]}: no score is defined there. Drop these samples."
        )


# ---------------------------------------------------------------------------------------------- the field's form


@lru_cache
def _bleu(max_order: int, effective_order: bool) -> BLEU:
    return BLEU(max_ngram_order=max_order, effective_order=effective_order)


def corpus_bleu(predictions: Sequence[str], references: Sequence[str], max_order: int = MAX_ORDER) -> float:
    r"""BLEU of a whole corpus, by sacrebleu with its defaults (13a tokens, exponential smoothing).

    `BLEU-N = BP * exp(1/N * sum_n log p_n)`, `BP = min(1, exp(1 - r/c))`, where `p_n` pools the clipped n-gram matches
    of all samples, `c` and `r` are the total lengths of predictions and references. Papineni et al. (2002), eq. in
    section 2.3; Post (2018) for the tokens.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.
        max_order (`int`, *optional*, defaults to 4):
            N.

    Returns:
        `float`: The score.
    """
    check_pairs(predictions, references)
    return min(_bleu(max_order, False).corpus_score(list(predictions), [list(references)]).score / 100, 1.0)


def corpus_bleu_statistics(predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """What each sample adds to [`corpus_bleu`]: `(length, reference length, matches 1..4, n-grams 1..4)`.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.

    Returns:
        `np.ndarray` of shape `(samples, 10)`: Counts. Their sums over samples are all that
        [`corpus_bleu_from_statistics`] needs.
    """
    check_pairs(predictions, references)
    bleu = _bleu(MAX_ORDER, True)  # the counts are the same; without, sacrebleu warns of every sample
    found = [bleu.sentence_score(p, [r]) for p, r in zip(predictions, references, strict=True)]
    return np.array([[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in found], float)


def corpus_bleu_from_statistics(totals: np.ndarray) -> np.ndarray:
    """[`corpus_bleu`] with N = 4 from summed counts: sacrebleu's exponential smoothing, for many sums at once.

    The k-th order without a match counts as `1 / 2^k` matches.

    Args:
        totals (`np.ndarray` of shape `(..., 10)`):
            Sums, or weighted sums, of rows of [`corpus_bleu_statistics`].

    Returns:
        `np.ndarray` of shape `(...)`: The scores.
    """
    length, other, matches, ngrams = np.split(np.asarray(totals, float), [1, 2, 2 + MAX_ORDER], axis=-1)
    smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
    precisions = np.log(smoothed / np.maximum(ngrams, 1)).mean(axis=-1)
    penalty = np.minimum(0, 1 - other / np.maximum(length, 1))[..., 0]
    scored = (ngrams > 0).all(axis=-1) & (matches > 0).any(axis=-1)
    return np.where(scored, np.exp(precisions + penalty), 0.0)


def sentence_bleu(predictions: Sequence[str], references: Sequence[str], max_order: int = MAX_ORDER) -> list[float]:
    """BLEU of every sample, by sacrebleu with effective order: orders longer than the prediction are left out.

    Equation as in [`corpus_bleu`], per sample. Meant for pairing samples, not for the headline number.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.
        max_order (`int`, *optional*, defaults to 4):
            N.

    Returns:
        `list[float]`: One score per sample.
    """
    check_pairs(predictions, references)
    bleu = _bleu(max_order, True)
    # sacrebleu rounds a perfect score to a hair above 100.
    return [min(bleu.sentence_score(p, [r]).score / 100, 1.0) for p, r in zip(predictions, references, strict=True)]


def rouge_f1(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """ROUGE-1 and ROUGE-L F1 of every sample, by rouge-score without stemming.

    `F1 = 2PR / (P + R)`; ROUGE-1 counts clipped matching words, ROUGE-L the longest common subsequence. Lin (2004),
    sections 2 and 3.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.

    Returns:
        `dict[str, list[float]]`: `"rouge_1"` and `"rouge_l"`, one score per sample.
    """
    check_pairs(predictions, references)
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    scores = [scorer.score(reference, p) for p, reference in zip(predictions, references, strict=True)]
    return {"rouge_1": [s["rouge1"].fmeasure for s in scores], "rouge_l": [s["rougeL"].fmeasure for s in scores]}


def word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Word error rate of every sample, by jiwer: `(substitutions + deletions + insertions) / reference words`.

    Words are what white space separates, case and punctuation count (jiwer's default transform).

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.

    Returns:
        `list[float]`: One rate per sample; above 1 when the prediction is much too long.
    """
    check_pairs(predictions, references)
    return [float(jiwer.wer(r, p)) for p, r in zip(predictions, references, strict=True)]


def corpus_word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Word error rate of a corpus: all edits over all reference words (see [`word_error_rate`]).

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.

    Returns:
        `float`: The rate.
    """
    check_pairs(predictions, references)
    return float(jiwer.wer(list(references), list(predictions)))


# --------------------------------------------------------------------------------------------- BrainLLM's own form


def _ngrams(tokens: Sequence[str], order: int) -> Counter:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))


def _unsmoothed_bleu(prediction: Sequence[str], truth: Sequence[str], max_order: int) -> float:
    """`BP * (prod_n p_n)^(1/N)` of one sample, 0 as soon as one order has no match (Papineni et al. 2002)."""
    precisions = []
    for order in range(1, max_order + 1):
        found = _ngrams(prediction, order)
        precisions.append((found & _ngrams(truth, order)).total() / max(found.total(), 1))
    if min(precisions) == 0:
        return 0.0
    brevity_penalty = np.exp(min(0.0, 1 - len(truth) / len(prediction)))
    return float(brevity_penalty * np.exp(np.mean(np.log(precisions))))


def _sentences(text: str) -> list[list[str]]:
    """Words of each sentence as the `rouge` package 1.0.1 sees them: cut at every period, then at white space."""
    return [" ".join(part.split()).split(" ") for part in text.split(".") if part]


def _common_subsequence(left: list[str], right: list[str]) -> set[str]:
    """Words of one longest common subsequence; among equally long ones the one the `rouge` package walks to."""
    length = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, word in enumerate(left):
        for j, other in enumerate(right):
            length[i + 1][j + 1] = length[i][j] + 1 if word == other else max(length[i][j + 1], length[i + 1][j])
    i, j, words = len(left), len(right), set()
    while i and j:
        if left[i - 1] == right[j - 1]:
            words.add(left[i - 1])
            i, j = i - 1, j - 1
        elif length[i - 1][j] > length[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return words


def _set_rouge_recall(prediction: str, truth: str) -> tuple[float, float]:
    """ROUGE-1 and summary-level ROUGE-L recall over *sets* of words, as the `rouge` package 1.0.1 computes them."""
    predicted, true = _sentences(prediction), _sentences(truth)
    true_words = {word for sentence in true for word in sentence}
    if not true_words:
        return 0.0, 0.0
    found = {word for sentence in predicted for word in sentence}
    in_order = {word for t in true for p in predicted for word in _common_subsequence(t, p)}
    return len(found & true_words) / len(true_words), len(in_order) / len(true_words)


def brainllm_scores(
    predictions: Sequence[str], references: Sequence[str], lowercase: bool = False
) -> dict[str, list[float]]:
    """BLEU-1..4, ROUGE-1/L recall and word error rate of every sample in BrainLLM's published form.

    The prediction is stripped of special tokens, gets a space after punctuation between two word characters, is cut
    into Treebank tokens, and then to the number of tokens of the truth. On these tokens:

    - `brainllm_bleu_N`: sentence BLEU-N without smoothing, with brevity penalty;
    - `brainllm_wer`: Levenshtein distance / truth tokens (at most 1 after the cut);
    - `brainllm_rouge_1`, `brainllm_rouge_l`: `|words found| / |words of the truth|` over sets of words, of the
      detokenised prediction against the raw truth; contractions with "n't" therefore never match.

    A published number is the mean over samples. An empty prediction scores 0 (word error rate 1) and keeps its place.
    Source: Ye et al. (2025), released evaluation.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.
        lowercase (`bool`, *optional*, defaults to `False`):
            Lower-case the prediction's tokens, not the truth's, as the published scores of the spoken stories do.

    Returns:
        `dict[str, list[float]]`: One score per sample under each of the names above.
    """
    check_pairs(predictions, references)
    rows = [_brainllm_row(p, reference, lowercase) for p, reference in zip(predictions, references, strict=True)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def prediction_tokens(prediction: str) -> list[str]:
    """Tokens of a prediction in BrainLLM's form, before they are cut to the truth's number."""
    return word_tokenize(_MISSING_SPACE.sub(r"\1 ", _SPECIAL_TOKENS.sub("", prediction).strip()))


def truth_tokens_of(truth: str) -> list[str]:
    """Tokens of a truth in BrainLLM's form."""
    return word_tokenize(_SPECIAL_TOKENS.sub("", truth).strip())


def _brainllm_row(prediction: str, truth: str, lowercase: bool) -> dict[str, float]:
    truth_tokens = truth_tokens_of(truth)
    truth = _SPECIAL_TOKENS.sub("", truth).strip()
    if not truth_tokens:
        raise ValueError(f"The reference {truth!r} holds special tokens only: no score is defined. Drop this sample.")
    tokens = prediction_tokens(prediction)
    tokens = [token.lower() for token in tokens] if lowercase else tokens
    tokens = tokens[: len(truth_tokens)]
    row = {f"brainllm_bleu_{n}": _unsmoothed_bleu(tokens, truth_tokens, n) for n in range(1, MAX_ORDER + 1)}
    row["brainllm_rouge_1"], row["brainllm_rouge_l"] = _set_rouge_recall(detokenize(tokens), truth)
    row["brainllm_wer"] = float(jiwer.wer(" ".join(truth_tokens), " ".join(tokens)))
    return row


def text_scores(
    predictions: Sequence[str], references: Sequence[str], lowercase: bool = False
) -> dict[str, list[float]]:
    """Every per-sample score of this module.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts.
        references (`Sequence[str]`):
            True texts.
        lowercase (`bool`, *optional*, defaults to `False`):
            See [`brainllm_scores`].

    Returns:
        `dict[str, list[float]]`: `brainllm_*`, `bleu_1`..`bleu_4` (sentence level), `rouge_1`, `rouge_l`, `wer`.
    """
    scores = brainllm_scores(predictions, references, lowercase)
    scores |= {f"bleu_{n}": sentence_bleu(predictions, references, n) for n in range(1, MAX_ORDER + 1)}
    return scores | rouge_f1(predictions, references) | {"wer": word_error_rate(predictions, references)}


__all__ = [
    "brainllm_scores",
    "corpus_bleu",
    "corpus_bleu_from_statistics",
    "corpus_bleu_statistics",
    "corpus_word_error_rate",
    "rouge_f1",
    "sentence_bleu",
    "text_scores",
    "word_error_rate",
]
