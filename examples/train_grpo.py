# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
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
"""
Stage 3 of BIT-LLM: tunes the captions of an instructed model by rewards (GRPO), on LoRA parameters.

    accelerate launch --config_file examples/accelerate_configs/single_gpu.yaml examples/train_grpo.py \
        --config examples/recipes/grpo_nsd.yaml --dataset runs/nsd --model_name_or_path runs/instructed \
        --aligned_model runs/aligned --dtype bfloat16 --output_dir runs/rewarded

`model_name_or_path` is the checkpoint of stage 2 (examples/train_sft.py), `aligned_model` that of stage 1, whose
encoder checks which brain a caption came from. Saved are the adapter, which names the checkpoint of stage 2 as its
base, and the document frequencies of CIDEr, which are those of the training references. Every option of the recipe can
be overridden on the command line. A run that was interrupted goes on from its last checkpoint when it is started
again.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets import DatasetDict
from transformers import set_seed
from transformers.trainer_utils import get_last_checkpoint
from trl import TrlParser

from modeling_brainllm import BrainContrastiveModel, BrainLlamaFeatureExtractor
from trainers.arguments import DataArguments, ModelArguments
from trainers.conditions import count_brains, note_training_brains, save_training_brains
from trainers.grpo_config import BrainGRPOConfig
from trainers.grpo_trainer import BrainGRPOTrainer
from trainers.instructions import caption_prompt
from trainers.loading import keep_subjects, load_corpus_splits, load_model_and_processor
from trainers.model_card import push_adapter
from trainers.processes import end_run, loaded_whole
from trainers.reward_monitor import RewardMonitor
from trainers.reward_setup import (
    check_text_space,
    fit_document_frequencies,
    make_rewards,
    with_brain_embeddings,
    with_prompt,
)
from trainers.semantic import MeanPooledEmbedder


@dataclass
class RewardArguments:
    sentence_encoder: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the sentence encoder that embeds captions."}
    )
    aligned_model: str | None = field(
        default=None, metadata={"help": "Checkpoint of stage 1, whose space is that of `sentence_encoder`."}
    )


def main(
    model_args: ModelArguments,
    data_args: DataArguments,
    reward_args: RewardArguments,
    training_args: BrainGRPOConfig,
) -> None:
    if model_args.model_name_or_path is None:
        raise ValueError("Reward tuning needs `model_name_or_path`, a checkpoint of examples/train_sft.py.")
    if training_args.push_to_hub and model_args.license is None:
        raise ValueError("An adapter is pushed with a card: give the `license` of the language model.")

    # 1. Seed
    set_seed(training_args.seed)

    # 2. Last checkpoint
    output_dir = Path(training_args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    last_checkpoint = get_last_checkpoint(str(output_dir))

    # 3. Data, processor and model
    splits = load_corpus_splits(replace(data_args, subjects=None))
    model, processor = load_model_and_processor(model_args, splits["train"])

    # 4. Text encoder of the rewards
    encoder = None
    if reward_args.sentence_encoder is not None:
        encoder = MeanPooledEmbedder.from_pretrained(reward_args.sentence_encoder)
        encoder.model.to(training_args.device)

    # 5. Rows: all ask what stage 2 asked; columns first, subjects then, since adding to selected rows copies brains
    splits = DatasetDict({name: with_prompt(rows, caption_prompt(processor)) for name, rows in splits.items()})
    if reward_args.aligned_model is not None:
        with loaded_whole():
            verifier = BrainContrastiveModel.from_pretrained(reward_args.aligned_model).to(training_args.device)
        if encoder is not None and training_args.identification_target == "brain":
            check_text_space(verifier.config, encoder, reward_args.aligned_model)
        extractor = BrainLlamaFeatureExtractor.from_pretrained(reward_args.aligned_model)
        names = ("train",) if training_args.eval_strategy == "no" else ("train", "validation")
        embedded = {name: with_brain_embeddings(splits[name], verifier, extractor) for name in names}
        splits = DatasetDict({**splits, **embedded})
    if data_args.subjects is not None:
        splits = keep_subjects(splits, data_args.subjects)
    note_training_brains(model.config, count_brains(splits["train"]))

    # 6. Rewards, and what CIDEr holds to be rare
    frequencies = fit_document_frequencies(splits["train"])
    rewards, training_args.reward_weights = make_rewards(training_args, frequencies, encoder, splits["train"])

    # 7. Reward tuning
    trainer = BrainGRPOTrainer(
        model,
        rewards,
        training_args,
        splits["train"],
        eval_dataset=None if training_args.eval_strategy == "no" else splits["validation"],
        processing_class=processor,
        reward_monitor=RewardMonitor(),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint)

    # 8. Save: adapter, processor, document frequencies, and whose brains it was trained on
    trainer.save_model()
    trainer.save_state()
    if trainer.is_world_process_zero():
        frequencies.save(output_dir / "document_frequencies.json")
        save_training_brains(model.config, output_dir)

    # 9. Push the adapter with a card; both name the checkpoint of stage 2
    if training_args.push_to_hub and trainer.is_world_process_zero():
        adapter = trainer.accelerator.unwrap_model(trainer.model)
        push_adapter(adapter, trainer.hub_model_id, license=model_args.license, private=training_args.hub_private_repo)

    # 10. End
    end_run(trainer.accelerator)


if __name__ == "__main__":
    parser = TrlParser((ModelArguments, DataArguments, RewardArguments, BrainGRPOConfig))
    main(*parser.parse_args_and_config())
