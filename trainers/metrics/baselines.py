# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What captions score without any decoding, on the evaluation's own references: the baselines beside every score.

- the best constant caption, one sentence for all images, searched for;
- a system's captions, each handed to another image;
- one human caption against the other humans': no baseline, but the height of the room.

Each is a table like that of [`caption_scores`].
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .captions import caption_scores
from .cider import MAX_ORDER, DocumentFrequencies, caption_words, check_captions
from .constant_caption import ConstantScores


CONSTANT_METRICS = ("cider", *(f"bleu_{n}" for n in range(1, MAX_ORDER + 1)))


def best_constant_caption(
    references: Sequence[Sequence[str]],
    metric: str = "cider",
    candidates: Sequence[str] | None = None,
    frequencies: DocumentFrequencies | None = None,
    beam: int = 3,
    num_words: int = 150,
) -> str:
    """The one caption that scores best when it is given to every image.

    All candidates are ranked. The best `beam` of them are then changed word by word, each word exchanged, dropped or
    followed by one of the commonest, and the best `beam` of old and new are kept until no change helps. Every
    sentence is scored exactly, on all references, so the result is never below the best candidate.

    Args:
        references (`Sequence[Sequence[str]]`):
            All reference captions of each image of the evaluation.
        metric (`str`, *optional*, defaults to `"cider"`):
            What is to be best: `"cider"` or `"bleu_1"` to `"bleu_4"`.
        candidates (`Sequence[str]`, *optional*):
            Captions to begin with, e.g. those of the training split; the references by default.
        frequencies ([`DocumentFrequencies`], *optional*):
            For CIDEr; by default those of `references`.
        beam (`int`, *optional*, defaults to 3):
            Sentences that are kept in each round.
        num_words (`int`, *optional*, defaults to 150):
            Commonest words of the references that may enter.

    Returns:
        `str`: Its words, joined by spaces.

    Raises:
        ValueError: the metric is another, an image has no references, or there are no candidates.
    """
    return _Search(references, candidates, frequencies, beam, num_words).best(metric)


def best_constant_captions(
    references: Sequence[Sequence[str]],
    candidates: Sequence[str] | None = None,
    frequencies: DocumentFrequencies | None = None,
) -> dict[str, str]:
    """[`best_constant_caption`] by every metric that has a search, for little more than the cost of one.

    Args:
        references (`Sequence[Sequence[str]]`), candidates (`Sequence[str]`, *optional*):
            See [`best_constant_caption`].
        frequencies ([`DocumentFrequencies`], *optional*):
            See [`best_constant_caption`].

    Returns:
        `dict[str, str]`: Metric → caption.

    Raises:
        ValueError: see [`best_constant_caption`].
    """
    search = _Search(references, candidates, frequencies)
    return {metric: search.best(metric) for metric in CONSTANT_METRICS}


class _Search:
    """What is common to the searches for the best caption of each metric."""

    def __init__(
        self,
        references: Sequence[Sequence[str]],
        candidates: Sequence[str] | None,
        frequencies: DocumentFrequencies | None,
        beam: int = 3,
        num_words: int = 150,
    ):
        check_captions([""] * len(references), references)
        self._beam = beam
        self._scores = ConstantScores(references, frequencies or DocumentFrequencies.fit(references))
        texts = [text for own in references for text in own] if candidates is None else candidates
        self._starts = {tuple(self._scores.number(caption_words(text)).tolist()) for text in texts} - {()}
        if not self._starts:
            raise ValueError(
                "`candidates` holds no caption with a word in it; pass captions, or none for the references."
            )
        counts = Counter(word for own in references for word in {word for text in own for word in caption_words(text)})
        commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:num_words]
        self._vocabulary = self._scores.number([word for word, _ in commonest])

    def best(self, metric: str) -> str:
        """The caption that no change of one word makes better."""
        if metric not in CONSTANT_METRICS:
            raise ValueError(f"`metric` must be 'cider' or one of {CONSTANT_METRICS[1:]}, found {metric!r}.")
        lengths = {len(caption) for caption in self._starts}
        starts = [np.array([own for own in self._starts if len(own) == length]) for length in sorted(lengths)]
        self._scores.within(np.arange(len(self._scores.words)))
        kept = self._select(self._score(starts, metric))
        self._scores.within(np.union1d(self._vocabulary, np.concatenate([np.array(caption) for caption in kept])))
        expanded: set[tuple[int, ...]] = set()
        # What has been changed in every way once has shown all that it leads to.
        while new := [caption for caption in kept if caption not in expanded]:
            expanded.update(new)
            for caption in new:
                kept |= self._score(self._changes(np.array(caption)), metric)
            kept = self._select(kept)
        return " ".join(self._scores.words[number] for number in next(iter(kept)))

    def _score(self, captions: list[np.ndarray], metric: str) -> dict[tuple[int, ...], float]:
        """Scores of those captions, given length by length, that can be among the best `beam` of their length."""
        found: dict[tuple[int, ...], float] = {}
        for own in captions:
            # Rounding errors must not tell equal scores apart.
            scores = np.round(self._scores(own, metric), 12)
            # Several changes may make the same caption, at most one at each place.
            rank = min(len(own), self._beam * (own.shape[1] + 1))
            good = np.flatnonzero(scores >= -np.partition(-scores, rank - 1)[rank - 1])
            found |= dict(zip(map(tuple, own[good].tolist()), scores[good].tolist(), strict=True))
        return found

    def _select(self, scores: dict[tuple[int, ...], float]) -> dict[tuple[int, ...], float]:
        """The best `beam`; equal scores are told apart by the words, so that no order of a set matters."""
        words = self._scores.words
        ranked = sorted(scores.items(), key=lambda item: (-item[1], [words[number] for number in item[0]]))
        return dict(ranked[: self._beam])

    def _changes(self, caption: np.ndarray) -> list[np.ndarray]:
        """Every caption that one word makes of this one, by length: a word dropped, exchanged, added."""
        size, every = len(caption), np.arange(len(caption))
        exchanged = np.tile(caption, (size, len(self._vocabulary), 1))
        exchanged[every, :, every] = self._vocabulary
        places = np.arange(size + 1)
        added = np.stack([np.insert(caption, place, 0) for place in places])
        added = np.repeat(added[:, None], len(self._vocabulary), axis=1)
        added[places, :, places] = self._vocabulary
        changed = [exchanged.reshape(-1, size), added.reshape(-1, size + 1)]
        return changed if size == 1 else [np.stack([np.delete(caption, place) for place in every]), *changed]


def human_ceiling(
    references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None
) -> dict[str, np.ndarray | float]:
    """One human caption of each image against those of the other humans, each left out in turn.

    Args:
        references (`Sequence[Sequence[str]]`):
            All reference captions of each image, two at least. With k those of the image that has fewest, the first k
            of every image take their turn.
        frequencies ([`DocumentFrequencies`], *optional*):
            For CIDEr; by default those of `references`.

    Returns:
        `dict[str, np.ndarray | float]`: The table, each entry the mean over turns; see [`caption_scores`].

    Raises:
        ValueError: an image has one reference only.
    """
    check_captions([""] * len(references), references)
    alone = [place for place, texts in enumerate(references) if len(texts) < 2]
    if alone:
        raise ValueError(
            f"`references` holds a single caption for {len(alone)} of {len(references)} images, the first at position "
            f"{alone[0]}: with it left out nothing remains to compare with. Leave these images out."
        )
    frequencies = frequencies or DocumentFrequencies.fit(references)
    tables = []
    for turn in range(min(len(texts) for texts in references)):
        others = [[text for place, text in enumerate(texts) if place != turn] for texts in references]
        tables.append(caption_scores([texts[turn] for texts in references], others, frequencies))
    return _mean_table(tables)


def _mean_table(tables: Sequence[dict[str, np.ndarray | float]]) -> dict[str, np.ndarray | float]:
    means = {name: np.mean([table[name] for table in tables], axis=0) for name in tables[0]}
    return {name: value if value.ndim else float(value) for name, value in means.items()}


__all__ = ["CONSTANT_METRICS", "best_constant_caption", "best_constant_captions", "human_ceiling"]
