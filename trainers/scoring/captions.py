# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Scores of captions, of baselines and ceiling, and identification, written into the table."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..metrics import identify
from ..metrics.baselines import best_constant_captions, human_ceiling
from ..statistics.main_effects import expected_wins
from ..statistics.permutations import permute_across_groups
from .caption_scorer import CaptionScorer, Scores
from .table import BRAIN, CONSTANT, HUMAN, SHUFFLED, Sample, arms_of, having, texts_of


# The caption that is best for all images is searched for each of these.
# Permutations of an arm's captions over images; their mean is the baseline.
_NUM_SHUFFLES = 5


def score_captions(
    samples: Sequence[Sample],
    scorer: CaptionScorer,
    systems: Sequence[str] = (BRAIN,),
    max_identification: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """
    Scores of every arm and baseline, and whether each caption finds its own image.

    Baselines are `constant`, one caption for all images, searched for each score on these very references (CIDEr and
    BLEU-1 to BLEU-4 have a search each, [`~trainers.metrics.best_constant_caption`]; the other scores, for which none
    exists, are each that of the best of these five), and `shuffled`, the mean of five permutations of a system's
    captions over images of the same subject.

    Args:
        samples (`Sequence[Sample]`):
            The table, of one task.
        scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]):
            Scores captions.
        systems (`Sequence[str]`, *optional*, defaults to `("brain",)`):
            Arms whose captions are shuffled: into `shuffled`, or of several into `shuffled:NAME`.
        max_identification (`int`, *optional*, defaults to 256):
            Largest gallery of a subject; of more images so many are drawn. Repeats of an image count once.
        seed (`int`, *optional*, defaults to 0), progress (`bool`, *optional*, defaults to `False`):
            Seed of shuffling and of that draw; whether to show progress bars.

    Returns:
        `list[dict]`: The samples with `scores`, `counts`, `identification` and `expected`, and the text of `constant`.
    """
    scored: list[dict[str, Any]] = [
        {**sample, "texts": dict(sample["texts"]), "scores": {}, "counts": {}, "expected": {},
         "identification": dict(sample.get("identification", {}))}
        for sample in samples
    ]  # fmt: skip
    galleries = _galleries(scored, max_identification, seed)
    for arm in tqdm(arms_of(scored, "texts"), desc="scores", unit="arm", disable=not progress):
        rows = having(scored, "texts", arm)
        scores = scorer([texts_of(row, arm)[0] for row in rows], [row["references"] for row in rows])
        _write_scores(rows, arm, scores)
        for gallery in galleries:
            _identify(having(gallery, "texts", arm), arm, scorer)
    _score_constant(scored, scorer, progress)
    for system in [arm for arm in systems if arm in arms_of(scored, "texts")]:
        name = SHUFFLED if tuple(systems) == (BRAIN,) else f"{SHUFFLED}:{system}"
        _score_shuffled(having(scored, "texts", system), scorer, system, name, seed)
    return scored


def human_scores(samples: Sequence[Sample], scorer: CaptionScorer) -> list[dict[str, Any]]:
    """
    The ceiling `human`: one person's caption of an image against the others' ([`~trainers.metrics.human_ceiling`]).

    Args:
        samples (`Sequence[Sample]`), scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]):
            See [`score_captions`].

    Returns:
        `list[dict]`: `task`, `arm`, `num_samples` (images with two captions or more), every score; empty where no
        image has two captions.
    """
    references = [texts for texts in references_of_images(samples) if len(texts) > 1]
    if not references:
        return []
    turns = [(text, [*own[:k], *own[k + 1 :]]) for own in references for k, text in enumerate(own)]
    captions, others = zip(*turns, strict=True)
    scores = human_ceiling(references, scorer.frequencies) | scorer.optional(captions, others).means()
    row = {"task": samples[0]["task"], "arm": HUMAN, "num_samples": len(references)}
    return [row | {name: float(np.mean(values)) for name, values in scores.items()}]


def _score_constant(samples: Sequence[dict[str, Any]], scorer: CaptionScorer, progress: bool) -> None:
    references, searched = [sample["references"] for sample in samples], _references_to_search(samples)
    captions = best_constant_captions(searched, frequencies=scorer.frequencies)
    bar = tqdm(captions.items(), desc="constant caption", unit="score", disable=not progress)
    tables = {metric: scorer([caption] * len(samples), references) for metric, caption in bar}
    chosen = Scores()
    for metric in tables["cider"].means():
        best = tables[metric] if metric in tables else max(tables.values(), key=lambda table: table.means()[metric])
        source, target = (best.counts, chosen.counts) if metric in best.counts else (best.values, chosen.values)
        target[metric] = source[metric]
    _write_scores(samples, CONSTANT, chosen)
    for sample in samples:
        sample["texts"][CONSTANT] = captions["cider"]


def _references_to_search(samples: Sequence[Sample]) -> list[list[str]]:
    """References of every sample; of every image once where all occur equally often, for the best is the same."""
    if len(set(Counter(sample["group"] for sample in samples).values())) == 1:
        return references_of_images(samples)
    return [sample["references"] for sample in samples]


def _score_shuffled(rows: Sequence[dict[str, Any]], scorer: CaptionScorer, arm: str, name: str, seed: int) -> None:
    texts, references, groups, subjects = zip(
        *((texts_of(row, arm)[0], row["references"], row["group"], row["subject"]) for row in rows), strict=True
    )
    orders = permute_across_groups(groups, range(len(rows)), _NUM_SHUFFLES, seed, subjects).tolist()
    tables = [scorer([texts[i] for i in order], references) for order in orders]
    for i, row in enumerate(rows):
        row["scores"][name] = {m: [float(table.values[m][i]) for table in tables] for m in tables[0].values}
        row["counts"][name] = {m: [table.counts[m][i].tolist() for table in tables] for m in tables[0].counts}


def _write_scores(rows: Sequence[dict[str, Any]], arm: str, scores: Scores) -> None:
    for i, row in enumerate(rows):
        row["scores"][arm] = _of(row, arm, {name: float(values[i]) for name, values in scores.values.items()})
        row["counts"][arm] = _of(row, arm, {name: counts[i].tolist() for name, counts in scores.counts.items()})


def _of(row: Sample, arm: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values of an arm, as lists where its texts are one."""
    several = isinstance(row["texts"].get(arm), list)
    return {name: [value] for name, value in values.items()} if several else values


def _identify(rows: Sequence[dict[str, Any]], arm: str, scorer: CaptionScorer) -> None:
    """Ranks of the own image among all images of the subject, when each caption is scored on every one of them."""
    if len(rows) < 2:
        return
    references, groups = ([row[name] for row in rows] for name in ("references", "group"))
    for name, scores in scorer.matrices([texts_of(row, arm)[0] for row in rows], references).items():
        result, expected = identify(scores), expected_wins(scores, groups)
        for i, row in enumerate(rows):
            rank = [float(result.ranks[i]), int(result.num_candidates[i])]
            row["identification"].setdefault(arm, {})[name] = rank
            row["expected"].setdefault(arm, {})[name] = float(expected[i])


def _galleries(samples: Sequence[dict[str, Any]], max_images: int, seed: int) -> list[list[dict[str, Any]]]:
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


__all__ = ["CaptionScorer", "human_scores", "references_of_images", "score_captions"]
