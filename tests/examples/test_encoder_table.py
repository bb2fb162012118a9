# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The table of encoders as users run it: every encoder beside the others, its figures those of the diagnosis."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from voxel_corpus import VOXELS, write_voxel_corpus

from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.contrastive.encoder_diagnostics import diagnose_encoder
from trainers.data.corpora import keep_subjects, load_corpus_splits
from trainers.loading import load_contrastive_model


SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "benchmarks" / "encoder_table.py"
SIZES = {"num_queries": 32, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}
UNTRAINED = ["published, untrained", "ours, untrained"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=18)


def test_encoders_side_by_side(corpus, tmp_path, monkeypatch, capsys):
    splits = load_corpus_splits(DataArguments(dataset=str(corpus)))
    torch.manual_seed(1)
    options = EncoderArguments(encoder_type="voxels", voxel_encoder=SIZES)
    model, extractor = load_contrastive_model(options, TargetArguments(), splits["train"], False, str(corpus))
    for part in (model, extractor):
        part.save_pretrained(tmp_path / "aligned")
    arguments = ["--dataset", corpus, "--checkpoints", tmp_path / "aligned", "--subjects", "s3"]
    arguments += ["--voxel_encoder", json.dumps(SIZES), "--atlases", "streams", "--output_dir", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")

    table = (tmp_path / "out" / "encoders.md").read_text()
    assert table in capsys.readouterr().out
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
    encoders = json.loads((tmp_path / "out" / "encoders.json").read_text())["encoders"]
    checkpoint = str(tmp_path / "aligned")
    assert [line[0] for line in lines[2::3]] == list(encoders) == [*UNTRAINED, checkpoint]
    assert [line[7] for line in lines[2:]] == ["real", "shuffled", "zero"] * 3
    assert {tuple(line[1:4]) for line in lines[2::3]} == {("text", "6", "6")}  # one person's test images
    rows = keep_subjects(splits, ["s3"])["test"]
    assert encoders[checkpoint] == pytest.approx(diagnose_encoder(model, extractor, rows), abs=1e-6)
    real, _, zero = lines[-3:]
    assert real[-1] == f"{encoders[checkpoint]['text_median_rank']:.1f}"
    assert zero[-1] == f"{encoders[checkpoint]['text_zero_median_rank']:.1f}" == "3.5"  # all images alike
    # As published attention starts uniform and brains are alike; ours looks at some voxels.
    published, ours = (encoders[name] for name in UNTRAINED)
    assert published["effective_voxels"] == pytest.approx(VOXELS["s3"], rel=0.01)
    assert ours["effective_voxels"] < 0.9 * VOXELS["s3"]
    assert published["cos_real_real"] > ours["cos_real_real"]
