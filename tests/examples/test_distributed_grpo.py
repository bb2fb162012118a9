# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Reward tuning by two processes, each way of sharing the work; before it, by one, the stages that it needs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk
from distributed_runs import SHARED, assert_equal_weights, launch_arguments, logged
from hub_server import LocalHub
from safetensors.torch import load_file
from testing_utils import save_tiny_text_model, save_tiny_tokenizer
from voxel_corpus import write_voxel_corpus


SCRIPTED = Path(__file__).parent / "scripted_rollouts.py"
BEGUN = ("deepspeed_zero3", "fsdp2")
SAMPLED = ("multi_gpu", "deepspeed_zero3", "fsdp2")
VOXELS = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}
ENCODER = ("--encoder_type", "voxels", "--voxel_encoder", json.dumps(VOXELS))
ADAPTER = "adapter_model.safetensors"


def save_captioned_brains(folder: Path, other: Path) -> None:
    """A corpus of voxels whose captions are still to be embedded."""
    write_voxel_corpus(other, images=8)
    load_from_disk(other).remove_columns("text_embedding").save_to_disk(folder)
    shutil.copytree(other / "subjects", folder / "subjects")
    shutil.copy(other / "corpus.json", folder)


@pytest.fixture(scope="module")
def runs(launch_forked, tmp_path_factory) -> Path:
    """Folder of the runs: written rollouts by one process and by two, sampled ones by two at the end of all stages."""
    folder = tmp_path_factory.mktemp("runs")
    save_tiny_text_model(folder / "text_model")
    save_tiny_tokenizer(folder / "text_model")
    save_captioned_brains(folder / "corpus", folder / "with_embeddings")
    jobs = {}
    for kind in ("single_gpu", *SHARED):
        launcher = launch_arguments(kind, str(SCRIPTED), 16)
        script = launcher.index(SCRIPTED)
        job = [*launcher[: script + 1], folder / kind, folder / "text_model", 16 if kind == "single_gpu" else 8]
        if kind in BEGUN:  # a step first, which the next launch goes on from
            jobs[f"{kind}-begun"] = [*job, 1]
        jobs[kind] = job

    def stage(kind: str, script: str, batch: int, output: str, *options: object) -> list:
        paths = ("--dataset", folder / "corpus", "--output_dir", folder / output, "--max_steps", 2)
        return launch_arguments(kind, script, batch, *paths, *options)

    brains = (*ENCODER, "--standardize", False)
    sentences = ("--sentence_encoder", folder / "text_model")
    jobs["aligned"] = stage("single_gpu", "train_contrastive.py", 8, "aligned", *brains, *sentences)
    stage2 = ("--text_model_id", folder / "text_model", "--encoder_name_or_path", folder / "aligned", *brains)
    stage2 = (*stage2, "--tasks", "caption", "--interface", "cross_attention", "--adapter_layers", 0)
    jobs["instructed"] = stage("single_gpu", "train_sft.py", 8, "instructed", *stage2, "--learning_rate", 0.1)
    stage3 = ("--model_name_or_path", folder / "instructed", "--aligned_model", folder / "aligned", *sentences)
    rates = ("--num_generations", 4, "--max_completion_length", 6, "--learning_rate", 1e-2)
    for kind in SAMPLED:
        jobs[f"sampled-{kind}"] = stage(kind, "train_grpo.py", 16, f"sampled-{kind}", *stage3, *rates)
    with LocalHub() as hub, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_HUB_OFFLINE")
        for name, value in hub.environment(folder).items():
            patch.setenv(name, value)
        launch_forked(folder, jobs)
        for kind in ("single_gpu", *SHARED):
            for name, content in hub.files(f"lab/{kind}").items():
                (folder / kind / "pushed" / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / kind / "pushed" / name).write_bytes(content)
    return folder


@pytest.mark.slow
class TestRewardTuning:
    @pytest.mark.parametrize("kind", SHARED)
    def test_two_processes_equal_one(self, runs, kind):
        """The same completions: advantages, divergences, losses, adapters; under ZeRO-3 and FSDP2 in two launches."""
        for name in ("reward", "loss", "kl", "entropy"):
            assert logged(runs / kind, name) == pytest.approx(logged(runs / "single_gpu", name), rel=1e-4, abs=1e-6)
        assert logged(runs / kind, "kl")[-1] > 0.1
        assert_equal_weights(runs / kind, runs / "single_gpu", ADAPTER)

    @pytest.mark.parametrize("kind", SHARED)
    def test_the_pushed_adapter_is_whole(self, runs, kind):
        """Whatever shards the process that pushes it holds."""
        assert_equal_weights(runs / kind / "pushed", runs / "single_gpu", ADAPTER)
        settings = json.loads((runs / kind / "pushed" / "adapter_config.json").read_text())
        assert settings["base_model_name_or_path"] == "lab/brain"
        base, expected = (runs / run / "adapter_base.json" for run in (f"{kind}/pushed", "single_gpu"))
        assert base.read_text() == expected.read_text()

    @pytest.mark.parametrize("kind", SAMPLED)
    def test_sampled_at_the_end_of_all_stages(self, runs, kind):
        """Sampled completions depend on what drew from the generators before; the rest of a run does not."""
        found, expected = runs / f"sampled-{kind}", runs / "sampled-multi_gpu"
        terms = [
            logged(found, f"rewards/{name}/mean") for name in ("cider", "text_similarity", "identification_brain")
        ]
        assert np.sum(terms, axis=0) == pytest.approx(logged(found, "reward"), rel=1e-5)
        assert np.isfinite(logged(found)).all()
        assert logged(found, "kl")[0] == 0 < logged(found, "kl")[1]
        frequencies = [(run / "document_frequencies.json").read_text() for run in (found, expected)]
        assert frequencies[0] == frequencies[1]
        shapes = [{n: w.shape for n, w in load_file(run / ADAPTER).items()} for run in (found, expected)]
        assert shapes[0] == shapes[1]
