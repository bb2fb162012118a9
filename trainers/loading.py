# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Arguments → datasets, processor and model that agree with one another."""

from collections.abc import Collection
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoConfig

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaConfig,
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaProcessor,
    FrameEncoderConfig,
    VoxelEncoderConfig,
)
from modeling_brainllm.modeling_brain_interface import matched_intermediate_size
from modeling_brainllm.sharing_brainllama import merge_terms

from .arguments import EncoderArguments, ModelArguments, TargetArguments
from .data.corpora import rows_of_distinct_brains
from .data.geometry import add_geometries, check_voxel_counts, read_geometries, region_sizes
from .data.provenance import record_terms, record_training_brains
from .data.target_embeddings import target_sizes, text_space_of
from .embedders.text_encoders import load_tokenizer
from .embedders.text_spaces import is_same_space


def load_model_and_processor(
    model_args: ModelArguments,
    train_rows: Dataset,
    standardize: bool = True,
    encoder_hidden_size: int | None = None,
    dataset: str | None = None,
) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    """
    Continues from a checkpoint, or joins new brain modules to a language model; the language model is frozen.

    The encoder of a new model is new too, or that of a checkpoint of the alignment stage; the latter also takes the
    place of the encoder of a checkpoint, as when stage 1 was adapted to a new subject. A checkpoint learns where the
    voxels of subjects lie whom it has not met, and, if it standardises, their statistics.

    Args:
        model_args ([`ModelArguments`]):
            Which model.
        train_rows ([`~datasets.Dataset`]):
            Training rows: they give a new model the sizes of its brain input, and the statistics of each new subject.
        standardize (`bool`, *optional*, defaults to `True`):
            Whether a new processor standardises with these statistics. Corpora whose voxels are standardised when they
            are prepared (NSD, within sessions) need it not.
        encoder_hidden_size (`int`, *optional*):
            Width of a new frame encoder's output; that of `model_args` by default.
        dataset (`str`, *optional*):
            Folder or Hub id of the corpus, whose `subjects/` say where voxels lie; needed for voxels.

    Raises:
        ValueError: processor and model of a checkpoint do not agree, or rows do not fit the encoder.
    """
    options = {"dtype": model_args.dtype, "attn_implementation": model_args.attn_implementation}
    if model_args.model_name_or_path is not None:
        model = BrainLlamaForCausalLM.from_pretrained(model_args.model_name_or_path, **options)
        processor = BrainLlamaProcessor.from_pretrained(model_args.model_name_or_path)
        if model_args.encoder_name_or_path is not None:
            _copy_modules(BrainContrastiveModel.from_pretrained(model_args.encoder_name_or_path), model)
            processor.feature_extractor = BrainLlamaFeatureExtractor.from_pretrained(model_args.encoder_name_or_path)
        processor.check_config(model.config)
        extractor = processor.feature_extractor
        _add_subjects(extractor, model.config, train_rows, extractor.do_standardize, dataset)
    else:
        model, processor = _join_new_modules(
            model_args, train_rows, standardize, encoder_hidden_size, dataset, options
        )
    if model_args.freeze_encoder:
        model.model.brain_encoder.requires_grad_(False)
    return model, processor


def _join_new_modules(
    model_args: ModelArguments,
    train_rows: Dataset,
    standardize: bool,
    encoder_hidden_size: int | None,
    dataset: str | None,
    options: dict[str, Any],
) -> tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]:
    text_model_id = str(model_args.text_model_id)
    aligned = None
    if model_args.encoder_name_or_path is not None:
        aligned = BrainContrastiveModel.from_pretrained(model_args.encoder_name_or_path)
    encoder_config: Any = (
        _new_encoder_config(model_args, train_rows, dataset, encoder_hidden_size)
        if aligned is None
        else aligned.config.encoder_config
    )
    model = BrainLlamaForCausalLM.from_text_model(
        text_model_id,
        encoder_config,
        revision=model_args.text_model_revision,
        config_kwargs=_interface_options(model_args, encoder_config),
        **options,
    )
    if aligned is not None:
        _copy_modules(aligned, model)
    tokenizer = load_tokenizer(text_model_id, model_args.text_start_token, revision=model_args.text_model_revision)
    extractor = _load_extractor(model_args, model.config, train_rows, standardize, dataset)
    return model, BrainLlamaProcessor.from_config(model.config, tokenizer, extractor)


def _copy_modules(aligned: BrainContrastiveModel, model: BrainLlamaForCausalLM) -> None:
    """The encoder of stage 1, and with it the knowledge on whose brains it was trained, and on which terms."""
    aligned.copy_encoder(model)
    record_training_brains(model.config, getattr(aligned.config, "training_brains", {}))
    model.config.data_terms = merge_terms(model.config.data_terms, aligned.config.data_terms or ())


def load_contrastive_model(
    encoder_args: EncoderArguments,
    target_args: TargetArguments,
    train_rows: Dataset,
    standardize: bool = True,
    dataset: str | None = None,
) -> tuple[BrainContrastiveModel, BrainLlamaFeatureExtractor]:
    """
    A new model of the alignment stage, or a checkpoint of it to continue from (adaptation to a new subject).

    Args:
        encoder_args ([`EncoderArguments`]):
            Which encoder.
        target_args ([`TargetArguments`]):
            Pooling and temperature of a new model.
        train_rows ([`~datasets.Dataset`]):
            Training rows with target embeddings, of which a new model takes the widths.
        standardize, dataset (*optional*):
            As in [`load_model_and_processor`].

    Raises:
        ValueError: captions are embedded by another encoder than that with which the checkpoint was aligned.
    """
    space = text_space_of(train_rows)
    if encoder_args.encoder_name_or_path is not None:
        model = BrainContrastiveModel.from_pretrained(encoder_args.encoder_name_or_path)
        known = model.config.text_space
        if known is not None and space is not None and not is_same_space(known, space):
            raise ValueError(
                f"{encoder_args.encoder_name_or_path} was aligned with captions in the space of another text encoder "
                f"(first coordinates {known[:3]}, found {space[:3]}). Name that one as `sentence_encoder`."
            )
        model.config.text_space = space if known is None else known
    else:
        config = BrainContrastiveConfig(
            encoder_config=_new_encoder_config(encoder_args, train_rows, dataset),
            target_sizes=target_sizes(train_rows),
            text_space=space,
            pooling=target_args.pooling,
            initial_temperature=target_args.initial_temperature,
        )
        model = BrainContrastiveModel(config)
    extractor = _load_extractor(encoder_args, model.config, train_rows, standardize, dataset)
    if encoder_args.freeze_encoder:
        model.brain_encoder.requires_grad_(False)
    return model, extractor


def _new_encoder_config(
    args: EncoderArguments, train_rows: Dataset, dataset: str | None, hidden_size: int | None = None
) -> FrameEncoderConfig | VoxelEncoderConfig:
    if args.encoder_type == "voxels":
        geometries, atlases = read_geometries(_named(dataset)), args.atlases or []
        options = args.voxel_encoder if isinstance(args.voxel_encoder, dict) else {}
        return VoxelEncoderConfig(region_sizes=region_sizes(geometries, atlases), atlases=atlases, **options)
    shapes = [np.shape(values) for values in train_rows["brain_values"]]
    widths = dict(zip(train_rows["subject"], (shape[1] for shape in shapes), strict=True))
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"Subjects have different numbers of features: {widths}. Read them as voxels (`encoder_type: voxels`), or "
            "prepare the corpus with `num_components`."
        )
    return FrameEncoderConfig(
        num_features=shapes[0][1],
        num_frames=max(shape[0] for shape in shapes),
        hidden_size=hidden_size or args.encoder_hidden_size or shapes[0][1],
        num_hidden_layers=args.encoder_num_hidden_layers,
        dropout=args.encoder_dropout,
        use_frame_positions=args.use_frame_positions,
        unit_norm_output=args.unit_norm_output,
    )


def _load_extractor(
    args: EncoderArguments,
    config: BrainLlamaConfig | BrainContrastiveConfig,
    train_rows: Dataset,
    standardize: bool,
    dataset: str | None,
) -> BrainLlamaFeatureExtractor:
    """A feature extractor that knows all subjects of the corpus, and those of the encoder's checkpoint if any."""
    if args.encoder_name_or_path is None:
        extractor = BrainLlamaFeatureExtractor.from_config(config)
    else:
        extractor = BrainLlamaFeatureExtractor.from_pretrained(args.encoder_name_or_path)
        standardize = extractor.do_standardize
    _add_subjects(extractor, config, train_rows, standardize, dataset)
    return extractor


def _add_subjects(
    extractor: BrainLlamaFeatureExtractor,
    config: BrainLlamaConfig | BrainContrastiveConfig,
    train_rows: Dataset,
    standardize: bool,
    dataset: str | None,
) -> None:
    """Tells a feature extractor of the corpus's subjects whom it does not know; the others stay as they are."""
    record_terms(train_rows, config, extractor)
    if extractor.input_kind == "voxels":
        encoder_config: Any = config.encoder_config
        geometries = read_geometries(_named(dataset))
        check_voxel_counts(train_rows, geometries)
        new = {name: geometry for name, geometry in geometries.items() if name not in extractor.subjects}
        add_geometries(extractor, new, encoder_config.atlases or [])
    if standardize:
        known = {name for name, arrays in extractor.subjects.items() if "mean" in arrays}
        fit_statistics(extractor, train_rows, known)


def _named(dataset: str | None) -> str:
    if dataset is None:
        raise ValueError("A voxel encoder needs `dataset`, the corpus whose `subjects/` say where voxels lie.")
    return dataset


def _interface_options(args: ModelArguments, encoder_config: Any) -> dict[str, Any]:
    names = ("interface", "projector_bias", "tokens_per_embedding", "gate_init")
    options = {name: getattr(args, name) for name in names}
    if args.adapter_layers is not None:
        options["adapter_layers"] = args.adapter_layers
    width = args.projector_intermediate_size
    if args.projector_type == "mlp" and width is None:
        text_config = AutoConfig.from_pretrained(str(args.text_model_id), revision=args.text_model_revision)
        shared = BrainLlamaConfig(text_config=text_config, encoder_config=encoder_config, **options)
        width = matched_intermediate_size(shared)
    return {**options, "projector_type": args.projector_type, "projector_intermediate_size": width}


def fit_statistics(
    extractor: BrainLlamaFeatureExtractor, train_rows: Dataset, known: Collection[str] = frozenset()
) -> None:
    """Fits mean and deviation of each subject, but for the `known`, on its training brains; changes `extractor`."""
    for subject, rows in rows_of_distinct_brains(train_rows).items():
        if subject not in known:
            extractor.fit((row["brain_values"] for row in train_rows.select(rows)), subject=subject)


__all__ = ["fit_statistics", "load_contrastive_model", "load_model_and_processor"]
