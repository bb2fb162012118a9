# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""From the table of captions to the figures of a report: arms, baselines, comparisons, identification.

One sample of the table is a `dict` (a line of `captions.jsonl`) with the keys

- `sample_id`, `subject`, `group` (image), `brain_id`, `references` (all captions people wrote);
- `texts`: arm → generated caption; an arm for which a sample has no control brain is absent;
- `control_brains`: arm → `brain_id` of the values that the model was given;
- `scores`: arm or baseline → score → value, for the scores that single samples have; CIDEr on its own scale of 0 to
  10,
  the others on 0 to 1;
- `bleu_counts`, `meteor_counts`: arm or baseline → what the sample adds to BLEU
  ([`~trainers.metrics.bleu_statistics`])
  and METEOR ([`~trainers.metrics.Meteor`]); of the baseline `shuffled` a list of these, one per permutation;
- `identification`: arm → score → `[rank, candidates]` of the own image; absent beyond the gallery;
- `identification_expected`: arm → score → share of the other images that this image beats under captions of others.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..metrics import Identification, identify
from ..metrics.baselines import best_constant_captions, human_ceiling
from ..statistics.main_effects import expected_wins
from ..statistics.permutations import permute_across_groups
from ..statistics.resampling import Resampler
from ..statistics.significance import benjamini_hochberg
from .caption_comparisons import TESTED_ORDER, compare_pairs
from .caption_scorer import BLEU_COUNTS, COUNTS, METEOR_COUNTS, METRICS, PAIRED_METRICS, CaptionScorer, Embedder, Table


Sample = dict[str, Any]

REAL, OTHER_IMAGE, NOBODY = "real", "other_image", "no_brain"
SUBJECT_SAME_IMAGE, SUBJECT_OTHER_IMAGE = "other_subject_same_image", "other_subject_other_image"
#: Arms that every corpus can have and every evaluation runs, for all samples; [`~trainers.reports.requirements`]
#: demands more.
MANDATORY_ARMS = (REAL, "zero", "voxel_shuffle", OTHER_IMAGE)
CONSTANT, SHUFFLED, HUMAN = "constant", "shuffled", "human"
#: What captions score without any decoding; the higher one is the baseline of a score.
BASELINES = (CONSTANT, SHUFFLED)
# The caption that is best for all images is searched for each of these.
_SEARCHED = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4")
# Permutations of an arm's captions over images; their mean is the baseline.
_NUM_SHUFFLES = 5
_RECALLS = (1, 5, 10)


def score_arms(samples: Sequence[Sample], scorer: CaptionScorer, progress: bool = False) -> list[dict[str, Any]]:
    """
    Scores every arm, and writes what single samples score into the table.

    Args:
        samples (`Sequence[Sample]`):
            The table.
        scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]):
            Scores captions.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to show a progress bar.

    Returns:
        `list[dict]`: `arm`, `num_samples`, every score of [`METRICS`] (BLEU and METEOR over all samples together, the
        others as means over samples), `distinct`, the share of captions that differ from all before them, and
        `words`, their mean number.
    """
    figures, arms = [], list(dict.fromkeys(arm for sample in samples for arm in sample["texts"]))
    for arm in tqdm(arms, desc="scores", unit="arm", disable=not progress):
        rows = [sample for sample in samples if arm in sample["texts"]]
        texts = [row["texts"][arm] for row in rows]
        table = scorer(texts, [row["references"] for row in rows])
        _write_scores(rows, arm, table)
        words = float(np.mean([len(text.split()) for text in texts]))
        figures.append(_figure(arm, len(rows), table) | {"distinct": len(set(texts)) / len(texts), "words": words})
    return figures


def score_baselines(
    samples: Sequence[Sample], scorer: CaptionScorer, seed: int = 0, progress: bool = False
) -> list[dict[str, Any]]:
    """
    Scores what needs no decoding, on the same references, and writes what single samples score into the table.

    Args:
        samples (`Sequence[Sample]`), scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]), progress (`bool`):
            See [`score_arms`].
        seed (`int`, *optional*, defaults to 0):
            Seed of the permutations.

    Returns:
        `list[dict]`: Figures of [`score_constant`], [`score_shuffled`] of the real arm, and [`score_humans`].
    """
    return [
        score_constant(samples, scorer, progress),
        score_shuffled(samples, scorer, seed=seed, progress=progress),
        *score_humans(samples, scorer),
    ]


def score_constant(samples: Sequence[Sample], scorer: CaptionScorer, progress: bool = False) -> dict[str, Any]:
    """
    The baseline `constant`: one caption for all images, searched for each score on these very references.

    CIDEr and BLEU-1 to BLEU-4 have a search each ([`~trainers.metrics.best_constant_caption`]); the other scores, for
    which none exists, are each that of the best of these five.

    Args:
        samples (`Sequence[Sample]`), scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]), progress (`bool`):
            See [`score_arms`].

    Returns:
        `dict`: `arm`, `num_samples`, every score, and the `caption` that is best by CIDEr.
    """
    references, searched = [sample["references"] for sample in samples], _references_to_search(samples)
    captions = best_constant_captions(searched, frequencies=scorer.frequencies)
    bar = tqdm(captions.items(), desc="constant caption", unit="score", disable=not progress)
    tables = {metric: scorer([caption] * len(samples), references) for metric, caption in bar}
    table = tables["cider"] | {metric: tables[metric][metric] for metric in _SEARCHED}
    for metric in [name for name in METRICS if name in table and name not in _SEARCHED]:
        best = max(tables.values(), key=lambda found: float(np.mean(found[metric])))
        table[metric] = best[metric]
        table |= {METEOR_COUNTS: best[METEOR_COUNTS]} if metric == "meteor" else {}
    table |= {BLEU_COUNTS: tables[f"bleu_{TESTED_ORDER}"][BLEU_COUNTS]}
    _write_scores(samples, CONSTANT, table)
    return _figure(CONSTANT, len(samples), table) | {"caption": captions["cider"]}


def _references_to_search(samples: Sequence[Sample]) -> list[list[str]]:
    """References of every sample; of every image once where all occur equally often, for the best is the same."""
    if len(set(Counter(sample["group"] for sample in samples).values())) == 1:
        return references_of_images(samples)
    return [sample["references"] for sample in samples]


def score_shuffled(
    samples: Sequence[Sample],
    scorer: CaptionScorer,
    arm: str = REAL,
    name: str = SHUFFLED,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """
    The baseline `shuffled`: an arm's captions handed to other images of the same subject, the mean of five
    permutations.

    Args:
        samples (`Sequence[Sample]`), scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]), progress (`bool`):
            See [`score_arms`]. Samples without the arm are passed over.
        arm (`str`, *optional*, defaults to `"real"`), name (`str`, *optional*, defaults to `"shuffled"`):
            Whose captions, and what the baseline is called.
        seed (`int`, *optional*, defaults to 0):
            Seed of the permutations.

    Returns:
        `dict`: `arm` (the name), `num_samples`, every score.
    """
    rows = [sample for sample in samples if arm in sample["texts"]]
    texts, references, groups, subjects = zip(
        *((row["texts"][arm], row["references"], row["group"], row["subject"]) for row in rows), strict=True
    )
    control_brains = permute_across_groups(groups, range(len(rows)), _NUM_SHUFFLES, seed, subjects).tolist()
    bar = tqdm(control_brains, desc=name, unit="permutation", disable=not progress)
    tables = [scorer([texts[i] for i in order], references) for order in bar]
    table: Table = {metric: np.mean([found[metric] for found in tables], axis=0) for metric in tables[0]}
    # BLEU and METEOR are no means over samples: the counts of every permutation are needed.
    table |= {name: np.stack([found[name] for found in tables], axis=1) for name in COUNTS if name in tables[0]}
    _write_scores(rows, name, table)
    return _figure(name, len(rows), table)


def score_humans(samples: Sequence[Sample], scorer: CaptionScorer) -> list[dict[str, Any]]:
    """
    The ceiling `human`: one person's caption of an image against the others' ([`~trainers.metrics.human_ceiling`]).

    Args:
        samples (`Sequence[Sample]`), scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]):
            See [`score_arms`].

    Returns:
        `list[dict]`: `arm`, `num_samples` (images with two captions or more), every score; empty where no image has
        two captions.
    """
    references = [texts for texts in references_of_images(samples) if len(texts) > 1]
    if not references:
        return []
    turns = [(text, [*own[:k], *own[k + 1 :]]) for own in references for k, text in enumerate(own)]
    captions, others = zip(*turns, strict=True)
    table = human_ceiling(references, scorer.frequencies) | scorer.optional(captions, others)
    return [_figure(HUMAN, len(references), table)]


def _figure(arm: str, num_samples: int, table: Table) -> dict[str, Any]:
    means = {name: float(np.mean(table[name])) for name in METRICS if name in table}
    return {"arm": arm, "num_samples": num_samples} | means


def _write_scores(rows: Sequence[Sample], arm: str, table: Table) -> None:
    paired = {name: np.asarray(table[name]) for name in PAIRED_METRICS if name in table}
    counts = {name: np.asarray(table[name], int).tolist() for name in COUNTS if name in table}
    for i, row in enumerate(rows):
        row["scores"][arm] = {name: float(values[i]) for name, values in paired.items()}
        for name, added in counts.items():
            _write(row, name, arm, added[i])


def _write(row: Sample, key: str, arm: str, found: Any) -> None:
    """Into the table, but never into a table that this one was copied from."""
    row[key] = {**row.get(key, {}), arm: found}


def compare_captions(
    samples: Sequence[Sample], seed: int = 0, num_resamples: int = 10_000, progress: bool = False
) -> list[dict[str, Any]]:
    """
    The real arm against every control and baseline, with interval, p and q; clustered by image.

    Args:
        samples (`Sequence[Sample]`):
            The scored table.
        seed (`int`, *optional*, defaults to 0), num_resamples (`int`, *optional*, defaults to 10000):
            See [`~trainers.statistics.resampling.Resampler`].
        progress (`bool`, *optional*, defaults to `False`):
            Whether to show a progress bar.

    Returns:
        `list[dict]`: Real minus control, see [`~trainers.scoring.caption_comparisons.compare_pairs`]; and `q`,
        corrected over all comparisons (Benjamini-Hochberg).
    """
    controls = dict.fromkeys(arm for sample in samples for arm in sample["scores"] if arm != REAL)
    pairs = [(REAL, control) for control in controls]
    return with_q_values(compare_pairs(samples, pairs, Resampler(num_resamples, seed), progress))


def compare_captions_by_subject(
    samples: Sequence[Sample], seed: int = 0, num_resamples: int = 10_000, progress: bool = False
) -> list[dict[str, Any]]:
    """
    [`compare_captions`] for each subject alone; q is corrected over scores, controls and subjects together.

    Args:
        samples (`Sequence[Sample]`), seed (`int`), num_resamples (`int`), progress (`bool`), all but the first
        *optional*:
            See [`compare_captions`].

    Returns:
        `list[dict]`: The rows of [`compare_captions`] with `subject`.
    """
    found = []
    for subject in dict.fromkeys(sample["subject"] for sample in samples):
        own = [sample for sample in samples if sample["subject"] == subject]
        found += [{"subject": subject} | row for row in compare_captions(own, seed, num_resamples, progress)]
    return with_q_values(found)


def with_q_values(comparisons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Comparisons with `q`: their `p`, corrected over all of them (Benjamini-Hochberg)."""
    q_values = benjamini_hochberg([row["p"] for row in comparisons])
    return [row | {"q": q} for row, q in zip(comparisons, q_values, strict=True)]


def identify_captions(
    samples: Sequence[Sample],
    scorer: CaptionScorer,
    max_images: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """
    Does a caption find its own image? Each caption of a subject is scored on every image of the subject.

    Args:
        samples (`Sequence[Sample]`):
            The table, into which the ranks are written.
        scorer ([`~trainers.scoring.caption_scorer.CaptionScorer`]):
            Gives the score by which images are ranked.
        max_images (`int`, *optional*, defaults to 256):
            Largest gallery of a subject; of more images so many are drawn.
        seed (`int`, *optional*, defaults to 0):
            Seed of that draw.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to show a progress bar.

    Returns:
        `list[dict]`: For each arm and score `num_queries` and the summary of [`~trainers.metrics.Identification`],
        with the chance level of each recall. Repeats of an image count once.
    """
    galleries, figures = _galleries(samples, max_images, seed), []
    arms = list(dict.fromkeys(arm for sample in samples for arm in sample["texts"]))
    for arm in tqdm(arms, desc="identification", unit="arm", disable=not progress):
        for name, whole in _identify_arm(arm, galleries, scorer).items():
            chance = {f"chance_at_{k}": whole.chance(k) for k in _RECALLS}
            queries = {"arm": arm, "score": name, "num_queries": len(whole.ranks)}
            figures.append(queries | whole.summary(_RECALLS) | chance)
    return figures


def _identify_arm(arm: str, galleries: Sequence[Sequence[Sample]], scorer: CaptionScorer) -> dict[str, Identification]:
    """By each score the ranks of an arm's captions, those of all galleries together."""
    found: dict[str, list[Identification]] = {}
    for gallery in galleries:
        rows = [sample for sample in gallery if arm in sample["texts"]]
        if len(rows) < 2:
            continue
        captions, references = [row["texts"][arm] for row in rows], [row["references"] for row in rows]
        matrices = scorer.matrices(captions, references)
        parts = {name: identify(scores) for name, scores in matrices.items()}
        expected = {name: expected_wins(scores, [row["group"] for row in rows]) for name, scores in matrices.items()}
        for i, row in enumerate(rows):
            ranks = {name: [float(part.ranks[i]), int(part.num_candidates[i])] for name, part in parts.items()}
            _write(row, "identification", arm, ranks)
            _write(row, "identification_expected", arm, {name: float(wins[i]) for name, wins in expected.items()})
        for name, part in parts.items():
            found.setdefault(name, []).append(part)
    return {
        name: Identification(
            np.concatenate([part.ranks for part in parts]), np.concatenate([part.num_candidates for part in parts])
        )
        for name, parts in found.items()
    }


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
    "CaptionScorer",
    "Embedder",
    "compare_captions",
    "compare_captions_by_subject",
    "identify_captions",
    "references_of_images",
    "score_arms",
    "score_baselines",
    "score_constant",
    "score_humans",
    "score_shuffled",
    "with_q_values",
]
