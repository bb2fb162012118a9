# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The script that evaluates captions, as users run it: on a prepared corpus, with an adapter on a slim checkpoint."""

from pathlib import Path

import pytest
import torch
from datasets import load_from_disk

from trainers.reports.report import EvaluationReport


SMALL = {"num_subjects": 2, "num_sessions": 2, "trials_per_session": 24, "num_shared": 4, "num_voxels": 40}
ENCODER = {
    "region_embedding_size": 4, "num_frequencies": 8, "key_size": 8, "num_queries": 16, "num_residual_layers": 1,
    "num_tokens": 2, "hidden_size": 8, "token_code_size": None,
}  # fmt: skip


@pytest.fixture
def images(tmp_path) -> Path:
    """Folder of a corpus of images whose second subject is held out."""
    from dataset_builders import prepare_corpus, save_corpus

    options = {**SMALL, "test_subjects": ["subj02"], "dtype": "float32"}
    save_corpus(prepare_corpus("synthetic_images", cache_dir=tmp_path / "cache", **options), tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture
def checkpoint(images, text_model, tmp_path) -> Path:
    """Folder of an untrained model that reads these brains, slim, and `adapter`, a LoRA adapter on top of it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer

    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, VoxelEncoderConfig
    from trainers.data.geometry import add_geometries, read_geometries, region_sizes
    from trainers.data.prompts import store_caption_settings
    from trainers.data.provenance import record_training_brains

    geometries = read_geometries(str(images))
    encoder = VoxelEncoderConfig(region_sizes=region_sizes(geometries, ["streams"]), **ENCODER)
    model = BrainLlamaForCausalLM.from_text_model(text_model, encoder, dtype=torch.float32)
    processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
    add_geometries(processor.feature_extractor, geometries, ["streams"])
    store_caption_settings(model, processor, max_new_tokens=6)
    record_training_brains(model.config, {"subj01": 18})
    model.save_pretrained(tmp_path / "checkpoint")
    processor.save_pretrained(tmp_path / "checkpoint")
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*\.q_proj"))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "checkpoint"


@pytest.mark.slow
class TestScript:
    def test_a_checkpoint(self, run_here, images, checkpoint, tmp_path):
        options = ("evaluate.py", "--checkpoint", checkpoint, "--dataset", images, "--max_new_tokens", 5)
        printed = run_here(*options, "--output_dir", tmp_path / "out")
        assert "Protocol: `held_out_subject`, tested on subj02 (0 of its brains in training)" in printed
        report = EvaluationReport.load(tmp_path / "out")
        arms = ["brain", "zero", "voxel_shuffle", "permuted", "other_subject_other_stimulus", "no_brain"]
        arms += ["noise", "mean_brain", "constant", "shuffled"]
        assert [row["arm"] for row in report.arms] == arms
        assert report.missing == []
        # The test images are means of three repeats, and nobody saw the images of the held-out subject in training.
        absent = {"other_subject_same_stimulus", "time_shift", "retrieval", "ridge"}
        assert set(report.settings["absent_arms"]["caption"]) == absent
        assert [row["arm"] for row in report.ceilings] == ["human"]
        ceiling, membership = report.sections
        assert membership["name"] == "membership"
        assert {row["task"] for row in membership["rows"]} == {"caption"}
        for row in membership["rows"]:  # the model is untrained
            assert row["auc_low"] <= 0.5 <= row["auc_high"], row
        assert ceiling["name"] == "noise_ceiling"
        assert [(row["subject"], row["unit"]) for row in ceiling["rows"]] == [("subj02", "percent")]
        assert report.settings["tasks"]["caption"]["generation"]["max_new_tokens"] == 5
        assert report.split["policy"] == "official"
        assert len(report.samples) == 4
        with pytest.raises(ValueError, match="no rows of subj09; it has subj02"):
            run_here(*options, "--output_dir", tmp_path / "out", "--subjects", "subj09")

    def test_the_floors_of_a_sentence_encoder_are_demanded(self, run_here, checkpoint, tmp_path):
        """Of subjects that are in training too, ridge regression can be fitted: without an encoder it is missing."""
        from dataset_builders import prepare_corpus, save_corpus

        options = {**SMALL, "test_repeats": "single", "dtype": "float32"}
        save_corpus(prepare_corpus("synthetic_images", cache_dir=tmp_path / "single", **options), tmp_path / "trials")
        paths = ("--checkpoint", checkpoint, "--dataset", tmp_path / "trials", "--output_dir", tmp_path / "out")
        options = ("--max_new_tokens", 4, "--subjects", "subj02")
        with pytest.raises(ValueError, match="would miss retrieval, ridge"):
            run_here("evaluate.py", *paths, *options)
        assert not (tmp_path / "out").exists()
        run_here("evaluate.py", *paths, *options, "--allow", "retrieval", "ridge")
        report = EvaluationReport.load(tmp_path / "out")
        assert [item.name for item in report.missing] == ["retrieval", "ridge"]
        # Single trials have a moment, and so a control of the wrong one.
        lent = [
            (s["brain_id"], s["control_brains"]["time_shift"])
            for s in report.samples
            if "time_shift" in s["control_brains"]
        ]
        assert lent
        assert all(own.rpartition("/")[0] == control_brain.rpartition("/")[0] for own, control_brain in lent)

    def test_an_adapter_on_top_of_it(self, run_example, images, checkpoint, tmp_path):
        options = ("--checkpoint", checkpoint, "--adapter", tmp_path / "adapter", "--dataset", images)
        run_example("evaluate.py", *options, "--subjects", "subj02", "--output_dir", tmp_path / "out")
        report = EvaluationReport.load(tmp_path / "out")
        assert report.fingerprint["checkpoint"] == f"{checkpoint} + {tmp_path / 'adapter'}"
        # The adapter does not say whose brains it knows: then the checkpoint below it does not say enough.
        assert report.protocol["source"] == "train split of the corpus"
        assert report.parameters["lora"] > 0
        found = [sample["texts"]["brain"] for sample in report.samples]
        plain, adapted = caption_directly(images, checkpoint, None), caption_directly(images, checkpoint, "adapter")
        assert found == adapted
        assert found != plain

    def test_an_adapter_of_another_checkpoint(self, run_here, images, checkpoint, tmp_path):
        from modeling_brainllm import BrainLlamaForCausalLM
        from trainers.common.adapter_base import describe_base, save_base

        other = BrainLlamaForCausalLM.from_pretrained(checkpoint)
        for parameter in other.model.brain_interface.parameters():
            parameter.data.mul_(1.1)
        save_base(describe_base(other), tmp_path / "adapter")
        options = ("--adapter", tmp_path / "adapter", "--dataset", images, "--output_dir", tmp_path / "out")
        with pytest.raises(ValueError, match=r"on top of another model: .* have other values, .*brain_interface"):
            run_here("evaluate.py", "--checkpoint", checkpoint, *options)


def caption_directly(images: Path, checkpoint: Path, adapter: str | None) -> list[str]:
    """Captions of the test images, one by one, by the model's own `generate` with the settings of its checkpoint."""
    from peft import PeftModel

    from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

    model = BrainLlamaForCausalLM.from_pretrained(checkpoint).eval()
    model = model if adapter is None else PeftModel.from_pretrained(model, checkpoint.parent / adapter).eval()
    processor, captions = BrainLlamaProcessor.from_pretrained(checkpoint), []
    for row in load_from_disk(str(images))["test"]:
        inputs = processor(text=processor.caption_prompt, brain=[row["brain_values"]], subject=row["subject"])
        ids = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
        captions.append(processor.decode(ids, skip_special_tokens=True).strip())
    return captions
