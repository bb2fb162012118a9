# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Trains a decoder from a recipe: brain stages first if the recipe asks for them, then prompt or instruction tuning.

    accelerate launch examples/train_sft.py --config examples/recipes/official.yaml \
        --dataset runs/pereira --text_model_id meta-llama/Llama-2-7b-hf --output_dir runs/official

Instruction tuning of BIT-LLM (stage 2), with the encoder of stage 1 and one of the three interfaces of its poster:

    accelerate launch --config_file examples/accelerate_configs/single_gpu.yaml examples/train_sft.py \
        --config examples/recipes/sft_nsd_cross_attention.yaml --dataset runs/nsd --encoder_name_or_path runs/aligned \
        --text_model_id meta-llama/Llama-3.2-3B-Instruct --dtype bfloat16 --output_dir runs/instructed

With `--model_name_or_path runs/instructed` it goes on from a checkpoint, as with a few images of a new person: see "A
new person" in docs/training.md.

With `--num_twins 2` it also trains two brain-deaf twins, by the same recipe on shuffled brains, over which the gain of
the brain is measured by `evaluate.py`; with `--structure_twin true` also one that is given length, place and session
of each text in the place of its brain.

Every option of the recipe can be overridden on the command line. A run that was interrupted goes on from its last
checkpoint when it is started again, or from the one that `--resume_from_checkpoint` names.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from brainllm.running import run
from trainers.arguments import DataArguments, ModelArguments, SemanticArguments, TwinArguments, WarmupArguments


if TYPE_CHECKING:
    from datasets import DatasetDict

    from trainers import BrainSFTConfig, BrainSFTTrainer


def main(
    model_args: ModelArguments,
    data_args: DataArguments,
    warmup_args: WarmupArguments,
    semantic_args: SemanticArguments,
    twin_args: TwinArguments,
    training_args: "BrainSFTConfig",
) -> None:
    from datasets import DatasetDict

    from trainers import brains_of_structure, load_corpus_splits, shuffle_brains
    from trainers.common.distributed import end_run
    from trainers.reports.model_card import create_model_card

    # 1. Data
    splits = load_corpus_splits(data_args)

    # 2. The model
    trainer = train(model_args, data_args, warmup_args, semantic_args, training_args, splits)
    if model_args.license is not None and trainer.is_world_process_zero():
        model_id = training_args.hub_model_id or training_args.output_dir
        card = create_model_card(trainer.model.config, model_id=model_id, license=model_args.license)
        card.save(f"{training_args.output_dir}/README.md")
    if training_args.push_to_hub:
        trainer.push_to_hub()

    # 3. Its brain-deaf twins, who take over what was learnt from plain text
    plain_text = semantic_args.pretrained_interface or f"{training_args.output_dir}/plain-text"
    for number in range(1, twin_args.num_twins + 1):
        folder = f"{training_args.output_dir}/twins/{number}"
        args = replace(training_args, output_dir=folder, push_to_hub=False, resume_from_checkpoint=None)
        shuffled = {name: shuffle_brains(splits[name], seed=number) for name in ("train", "validation")}
        semantic = replace(semantic_args, pretrained_interface=plain_text) if semantic_args.semantic else semantic_args
        trainer = train(model_args, data_args, warmup_args, semantic, args, DatasetDict({**splits, **shuffled}))

    # 4. The twin that is given length, place and session in the place of the brain
    if twin_args.structure_twin:
        args = replace(
            training_args,
            output_dir=f"{training_args.output_dir}/structure",
            push_to_hub=False,
            resume_from_checkpoint=None,
        )
        plain_encoder = replace(model_args, encoder_type="frames", encoder_name_or_path=None)
        train(plain_encoder, data_args, warmup_args, semantic_args, args, brains_of_structure(splits))

    # 5. End
    end_run(trainer.accelerator)


def train(
    model_args: ModelArguments,
    data_args: DataArguments,
    warmup_args: WarmupArguments,
    semantic_args: SemanticArguments,
    training_args: "BrainSFTConfig",
    splits: "DatasetDict",
) -> "BrainSFTTrainer":
    from transformers import set_seed

    from trainers import BrainSFTTrainer, load_model_and_processor
    from trainers.common.checkpoints import find_checkpoint
    from trainers.data.provenance import count_brains, record_training_brains
    from trainers.warmup.stages import run_semantic_stages, run_warmup

    # 1. Seed, and checkpoint to go on from
    set_seed(training_args.seed)
    checkpoint = find_checkpoint(training_args)
    train_rows, validation_rows = splits["train"], splits["validation"]

    # 2. Processor and model
    hidden_size = semantic_args.num_components if semantic_args.semantic else None
    model, processor = load_model_and_processor(
        model_args, train_rows, data_args.standardize, hidden_size, data_args.dataset
    )
    model.to(training_args.device)
    record_training_brains(model.config, count_brains(train_rows))

    # 3. Stages before prompt tuning; a checkpoint holds what they taught
    if warmup_args.warmup_epochs and checkpoint is None:
        run_warmup(model, processor, train_rows, training_args, warmup_args)
    if semantic_args.semantic:
        train_rows = run_semantic_stages(
            model, processor, splits, training_args, semantic_args, teach=checkpoint is None
        )

    # 4. Prompt tuning, or instruction tuning if the recipe names tasks
    trainer = BrainSFTTrainer(
        model, training_args, train_dataset=train_rows, eval_dataset=validation_rows, processing_class=processor
    )
    trainer.train(resume_from_checkpoint=checkpoint)

    # 5. Save
    trainer.save_model()
    trainer.save_state()
    if trainer.eval_dataset is not None:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    return trainer


if __name__ == "__main__":
    parts = (
        ModelArguments,
        DataArguments,
        WarmupArguments,
        SemanticArguments,
        TwinArguments,
        "trainers.sft.sft_config:BrainSFTConfig",
    )
    run(main, *parts)
