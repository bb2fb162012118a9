# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Two real processes take the steps of one with the double batch: losses, temperature and weights agree."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file
from voxel_corpus import write_voxel_corpus


SCRIPT = """
import json, sys
import torch
from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.contrastive.contrastive_config import BrainContrastiveTrainingConfig
from trainers.contrastive.contrastive_trainer import BrainContrastiveTrainer
from trainers.data.corpora import load_corpus_splits
from trainers.loading import load_contrastive_model
corpus, folder, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
splits = load_corpus_splits(DataArguments(dataset=corpus))
voxels = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8,
          "token_code_size": 4, "input_dropout": 0.0, "dropout": 0.0, "initializer_range": 0.3}
torch.manual_seed(0)
model, extractor = load_contrastive_model(
    EncoderArguments(encoder_type="voxels", voxel_encoder=voxels), TargetArguments(), splits["train"], False, corpus)
args = BrainContrastiveTrainingConfig(
    output_dir=folder, per_device_train_batch_size=batch, max_steps=5, learning_rate=0.1, optim="sgd",
    logging_steps=1, max_grad_norm=0.5, save_strategy="no", use_cpu=True, disable_tqdm=True, report_to="none")
trainer = BrainContrastiveTrainer(
    model, args, train_dataset=splits["train"], eval_dataset=splits["validation"], processing_class=extractor)
trainer.train()
metrics = trainer.evaluate()
trainer.save_model(folder)
if trainer.is_world_process_zero():
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    json.dump({"losses": losses, "metrics": metrics, "world": args.world_size}, open(folder + "/found.json", "w"))
"""


@pytest.fixture
def launch(tmp_path):
    corpus = write_voxel_corpus(tmp_path / "corpus", images=8, repeats=2)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(processes: int, batch: int) -> tuple[dict, dict[str, np.ndarray]]:
        folder = tmp_path / f"run{processes}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        environment = {**os.environ, **address, "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(script), str(tmp_path / "corpus"), str(folder), str(batch)]
        started = [
            subprocess.Popen(
                command,
                env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else os.environ,
                cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for rank in range(processes)
        ]  # fmt: skip
        for process in started:
            printed, _ = process.communicate(timeout=1800)
            assert process.returncode == 0, printed
        return json.loads((folder / "found.json").read_text()), load_file(folder / "model.safetensors")

    assert corpus.is_dir()
    return run


@pytest.mark.slow
def test_two_processes_equal_one_large_batch(launch):
    """
    Every person saw every image twice: positives of a row lie in the other process too.

    With plain gradient descent, since Adam makes whole steps of gradients that are zero but for rounding, and with
    wide weights, since tokens of the usual start are as small as the rounding of their biases after a step.
    """
    (one, weights), (two, shared) = launch(1, 24), launch(2, 12)
    assert (one["world"], two["world"]) == (1, 2)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    assert one["losses"][-1] < one["losses"][0]
    assert weights.keys() == shared.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(shared[name], value, atol=2e-6, err_msg=name)
    for name in ("eval_text_recall_at_1", "eval_text_median_rank", "eval_num_queries"):
        assert two["metrics"][name] == one["metrics"][name]
