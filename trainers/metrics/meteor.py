# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""METEOR in its two published forms.

- [`Meteor`] is METEOR 1.5, which caption tables print: equal to its authors' program, run as pycocoevalcap runs it, on
  all but one of 5,000 images of COCO (there paths tie at the edge of the beam, and .04 is lost).
- [`classic_meteor`] has the parameters of 2005 and NLTK's matching, which decoding of stories is scored by.

Numbers of one must never stand beside numbers of the other: they weigh precision, order and synonyms differently.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score

from .cider import check_captions
from .meteor_alignment import STAGE_WEIGHTS, Match, Sentence, align
from .meteor_data import MeteorData
from .ptb_tokenization import ptb_tokens
from .text import check_pairs


# Precision against recall, shape and weight of the penalty on chunks, content against function words: English.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
_NUM_STATISTICS = 23

# Letters and figures that make words; others stand alone.
_LETTER = "A-Za-zÀ-ÖØ-öø-žЀ-ӿ"
_RULES = (
    (re.compile(f"([^{_LETTER}0-9\\s.',-])"), r" \1 "),
    (re.compile(r"\.{2,}"), r" \g<0> "),
    (re.compile(r"(\D),(\D)|(\d),(\D)|(\D),(\d)"), r"\1\3\5 , \2\4\6"),
    (re.compile(f"(?<![{_LETTER}])'(?![{_LETTER}])|(?<![{_LETTER}0-9])'(?=[{_LETTER}])"), " ' "),
    (re.compile(f"(?<=[{_LETTER}])'(?![{_LETTER}])"), " ' "),
    (re.compile(f"(?<=[{_LETTER}])'(?=[{_LETTER}])"), " '"),
    (re.compile(r"(\d)'(s)"), r"\1' \2"),
    (re.compile(f"([{_LETTER}0-9])-([{_LETTER}0-9])"), r"\1 \2"),
)
_QUOTES = str.maketrans("`‘’", "'''")
_ACRONYM = re.compile(f"(?:[{_LETTER}]\\.){{2,}}")
_KEEPS_PERIOD = re.compile(f"(?:v|vs|rev|\\S*\\.\\S*[{_LETTER}]\\S*|\\S*[{_LETTER}]\\S*\\.\\S*)\\.")


@lru_cache(maxsize=2**16)
def meteor_words(text: str) -> tuple[str, ...]:
    """
    Words of a caption as METEOR 1.5 counts them: the tokens of caption scores, cut once more by its own rules.

    Args:
        text (`str`):
            A caption.

    Returns:
        `tuple[str, ...]`: The words; `"The dog's T-shirt."` gives `("the", "dog", "'", "s", "t", "shirt")`.
    """
    text = f" {' '.join(ptb_tokens(text))} ".translate(_QUOTES)
    for rule, replacement in _RULES:
        text = rule.sub(replacement, text)
    words, cut = text.split(), []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if _ACRONYM.fullmatch(word):
            cut.append(word.replace(".", ""))
        elif len(word) > 1 and word.endswith(".") and not (following[:1].islower() or _KEEPS_PERIOD.fullmatch(word)):
            cut += [word[:-1], "."]
        else:
            cut.append(word)
    return tuple(cut)


class Meteor:
    r"""
    METEOR 1.5 of captions, sample by sample, in [0, 1].

    $$\left(1 - \gamma \left(\frac{\mathrm{chunks}}{m}\right)^\beta\right) \frac{P R}{\alpha P + (1 - \alpha) R}$$

    $P$ and $R$ are the shares of the caption's and of the reference's words that are matched, weighed by the stage of
    the match (1 for equal words, .6 for stems, .8 for synonyms, .6 for paraphrases) and by .75 for content and .25 for
    function words; $m$ is the mean number of matched words, and a chunk a run of matches in the same order on both
    sides. $\alpha = .85$, $\beta = .2$, $\gamma = .6$. The reference that scores best counts. Denkowski and Lavie
    (2014), section 2, with the parameters for English.

    Args:
        data ([`MeteorData`]):
            METEOR's lists of English.
    """

    def __init__(self, data: MeteorData):
        self.data = data

    def __call__(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """
        Scores captions.

        Args:
            predictions (`Sequence[str]`):
                One caption per sample; an empty one scores 0.
            references (`Sequence[Sequence[str]]`):
                All reference captions of each sample.

        Returns:
            `np.ndarray` of shape `(samples,)`: The scores.

        Raises:
            ValueError: a sample has no references, or an empty one.
        """
        return meteor_from_statistics(self.statistics(predictions, references))

    def statistics(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """
        What each sample adds to the METEOR of a corpus, which is no mean of the samples' scores.

        Args:
            predictions (`Sequence[str]`):
                One caption per sample.
            references (`Sequence[Sequence[str]]`):
                All reference captions of each sample.

        Returns:
            `np.ndarray` of shape `(samples, 23)`: Counts against the best reference, in the order of METEOR's own
            files: words and function words of caption and reference; of each stage, content and function words
            matched; chunks, of which texts that match from end to end have none; words matched. Their sums over
            samples are all that [`meteor_from_statistics`] needs.

        Raises:
            ValueError: a sample has no references, or an empty one.
        """
        check_captions(predictions, references)
        texts = dict.fromkeys([*predictions, *(text for own in references for text in own)])
        sentences = {text: Sentence(meteor_words(text), self.data) for text in texts}
        phrases = {key for sentence in sentences.values() for key in sentence.phrases}
        table = self.data.paraphrases.among(np.fromiter(phrases, np.int64, len(phrases)))
        rows = []
        for prediction, own in zip(predictions, references, strict=True):
            caption = sentences[prediction]
            pairs = [(caption, sentences[text]) for text in own]
            found = np.array([_count(*pair, align(*pair, table)) for pair in pairs], float)
            rows.append(found[np.argmax(meteor_from_statistics(found))])
        return np.array(rows)


def _count(prediction: Sentence, reference: Sentence, matches: Sequence[Match]) -> list[int]:
    """The 23 counts of one alignment."""
    stages = np.zeros((len(STAGE_WEIGHTS), 2, 2), int)  # content or function word, prediction or reference
    chunks, chunk_end = 0, None
    for match in matches:
        for place in range(match.prediction_start, match.prediction_start + match.prediction_length):
            stages[match.stage, int(prediction.is_function[place]), 0] += 1
        for place in range(match.start, match.start + match.length):
            stages[match.stage, int(reference.is_function[place]), 1] += 1
        chunks += chunk_end != (match.start, match.prediction_start)
        chunk_end = (match.start + match.length, match.prediction_start + match.prediction_length)
    lengths, matched = [len(prediction.words), len(reference.words)], stages.sum(axis=(0, 1)).tolist()
    if matched == lengths and chunks == 1:
        chunks = 0
    functions = [sum(prediction.is_function), sum(reference.is_function)]
    return [*lengths, *functions, *stages.ravel().tolist(), chunks, *matched]


def meteor_from_statistics(totals: np.ndarray) -> np.ndarray:
    """
    METEOR 1.5 of summed statistics; the equation is that of [`Meteor`].

    Args:
        totals (`np.ndarray` of shape `(..., 23)`):
            Rows of [`Meteor.statistics`], their sums, or weighted sums; for a bootstrap `weights @ statistics` with
            weights `(resamples, samples)`.

    Returns:
        `np.ndarray` of shape `(...)`: The scores.
    """
    totals = np.asarray(totals, float)
    lengths, functions, chunks, matched = totals[..., :2], totals[..., 2:4], totals[..., 20], totals[..., 21:]
    kinds = np.array([DELTA, 1 - DELTA])
    stages = totals[..., 4:20].reshape(*totals.shape[:-1], len(STAGE_WEIGHTS), 2, 2)
    weighed = np.einsum("...skt,s,k->...t", stages, STAGE_WEIGHTS, kinds)
    whole = DELTA * (lengths - functions) + (1 - DELTA) * functions
    precision, recall = np.moveaxis(np.divide(weighed, whole, out=np.zeros_like(whole), where=whole > 0), -1, 0)
    both = ALPHA * precision + (1 - ALPHA) * recall
    mean = np.divide(precision * recall, both, out=np.zeros_like(both), where=both > 0)
    words = matched.sum(axis=-1) / 2
    fragments = np.divide(chunks, words, out=np.zeros_like(words), where=words > 0)
    return mean * (1 - GAMMA * fragments**BETA)


def classic_meteor(
    predictions: Sequence[str], references: Sequence[str], data: MeteorData | None = None
) -> list[float]:
    r"""
    METEOR of every sample by NLTK, $(1 - .5 (\mathrm{chunks}/m)^3) \cdot P R / (.9 P + .1 R)$, in [0, 1].

    Words are what white space separates, in lower case; they match if they are equal, have equal stems, or are
    synonyms. Banerjee and Lavie (2005), section 3, with the parameters of Lavie and Agarwal (2007) that Tang et al.
    (2023) and Ye et al. (2025) score windows of a story by.

    Args:
        predictions (`Sequence[str]`):
            Predicted texts; an empty one scores 0.
        references (`Sequence[str]`):
            True texts.
        data ([`MeteorData`], *optional*):
            For the synonyms, WordNet 3.0's. NLTK looks them up by stems, and so finds those whose stem is the word
            alone. By default there are none, and scores are a little lower than published ones.

    Returns:
        `list[float]`: One score per sample.

    Raises:
        ValueError: the texts are not equally many, or a reference is empty.
    """
    check_pairs(predictions, references)
    stemmer: Any = _RememberedStemmer()
    synonyms: Any = _Synonyms(data)
    return [
        float(single_meteor_score(reference.split(), prediction.split(), stemmer=stemmer, wordnet=synonyms))
        for prediction, reference in zip(predictions, references, strict=True)
    ]


class _RememberedStemmer:
    """NLTK's Porter stemmer; words come again from text to text."""

    def __init__(self):
        self.stem = lru_cache(maxsize=None)(PorterStemmer().stem)


class _Synonyms:
    """METEOR's WordNet, as far as NLTK asks it: `synsets(word)`, each with `lemmas()`, each with a `name()`."""

    def __init__(self, data: MeteorData | None):
        self.data = data
        self.words: dict[str, list[_Lemma]] = {}
        for word, meanings in data.synsets.items() if data else ():
            for meaning in meanings:
                self.words.setdefault(meaning, []).append(_Lemma(word))

    def synsets(self, word: str) -> list["_Synset"]:
        return [_Synset(self.words[meaning]) for meaning in self.data.meanings(word)] if self.data else []


class _Lemma(str):
    __slots__ = ()

    def name(self) -> str:
        return self


class _Synset(list):
    def lemmas(self) -> list[_Lemma]:
        return self


__all__ = ["Meteor", "classic_meteor", "meteor_from_statistics", "meteor_words"]
