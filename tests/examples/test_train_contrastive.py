# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Stage 1 as users run it: aligns, goes on after an interruption, hands its encoder to stage 2; its recipe."""

import dataclasses
import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from datasets import load_from_disk
from safetensors.torch import load_file
from trl import TrlParser
from voxel_corpus import write_voxel_corpus

from trainers.arguments import DataArguments, EncoderArguments, TargetArguments
from trainers.contrastive_config import BrainContrastiveTrainingConfig


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPE = EXAMPLES / "recipes" / "contrastive_nsd.yaml"
SMALL = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Its captions are still to be embedded."""
    folder = tmp_path_factory.mktemp("voxels")
    corpus = write_voxel_corpus(folder / "with_embeddings", images=16)
    load_from_disk(corpus).remove_columns("text_embedding").save_to_disk(folder / "corpus")
    shutil.copytree(corpus / "subjects", folder / "corpus" / "subjects")
    shutil.copy(corpus / "corpus.json", folder / "corpus")
    return folder / "corpus"


@pytest.fixture
def parts() -> tuple[type, ...]:
    spec = importlib.util.spec_from_file_location("train_contrastive", EXAMPLES / "train_contrastive.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
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


@pytest.fixture
def align(run_example, corpus, text_model, tmp_path):
    def run(*options: object, launch: bool = False) -> Path:
        small = ("--voxel_encoder", json.dumps(SMALL), "--per_device_train_batch_size", 16, "--use_cpu")
        quiet = ("--report_to", "none", "--disable_tqdm", "true")
        paths = ("--dataset", corpus, "--sentence_encoder", text_model, "--output_dir", tmp_path / "aligned")
        given = ("--config", RECIPE, *small, *quiet, *paths, "--held_out_subjects", "s3", *options)
        run_example("train_contrastive.py", *given, launch=launch)
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
