# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Few-shot adaptation as users run it: by the scripts of stages 1 and 2, up to a report that names the protocol."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from trainers.reports.report import EvaluationReport


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPES = EXAMPLES / "recipes"
DIALS = {"num_subjects": 3, "num_sessions": 2, "trials_per_session": 24, "num_shared": 4, "num_voxels": 40}
NEW, NUM_IMAGES, TRIALS = "subj03", 5, 3
VOXELS = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}
# A held-out person has no validation rows: nothing is evaluated before the end.
UNSEEN = ("--eval_strategy", "no", "--load_best_model_at_end", "false", "--save_strategy", "no")


@pytest.fixture
def images(tmp_path) -> Path:
    """Folder of a corpus whose last subject is held out, but for a few images."""
    from dataset_builders import prepare_corpus, save_corpus

    protocol = {"test_subjects": [NEW], "num_adaptation_groups": NUM_IMAGES, "dtype": "float32"}
    save_corpus(
        prepare_corpus("synthetic_images", cache_dir=tmp_path / "cache", **DIALS, **protocol), tmp_path / "nsd"
    )
    return tmp_path / "nsd"


@pytest.fixture
def run_here(monkeypatch, capsys, images, tmp_path):
    """Runs a script on that corpus, without a process of its own, and returns what it printed."""

    def run(script: str, *arguments: object) -> str:
        quiet = () if script == "evaluate.py" else ("--use_cpu", "--report_to", "none", "--disable_tqdm", 1)
        monkeypatch.setattr(sys, "argv", [script, "--dataset", str(images), *map(str, (*arguments, *quiet))])
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def seven(run_here, text_model) -> None:
    """`aligned` and `instructed`, trained on the others."""
    others = ("--subjects", "subj01", "subj02")
    recipe = ("--config", RECIPES / "contrastive_nsd.yaml", "--voxel_encoder", json.dumps(VOXELS))
    recipe += ("--sentence_encoder", text_model, "--per_device_train_batch_size", 12, "--num_train_epochs", 1)
    run_here("train_contrastive.py", *recipe, *others, "--held_out_subjects", NEW, "--output_dir", "aligned")
    recipe = ("--config", RECIPES / "sft_nsd_cross_attention.yaml", "--adapter_layers", 0, "--max_steps", 2)
    recipe += ("--text_model_id", text_model, "--encoder_name_or_path", "aligned")
    run_here("train_sft.py", *recipe, *others, "--output_dir", "instructed")


def training_brains(folder: Path) -> dict[str, int]:
    return json.loads((folder / "config.json").read_text())["training_brains"]


@pytest.mark.slow
@pytest.mark.usefixtures("seven")
def test_from_seven_people_to_an_eighth(run_here, text_model, tmp_path):
    few = (*UNSEEN, "--subjects", NEW, "--num_train_epochs", 1)
    first = ("--config", RECIPES / "contrastive_nsd.yaml", "--sentence_encoder", text_model)
    first += ("--encoder_name_or_path", "aligned", "--per_device_train_batch_size", 5)
    run_here("train_contrastive.py", *first, *few, "--output_dir", "aligned-few")
    second = ("--config", RECIPES / "sft_nsd_cross_attention.yaml", "--model_name_or_path", "instructed")
    second += ("--encoder_name_or_path", "aligned-few", "--tasks", "caption", "--task_shares", 1)
    with pytest.raises(SystemExit, match="`eval_strategy` is 'epoch', but the validation split has no rows"):
        run_here("train_sft.py", *second, "--subjects", NEW, "--output_dir", "nothing")
    run_here("train_sft.py", *second, *few, "--output_dir", "instructed-few")

    protocols = {}
    for checkpoint in ("instructed", "instructed-few"):
        options = ("--checkpoint", checkpoint, "--max_new_tokens", 4, "--no_progress", "--allow", "retrieval", "ridge")
        printed = run_here("evaluate.py", *options, "--output_dir", f"{checkpoint}/captions")
        protocols[checkpoint] = EvaluationReport.load(tmp_path / checkpoint / "captions").protocol
        assert f"Protocol: `{protocols[checkpoint]['name']}`, tested on {NEW}" in printed
    assert [protocol["name"] for protocol in protocols.values()] == ["held_out_subject", "few_shot"]
    before, after = (protocol["training_brains"] for protocol in protocols.values())
    assert NEW not in before
    assert after == {**before, NEW: NUM_IMAGES * TRIALS}
    assert training_brains(tmp_path / "aligned-few") == after
    assert protocols["instructed-few"]["seen_images"] == 0
