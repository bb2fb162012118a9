# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Stage 3 of BIT-LLM: tunes the captions of an instructed model by rewards (GRPO), on LoRA parameters.

    accelerate launch --config_file examples/accelerate_configs/single_gpu.yaml examples/train_grpo.py \
        --config examples/recipes/grpo_nsd.yaml --dataset runs/nsd --model_name_or_path runs/instructed \
        --aligned_model runs/aligned --dtype bfloat16 --output_dir runs/rewarded

`model_name_or_path` is the checkpoint of stage 2 (examples/train_sft.py), `aligned_model` that of stage 1, whose
encoder checks which brain a caption came from. With `--identification_target image --image_embeddings images.npy
--image_encoder openai/clip-vit-large-patch14` the image that was seen is checked instead, without stage 1. Saved are
the adapter, which names the checkpoint of stage 2 as its base, and the document frequencies of CIDEr, which are those
of the training references. Every option of the recipe can be overridden on the command line. A run that was
interrupted goes on from its last checkpoint when it is started again, or from the one that `--resume_from_checkpoint`
names.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from brainllm.running import run
from trainers.arguments import DataArguments, ModelArguments


if TYPE_CHECKING:
    from datasets import DatasetDict

    from trainers import BrainGRPOConfig


@dataclass
class RewardArguments:
    sentence_encoder: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the sentence encoder that embeds captions."}
    )
    token_encoder: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of the model that embeds tokens for BERTScore."},
    )
    token_layer: int = field(default=-1, metadata={"help": "Hidden state of `token_encoder` that is taken."})
    aligned_model: str | None = field(
        default=None, metadata={"help": "Checkpoint of stage 1, whose space is that of `sentence_encoder`."}
    )
    image_embeddings: str | None = field(
        default=None, metadata={"help": "File of image embeddings, for `identification_target: image`."}
    )
    image_encoder: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub id of the CLIP that made them, which embeds captions beside them."},
    )
    monitor_action: Literal["warn", "raise"] = field(
        default="warn", metadata={"help": "What is done when a reward is exploited."}
    )
    monitor_window: int = field(
        default=20, metadata={"help": "Steps of the baseline, and of what it is held against."}
    )
    monitor_max_length_ratio: float = field(
        default=1.5, metadata={"help": "Most by which the length of captions may be multiplied or divided."}
    )
    monitor_min_distinct_ratio: float = field(
        default=0.5, metadata={"help": "Least that may remain of the share of distinct pairs of words."}
    )
    monitor_max_copies: float = field(
        default=0.3, metadata={"help": "Most that may be added to the share of captions given to several images."}
    )

    def encoders(self, device: Any) -> tuple[Any, Any, Any]:
        """Of captions as a whole, in the space of captions and in that of images; and of their tokens."""
        from trainers.embedders.text_encoders import load_text_encoder
        from trainers.embedders.token_embeddings import TokenEmbedder

        texts, images = (
            None if name is None else load_text_encoder(name, device)
            for name in (self.sentence_encoder, self.image_encoder)
        )
        if self.token_encoder is None:
            return texts, images, None
        tokens = TokenEmbedder.from_pretrained(self.token_encoder, self.token_layer)
        tokens.model.to(device)
        return texts, images, tokens

    def monitor(self) -> Any:
        from trainers.grpo.reward_monitor import RewardMonitor

        return RewardMonitor(
            self.monitor_window,
            self.monitor_max_length_ratio,
            self.monitor_min_distinct_ratio,
            self.monitor_max_copies,
            self.monitor_action,
        )


def add_columns(
    splits: "DatasetDict", prompt: str, encoder: Any, reward_args: RewardArguments, training_args: "BrainGRPOConfig"
) -> "DatasetDict":
    """
    All rows ask what stage 2 asked, and hold what rewards read. Columns come before subjects are chosen, since adding
    to selected rows copies brains.
    """
    from datasets import DatasetDict

    from modeling_brainllm import BrainContrastiveModel, BrainLlamaFeatureExtractor
    from trainers.common.distributed import zero_init_off
    from trainers.data.target_embeddings import add_image_embeddings, read_image_embeddings
    from trainers.grpo.reward_setup import check_text_space, with_brain_embeddings, with_prompt

    splits = DatasetDict({name: with_prompt(rows, prompt) for name, rows in splits.items()})
    if reward_args.image_embeddings is not None:
        splits = add_image_embeddings(splits, read_image_embeddings(reward_args.image_embeddings))
    if reward_args.aligned_model is None:
        return splits
    with zero_init_off():
        verifier = BrainContrastiveModel.from_pretrained(reward_args.aligned_model).to(training_args.device)
    if encoder is not None and training_args.identifies_brains:
        check_text_space(verifier.config, encoder, reward_args.aligned_model)
    extractor = BrainLlamaFeatureExtractor.from_pretrained(reward_args.aligned_model)
    names = ("train",) if training_args.eval_strategy == "no" else ("train", "validation")
    embedded = {name: with_brain_embeddings(splits[name], verifier, extractor) for name in names}
    return DatasetDict({**splits, **embedded})


def main(
    model_args: ModelArguments,
    data_args: DataArguments,
    reward_args: RewardArguments,
    training_args: "BrainGRPOConfig",
) -> None:
    from transformers import set_seed

    from trainers import BrainGRPOTrainer, load_corpus_splits, load_model_and_processor
    from trainers.common.checkpoints import find_checkpoint
    from trainers.common.distributed import end_run
    from trainers.data.corpora import choose_rows
    from trainers.data.prompts import caption_prompt
    from trainers.data.provenance import count_brains, record_training_brains, save_training_brains
    from trainers.grpo.reward_setup import fit_document_frequencies, make_rewards
    from trainers.reports.model_card import push_adapter

    if model_args.model_name_or_path is None:
        raise ValueError("Reward tuning needs `model_name_or_path`, a checkpoint of examples/train_sft.py.")
    if training_args.push_to_hub and model_args.license is None:
        raise ValueError("An adapter is pushed with a card: give the `license` of the language model.")
    monitor = reward_args.monitor()

    # 1. Seed
    set_seed(training_args.seed)

    # 2. Checkpoint to go on from
    output_dir = Path(training_args.output_dir)
    checkpoint = find_checkpoint(training_args)

    # 3. Data, processor and model
    splits = load_corpus_splits(replace(data_args, subjects=None, max_train_groups=None))
    model, processor = load_model_and_processor(model_args, splits["train"], dataset=data_args.dataset)

    # 4. Encoders of captions
    encoder, image_encoder, token_embedder = reward_args.encoders(training_args.device)

    # 5. Rows
    splits = add_columns(splits, caption_prompt(processor), encoder, reward_args, training_args)
    splits = choose_rows(splits, data_args)
    record_training_brains(model.config, count_brains(splits["train"]))

    # 6. Rewards, and what CIDEr holds to be rare
    frequencies = fit_document_frequencies(splits["train"])
    rewards, training_args.reward_weights = make_rewards(
        training_args, frequencies, encoder, splits["train"], token_embedder, image_encoder
    )

    # 7. Reward tuning
    trainer = BrainGRPOTrainer(
        model,
        rewards,
        training_args,
        splits["train"],
        eval_dataset=None if training_args.eval_strategy == "no" else splits["validation"],
        processing_class=processor,
        reward_monitor=monitor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)

    # 8. Save: adapter, processor, document frequencies, and whose brains it was trained on
    trainer.save_model()
    trainer.save_state()
    if trainer.is_world_process_zero():
        frequencies.save(output_dir / "document_frequencies.json")
        save_training_brains(model.config, output_dir)

    # 9. Push the adapter with a card; both name the checkpoint of stage 2
    if training_args.push_to_hub and trainer.is_world_process_zero():
        adapter = trainer.accelerator.unwrap_model(trainer.model)
        access = {"private": training_args.hub_private_repo, "token": training_args.hub_token}
        push_adapter(adapter, trainer.hub_model_id, license=model_args.license, saved=output_dir, **access)

    # 10. End
    end_run(trainer.accelerator)


if __name__ == "__main__":
    run(main, ModelArguments, DataArguments, RewardArguments, "trainers.grpo.grpo_config:BrainGRPOConfig")
