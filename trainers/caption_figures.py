# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""From the table of captions to the figures of a report: arms, floors, comparisons, identification.

One sample of the table is a `dict` (a line of `captions.jsonl`) with the keys

- `sample_id`, `subject`, `group` (image), `brain_id`, `references` (all captions people wrote);
- `texts`: arm → generated caption; an arm for which a sample has no donor is absent;
- `donors`: arm → `brain_id` of the values that the model was given;
- `scores`: arm or floor → score → value, for the scores that single samples have; CIDEr on its own scale of 0 to 10,
  the others on 0 to 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .comparisons import mean_with_tests
from .controls import permute_across_groups
from .metrics import Identification, benjamini_hochberg, identify
from .metrics.caption_floors import best_constant_caption, constant_floor, human_ceiling, shuffled_floor
from .metrics.captions import Cider, DocumentFrequencies, caption_bleu, caption_rouge_l


Sample = dict[str, Any]
Embedder = Callable[[list[str]], np.ndarray]

REAL, OTHER_IMAGE, NOBODY = "real", "other_image", "no_brain"
SUBJECT_SAME_IMAGE, SUBJECT_OTHER_IMAGE = "other_subject_same_image", "other_subject_other_image"
#: Without these no score is reported.
MANDATORY_ARMS = (REAL, "zero", "voxel_shuffle", OTHER_IMAGE)
OPTIONAL_ARMS = (SUBJECT_SAME_IMAGE, SUBJECT_OTHER_IMAGE, NOBODY)
CONSTANT, SHUFFLED, HUMAN = "constant", "shuffled", "human"
#: What captions score without any decoding; the higher one is the floor of a score.
FLOORS = (CONSTANT, SHUFFLED)
#: Scores of single samples, which have intervals and tests. BLEU is of a corpus.
PAIRED_METRICS = ("cider", "rouge_l", "text_similarity")
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider", "text_similarity")
# Permutations of the real captions over images; their mean is the floor.
_NUM_SHUFFLES = 5
_RECALLS = (1, 5, 10)
# Captions that are scored on a whole gallery at once.
_CHUNK = 32

#: Score → one value per sample, or one for all (BLEU).
Table = dict[str, np.ndarray | float]


class CaptionScorer:
    """
    Scores captions of images against what people wrote about them.

    Args:
        frequencies ([`~trainers.metrics.DocumentFrequencies`]):
            For CIDEr.
        embed (`Callable`, *optional*):
            Texts → vectors `[texts, width]`, for `text_similarity`: the mean cosine of a caption and the references.
    """

    def __init__(self, frequencies: DocumentFrequencies, embed: Embedder | None = None):
        self.frequencies = frequencies
        self.has_similarity = embed is not None
        self._cider = Cider(frequencies)
        self._embed = embed
        self._vectors: dict[str, np.ndarray] = {}

    def __call__(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> Table:
        """Every score of [`METRICS`]; `text_similarity` only with an embedder."""
        table: Table = {**caption_bleu(captions, references)}
        table |= {"rouge_l": caption_rouge_l(captions, references), "cider": self._cider(captions, references)}
        return table | ({"text_similarity": self.similarity(captions, references)} if self.has_similarity else {})

    def similarity(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """Mean cosine `(samples,)` of each caption and its references."""
        return (self._unit_vectors(captions) * self._mean_vectors(references)).sum(axis=1)

    def matrices(self, captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """Every caption on every image: for each score by which images can be ranked `(images, captions)`."""
        distinct, columns = list(dict.fromkeys(captions)), {}
        for start in range(0, len(distinct), _CHUNK):
            chunk = distinct[start : start + _CHUNK]
            found = self._cider(np.repeat(chunk, len(references)).tolist(), [*references] * len(chunk))
            columns |= dict(zip(chunk, found.reshape(len(chunk), -1), strict=True))
        scores = {"cider": np.stack([columns[caption] for caption in captions], axis=1)}
        if self.has_similarity:
            scores["text_similarity"] = self._mean_vectors(references) @ self._unit_vectors(captions).T
        return scores

    def _mean_vectors(self, references: Sequence[Sequence[str]]) -> np.ndarray:
        """Mean unit vector of each image's references: its product with a caption is the mean of their cosines."""
        vectors = self._unit_vectors([text for texts in references for text in texts])
        starts = np.cumsum([0] + [len(texts) for texts in references[:-1]])
        return np.add.reduceat(vectors, starts) / np.array([[len(texts)] for texts in references])

    def _unit_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1 `(texts, width)`; each text is embedded once."""
        new = sorted(set(texts) - self._vectors.keys())
        if new and self._embed is not None:
            vectors = np.asarray(self._embed(new), float)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            # What means nothing (an empty caption) is like nothing.
            self._vectors |= dict(zip(new, vectors / np.where(lengths == 0, 1, lengths), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def score_arms(samples: Sequence[Sample], scorer: CaptionScorer) -> list[dict[str, Any]]:
    """
    Scores every arm, and writes what single samples score into the table.

    Returns:
        `list[dict]`: `arm`, `num_samples`, every score of [`METRICS`] (BLEU over all samples together, the others as
        means over samples), `distinct`, the share of captions that differ from all before them, and `words`, their
        mean number.
    """
    figures = []
    for arm in dict.fromkeys(arm for sample in samples for arm in sample["texts"]):
        rows = [sample for sample in samples if arm in sample["texts"]]
        texts = [row["texts"][arm] for row in rows]
        table = scorer(texts, [row["references"] for row in rows])
        _write_scores(rows, arm, table)
        words = float(np.mean([len(text.split()) for text in texts]))
        figures.append(_figure(arm, len(rows), table) | {"distinct": len(set(texts)) / len(texts), "words": words})
    return figures


def score_floors(samples: Sequence[Sample], scorer: CaptionScorer, seed: int = 0) -> list[dict[str, Any]]:
    """
    Scores what needs no decoding, on the same references, and writes what single samples score into the table.

    - `constant`: one caption for all images, searched for each score ([`~trainers.metrics.constant_floor`]);
    - `shuffled`: the real arm's captions handed to other images of the same subject, the mean of five permutations
      ([`~trainers.metrics.shuffled_floor`]);
    - `human`, the ceiling: one person's caption of an image against the others' ([`~trainers.metrics.human_ceiling`]);
      absent where no image has two captions.

    Returns:
        `list[dict]`: `arm`, `num_samples` (of `human` images), every score; and of `constant` the `caption` that is
        best by CIDEr.
    """
    references = [sample["references"] for sample in samples]
    real = [sample["texts"][REAL] for sample in samples]
    groups, subjects = ([sample[name] for sample in samples] for name in ("group", "subject"))
    donors = permute_across_groups(groups, range(len(samples)), _NUM_SHUFFLES, seed, subjects)
    best = best_constant_caption(references, "cider", frequencies=scorer.frequencies)
    tables: dict[str, Table] = {
        CONSTANT: constant_floor(references, frequencies=scorer.frequencies),
        SHUFFLED: shuffled_floor(real, references, donors, scorer.frequencies),
    }
    if scorer.has_similarity:
        shuffles = [scorer.similarity([real[i] for i in row], references) for row in donors.tolist()]
        tables[CONSTANT]["text_similarity"] = scorer.similarity([best] * len(samples), references)
        tables[SHUFFLED]["text_similarity"] = np.mean(shuffles, axis=0)
    for floor, table in tables.items():
        _write_scores(samples, floor, table)
    constant, shuffled = (_figure(floor, len(samples), table) for floor, table in tables.items())
    return [constant | {"caption": best}, shuffled, *_human_figures(samples, scorer)]


def _human_figures(samples: Sequence[Sample], scorer: CaptionScorer) -> list[dict[str, Any]]:
    references = [texts for texts in references_of_images(samples) if len(texts) > 1]
    if not references:
        return []
    table = human_ceiling(references, scorer.frequencies)
    if scorer.has_similarity:
        turns = [(text, [*own[:k], *own[k + 1 :]]) for own in references for k, text in enumerate(own)]
        captions, others = zip(*turns, strict=True)
        table["text_similarity"] = scorer.similarity(captions, others)
    return [_figure(HUMAN, len(references), table)]


def _figure(arm: str, num_samples: int, table: Table) -> dict[str, Any]:
    means = {name: float(np.mean(table[name])) for name in METRICS if name in table}
    return {"arm": arm, "num_samples": num_samples} | means


def _write_scores(rows: Sequence[Sample], arm: str, table: Table) -> None:
    paired = {name: np.asarray(table[name]) for name in PAIRED_METRICS if name in table}
    for i, row in enumerate(rows):
        row["scores"][arm] = {name: float(values[i]) for name, values in paired.items()}


def compare_captions(samples: Sequence[Sample], seed: int = 0) -> list[dict[str, Any]]:
    """
    The real arm against every control and floor, sample by sample, with interval, p and q; clustered by image.

    Returns:
        `list[dict]`: `control`, `metric`, the figures of [`~trainers.comparisons.mean_with_tests`] for real minus
        control, and `q`, corrected over all comparisons (Benjamini-Hochberg).
    """
    comparisons: list[dict[str, Any]] = []
    for control in dict.fromkeys(arm for sample in samples for arm in sample["scores"] if arm != REAL):
        rows = [sample for sample in samples if control in sample["scores"]]
        groups = [row["group"] for row in rows]
        if len(set(groups)) < 2:  # nothing can be resampled
            continue
        for metric in rows[0]["scores"][REAL]:
            gain = np.array([row["scores"][REAL][metric] - row["scores"][control][metric] for row in rows])
            comparisons.append({"control": control, "metric": metric} | mean_with_tests(gain, groups, seed=seed))
    q_values = benjamini_hochberg([row["p"] for row in comparisons])
    return [row | {"q": q} for row, q in zip(comparisons, q_values, strict=True)]


def identify_captions(
    samples: Sequence[Sample], scorer: CaptionScorer, max_images: int = 256, seed: int = 0
) -> list[dict[str, Any]]:
    """
    Does a caption find its own image? Each caption of a subject is scored on every image of the subject.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scorer ([`CaptionScorer`]):
            Gives the score by which images are ranked.
        max_images (`int`, *optional*, defaults to 256):
            Largest gallery of a subject; of more images so many are drawn.
        seed (`int`, *optional*, defaults to 0):
            Seed of that draw.

    Returns:
        `list[dict]`: For each arm and score `num_queries` and the summary of [`~trainers.metrics.Identification`],
        with the chance level of each recall. Repeats of an image count once.
    """
    galleries, figures = _galleries(samples, max_images, seed), []
    for arm in dict.fromkeys(arm for sample in samples for arm in sample["texts"]):
        found: dict[str, list[Identification]] = {}
        for gallery in galleries:
            rows = [sample for sample in gallery if arm in sample["texts"]]
            if len(rows) > 1:
                captions, references = [row["texts"][arm] for row in rows], [row["references"] for row in rows]
                for name, scores in scorer.matrices(captions, references).items():
                    found.setdefault(name, []).append(identify(scores))
        for name, parts in found.items():
            ranks = np.concatenate([part.ranks for part in parts])
            whole = Identification(ranks, np.concatenate([part.num_candidates for part in parts]))
            chance = {f"chance_at_{k}": whole.chance(k) for k in _RECALLS}
            figures.append({"arm": arm, "score": name, "num_queries": len(ranks)} | whole.summary(_RECALLS) | chance)
    return figures


def _galleries(samples: Sequence[Sample], max_images: int, seed: int) -> list[list[Sample]]:
    """For each subject one sample of each image, at most so many."""
    generator = np.random.default_rng(seed)
    galleries = []
    for subject in dict.fromkeys(sample["subject"] for sample in samples):
        first = {sample["group"]: sample for sample in reversed(samples) if sample["subject"] == subject}
        images = list(first.values())
        drawn = np.sort(generator.permutation(len(images))[:max_images])
        galleries.append([images[i] for i in drawn])
    return galleries


def references_of_images(samples: Sequence[Sample]) -> list[list[str]]:
    """References of each image once, however many brains saw it: the documents of CIDEr."""
    return list({sample["group"]: sample["references"] for sample in samples}.values())


__all__ = [
    "MANDATORY_ARMS",
    "OPTIONAL_ARMS",
    "CaptionScorer",
    "compare_captions",
    "identify_captions",
    "references_of_images",
    "score_arms",
    "score_floors",
]
