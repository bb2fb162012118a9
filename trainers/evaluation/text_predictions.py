# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Texts of any system for the rows of a corpus, from JSON files: scored beside the baselines that a decoder must beat.

A file holds `{"sample_id": "text", ...}`, one text for each row of the task, and nothing of the system but its name.
The truth, what is held out and the baselines come from the corpus.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.brain_format import with_brain_arrays
from ..data.corpora import require_rows
from ..data.provenance import split_facts
from ..metrics import best_constant_text
from ..metrics.embedding_scores import TokenEmbeddings
from ..reports.provenance import find_versions
from ..reports.report import EvaluationReport
from ..reports.requirements import EMPTY, NUM_RESAMPLES
from ..scoring.caption_scorer import Embedder, ModelScorer
from ..scoring.rules import TEXT_RULES, Rules
from ..scoring.table import CONSTANT, RETRIEVAL, SHUFFLED, STRUCTURE
from ..scoring.texts import score_texts
from ..statistics.permutations import permute_across_groups
from .predictions import fingerprint_files, read_systems
from .ridge_baseline import ridge_baseline
from .structure_baseline import structure_baseline
from .tasks import Task, make_task


if TYPE_CHECKING:
    from datasets import DatasetDict

_LIMITS = (
    "Texts alone do not tell how they came about: what the system writes without a brain or with another's, and "
    "whether the brain makes the truth likelier, takes the checkpoint (`examples/evaluate.py --checkpoint`)."
)


def evaluate_texts(
    predictions: Sequence[str | Path],
    dataset: "DatasetDict",
    task: str | Task,
    *,
    corpus: Mapping[str, Any] | None = None,
    split: str = "test",
    allow: Collection[str] = (),
    embedder: Embedder | None = None,
    embed_tokens: TokenEmbeddings | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> EvaluationReport:
    """
    Score the texts of any system beside its baselines; of two systems or more, compare each pair.

    Args:
        predictions (`Sequence`):
            A file for each system.
        dataset (`DatasetDict`):
            Rows in their splits; `train` serves the baselines.
        task (`str` or [`~trainers.evaluation.tasks.Task`]):
            Which text of each row was decoded.
        corpus (`Mapping`, *optional*), split (`str`, *optional*, defaults to `"test"`):
            Content of `corpus.json`; what is evaluated.
        allow (`Collection[str]`, *optional*):
            `"empty"`: an empty text counts as one, and scores nothing.
        embedder (`Callable`, *optional*), embed_tokens (`Callable`, *optional*):
            Texts → embeddings `[texts, embedding]`, for `text_similarity` and the baselines `retrieval` and
            `structure`; texts → tokens with their vectors, for `bert_score`.
        num_resamples (`int`, *optional*, defaults to 10000), seed (`int`, *optional*, defaults to 0):
            See [`~trainers.statistics.resampling.Resampler`]; seed of everything drawn.

    Returns:
        [`EvaluationReport`]: Not yet saved.

    Raises:
        FileNotFoundError, ValueError: If a split or file is missing, or a file has another form, lacks a row, has one
            that the split has not, or an empty text.
    """
    for name in ("train", split):
        require_rows(dataset, name)
    task = make_task(task)
    rows, train = (list(with_brain_arrays(task.rows(dataset[name]))) for name in (split, "train"))
    systems = {
        name: _in_order(name, {sample_id: text for (_, sample_id), text in found.items()}, rows, split, allow)
        for name, found in read_systems(predictions).items()
    }
    texts: dict[str, Sequence[str | None]] = {**systems, **_baselines(train, rows, embedder)}
    groups, subjects = ([row[name] for row in rows] for name in ("group", "subject"))
    (handed,) = permute_across_groups(groups, range(len(rows)), 1, seed, subjects)
    texts |= {f"{SHUFFLED}:{name}": [own[place] for place in handed] for name, own in systems.items()}
    kept = ("sample_id", "subject", "group", "brain_id", "prompt")
    samples = [
        {name: row[name] for name in kept}
        | {"task": task.name, "references": [row["completion"].strip()], "control_brains": {}}
        | {"texts": {arm: text for arm, found in texts.items() if (text := found[i]) is not None}}
        for i, row in enumerate(rows)
    ]
    settings = {"seed": seed, "num_resamples": num_resamples, "ridge_baseline": embedder is not None}
    empty = sum(not text.strip() for own in systems.values() for text in own)
    gaps = [{"name": EMPTY, "why": f"{empty} texts are empty and score nothing (`{EMPTY}`)."}] if empty else []
    return EvaluationReport.from_samples(
        score_texts(samples, ModelScorer(embedder, embed_tokens=embed_tokens)),
        rules={task.name: _rules_of(systems)},
        settings=settings | {"gaps": gaps},
        split=split_facts(corpus, split),
        versions=find_versions(),
        fingerprint=fingerprint_files(predictions),
        origin=[f"Texts of {len(systems)} system(s) for {len(rows)} rows of the split `{split}`.", _LIMITS],
    )


def _rules_of(systems: Collection[str]) -> Rules:
    """What texts of systems are compared with: nothing that takes a model."""
    baselines = (CONSTANT, SHUFFLED, RETRIEVAL, STRUCTURE)
    return replace(TEXT_RULES, controls=(), baselines=baselines, systems=tuple(systems))


def _baselines(
    train: Sequence[Mapping], rows: Sequence[Mapping], embedder: Embedder | None
) -> dict[str, Sequence[str | None]]:
    """What can be said without a decoder: one text for all, and the training texts nearest to brain and structure."""
    found: dict[str, Sequence[str | None]] = {
        CONSTANT: [best_constant_text([row["completion"] for row in train])] * len(rows)
    }
    if embedder is not None:
        found[RETRIEVAL] = ridge_baseline(train, rows, embedder).retrieved
        found[STRUCTURE] = structure_baseline(train, rows, embedder).retrieved
    return found


def _in_order(
    system: str, found: Mapping[str, str], rows: Sequence[Mapping], split: str, allow: Collection[str]
) -> list[str]:
    """The text of each row."""
    wanted = [row["sample_id"] for row in rows]
    missing, strange = [name for name in wanted if name not in found], sorted(set(found) - set(wanted))
    for names, what in ((missing, "lack"), (strange, "hold what the split has not:")):
        if names:
            raise ValueError(
                f"The predictions '{system}' {what} {len(names)} of {len(wanted)} rows of the split '{split}' "
                f"('{names[0]}' and so on). Write one text for each `sample_id` of the task's rows, and no other."
            )
    empty = [name for name in wanted if not found[name].strip()]
    if empty and EMPTY not in allow:
        raise ValueError(
            f"The predictions '{system}' are empty for {len(empty)} rows ('{empty[0]}' and so on). Mend the file; or, "
            f"if the system said nothing there, allow '{EMPTY}': they score nothing, and the report says so."
        )
    return [found[name] for name in wanted]


__all__ = ["evaluate_texts"]
