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
"""The stages before prompt tuning: the published warm-up, or ridge regression and plain text."""

import copy
from collections.abc import Sequence

import numpy as np
from datasets import Dataset, DatasetDict

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from .arguments import SemanticArguments, WarmupArguments
from .plain_text import plain_text_rows, read_sentences, sample_text_from_model, without_overlap
from .semantic import (
    MeanPooledEmbedder,
    PredictionNoise,
    RidgeMap,
    SentenceEmbedder,
    calibrate,
    fit_ridge,
    write_into_encoder,
)
from .sft_config import BrainSFTConfig
from .sft_trainer import BrainSFTTrainer
from .warmup_config import BrainWarmupConfig
from .warmup_trainer import BrainWarmupTrainer


def run_warmup(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    train_rows: Dataset,
    args: BrainSFTConfig,
    warmup: WarmupArguments,
) -> None:
    """Runs the published warm-up on training rows, with batch size, device and seed of prompt tuning."""
    config = BrainWarmupConfig(
        output_dir=f"{args.output_dir}/warmup",
        num_train_epochs=warmup.warmup_epochs,
        learning_rate=warmup.warmup_learning_rate,
        max_grad_norm=warmup.warmup_max_grad_norm,
        per_device_train_batch_size=args.per_device_train_batch_size,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        seed=args.seed,
        use_cpu=args.use_cpu,
        bf16=args.bf16,
        logging_steps=args.logging_steps,
        disable_tqdm=args.disable_tqdm,
        report_to="none",
    )
    BrainWarmupTrainer(model, config, train_dataset=train_rows, processing_class=processor).train()


def collect_plain_text(
    args: SemanticArguments,
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    splits: DatasetDict,
    seed: int,
) -> list[str]:
    """Sentences of a file and of the language model, without those that share words in a row with held-out text."""
    sentences = read_sentences(args.text_file) if args.text_file is not None else []
    if args.num_sampled_sentences:
        sentences += sample_text_from_model(model, processor.tokenizer, args.num_sampled_sentences, seed)
    held_out = [text for name, rows in splits.items() if name != "train" for text in rows["text"]]
    return without_overlap(sentences, held_out)


def fit_embedder(
    args: SemanticArguments, model: BrainLlamaForCausalLM, processor: BrainLlamaProcessor, texts: Sequence[str]
) -> SentenceEmbedder:
    """The embedding spaces that the arguments name, fitted on plain text."""
    spaces = []
    if args.sentence_encoder is not None:
        spaces.append(MeanPooledEmbedder.from_pretrained(args.sentence_encoder))
    if args.language_model_layer is not None:
        spaces.append(MeanPooledEmbedder.from_language_model(model, processor.tokenizer, args.language_model_layer))
    return SentenceEmbedder(*spaces, num_components=args.num_components).fit(texts)


def fit_encoder(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    train_rows: Dataset,
    embedder: SentenceEmbedder,
    variance_exponent: float,
) -> tuple[RidgeMap, PredictionNoise, list[str]]:
    """
    Fits brain → embedding on the distinct training brains and writes it into the encoder, which is frozen.

    Returns:
        `tuple` of the calibrated map, the noise that imitates its errors, and the `brain_id` of each fitted brain.
    """
    first = {brain_id: row for row, brain_id in reversed(list(enumerate(train_rows["brain_id"])))}
    rows = train_rows.select(sorted(first.values()))
    if not processor.feature_extractor.do_standardize:
        raise ValueError("The semantic stage needs standardised features: `standardize: true`.")
    recorded = [np.asarray(values) for values in rows["brain_values"]]
    if any(len(values) > 1 for values in recorded):
        raise ValueError(
            f"The semantic stage maps one frame to one embedding; the rows have up to {max(map(len, recorded))}. "
            "Build the corpus with one frame per brain sample."
        )
    inputs = processor.feature_extractor(recorded, subject=list(rows["subject"]))["brain_values"][:, 0].numpy()
    embeddings = embedder(rows["text"])
    # A power of the recorded deviation; the processor has divided by the whole of it.
    deviations = np.concatenate(recorded).std(0)
    scales = (deviations / deviations.max()) ** variance_exponent
    ridge = fit_ridge(inputs, embeddings, rows["group"], feature_scales=scales)
    ridge, noise = calibrate(ridge, embeddings)
    write_into_encoder(ridge, model)
    return ridge, noise, list(rows["brain_id"])


def with_predictions(train_rows: Dataset, brain_ids: Sequence[str], ridge: RidgeMap) -> Dataset:
    """Training rows that carry the cross-fitted prediction of their brain's embedding in place of the brain."""
    place = {brain_id: i for i, brain_id in enumerate(brain_ids)}
    predictions = ridge.cross_fitted[[place[brain_id] for brain_id in train_rows["brain_id"]]].astype(np.float32)
    return train_rows.remove_columns("brain_values").add_column("semantic_embedding", list(predictions))


def teach_interface(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    sentences: Sequence[str],
    embedder: SentenceEmbedder,
    noise: PredictionNoise,
    args: BrainSFTConfig,
    semantic: SemanticArguments,
    eval_rows: Dataset | None = None,
) -> None:
    """Trains the interface on plain sentences whose embeddings carry the noise of a prediction from the brain."""
    stage = copy.copy(args)
    stage.output_dir = f"{args.output_dir}/plain-text"
    stage.num_train_epochs, stage.max_steps = semantic.text_epochs, -1
    stage.learning_rate, stage.interface_learning_rate = semantic.text_learning_rate, None
    stage.per_device_train_batch_size = semantic.text_batch_size
    stage.reading = "continuation"
    stage.save_strategy, stage.load_best_model_at_end, stage.push_to_hub = "no", False, False
    stage.early_stopping_patience = None
    rows = plain_text_rows(sentences, embedder, args.seed, semantic.prompt_free_share)
    trainer = BrainSFTTrainer(
        model,
        stage,
        train_dataset=rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        perturb_embeddings=noise,
    )
    trainer.train()


__all__ = [
    "collect_plain_text",
    "fit_embedder",
    "fit_encoder",
    "run_warmup",
    "teach_interface",
    "with_predictions",
]
