# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Model × images → report: captions under the brain and under every control, each score beside its baselines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.brain_format import with_brain_arrays
from ..data.corpora import require_rows
from ..data.prompts import caption_prompt
from ..data.provenance import split_facts
from ..reports.captions import CaptionReport
from ..reports.provenance import find_fingerprint, find_protocol, find_versions
from ..reports.requirements import RETRIEVAL, RIDGE
from ..scoring.caption_table import REAL
from .caption_arms import OPTIONAL_ARMS, assign_control_brains, caption_arms, explain_absent
from .control_brains import assign_later_trials
from .ridge_baseline import Embedder, explain_no_ridge, identification_figure, ridge_baseline


if TYPE_CHECKING:
    from transformers import GenerationConfig

    from ..metrics import MeteorData
    from ..metrics.captions import DocumentFrequencies
    from ..metrics.embedding_scores import TokenEmbeddings

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


def evaluate_captions(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    dataset: DatasetDict,
    *,
    split: str = "test",
    subjects: Sequence[str] | None = None,
    corpus: Mapping[str, Any] | None = None,
    prompt: str | None = None,
    generation: Mapping[str, Any] | None = None,
    optional_arms: Sequence[str] = OPTIONAL_ARMS,
    frequencies: "DocumentFrequencies | None" = None,
    embed: Embedder | None = None,
    meteor: "MeteorData | None" = None,
    embed_tokens: "TokenEmbeddings | None" = None,
    max_identification: int = 256,
    batch_size: int = 32,
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | None = None,
    progress: bool = True,
) -> CaptionReport:
    """Caption what was seen, with its brain and with every control, and score all of it beside its baselines.

    Arms: `real`; `zero` and `voxel_shuffle`, broken values; `other_image`, the same subject's brain of another image;
    `other_subject_same_image` and `other_subject_other_image`, another subject's brain, where the split (or, if it has
    one subject alone, the train split) holds one; `time_shift`, the same session some trials later, where rows are
    single trials; `no_brain`, the language model on the bare instruction; `noise` with the covariance of the subject's
    brains; `mean_brain`, the subject's mean brain.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]): A checkpoint; they must agree.
        dataset (`DatasetDict`): Rows with `references`, one per brain; `train` tells the protocol, lends brains.
        split (`str`, *optional*, defaults to `"test"`), subjects (`Sequence[str]`, *optional*): What is evaluated.
        corpus (`Mapping`), checkpoint (`str`), both *optional*: Content of `corpus.json`, and name of the model.
        prompt (`str`, *optional*): The request, rendered, with one marker; by default the processor's.
        generation (`Mapping`, *optional*): Arguments of `generate` in place of those of [`caption_generation`].
        optional_arms (`Sequence[str]`, *optional*): Which arms to run beside the first four, which are mandatory.
        frequencies, meteor, embed_tokens, all *optional*: See [`~trainers.scoring.caption_scorer.CaptionScorer`].
        embed (`Callable`, *optional*):
            Texts → vectors `[texts, width]`; adds `text_similarity` and, where there is a train split, what
            [`~trainers.evaluation.ridge_baseline`] identifies and retrieves.
        max_identification (`int`, *optional*): Most images of a subject among which captions find their own.
        batch_size (`int`), seed (`int`), device, progress (`bool`), all *optional*: As for `evaluate_arms`.

    Returns:
        [`CaptionReport`]: Not yet saved.

    Raises:
        ValueError: If the split is missing or empty, a row has no captions, a subject is not in the split or unknown
            to the processor, a subject's rows show a single image, or model, processor and prompt do not agree.
    """
    require_rows(dataset, split)
    processor.check_config(model.config)
    tested = _choose_rows(dataset[split], subjects)
    brains, control_brains, absent = _lend(dataset, split, tested, processor, optional_arms, seed)
    settings: dict[str, Any] = {"prompt": caption_prompt(processor) if prompt is None else prompt}
    settings |= {"generation": caption_generation(model.generation_config, generation), "batch_size": batch_size}
    model = model.to(model.device if device is None else device)
    texts = caption_arms(model, processor, brains, control_brains, **settings, seed=seed, progress=progress)
    settings |= {"seed": seed, "max_identification": max_identification, "dtype": str(model.dtype)}
    settings |= {"document_frequencies": "the evaluation's references" if frequencies is None else "given"}
    settings |= {"absent_arms": absent, "ridge_baseline": embed is not None and "train" in dataset}
    samples = _table(brains, control_brains, texts)
    ridge = _add_ridge_baseline(samples, dataset, tested, embed)
    report = CaptionReport.from_samples(
        samples,
        split=split_facts(corpus, split),
        protocol=find_protocol(model.config, dataset, tested, corpus),
        settings=settings,
        parameters=count_parameters(model),
        versions=find_versions(),
        fingerprint=find_fingerprint(model, corpus, checkpoint),
        frequencies=frequencies,
        embed=embed,
        meteor=meteor,
        embed_tokens=embed_tokens,
    )
    report.identification += ridge
    return report


def _lend(
    dataset: DatasetDict,
    split: str,
    tested: Dataset,
    processor: BrainLlamaProcessor,
    optional_arms: Sequence[str],
    seed: int,
) -> tuple[Dataset, dict[str, np.ndarray], dict[str, str]]:
    """
    All brains, those that are tested first; which of them stands where in each arm; and why arms and baselines that a
    report must hold are absent.
    """
    brains = concatenate_datasets([tested, _choose_lenders(dataset, split, tested, processor, seed)])
    moments = tested.select_columns([name for name in _MOMENT if name in tested.column_names])
    later, no_time_shift = assign_later_trials(list(moments), seed)
    control_brains = assign_control_brains(brains["group"], brains["subject"], len(tested), optional_arms, seed, later)
    absent = explain_absent(control_brains, brains["subject"], no_time_shift, optional_arms)
    no_ridge = explain_no_ridge(dataset.get("train"), tested)
    return brains, control_brains, absent | (dict.fromkeys((RETRIEVAL, RIDGE), no_ridge) if no_ridge else {})


def _add_ridge_baseline(
    samples: list[dict[str, Any]], dataset: DatasetDict, tested: Dataset, embed: Embedder | None
) -> list[dict[str, Any]]:
    """Writes retrieved captions and ranks into the table; returns the figure of identification, if there is one."""
    if embed is None or "train" not in dataset:
        return []
    train, rows = (list(with_brain_arrays(split)) for split in (dataset["train"], tested))
    baseline = ridge_baseline(train, rows, embed)
    for sample, text, found in zip(samples, baseline.retrieved, baseline.identification.tolist(), strict=True):
        if text is not None:
            sample["texts"][RETRIEVAL] = text
            sample["identification"] = {RIDGE: {"cosine": found}}
    figure = identification_figure(baseline)
    return [] if figure is None else [{"arm": RIDGE, "score": "cosine"} | figure]


def _choose_rows(rows: Dataset, subjects: Sequence[str] | None) -> Dataset:
    """The rows to caption; each must have captions to be compared with."""
    known = sorted(set(rows["subject"]))
    unknown = sorted(set(subjects or ()) - set(known))
    if unknown:
        raise ValueError(f"`subjects`: the split has no rows of {', '.join(unknown)}; it has {', '.join(known)}.")
    if "references" not in rows.column_names:
        raise ValueError(
            f"The rows have no column `references`, the captions of an image; found {rows.column_names}. Evaluate a "
            "corpus of images, or texts with `evaluate_arms`."
        )
    chosen = [i for i, subject in enumerate(rows["subject"]) if subjects is None or subject in subjects]
    references, names = rows["references"], rows["sample_id"]
    bare = [names[i] for i in chosen if not references[i] or not all(text.strip() for text in references[i])]
    if bare:
        raise ValueError(
            f"{len(bare)} of {len(chosen)} rows lack captions: their `references` are empty or hold an empty one "
            f"(first: '{bare[0]}'). Leave out images without captions when the corpus is built."
        )
    return rows.select(chosen)


def _choose_lenders(
    dataset: DatasetDict, split: str, tested: Dataset, processor: BrainLlamaProcessor, seed: int
) -> Dataset:
    """
    Rows whose brains may be lent to the tested subjects: those of other subjects in the split or, where it has none,
    as many training rows. A processor that knows its subjects one by one reads no others.
    """
    subjects, known = set(tested["subject"]), set(processor.feature_extractor.subjects)

    def others(rows: Dataset) -> np.ndarray:
        return np.array([i for i, s in enumerate(rows["subject"]) if s not in subjects and (not known or s in known)])

    lenders = dataset[split].select(others(dataset[split]))
    if len(lenders) or len(subjects) > 1 or "train" not in dataset:
        return lenders
    drawn = np.random.default_rng(seed).permutation(others(dataset["train"]))[: len(tested)]
    return dataset["train"].select(np.sort(drawn))


def _table(
    brains: Dataset, control_brains: Mapping[str, np.ndarray], texts: Mapping[str, list[str | None]]
) -> list[dict[str, Any]]:
    """One `dict` per tested row, as [`~trainers.scoring.caption_table`] describes it."""
    columns = {name: brains[name] for name in ("sample_id", "subject", "group", "brain_id", "references")}
    samples = []
    for row in range(len(control_brains[REAL])):
        sample = {name: column[row] for name, column in columns.items()}
        sample["texts"] = {arm: text for arm, found in texts.items() if (text := found[row]) is not None}
        lent = {arm: int(numbers[row]) for arm, numbers in control_brains.items()}
        sample["control_brains"] = {
            arm: columns["brain_id"][control_brain] for arm, control_brain in lent.items() if control_brain >= 0
        }
        samples.append(sample)
    return samples


def count_parameters(model: BrainLlamaForCausalLM) -> dict[str, int]:
    """
    Parameters of each part: `encoder` (trained by alignment), `interface` (projector and adapters, trained by
    instruction tuning), `lora` (trained by reward tuning) and the frozen `language_model`.
    """
    counts = {"encoder": 0, "interface": 0, "lora": 0, "language_model": 0}
    parts = {"lora_": "lora", "brain_encoder.": "encoder", "brain_interface.": "interface"}
    for name, parameter in model.named_parameters():
        part = next((part for mark, part in parts.items() if mark in name), "language_model")
        counts[part] += parameter.numel()
    return counts


__all__ = ["GREEDY_CAPTIONS", "caption_generation", "count_parameters", "evaluate_captions"]
