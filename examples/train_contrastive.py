# /// script
# requires-python = ">=3.11"
# dependencies = ["brainllm[train,eval]"]
# ///
# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
Stage 1 of BIT-LLM: aligns a brain encoder with embeddings of the captions, of the images, or of both.

    accelerate launch examples/train_contrastive.py --config examples/recipes/contrastive_nsd.yaml \
        --dataset runs/nsd --output_dir runs/aligned

Subjects are taught together by `--subjects subj01 subj02 ...`; those left out can be diagnosed without any training on
them by `--held_out_subjects subj08`. Every option of the recipe can be overridden on the command line. A run that was
interrupted goes on from its last checkpoint when it is started again, or from the one that `--resume_from_checkpoint`
names. The encoder is then taken over by `examples/train_sft.py --encoder_name_or_path runs/aligned --freeze_encoder`;
or, with the same option, by this script, which adapts it to a new person: see "A new person" in docs/training.md.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from brainllm.running import run
from trainers.arguments import DataArguments, EncoderArguments, TargetArguments


if TYPE_CHECKING:
    from datasets import DatasetDict

    from modeling_brainllm import BrainContrastiveModel
    from trainers import BrainContrastiveTrainingConfig


@dataclass
class ProtocolArguments:
    held_out_subjects: list[str] | None = field(
        default=None, metadata={"help": "Subjects that are diagnosed on their test rows, and never trained on."}
    )


def add_targets(splits: "DatasetDict", args: TargetArguments, device: object) -> "DatasetDict":
    from trainers.data.target_embeddings import (
        TEXT_SPACE,
        add_image_embeddings,
        add_text_embeddings,
        confirm_text_embeddings,
        read_image_embeddings,
    )
    from trainers.embedders.text_encoders import load_text_encoder

    # Targets that the corpus brings along are those to take, for they cost minutes to make; but it has to be known, or
    # seen from a few of them, by whom they were made.
    columns = splits["train"].column_names
    if args.sentence_encoder is not None and not {"text_embedding", TEXT_SPACE} <= set(columns):
        embedder = load_text_encoder(args.sentence_encoder, device)
        add = confirm_text_embeddings if "text_embedding" in columns else add_text_embeddings
        splits = add(splits, embedder)
    if args.image_embeddings is not None:
        splits = add_image_embeddings(splits, read_image_embeddings(args.image_embeddings))
    return splits


def check_held_out(held_out: list[str], subjects: list[str] | None, everyone: "DatasetDict") -> None:
    known = set(everyone["test"]["subject"]) if "test" in everyone else set()
    unknown, both = sorted(set(held_out) - known), sorted(set(held_out) & set(subjects or ()))
    if unknown:
        raise ValueError(
            f"`held_out_subjects`: the test split has no rows of {', '.join(unknown)}; it has those of "
            f"{', '.join(sorted(known)) or 'nobody'}. Correct the name."
        )
    if both:
        raise ValueError(
            f"`subjects` and `held_out_subjects` both name {', '.join(both)}, who would be trained on and reported as "
            "never met. Take them out of one of the two."
        )


def check_never_met(held_out: list[str], model: "BrainContrastiveModel", checkpoint: str | None) -> None:
    met = sorted(set(held_out) & set(getattr(model.config, "training_brains", {})))
    if met:
        raise ValueError(
            f"`held_out_subjects` names {', '.join(met)}, on whose brains the checkpoint '{checkpoint}' was trained. "
            "Leave them out, or begin with an encoder that has not met them."
        )


def main(
    encoder_args: EncoderArguments,
    data_args: DataArguments,
    target_args: TargetArguments,
    protocol_args: ProtocolArguments,
    training_args: "BrainContrastiveTrainingConfig",
) -> None:
    from transformers import set_seed

    from trainers import BrainContrastiveTrainer, load_contrastive_model, load_corpus_splits
    from trainers.common.checkpoints import find_checkpoint
    from trainers.common.distributed import end_run
    from trainers.data.corpora import choose_rows, keep_subjects
    from trainers.data.provenance import count_brains, record_training_brains

    # 1. Seed
    set_seed(training_args.seed)

    # 2. Checkpoint to go on from
    checkpoint = find_checkpoint(training_args)

    # 3. Data: targets first, subjects then, since adding a column to selected rows would copy their brains
    everyone = load_corpus_splits(replace(data_args, subjects=None, max_train_groups=None))
    held_out = protocol_args.held_out_subjects or []
    check_held_out(held_out, data_args.subjects, everyone)
    everyone = add_targets(everyone, target_args, training_args.device)
    subjects = data_args.subjects or sorted(set(everyone["train"]["subject"]) - set(held_out))
    splits = choose_rows(everyone, replace(data_args, subjects=subjects))

    # 4. Model and feature extractor
    model, extractor = load_contrastive_model(
        encoder_args, target_args, splits["train"], data_args.standardize, data_args.dataset
    )
    check_never_met(held_out, model, encoder_args.encoder_name_or_path)
    record_training_brains(model.config, count_brains(splits["train"]))

    # 5. Alignment
    trainer = BrainContrastiveTrainer(
        model,
        training_args,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=extractor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)

    # 6. Save
    trainer.save_model()
    trainer.save_state()

    # 7. Diagnoses: of validation rows if there are any, and of the test rows of people whom the encoder has never met
    if trainer.eval_dataset is not None:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    if held_out:
        rows = keep_subjects(everyone, held_out)["test"]
        metrics = trainer.evaluate(rows, metric_key_prefix="held_out")
        trainer.log_metrics("held_out", metrics)
        trainer.save_metrics("held_out", metrics)

    # 8. Push
    if training_args.push_to_hub:
        trainer.push_to_hub()

    # 9. End
    end_run(trainer.accelerator)


if __name__ == "__main__":
    parts = (EncoderArguments, DataArguments, TargetArguments, ProtocolArguments)
    run(main, *parts, "trainers.contrastive.contrastive_config:BrainContrastiveTrainingConfig")
