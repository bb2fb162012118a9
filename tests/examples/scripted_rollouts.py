# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Reward tuning whose rollouts are written beforehand, so that one process and several learn from the same completions:
those that are sampled differ, since each process draws from a generator of its own. The adapter is pushed at the end.

    accelerate launch tests/examples/scripted_rollouts.py OUTPUT_DIR TEXT_MODEL COMPLETIONS_PER_PROCESS [STEPS]

A run of fewer than all three steps goes on when it is started again.
"""

import sys
from collections import Counter
from pathlib import Path

import torch
from grpo_runs import make_trainer
from transformers import TrainerCallback

from trainers.common.checkpoints import find_checkpoint
from trainers.common.distributed import end_run
from trainers.grpo.grpo_trainer import BrainGRPOTrainer
from trainers.reports.model_card import push_adapter


STEPS = 3


class ScriptedRollouts(BrainGRPOTrainer):
    """The k-th completion of a sample is always the same."""

    def _generate_single_turn(self, *args, **kwargs):
        super()._generate_single_turn(*args, **kwargs)
        seen: Counter[str] = Counter()
        completions = []
        for name in self._prompts.sample_ids:
            generator = torch.Generator().manual_seed(1000 * int(name.split("/")[1]) + seen[name])
            completions.append(torch.randint(4, 60, (3 + seen[name],), generator=generator).tolist())
            seen[name] += 1
        return completions, None


class Stops(TrainerCallback):
    def __init__(self, steps: int):
        self.steps = steps

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = control.should_training_stop or state.global_step >= self.steps


def main(folder: str, text_model: str, batch: str, steps: str = str(STEPS)) -> None:
    options = {"max_steps": STEPS, "per_device_train_batch_size": int(batch), "adam_epsilon": 1e-3, "beta": 0.1}
    options |= {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 1}
    trainer = make_trainer(Path(folder), Path(text_model), trainer_class=ScriptedRollouts, **options)
    trainer.add_callback(Stops(int(steps)))
    trainer.train(resume_from_checkpoint=find_checkpoint(trainer.args))
    if int(steps) == STEPS:
        trainer.save_model()
        trainer.save_state()
        if trainer.is_world_process_zero():
            adapter = trainer.accelerator.unwrap_model(trainer.model)
            push_adapter(adapter, f"lab/{Path(folder).name}", license="mit", adapter_base="lab/brain", saved=folder)
    end_run(trainer.accelerator)


if __name__ == "__main__":
    main(*sys.argv[1:])
