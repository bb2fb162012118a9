# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The stages before prompt tuning: the published warm-up, or ridge regression and plain text."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..arguments import SemanticArguments, WarmupArguments
from ..common.distributed import end_stage, require_whole_weights, zero_init_off
from ..embedders.text_encoders import MeanPooledEmbedder, load_tokenizer
from ..sft.sft_config import BrainSFTConfig
from ..sft.sft_trainer import BrainSFTTrainer
from ..statistics.ridge import RidgeMap, fit_ridge
from .plain_text import plain_text_rows, read_sentences, sample_text_from_model, without_overlap
from .semantic import SEMANTIC_SPACE, PredictionNoise, SentenceEmbedder, calibrate, write_into_encoder
from .warmup_config import BrainWarmupConfig
from .warmup_trainer import BrainWarmupTrainer


logger = logging.get_logger(__name__)


def run_warmup(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    train_rows: Dataset,
    args: BrainSFTConfig,
    warmup: WarmupArguments,
) -> None:
    """Runs the published warm-up on training rows, with batch size, device and seed of prompt tuning."""
    require_whole_weights(args, "The warm-up")
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
    end_stage()


def run_semantic_stages(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    splits: DatasetDict,
    args: BrainSFTConfig,
    semantic: SemanticArguments,
    teach: bool = True,
) -> Dataset:
    """
    Fits the encoder by ridge regression and teaches the interface by plain text.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            Model with a linear encoder; changed in place.
        processor ([`BrainLlamaProcessor`]):
            Its processor.
        splits ([`~datasets.DatasetDict`]):
            Corpus; only `train` is fitted, the text of all splits is kept out of the plain text.
        args ([`BrainSFTConfig`]):
            Options of prompt tuning, which the plain-text stage shares but for its own.
        semantic ([`SemanticArguments`]):
            Options of these stages.
        teach (`bool`, *optional*, defaults to `True`):
            Whether the interface is still to be taught; not when a run is resumed.

    Returns:
        [`~datasets.Dataset`]: training rows of prompt tuning, with cross-fitted predictions in place of brains if
        `semantic.tune_on_predictions`.
    """
    require_whole_weights(args, "The semantic stage")
    embedder = make_embedder(semantic, model, processor)
    folder = Path(semantic.pretrained_interface or f"{args.output_dir}/plain-text")
    text_rows = None
    # Embedding is inference, and as exact as the training that reads it.
    with torch.autocast(model.device.type, torch.bfloat16, enabled=args.bf16):
        if (folder / SEMANTIC_SPACE).is_file():
            embedder.load(folder)
        else:
            sentences, sources = collect_plain_text(semantic, model, processor, splits, args.seed)
            embeddings = embedder.fit_transform(sentences, sources)
            text_rows = plain_text_rows(sentences, embeddings, args.seed, semantic.prompt_free_share)
        fitted = fit_encoder(model, processor, splits["train"], embedder, semantic.variance_exponent)
    ridge, noise, brain_ids = fitted
    if text_rows is not None:
        pretrain_interface(model, processor, text_rows, noise, args, semantic)
        if args.should_save:
            model.save_pretrained(folder)
            embedder.save(folder)
    elif teach:
        load_interface(model, folder)
    return with_predictions(splits["train"], brain_ids, ridge) if semantic.tune_on_predictions else splits["train"]


def collect_plain_text(
    args: SemanticArguments,
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    splits: DatasetDict,
    seed: int,
) -> tuple[list[str], list[str]]:
    """Sentences of files and of the language model, less those that share words with the corpus, and their sources."""
    sources = {path: read_sentences(path) for path in args.text_files or []}
    if args.num_sampled_sentences:
        logger.info(f"{args.num_sampled_sentences} plain sentences are sampled from the language model.")
        sampled = sample_text_from_model(model, processor.tokenizer, args.num_sampled_sentences, seed)
        sources["language model"] = sampled
    perceived = [text for rows in splits.values() for text in rows["text"]]
    kept = {source: without_overlap(sentences, perceived) for source, sentences in sources.items()}
    sentences = [sentence for texts in kept.values() for sentence in texts]
    if not sentences:
        raise ValueError(
            f"No plain text is left: all sentences of {', '.join(sources)} share words with the corpus. Give others."
        )
    return sentences, [source for source, texts in kept.items() for _ in texts]


def make_embedder(
    args: SemanticArguments, model: BrainLlamaForCausalLM, processor: BrainLlamaProcessor
) -> SentenceEmbedder:
    """The embedding spaces that the arguments name, or the middle of the language model; not yet fitted."""
    spaces = []
    if args.sentence_encoder is not None:
        spaces.append(MeanPooledEmbedder.from_pretrained(args.sentence_encoder))
    target, tokenizer = model, processor.tokenizer
    if args.target_language_model is not None:
        with zero_init_off():
            target = AutoModelForCausalLM.from_pretrained(args.target_language_model).to(model.device)
        tokenizer = load_tokenizer(args.target_language_model, args.target_start_token)
    layers = list(args.language_model_layers or ())
    if not spaces and not layers:
        config: Any = target.config
        layers = [config.get_text_config().num_hidden_layers // 2]
        logger.warning(
            f"No `sentence_encoder` is named: text is embedded by hidden state {layers[0]} of the language model. An "
            "encoder of sentences, such as sentence-transformers/all-MiniLM-L6-v2, knows more of what they mean."
        )
    if target is not model and layers and min(layers) >= 0:
        # Deeper layers are not read; one more stays, since what leaves the last is normalised.
        body: Any = target.base_model
        body.layers = body.layers[: max(layers) + 1]
    spaces += [MeanPooledEmbedder.from_language_model(target, tokenizer, layer) for layer in layers]
    return SentenceEmbedder(*spaces, num_components=args.num_components, scale=args.embedding_scale)


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


def pretrain_interface(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    text_rows: Dataset,
    noise: PredictionNoise,
    args: BrainSFTConfig,
    semantic: SemanticArguments,
) -> None:
    """Trains the interface on plain sentences whose embeddings carry the noise of a prediction from the brain."""
    stage = copy.copy(args)
    stage.output_dir = f"{args.output_dir}/plain-text"
    stage.num_train_epochs, stage.max_steps = semantic.text_epochs, -1
    stage.learning_rate, stage.interface_learning_rate = semantic.text_learning_rate, None
    stage.per_device_train_batch_size = semantic.text_batch_size
    stage.reading, stage.train_sampling_strategy = "continuation", "group_by_length"
    stage.save_strategy, stage.load_best_model_at_end, stage.push_to_hub = "no", False, False
    stage.eval_strategy, stage.early_stopping_patience = "no", None
    stage.condition_dropout = 0.0 if args.contrastive_weight else semantic.text_condition_dropout
    trainer = BrainSFTTrainer(
        model, stage, train_dataset=text_rows, processing_class=processor, perturb_embeddings=noise
    )
    trainer.train()
    end_stage()


def load_interface(model: BrainLlamaForCausalLM, folder: Path) -> None:
    """Loads the interface that another run has taught; its shapes must be those of the model."""
    taught = BrainLlamaForCausalLM.from_pretrained(folder, text_model_id=model.config.text_model_id)
    model.model.brain_interface.load_state_dict(taught.model.brain_interface.state_dict())


__all__ = [
    "collect_plain_text",
    "fit_encoder",
    "load_interface",
    "make_embedder",
    "pretrain_interface",
    "run_semantic_stages",
    "run_warmup",
    "with_predictions",
]
