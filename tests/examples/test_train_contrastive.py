# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Stage 1 as users run it: aligns, goes on after an interruption, hands its encoder to stage 2; its recipe."""

import dataclasses
import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from datasets import load_from_disk
from safetensors.torch import load_file
from trl import TrlParser
from voxel_corpus import write_voxel_corpus

from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.contrastive.contrastive_config import BrainContrastiveTrainingConfig
from trainers.data.corpora import load_corpus_splits
from trainers.data.provenance import record_training_brains
from trainers.loading import load_contrastive_model


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPE = EXAMPLES / "recipes" / "contrastive_nsd.yaml"
SMALL = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Path:
    return write_voxel_corpus(tmp_path_factory.mktemp("embedded"), images=16)


@pytest.fixture(scope="module")
def corpus(embedded, tmp_path_factory) -> Path:
    """Its captions are still to be embedded."""
    folder = tmp_path_factory.mktemp("voxels") / "corpus"
    load_from_disk(embedded).remove_columns("text_embedding").save_to_disk(folder)
    shutil.copytree(embedded / "subjects", folder / "subjects")
    shutil.copy(embedded / "corpus.json", folder)
    return folder


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_contrastive", EXAMPLES / "train_contrastive.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def parts(script) -> tuple[type, ...]:
    own = (EncoderArguments, DataArguments, TargetArguments, script.ProtocolArguments)
    return (*own, BrainContrastiveTrainingConfig)


class TestRecipe:
    def parse(self, parts, arguments) -> list:
        return list(TrlParser(parts).parse_args_and_config(arguments))

    def test_parses(self, parts, tmp_path):
        needed = ["--dataset", "rows", "--output_dir", str(tmp_path), "--use_cpu"]
        parsed = self.parse(parts, ["--config", str(RECIPE), *needed])
        for name, value in yaml.safe_load(RECIPE.read_text()).items():
            holders = [part for part in parsed if name in {field.name for field in dataclasses.fields(part)}]
            assert len(holders) == 1, name
            assert getattr(holders[0], name) == value, name

    def test_documented_command(self, parts, tmp_path, monkeypatch):
        text = (EXAMPLES / "train_contrastive.py").read_text()
        command = re.search(r"^    accelerate launch (.*?)\n\n", text, re.DOTALL | re.MULTILINE).group(1)
        script, *arguments = shlex.split(command.replace("\\\n", " "))
        monkeypatch.chdir(EXAMPLES.parent)
        arguments[arguments.index("--output_dir") + 1] = str(tmp_path)
        assert (EXAMPLES.parent / script).is_file()
        encoder, data, *_ = self.parse(parts, [*arguments, "--use_cpu"])
        assert (encoder.encoder_type, data.standardize) == ("voxels", False)


class TestHeldOutSubjects:
    """Who is reported as never met is never trained on; a mistake is noticed before the training."""

    @pytest.fixture
    def run(self, script, embedded, tmp_path):
        def run(held_out: list[str], subjects: list[str] | None = None, **encoder: str) -> None:
            new = {"encoder_type": "voxels", "voxel_encoder": SMALL}
            script.main(
                EncoderArguments(**(encoder or new)),
                DataArguments(dataset=str(embedded), subjects=subjects, standardize=False),
                TargetArguments(),
                script.ProtocolArguments(held_out_subjects=held_out),
                BrainContrastiveTrainingConfig(tmp_path / "aligned", use_cpu=True, report_to="none", max_steps=1),
            )

        yield run
        assert list((tmp_path / "aligned").iterdir()) == []

    def test_trained_on_as_well(self, run):
        with pytest.raises(ValueError, match="`subjects` and `held_out_subjects` both name s3, who would be trained"):
            run(["s2", "s3"], ["s1", "s3"])

    @pytest.mark.parametrize("subjects", [None, ["s1", "s2"]])
    def test_misspelt(self, run, subjects):
        with pytest.raises(ValueError, match=r"the test split has no rows of S3; it has those of s1, s2, s3\."):
            run(["S3"], subjects)

    def test_known_to_the_checkpoint(self, run, embedded, tmp_path):
        rows = load_corpus_splits(DataArguments(dataset=str(embedded)))["train"]
        new = EncoderArguments(encoder_type="voxels", voxel_encoder=SMALL)
        model, extractor = load_contrastive_model(new, TargetArguments(), rows, False, str(embedded))
        record_training_brains(model.config, {"s2": 16, "s3": 16})
        for part in (model, extractor):
            part.save_pretrained(tmp_path / "earlier")
        with pytest.raises(ValueError, match="names s3, on whose brains the checkpoint '.*earlier' was trained"):
            run(["s3"], ["s1"], encoder_name_or_path=str(tmp_path / "earlier"))


@pytest.fixture
def align(run_example, run_here, corpus, text_model, tmp_path):
    def run(*options: object, launch: bool = False) -> Path:
        small = ("--voxel_encoder", json.dumps(SMALL), "--per_device_train_batch_size", 16, "--use_cpu")
        quiet = ("--report_to", "none", "--disable_tqdm", "true")
        paths = ("--dataset", corpus, "--sentence_encoder", text_model, "--output_dir", tmp_path / "aligned")
        given = ("--config", RECIPE, *small, *quiet, *paths, "--held_out_subjects", "s3", *options)
        if launch:
            run_example("train_contrastive.py", *given, launch=True)
        else:
            run_here("train_contrastive.py", *given)
        return tmp_path / "aligned"

    return run


@pytest.mark.slow
class TestScript:
    def test_aligns_and_goes_on(self, align):
        folder = align("--num_train_epochs", 1, launch=True)
        first = json.loads((folder / "trainer_state.json").read_text())["global_step"]
        align("--num_train_epochs", 2)
        assert json.loads((folder / "trainer_state.json").read_text())["global_step"] == 2 * first
        seen = json.loads((folder / "eval_results.json").read_text())
        unseen = json.loads((folder / "held_out_results.json").read_text())
        # Validation: two people, five images; the third is met for the first time, on the test images.
        assert (seen["eval_num_queries"], seen["eval_text_gallery_size"]) == (10, 5)
        assert (unseen["held_out_num_queries"], unseen["held_out_text_gallery_size"]) == (5, 5)
        assert {"model.safetensors", "brain_subjects.safetensors", "modeling_brain_contrastive.py"} <= {
            path.name for path in folder.iterdir()
        }

    def test_goes_on_from_the_checkpoint_that_is_named(self, align, tmp_path):
        every_step = ("--save_strategy", "steps", "--save_steps", 1, "--eval_strategy", "steps", "--eval_steps", 1)
        steps = ("--max_steps", 2, "--save_total_limit", 3, *every_step)
        first = align(*steps)
        named = ("--resume_from_checkpoint", first / "checkpoint-1", "--output_dir", tmp_path / "other")
        align(*steps, *named)
        assert [path.name for path in (tmp_path / "other").glob("checkpoint-*")] == ["checkpoint-2"]
        weights, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("other", "aligned"))
        assert all(weights[name].equal(weight) for name, weight in expected.items())

    def test_its_encoder_is_taken_over_by_stage_two(self, align, run_example, corpus, text_model, tmp_path):
        aligned = load_file(align("--num_train_epochs", 1) / "model.safetensors")
        options = (
            "--encoder_name_or_path",
            tmp_path / "aligned",
            "--freeze_encoder",
            "true",
            "--standardize",
            "false",
        )
        options += ("--dataset", corpus, "--text_model_id", text_model, "--output_dir", tmp_path / "tuned")
        options += ("--max_steps", 2, "--use_cpu", "--report_to", "none", "--disable_tqdm", "true")
        run_example("train_sft.py", *options)
        tuned = load_file(tmp_path / "tuned" / "model.safetensors")
        names = [name for name in aligned if name.startswith("brain_encoder.")]
        assert names
        for name in names:
            assert (tuned[f"model.{name}"] == aligned[name]).all(), name
