# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The table of captions: what is written of each image under its own brain and under every control."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset, concatenate_datasets

from ..data.brain_format import with_brain_arrays
from ..data.prompts import caption_prompt
from ..metrics.captions import DocumentFrequencies
from ..scoring.captions import CaptionScorer, human_scores, references_of_images, score_captions
from ..scoring.table import BRAIN, PERMUTED, RETRIEVAL, RIDGE
from .caption_arms import assign_control_brains, caption_arms, explain_absent
from .control_brains import assign_later_trials
from .ridge_baseline import explain_no_ridge, ridge_baseline
from .run import Measured, Run


if TYPE_CHECKING:
    from transformers import GenerationConfig

    from .tasks import Caption

# Most images of a subject among which captions find their own.
MAX_IDENTIFICATION = 256
# Greedy (BIT-LLM poster: temperature 0, top-p 1). The length is not published; our choice: with a vocabulary of 8,192
# it holds 99.8 % of the captions of COCO's validation images. All is said outright, and so overrides what a language
# model would sample with.
GREEDY_CAPTIONS = {
    "do_sample": False,
    "num_beams": 1,
    "max_new_tokens": 32,
    "temperature": 1.0,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
}
# Of a row, what tells when its brain was measured.
_MOMENT = ("sample_id", "subject", "session", "stimulus", "group", "references", "frame_times")
_DECODING = (*GREEDY_CAPTIONS, "min_new_tokens", "top_k", "length_penalty", "no_repeat_ngram_size")


def caption_generation(config: "GenerationConfig", overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """
    Arguments of `generate` for captions: the checkpoint's where it has any, else greedy; and what overrides them.

    A checkpoint has settings of its own when its `generation_config` has `max_new_tokens`, which instruction tuning
    stores. Those of a plain language model are for conversation and do not count.

    Args:
        config ([`~transformers.GenerationConfig`]):
            Of the checkpoint.
        overrides (`Mapping`, *optional*):
            Arguments that count in place of these.
    """
    settings: dict[str, Any] = dict(GREEDY_CAPTIONS)
    if config.max_new_tokens is not None:
        settings |= {name: value for name in _DECODING if (value := getattr(config, name)) is not None}
    return settings | dict(overrides or {})


def measure_captions(task: "Caption", run: Run) -> Measured:
    """
    Captions of every row under its own brain and every control, scored beside their baselines.

    Arms: `brain`; `zero` and `voxel_shuffle`, broken values; `permuted`, the same subject's brain of another image;
    `other_subject_same_stimulus` and `other_subject_other_stimulus`, another subject's brain, where the split (or, if
    it has one subject alone, the train split) holds one; `time_shift`, the same session some trials later, where rows
    are single trials; `no_brain`, the language model on the bare instruction; `noise` with the covariance of the
    subject's brains; `mean_brain`, the subject's mean brain.

    Args:
        task ([`~trainers.evaluation.tasks.Caption`]):
            Says which prompt, arms and scores.
        run ([`~trainers.evaluation.run.Run`]):
            The evaluation.
    """
    _require_references(run.tested)
    brains, control_brains, absent = _assign(run, task.optional_arms)
    settings: dict[str, Any] = {"prompt": caption_prompt(run.processor) if task.prompt is None else task.prompt}
    settings |= {"generation": caption_generation(run.model.generation_config, run.generation)}
    texts = caption_arms(
        run.model, run.processor, brains, control_brains, **settings, batch_size=run.batch_size, seed=run.seed,
        advance=run.advance, show=run.show,
    )  # fmt: skip
    settings |= {"document_frequencies": "the evaluation's references" if task.frequencies is None else "given"}
    samples = _table(task.name, brains, control_brains, texts)
    _add_ridge_baseline(samples, run)
    frequencies = task.frequencies or DocumentFrequencies.fit(references_of_images(samples))
    scorer = CaptionScorer(frequencies, run.embedder, task.meteor, run.embed_tokens)
    most = MAX_IDENTIFICATION if run.max_identification is None else run.max_identification
    scored = score_captions(samples, scorer, max_identification=most, seed=run.seed)
    return Measured(scored, absent, settings, human_scores(scored, scorer))


def _assign(run: Run, optional_arms: Sequence[str]) -> tuple[Dataset, dict[str, np.ndarray], dict[str, str]]:
    """
    All brains, those that are tested first; which of them stands where in each arm; and why arms and baselines that a
    report must hold are absent.
    """
    tested, train, seed = run.tested, run.dataset.get("train"), run.seed
    brains = concatenate_datasets([tested, _choose_control_rows(run)])
    moments = tested.select_columns([name for name in _MOMENT if name in tested.column_names])
    later, no_time_shift = assign_later_trials(list(moments), seed)
    control_brains = assign_control_brains(brains["group"], brains["subject"], len(tested), optional_arms, seed, later)
    absent = explain_absent(control_brains, brains["subject"], no_time_shift, optional_arms)
    no_ridge = explain_no_ridge(train, tested)
    return brains, control_brains, absent | (dict.fromkeys((RETRIEVAL, RIDGE), no_ridge) if no_ridge else {})


def _add_ridge_baseline(samples: list[dict[str, Any]], run: Run) -> None:
    """Writes retrieved captions and ranks into the table."""
    if run.embedder is None or "train" not in run.dataset:
        return
    train, rows = (list(with_brain_arrays(split)) for split in (run.dataset["train"], run.tested))
    baseline = ridge_baseline(train, rows, run.embedder)
    for sample, text, found in zip(samples, baseline.retrieved, baseline.identification.tolist(), strict=True):
        if text is not None:
            sample["texts"][RETRIEVAL] = text
            sample["identification"] = {RIDGE: {"cosine": found}}


def _require_references(rows: Dataset) -> None:
    """Each row must have captions to be compared with."""
    if "references" not in rows.column_names:
        raise ValueError(
            f"The rows have no column `references`, the captions of an image; found {rows.column_names}. Evaluate a "
            "corpus of images, or another task."
        )
    references, names = rows["references"], rows["sample_id"]
    bare = [name for name, texts in zip(names, references, strict=True) if not texts or not all(map(str.strip, texts))]
    if bare:
        raise ValueError(
            f"{len(bare)} of {len(rows)} rows lack captions: their `references` are empty or hold an empty one "
            f"(first: '{bare[0]}'). Leave out images without captions when the corpus is built."
        )


def _choose_control_rows(run: Run) -> Dataset:
    """
    Rows whose brains may be lent to the tested subjects: those of other subjects in the split or, where it has none,
    as many training rows. A processor that knows its subjects one by one reads no others.
    """
    dataset, tested = run.dataset, run.tested
    subjects, known = set(tested["subject"]), set(run.processor.feature_extractor.subjects)

    def others(rows: Dataset) -> np.ndarray:
        return np.array([i for i, s in enumerate(rows["subject"]) if s not in subjects and (not known or s in known)])

    lenders = dataset[run.split].select(others(dataset[run.split]))
    if len(lenders) or len(subjects) > 1 or "train" not in dataset:
        return lenders
    drawn = np.random.default_rng(run.seed).permutation(others(dataset["train"]))[: len(tested)]
    return dataset["train"].select(np.sort(drawn))


def _table(
    task: str, brains: Dataset, control_brains: Mapping[str, np.ndarray], texts: Mapping[str, list[str | None]]
) -> list[dict[str, Any]]:
    """One `dict` per tested row, as [`~trainers.scoring.table`] describes it."""
    columns = {name: brains[name] for name in ("sample_id", "subject", "group", "brain_id", "references")}
    samples = []
    for row in range(len(control_brains[BRAIN])):
        sample: dict[str, Any] = {"task": task} | {name: column[row] for name, column in columns.items()}
        sample["texts"] = {arm: text for arm, found in texts.items() if (text := found[row]) is not None}
        numbers = {arm: int(found[row]) for arm, found in control_brains.items()}
        sample["control_brains"] = {arm: columns["brain_id"][i] for arm, i in numbers.items() if i >= 0}
        # Permutations may be several, so that they are always a list.
        for key in ("texts", "control_brains"):
            sample[key][PERMUTED] = [sample[key][PERMUTED]]
        samples.append(sample)
    return samples


__all__ = ["GREEDY_CAPTIONS", "caption_generation", "measure_captions"]
