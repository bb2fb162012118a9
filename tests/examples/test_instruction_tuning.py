# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of BIT-LLM as users run it: one encoder, one recipe, three interfaces."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPES = EXAMPLES / "recipes"
INTERFACES = ("cross_attention", "prefix", "prefix_mlp")
IMAGES = {"num_subjects": 2, "num_sessions": 2, "trials_per_session": 24, "num_shared": 6, "num_voxels": 40}
ENCODER = {"num_queries": 16, "key_size": 8, "num_tokens": 2, "hidden_size": 8, "token_code_size": 4}
SMALL = {
    "use_cpu": True, "report_to": "none", "disable_tqdm": True, "num_train_epochs": 1, "adapter_layers": [0, 1],
    "voxel_encoder": {**ENCODER, "num_frequencies": 8},
}  # fmt: skip


@pytest.fixture
def images(tmp_path) -> Path:
    """Folder of a corpus of images seen by two people."""
    from dataset_builders import prepare_corpus, save_corpus

    builder = prepare_corpus("synthetic_images", cache_dir=tmp_path / "cache", dtype="float32", **IMAGES)
    save_corpus(builder, tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.slow
def test_three_interfaces_from_one_recipe(monkeypatch, images, text_model, tmp_path):
    brain_weights, interface_sizes = {}, {}
    for interface in INTERFACES:
        folder = tmp_path / interface
        recipe = yaml.safe_load((RECIPES / f"sft_nsd_{interface}.yaml").read_text())
        paths = {"dataset": str(images), "text_model_id": str(text_model), "output_dir": str(folder)}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **SMALL, **paths}))
        # Without processes of their own, which would import everything three times.
        monkeypatch.setattr(sys, "argv", ["train_sft.py", "--config", str(tmp_path / "recipe.yaml")])
        runpy.run_path(str(EXAMPLES / "train_sft.py"), run_name="__main__")
        weights = load_file(folder / "model.safetensors")
        brain_weights[interface] = {k: v for k, v in weights.items() if "brain_encoder" in k}
        interface_sizes[interface] = sum(v.numel() for k, v in weights.items() if "brain_interface" in k)
        assert {"eval_loss", "eval_pairwise_gap"} <= set(json.loads((folder / "eval_results.json").read_text()))
        assert "<|brain|>" in json.loads((folder / "processor_config.json").read_text())["caption_prompt"]
        assert json.loads((folder / "generation_config.json").read_text())["max_new_tokens"] == 40
        assert set(json.loads((folder / "config.json").read_text())["training_brains"]) == {"subj01", "subj02"}
    # The encoder is frozen, and the same for all.
    for weights in brain_weights.values():
        assert all(weights[name].equal(weight) for name, weight in brain_weights["prefix"].items())
    # As large as the adapters, to less than one hidden unit.
    hidden_size, boundaries, token_size = 16, 2 * 16, 8
    adapters = interface_sizes["cross_attention"] - (interface_sizes["prefix"] - boundaries)
    unit = token_size + 1 + hidden_size
    assert 0 <= adapters - (interface_sizes["prefix_mlp"] - boundaries) < unit


def test_the_three_recipes_differ_in_the_interface_alone():
    recipes = [yaml.safe_load((RECIPES / f"sft_nsd_{interface}.yaml").read_text()) for interface in INTERFACES]
    own = ("interface", "projector_type", "gate_init")
    shared = [{k: v for k, v in recipe.items() if k not in own} for recipe in recipes]
    assert shared[0] == shared[1] == shared[2]
