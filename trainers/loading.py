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
"""Arguments → datasets, processor and model that agree with one another."""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from transformers import AutoTokenizer

from modeling_brainllm import (
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaProcessor,
    FrameEncoderConfig,
)

from .arguments import DataArguments, ModelArguments
from .brain_format import recording_files, with_brain_arrays
from .data_collator import REQUIRED_COLUMNS


def load_corpus_splits(args: DataArguments) -> DatasetDict:
    """
    Loads the splits of a prepared corpus; nothing is ever split again here.

    Args:
        args ([`DataArguments`]):
            Which corpus, and which of its subjects.

    Returns:
        [`~datasets.DatasetDict`]: splits `train`, `validation` and `test`, `brain_values` as NumPy arrays.

    Raises:
        ValueError: a split, a column or a subject is missing, or the train split is empty.
    """
    is_folder = Path(args.dataset).is_dir()
    splits = load_from_disk(args.dataset) if is_folder else load_dataset(args.dataset, args.dataset_config)
    if not isinstance(splits, DatasetDict) or not {"train", "validation"} <= set(splits):
        found = sorted(splits) if isinstance(splits, DatasetDict) else "a dataset without splits"
        raise ValueError(
            f"'{args.dataset}' must hold the splits 'train' and 'validation'; found {found}. Prepare it with "
            "`examples/prepare_dataset.py`, which splits by passage or story: a validation taken from the test, or "
            "from training passages, would decide nothing."
        )
    missing = [name for name in REQUIRED_COLUMNS if name not in splits["train"].column_names]
    if missing:
        raise ValueError(
            f"'{args.dataset}' lacks the columns {', '.join(missing)}; found {splits['train'].column_names}."
        )
    if args.subjects is not None:
        splits = _keep_subjects(splits, args.subjects, args.dataset)
    if not len(splits["train"]):
        raise ValueError(f"The train split of '{args.dataset}' is empty.")
    refers = isinstance(splits["train"].features["brain_values"], dict)
    return with_brain_arrays(splits, recording_files(args.dataset) if refers else None)


def _keep_subjects(splits: DatasetDict, subjects: list[str], dataset: str) -> DatasetDict:
    known = sorted(set(splits["train"]["subject"]))
    unknown = sorted(set(subjects) - set(known))
    if unknown:
        raise ValueError(f"'{dataset}' has no subject {', '.join(unknown)}; it has {', '.join(known)}.")
    return DatasetDict(
        {
            name: rows.select([i for i, subject in enumerate(rows["subject"]) if subject in subjects])
            for name, rows in splits.items()
        }
    )


def load_model_and_processor(
    model_args: ModelArguments,
    train_rows: Dataset,
    standardize: bool = True,
    encoder_hidden_size: int | None = None,
) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    """
    Continues from a checkpoint, or joins new brain modules to a language model; the language model is frozen.

    Args:
        model_args ([`ModelArguments`]):
            Which model.
        train_rows ([`~datasets.Dataset`]):
            Training rows: they give a new model the sizes of its brain input, and the statistics of each subject.
        standardize (`bool`, *optional*, defaults to `True`):
            Whether a new processor standardises with these statistics.
        encoder_hidden_size (`int`, *optional*):
            Width of a new encoder's output; that of `model_args` by default.

    Raises:
        ValueError: processor and model of a checkpoint do not agree.
    """
    options = {"dtype": model_args.dtype, "attn_implementation": model_args.attn_implementation}
    if model_args.model_name_or_path is not None:
        model = BrainLlamaForCausalLM.from_pretrained(model_args.model_name_or_path, **options)
        processor = BrainLlamaProcessor.from_pretrained(model_args.model_name_or_path)
        processor.check_config(model.config)
        return model, processor
    return _join_new_modules(model_args, train_rows, standardize, encoder_hidden_size, options)


def _join_new_modules(
    model_args: ModelArguments,
    train_rows: Dataset,
    standardize: bool,
    encoder_hidden_size: int | None,
    options: dict[str, Any],
) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    text_model_id = str(model_args.text_model_id)
    shapes = [np.shape(values) for values in train_rows["brain_values"]]
    encoder_config = FrameEncoderConfig(
        num_features=shapes[0][1],
        num_frames=max(shape[0] for shape in shapes),
        hidden_size=encoder_hidden_size or model_args.encoder_hidden_size or shapes[0][1],
        num_hidden_layers=model_args.encoder_num_hidden_layers,
        dropout=model_args.encoder_dropout,
        use_frame_positions=model_args.use_frame_positions,
        unit_norm_output=model_args.unit_norm_output,
    )
    model = BrainLlamaForCausalLM.from_text_model(
        text_model_id,
        encoder_config,
        revision=model_args.text_model_revision,
        config_kwargs=_interface_options(model_args),
        **options,
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(text_model_id, revision=model_args.text_model_revision)
    extractor = BrainLlamaFeatureExtractor.from_config(model.config)
    if standardize:
        fit_statistics(extractor, train_rows)
    return model, BrainLlamaProcessor.from_config(model.config, tokenizer, extractor)


def _interface_options(args: ModelArguments) -> dict[str, Any]:
    names = ("interface", "projector_type", "projector_intermediate_size", "projector_bias", "tokens_per_embedding")
    options = {name: getattr(args, name) for name in names}
    return options if args.adapter_layers is None else {**options, "adapter_layers": args.adapter_layers}


def fit_statistics(extractor: BrainLlamaFeatureExtractor, train_rows: Dataset) -> None:
    """Fits each subject's mean and standard deviation on its distinct training brains; changes `extractor`."""
    for subject, rows in rows_of_distinct_brains(train_rows).items():
        extractor.fit((row["brain_values"] for row in train_rows.select(rows)), subject=subject)


def rows_of_distinct_brains(rows: Dataset) -> dict[str, list[int]]:
    """For each subject, the first row of each of its brain samples."""
    first: dict[str, dict[str, int]] = {}
    for i, (subject, brain_id) in enumerate(zip(rows["subject"], rows["brain_id"], strict=True)):
        first.setdefault(subject, {}).setdefault(brain_id, i)
    return {subject: list(brains.values()) for subject, brains in first.items()}


__all__ = ["fit_statistics", "load_corpus_splits", "load_model_and_processor", "rows_of_distinct_brains"]
