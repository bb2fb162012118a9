# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The script that maps voxels, as users run it."""

import json
import runpy
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from reading_table import ALLOW, make_report
from voxel_corpus import ATLASES, WIDTH, write_voxel_corpus

from modeling_brainllm import (
    BrainContrastiveConfig,
    BrainContrastiveModel,
    BrainLlamaFeatureExtractor,
    BrainLlamaForCausalLM,
    BrainLlamaProcessor,
    VoxelEncoderConfig,
)
from trainers.data.geometry import add_geometries, read_geometries, region_sizes
from trainers.reports.report import EvaluationReport


REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = {"num_queries": 8, "num_tokens": 2, "hidden_size": 8, "token_code_size": 4, "num_frequencies": 4}


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Runs the script without a process of its own, and returns what it printed."""

    def run(*arguments: object) -> str:
        script = REPOSITORY / "examples" / "map_voxels.py"
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.slow
class TestScript:
    def test_alignment(self, run_here, tmp_path):
        corpus = write_voxel_corpus(tmp_path / "corpus", images=12)
        torch.manual_seed(0)
        encoder = VoxelEncoderConfig(region_sizes=[2], atlases=["streams"], **SIZES)
        model = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": WIDTH}))
        extractor = BrainLlamaFeatureExtractor.from_config(model.config)
        add_geometries(extractor, read_geometries(str(corpus)), ["streams"])
        model.save_pretrained(tmp_path / "model")
        extractor.save_pretrained(tmp_path / "model")
        common = ("--checkpoint", tmp_path / "model", "--dataset", corpus, "--subject", "s2", "--split", "train")
        common += ("--output_dir", tmp_path / "maps", "--num_permutations", 99)
        options = ("--methods", "gradient", "attention", "occlusion", "exchange", "--group_size", 10, "--repeats", 2)
        printed = run_here(*common, *options, "--atlas", "streams", "--region", "streams:back", "--max_rows", 10)
        assert printed.count("# Where in the brain: s2") == 4
        assert "tells streams:back from the rest with an AUC of" in printed
        sections = json.loads((tmp_path / "maps/sections.json").read_text())
        assert [section["name"] for section in sections] == [f"map_{name}_s2" for name in options[1:5]]
        assert {row["region"] for row in sections[0]["rows"][2:]} == {
            f"streams: {name}" for name in ATLASES["streams"]
        }
        assert all(section["figure"].startswith("<svg") for section in sections)
        assert len((tmp_path / "maps/s2_exchange.tsv").read_text().splitlines()) == 1 + 34
        with pytest.raises(ValueError, match="lie in 'common'; a glass brain needs coordinates in MNI152"):
            run_here(*common, "--nilearn")
        with pytest.raises(ValueError, match="--region streams:middle: the subject's atlas 'streams' has the regions"):
            run_here(*common, "--region", "streams:middle")

    def test_captions(self, run_here, text_model, tmp_path):
        from transformers import AutoTokenizer

        from dataset_builders import prepare_corpus, save_corpus

        dials = {"num_subjects": 2, "num_sessions": 2, "trials_per_session": 24, "num_shared": 4, "num_voxels": 40}
        builder = prepare_corpus("synthetic_images", cache_dir=tmp_path / "cache", mask="brain", **dials)
        save_corpus(builder, tmp_path / "images")
        geometries = read_geometries(str(tmp_path / "images"))
        encoder = VoxelEncoderConfig(region_sizes=region_sizes(geometries, ["streams"]), **SIZES)
        model = BrainLlamaForCausalLM.from_text_model(text_model, encoder, dtype=torch.float32)
        processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
        add_geometries(processor.feature_extractor, geometries, ["streams"])
        model.save_pretrained(tmp_path / "model")
        processor.save_pretrained(tmp_path / "model")
        make_report(0.3).save(tmp_path / "report", ALLOW)
        options = (
            "--checkpoint", tmp_path / "model", "--dataset", tmp_path / "images", "--subject", "subj01",
            "--output_dir", tmp_path / "maps", "--methods", "occlusion", "--groups", "streams",
            "--num_permutations", 99,
        )  # fmt: skip
        with pytest.raises(FileNotFoundError, match=r"nothing/report.json is missing"):
            run_here(*options, "--report", tmp_path / "nothing")
        assert not (tmp_path / "maps").exists()  # told before the work
        for _ in range(2):  # the second run replaces what the first one found
            run_here(*options, "--report", tmp_path / "report")
        (section,) = EvaluationReport.load(tmp_path / "report").sections
        assert [section] == json.loads((tmp_path / "maps/sections.json").read_text())
        table = np.loadtxt(tmp_path / "maps/subj01_occlusion.tsv", skiprows=1)
        geometry = geometries["subj01"]
        for column, name in enumerate(("score", "null", "z", "q", "p"), start=1):
            image = np.asarray(nib.load(tmp_path / f"maps/subj01_occlusion_{name}.nii.gz").dataobj)
            np.testing.assert_allclose(image.flat[geometry.grid_index], table[:, column], rtol=1e-6)
            assert np.isfinite(image).sum() == geometry.num_voxels
        for label in np.unique(geometry.regions["streams"]):
            assert len(np.unique(table[geometry.regions["streams"] == label, 1])) == 1
