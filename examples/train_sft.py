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

Every option of the recipe can be overridden on the command line. A run that was interrupted goes on from its last
checkpoint when it is started again, or from the one that `--resume_from_checkpoint` names.
"""

from typing import TYPE_CHECKING

from brainllm.running import run
from trainers.arguments import DataArguments, ModelArguments, SemanticArguments, WarmupArguments


if TYPE_CHECKING:
    from trainers import BrainSFTConfig


def main(
    model_args: ModelArguments,
    data_args: DataArguments,
    warmup_args: WarmupArguments,
    semantic_args: SemanticArguments,
    training_args: "BrainSFTConfig",
) -> None:
    from transformers import set_seed

    from trainers import BrainSFTTrainer, load_corpus_splits, load_model_and_processor
    from trainers.common.checkpoints import find_checkpoint
    from trainers.common.distributed import end_run
    from trainers.data.provenance import count_brains, record_training_brains
    from trainers.reports.model_card import create_model_card
    from trainers.warmup.stages import run_semantic_stages, run_warmup

    # 1. Seed
    set_seed(training_args.seed)

    # 2. Checkpoint to go on from
    checkpoint = find_checkpoint(training_args)

    # 3. Data
    splits = load_corpus_splits(data_args)
    train_rows, validation_rows = splits["train"], splits["validation"]

    # 4. and 5. Processor and model
    hidden_size = semantic_args.num_components if semantic_args.semantic else None
    model, processor = load_model_and_processor(
        model_args, train_rows, data_args.standardize, hidden_size, data_args.dataset
    )
    model.to(training_args.device)
    record_training_brains(model.config, count_brains(train_rows))

    # 6. Stages before prompt tuning; a checkpoint holds what they taught
    if warmup_args.warmup_epochs and checkpoint is None:
        run_warmup(model, processor, train_rows, training_args, warmup_args)
    if semantic_args.semantic:
        train_rows = run_semantic_stages(
            model, processor, splits, training_args, semantic_args, teach=checkpoint is None
        )

    # 7. Prompt tuning, or instruction tuning if the recipe names tasks
    trainer = BrainSFTTrainer(
        model, training_args, train_dataset=train_rows, eval_dataset=validation_rows, processing_class=processor
    )
    trainer.train(resume_from_checkpoint=checkpoint)

    # 8. Save, with a card that says that nothing has been evaluated yet
    trainer.save_model()
    trainer.save_state()
    if trainer.eval_dataset is not None:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    if model_args.license is not None and trainer.is_world_process_zero():
        model_id = training_args.hub_model_id or training_args.output_dir
        card = create_model_card(model.config, model_id=model_id, license=model_args.license)
        card.save(f"{training_args.output_dir}/README.md")

    # 9. Push
    if training_args.push_to_hub:
        trainer.push_to_hub()

    # 10. End
    end_run(trainer.accelerator)


if __name__ == "__main__":
    parts = (
        ModelArguments,
        DataArguments,
        WarmupArguments,
        SemanticArguments,
        "trainers.sft.sft_config:BrainSFTConfig",
    )
    run(main, *parts)
