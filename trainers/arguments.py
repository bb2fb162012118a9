# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The command line that the examples share: which model, which data, which stages before prompt tuning."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class EncoderArguments:
    """
    Which brain encoder is trained or taken over. Sizes of the brain input come from the data, all else from here.

    > For both encoders

    Args:
        encoder_type (`str`, *optional*, defaults to `"frames"`):
            `"frames"`: an MLP of each frame, all subjects with the same features. `"voxels"`: attention over voxels by
            position and region, each subject with its own voxels; needs a corpus with geometry.
        encoder_name_or_path (`str`, *optional*):
            Checkpoint of the alignment stage ([`BrainContrastiveModel`]), whose encoder is taken over with its feature
            extractor; the other arguments are then those of the checkpoint.
        freeze_encoder (`bool`, *optional*, defaults to `False`):
            Whether the encoder stays as it is, without dropout, as in stage 2 of BIT-LLM.

    > For frames

    Args:
        encoder_hidden_size (`int`, *optional*):
            Width of the encoder's output; the number of features by default, as published.
        encoder_num_hidden_layers (`int`, *optional*, defaults to 2):
            Hidden layers of the encoder; 0 is one linear map, which the semantic stage needs.
        encoder_dropout (`float`, *optional*, defaults to 0.5):
            Dropout of the encoder.
        use_frame_positions (`bool`, *optional*, defaults to `False`):
            Whether the encoder knows the order of frames.
        unit_norm_output (`bool`, *optional*, defaults to `False`):
            Whether the encoder's output has length 1.

    > For voxels

    Args:
        atlases (`list[str]`, *optional*):
            Atlases of the corpus whose regions the encoder knows, e.g. `HCP_MMP1`; by default none, positions alone.
        voxel_encoder (`dict`, *optional*):
            Fields of [`VoxelEncoderConfig`] that differ from their defaults, as a mapping of a recipe or as JSON on
            the command line: `--voxel_encoder '{"num_queries": 256}'`.
    """

    encoder_type: Literal["frames", "voxels"] = field(default="frames", metadata={"help": "Which brain encoder."})
    encoder_name_or_path: str | None = field(
        default=None, metadata={"help": "Checkpoint of the alignment stage whose encoder is taken over."}
    )
    freeze_encoder: bool = field(default=False, metadata={"help": "Whether the encoder stays as it is."})
    encoder_hidden_size: int | None = field(default=None, metadata={"help": "Width of the encoder's output."})
    encoder_num_hidden_layers: int = field(default=2, metadata={"help": "Hidden layers of the encoder."})
    encoder_dropout: float = field(default=0.5, metadata={"help": "Dropout of the encoder."})
    use_frame_positions: bool = field(default=False, metadata={"help": "Whether the encoder knows frame order."})
    unit_norm_output: bool = field(default=False, metadata={"help": "Whether the encoder's output has length 1."})
    atlases: list[str] | None = field(default=None, metadata={"help": "Atlases whose regions the encoder knows."})
    voxel_encoder: dict | str | None = field(
        default=None, metadata={"help": "Fields of the voxel encoder's configuration, as JSON."}
    )

    def __post_init__(self):
        if isinstance(self.voxel_encoder, str):
            self.voxel_encoder = _read_mapping(self.voxel_encoder)
        if self.encoder_type != "voxels" and (self.atlases is not None or self.voxel_encoder is not None):
            raise ValueError(
                f"`atlases` and `voxel_encoder` belong to `encoder_type: voxels`; found encoder_type "
                f"'{self.encoder_type}'. Set it, or leave the two out."
            )


def _read_mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        found = error
    if not isinstance(found, dict):
        raise ValueError(f"`voxel_encoder` must be a mapping, such as '{{\"num_queries\": 256}}'; found {text!r}.")
    return found


@dataclass
class ModelArguments(EncoderArguments):
    """
    Which model is trained: its encoder (see [`EncoderArguments`]), its language model, and what joins the two.

    Args:
        model_name_or_path (`str`, *optional*):
            Checkpoint to continue from; the other arguments are then those of the checkpoint, but `freeze_encoder` and
            `encoder_name_or_path`, whose encoder takes the place of the checkpoint's.
        text_model_id (`str`, *optional*):
            Folder or Hub id of the language model for a new model, any Llama checkpoint.
        text_model_revision (`str`, *optional*):
            Commit of that repository.
        text_start_token (`str`, *optional*):
            Token with which the language model was taught to begin a text, where its tokenizer's `bos_token` is
            another's: SmolLM2's opens a turn of a chat, its texts begin with `<|endoftext|>`.
        dtype (`str`, *optional*, defaults to `"float32"`):
            Type of the language model's weights.
        attn_implementation (`str`, *optional*, defaults to `"sdpa"`):
            Attention of the language model.
        interface (`str`, *optional*, defaults to `"prefix"`):
            `"prefix"` or `"cross_attention"`.
        projector_type (`str`, *optional*, defaults to `"linear"`):
            `"linear"` or `"mlp"`.
        projector_intermediate_size (`int`, *optional*):
            Width of the MLP projector; by default that at which it has as many parameters as the adapters of the
            cross-attention interface ([`~modeling_brainllm.modeling_brain_interface.matched_intermediate_size`]).
        projector_bias (`bool`, *optional*, defaults to `True`):
            Whether the projector has biases; as published it has none.
        tokens_per_embedding (`int`, *optional*, defaults to 1):
            Language-model tokens per encoder token.
        adapter_layers (`list[int]`, *optional*):
            Decoder layers with a cross-attention adapter; spread over those that exist if unset.
        gate_init (`float`, *optional*, defaults to 0.0):
            Initial opening of the adapters, see [`~modeling_brainllm.BrainLlamaConfig`].
        license (`str`, *optional*):
            License of the trained model for its card, which is that of the language model; no card without.
    """

    model_name_or_path: str | None = field(default=None, metadata={"help": "Checkpoint to continue from."})
    text_model_id: str | None = field(default=None, metadata={"help": "Folder or Hub id of the language model."})
    text_model_revision: str | None = field(default=None, metadata={"help": "Commit of that repository."})
    text_start_token: str | None = field(default=None, metadata={"help": "Token that begins a text, if not BOS."})
    dtype: str = field(default="float32", metadata={"help": "Type of the language model's weights."})
    attn_implementation: str = field(default="sdpa", metadata={"help": "Attention of the language model."})
    interface: Literal["prefix", "cross_attention"] = field(
        default="prefix", metadata={"help": "How the language model reads the brain."}
    )
    projector_type: Literal["linear", "mlp"] = field(default="linear", metadata={"help": "Form of the projector."})
    projector_intermediate_size: int | None = field(
        default=None, metadata={"help": "Width of the MLP projector; matched by default."}
    )
    projector_bias: bool = field(default=True, metadata={"help": "Whether the projector has biases."})
    tokens_per_embedding: int = field(default=1, metadata={"help": "Language-model tokens per encoder token."})
    adapter_layers: list[int] | None = field(default=None, metadata={"help": "Layers with a cross-attention adapter."})
    gate_init: float = field(default=0.0, metadata={"help": "Initial opening of the adapters, 0 to below 1."})
    license: str | None = field(default=None, metadata={"help": "License of the trained model, for its card."})

    def __post_init__(self):
        super().__post_init__()
        if (self.model_name_or_path is None) == (self.text_model_id is None):
            raise ValueError(
                "Give either `model_name_or_path` (a checkpoint to continue from) or `text_model_id` (the language "
                f"model of a new model); got {self.model_name_or_path!r} and {self.text_model_id!r}."
            )


@dataclass
class DataArguments:
    """
    Which rows are trained on.

    Args:
        dataset (`str`):
            Folder written by `examples/prepare_dataset.py`, or Hub id of a dataset with the same columns.
        dataset_config (`str`, *optional*):
            Configuration of a Hub dataset.
        subjects (`list[str]`, *optional*):
            Subjects to keep; all by default.
        max_train_groups (`int`, *optional*):
            Groups (passages, stories, images) of the train split to keep, for curves of training-set size; all by
            default. A smaller set is part of every larger one.
        standardize (`bool`, *optional*, defaults to `True`):
            Whether features are standardised with each subject's training statistics. As published they are not.
    """

    dataset: str = field(metadata={"help": "Folder of a prepared corpus, or Hub id of one."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hub dataset."})
    subjects: list[str] | None = field(default=None, metadata={"help": "Subjects to keep."})
    max_train_groups: int | None = field(default=None, metadata={"help": "Groups of the train split to keep."})
    standardize: bool = field(default=True, metadata={"help": "Whether features are standardised per subject."})


@dataclass
class TargetArguments:
    """
    With what brains are aligned: embeddings of the images they saw, of the captions, or of both.

    Args:
        sentence_encoder (`str`, *optional*):
            Folder or Hub id of a sentence encoder, e.g. `sentence-transformers/all-MiniLM-L6-v2`, which embeds all
            captions of an image. Where the corpus has a column `text_embedding`, that one is taken, and if the corpus
            does not say who made it (`text_space`), it has to be what this encoder makes of the captions.
        image_embeddings (`str`, *optional*):
            File of image embeddings, by [`~trainers.data.target_embeddings.read_image_embeddings`]. Not needed where
            the corpus has a column `image_embedding`; without either, brains are aligned with text alone.
        pooling (`str`, *optional*, defaults to `"flatten"`):
            How brain tokens make one vector; see [`BrainContrastiveConfig`].
        initial_temperature (`float`, *optional*, defaults to 0.07):
            Temperature before training; see [`BrainContrastiveConfig`].
    """

    sentence_encoder: str | None = field(default=None, metadata={"help": "Folder or Hub id of a sentence encoder."})
    image_embeddings: str | None = field(default=None, metadata={"help": "File of image embeddings."})
    pooling: Literal["flatten", "mean"] = field(
        default="flatten", metadata={"help": "How brain tokens make one vector."}
    )
    initial_temperature: float = field(default=0.07, metadata={"help": "Temperature before training."})


@dataclass
class WarmupArguments:
    """
    The published warm-up before prompt tuning ([`BrainWarmupTrainer`]).

    Args:
        warmup_epochs (`float`, *optional*, defaults to 0):
            Epochs; published: 10.
        warmup_learning_rate (`float`, *optional*, defaults to 1e-3):
            Learning rate.
        warmup_max_grad_norm (`float`, *optional*, defaults to 10):
            Gradient norm above which gradients are scaled.
    """

    warmup_epochs: float = field(default=0.0, metadata={"help": "Epochs of the warm-up; 0 leaves it out."})
    warmup_learning_rate: float = field(default=1e-3, metadata={"help": "Learning rate of the warm-up."})
    warmup_max_grad_norm: float = field(default=10.0, metadata={"help": "Gradient clipping of the warm-up."})


@dataclass
class TwinArguments:
    """
    Brain-deaf twins: what the same recipe makes of the same texts without their brains.

    Args:
        num_twins (`int`, *optional*, defaults to 0):
            Twins that are trained beside the model, each on training and validation brains shuffled across groups by a
            seed of its own, into `output_dir/twins/1` and so on. What a brain adds is measured over the best of them.
        structure_twin (`bool`, *optional*, defaults to `False`):
            Trains a twin that is given length, place, session and rate of each text in the place of its brain
            ([`~trainers.data.structure`]), into `output_dir/structure`.
    """

    num_twins: int = field(default=0, metadata={"help": "Brain-deaf twins trained beside the model."})
    structure_twin: bool = field(default=False, metadata={"help": "Train a twin on structure in place of brains."})


@dataclass
class SemanticArguments:
    """
    The semantic stages before prompt tuning: ridge regression into the encoder, then plain text into the interface.

    Args:
        semantic (`bool`, *optional*, defaults to `False`):
            Whether they run.
        sentence_encoder (`str`, *optional*):
            Folder or Hub id of a sentence encoder, e.g. `sentence-transformers/all-MiniLM-L6-v2`.
        target_language_model (`str`, *optional*):
            Folder or Hub id of the language model whose hidden states serve as embedding; that which is decoded by
            default. What the brain says of a text is not bound to who writes it down.
        target_start_token (`str`, *optional*):
            Token that begins its texts; see `text_start_token` of [`ModelArguments`].
        language_model_layers (`list[int]`, *optional*):
            Its hidden states that serve as embeddings, alone or beside `sentence_encoder`; without either it is the
            middle one.
        num_components (`int`, *optional*, defaults to 256):
            Principal components of the embedding, which are the encoder's output.
        embedding_scale (`float`, *optional*, defaults to 1.0):
            Standard deviation of the components, on average.
        variance_exponent (`float`, *optional*, defaults to 0.5):
            Power of a feature's raw standard deviation by which the ridge penalty trusts it: 0 trusts standardised
            features alike, 1 leaves them as recorded.
        text_files (`list[str]`, *optional*):
            Plain text, one sentence per line; each file is centred by itself, so that its style is no meaning.
        num_sampled_sentences (`int`, *optional*):
            Sentences sampled from the language model, beside or in place of `text_files`; 10,000 if there is no other
            plain text, else none.
        pretrained_interface (`str`, *optional*):
            Folder `plain-text` of an earlier run: its interface and embedding are taken over, and no text is needed.
        text_epochs (`float`, *optional*, defaults to 1):
            Epochs of the plain-text stage.
        text_learning_rate (`float`, *optional*, defaults to 1e-3):
            Learning rate of the plain-text stage.
        text_batch_size (`int`, *optional*, defaults to 32):
            Batch of the plain-text stage.
        text_condition_dropout (`float`, *optional*, defaults to 0.15):
            `condition_dropout` of the plain-text stage.
        prompt_free_share (`float`, *optional*, defaults to 0.4):
            Share of plain sentences without a prompt.
        tune_on_predictions (`bool`, *optional*, defaults to `True`):
            Whether prompt tuning then reads cross-fitted predictions in place of training brains.
    """

    semantic: bool = field(default=False, metadata={"help": "Whether the semantic stages run."})
    sentence_encoder: str | None = field(default=None, metadata={"help": "Folder or Hub id of a sentence encoder."})
    target_language_model: str | None = field(
        default=None, metadata={"help": "Language model whose hidden states serve as embedding."}
    )
    target_start_token: str | None = field(default=None, metadata={"help": "Token that begins its texts, if not BOS."})
    language_model_layers: list[int] | None = field(
        default=None, metadata={"help": "Hidden states of that language model that serve as embeddings."}
    )
    num_components: int = field(default=256, metadata={"help": "Principal components of the embedding."})
    embedding_scale: float = field(default=1.0, metadata={"help": "Standard deviation of the components."})
    variance_exponent: float = field(default=0.5, metadata={"help": "Trust in features of large raw variance."})
    text_files: list[str] | None = field(default=None, metadata={"help": "Plain text, one sentence per line."})
    num_sampled_sentences: int | None = field(
        default=None, metadata={"help": "Sentences sampled from the language model; 10,000 without other text."}
    )
    pretrained_interface: str | None = field(default=None, metadata={"help": "Earlier run's folder `plain-text`."})
    text_epochs: float = field(default=1.0, metadata={"help": "Epochs of the plain-text stage."})
    text_learning_rate: float = field(default=1e-3, metadata={"help": "Learning rate of the plain-text stage."})
    text_batch_size: int = field(default=32, metadata={"help": "Batch of the plain-text stage."})
    text_condition_dropout: float = field(default=0.15, metadata={"help": "Share of brains hidden in that stage."})
    prompt_free_share: float = field(default=0.4, metadata={"help": "Share of plain sentences without a prompt."})
    tune_on_predictions: bool = field(
        default=True, metadata={"help": "Whether prompt tuning reads cross-fitted predictions of training brains."}
    )

    def __post_init__(self):
        if self.num_sampled_sentences is None:
            self.num_sampled_sentences = 0 if self.text_files or self.pretrained_interface else 10_000
        if self.semantic and not (self.text_files or self.num_sampled_sentences or self.pretrained_interface):
            raise ValueError(
                "`semantic` needs plain text: `text_files`, `num_sampled_sentences` above 0, or a "
                "`pretrained_interface`."
            )


__all__ = [
    "DataArguments",
    "EncoderArguments",
    "ModelArguments",
    "SemanticArguments",
    "TargetArguments",
    "TwinArguments",
    "WarmupArguments",
]
