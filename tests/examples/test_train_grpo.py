# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Stage 3 as users run it: rewards, adapter, interruption, Hub; and its recipe."""

import dataclasses
import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from datasets import load_from_disk
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from testing_utils import save_tiny_clip
from transformers import LlamaConfig, LlamaForCausalLM
from trl import TrlParser
from voxel_corpus import write_voxel_corpus

from trainers.arguments import DataArguments, EncoderArguments, ModelArguments, TargetArguments
from trainers.data.corpora import load_corpus_splits
from trainers.data.prompts import store_caption_settings
from trainers.data.target_embeddings import add_text_embeddings
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.grpo.grpo_config import BrainGRPOConfig
from trainers.grpo.reward_monitor import RewardMonitor
from trainers.loading import load_contrastive_model, load_model_and_processor
from trainers.metrics.cider import DocumentFrequencies


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPE = EXAMPLES / "recipes" / "grpo_nsd.yaml"
VOXELS = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}
ENCODER = {"encoder_type": "voxels", "voxel_encoder": VOXELS}


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_grpo", EXAMPLES / "train_grpo.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def parts() -> tuple[type, ...]:
    return ModelArguments, DataArguments, load_script().RewardArguments, BrainGRPOConfig


class TestRecipe:
    def parse(self, parts, arguments) -> list:
        return list(TrlParser(parts).parse_args_and_config(arguments))

    def test_parses(self, parts, tmp_path):
        needed = ["--dataset", "rows", "--model_name_or_path", "x", "--output_dir", str(tmp_path), "--use_cpu"]
        parsed = self.parse(parts, ["--config", str(RECIPE), *needed])
        for name, value in yaml.safe_load(RECIPE.read_text()).items():
            holders = [part for part in parsed if name in {field.name for field in dataclasses.fields(part)}]
            assert len(holders) == 1, name
            assert getattr(holders[0], name) == value, name

    def test_documented_command(self, parts, tmp_path, monkeypatch):
        text = (EXAMPLES / "train_grpo.py").read_text()
        command = re.search(r"^    accelerate launch (.*?)\n\n", text, re.DOTALL | re.MULTILINE).group(1)
        _, config, script, *arguments = shlex.split(command.replace("\\\n", " "))
        monkeypatch.chdir(EXAMPLES.parent)
        assert Path(config).is_file()
        assert Path(script).is_file()
        arguments[arguments.index("--output_dir") + 1] = str(tmp_path)
        *_, args = self.parse(parts, [*arguments, "--use_cpu"])
        assert args.generation_batch_size == 512

    def test_the_monitor_is_set(self, parts, tmp_path):
        options = ["--monitor_action", "raise", "--monitor_window", "7", "--monitor_max_length_ratio", "2"]
        options += ["--monitor_min_distinct_ratio", "0.25", "--monitor_max_copies", "0.1"]
        needed = ["--dataset", "rows", "--output_dir", str(tmp_path), "--use_cpu", "--model_name_or_path", "x"]
        default, given = (self.parse(parts, [*needed, *some])[2].monitor() for some in ([], options))
        expected = {
            "window": 7, "max_length_ratio": 2.0, "min_distinct_ratio": 0.25, "max_copies": 0.1, "action": "raise"
        }  # fmt: skip
        assert {name: getattr(given, name) for name in expected} == expected
        usual = RewardMonitor()
        assert {name: getattr(default, name) for name in expected} == {name: getattr(usual, name) for name in expected}

    def test_open_choices_of_the_reward_are_options(self, parts, tmp_path):
        options = {
            "cider_scale": 0.1, "similarity": "bertscore", "similarity_over": "max", "identification_form": "log_odds",
            "identification_temperature": 0.5, "identification_target": "image",
        }  # fmt: skip
        needed = ["--dataset", "rows", "--output_dir", str(tmp_path), "--use_cpu", "--model_name_or_path", "x"]
        given = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        *_, args = self.parse(parts, [*needed, *given])
        assert {name: getattr(args, name) for name in options} == options


@pytest.fixture(scope="module")
def stages(tmp_path_factory, text_model) -> Path:
    """Corpus, and untrained checkpoints of stage 1 and 2."""
    folder = tmp_path_factory.mktemp("stages")
    # Weights so wide that attention counts: the captions of the tiny one are its last word for ever.
    config = LlamaConfig.from_pretrained(text_model, initializer_range=0.5)
    text_model = shutil.copytree(text_model, folder / "llama")
    LlamaForCausalLM(config).save_pretrained(text_model)
    corpus = str(write_voxel_corpus(folder / "corpus", images=8))
    rows = load_corpus_splits(DataArguments(dataset=corpus))
    embedded = add_text_embeddings(rows, MeanPooledEmbedder.from_pretrained(str(text_model)))
    targets = TargetArguments(sentence_encoder=str(text_model))
    aligned, extractor = load_contrastive_model(EncoderArguments(**ENCODER), targets, embedded["train"], False, corpus)
    options = ModelArguments(text_model_id=str(text_model), interface="cross_attention", adapter_layers=[0], **ENCODER)
    model, processor = load_model_and_processor(options, rows["train"], False, None, corpus)
    model.model.brain_interface.adapters[0].gate.data.fill_(1.0)
    store_caption_settings(model, processor, max_new_tokens=8)
    for part, name in ((aligned, "aligned"), (extractor, "aligned"), (model, "instructed"), (processor, "instructed")):
        part.save_pretrained(folder / name)
    return folder


@pytest.fixture
def arguments(stages, tmp_path) -> list[str]:
    small = ("--per_device_train_batch_size", 8, "--gradient_accumulation_steps", 2, "--num_generations", 4)
    small = (*small, "--max_completion_length", 6, "--save_steps", 1, "--use_cpu")
    quiet = ("--report_to", "none", "--disable_tqdm", "true")
    paths = ("--dataset", stages / "corpus", "--sentence_encoder", stages / "llama", "--output_dir", tmp_path / "out")
    paths = (*paths, "--aligned_model", stages / "aligned", "--model_name_or_path", stages / "instructed")
    return list(map(str, ("--config", RECIPE, *small, *quiet, *paths, "--subjects", "s1", "s2")))


@pytest.mark.slow
class TestScript:
    def test_tunes_and_goes_on(self, run_example, arguments, stages, tmp_path):
        run_example("train_grpo.py", *arguments, "--max_steps", 1, launch=True)
        run_example("train_grpo.py", *arguments, "--max_steps", 2)
        folder = tmp_path / "out"
        state = json.loads((folder / "trainer_state.json").read_text())
        assert [entry["step"] for entry in state["log_history"] if "loss" in entry] == [1, 2]
        log = state["log_history"][0]
        terms = ("cider", "text_similarity", "identification_brain")
        assert log["reward"] == pytest.approx(sum(log[f"rewards/{name}/mean"] for name in terms), abs=1e-5)
        assert {"completions/distinct_2", "rewards/cider/weighted"} <= log.keys()
        frequencies = DocumentFrequencies.load(folder / "document_frequencies.json")
        assert frequencies.num_documents == 8  # images of the training split, once for all who saw them
        with safe_open(folder / "adapter_model.safetensors", framework="pt") as handle:
            assert all("lora_" in name for name in list(handle.keys()))
        assert set(json.loads((folder / "training_brains.json").read_text())) == {"s1", "s2"}
        settings = json.loads((folder / "adapter_config.json").read_text())
        assert settings["base_model_name_or_path"] == str(stages / "instructed")

    def test_goes_on_from_the_checkpoint_that_is_named(self, run_here, arguments, tmp_path):
        run_here("train_grpo.py", *arguments, "--max_steps", 2)
        named = ("--resume_from_checkpoint", tmp_path / "out" / "checkpoint-1", "--output_dir", tmp_path / "other")
        run_here("train_grpo.py", *arguments, "--max_steps", 2, *named)
        assert [path.name for path in (tmp_path / "other").glob("checkpoint-*")] == ["checkpoint-2"]
        weights, expected = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("other", "out"))
        assert all(weights[name].equal(weight) for name, weight in expected.items())

    def test_images_are_identified_in_the_space_of_clip(self, run_example, arguments, stages, tmp_path):
        """And BERTScore; without stage 1."""
        clip, images = save_tiny_clip(tmp_path / "clip"), {}
        for rows in load_from_disk(stages / "corpus").values():
            for group in set(rows["group"]):
                features = clip.get_image_features(pixel_values=torch.randn(1, 3, 8, 8))
                images[group] = getattr(features, "pooler_output", features)[0].detach().contiguous()
        save_file(images, tmp_path / "images.safetensors")
        place = arguments.index("--aligned_model")
        del arguments[place : place + 2]
        options = ("--identification_target", "image", "--image_embeddings", tmp_path / "images.safetensors")
        options += ("--image_encoder", tmp_path / "clip", "--identification_form", "log_odds")
        options += ("--similarity", "bertscore", "--token_encoder", stages / "llama", "--monitor_action", "raise")
        run_example("train_grpo.py", *arguments, *options, "--max_steps", 1)
        log = json.loads((tmp_path / "out" / "trainer_state.json").read_text())["log_history"][0]
        terms = ("cider", "bert_score", "identification_image")
        assert log["reward"] == pytest.approx(sum(log[f"rewards/{name}/mean"] for name in terms), abs=1e-5)
        assert log["rewards/identification_image/std"] > 0

    def test_another_text_encoder_is_refused(self, arguments, stages, parts, tmp_path):
        """Of the width of that of stage 1: the directions have nothing to do with each other."""
        other = shutil.copytree(stages / "llama", tmp_path / "other")
        torch.manual_seed(1)
        LlamaForCausalLM(LlamaConfig.from_pretrained(other)).save_pretrained(other)
        arguments[arguments.index("--sentence_encoder") + 1] = str(other)
        parsed = TrlParser(parts).parse_args_and_config(arguments)
        with pytest.raises(ValueError, match="aligned with captions in the space of another text encoder"):
            load_script().main(*parsed)

    def test_the_adapter_is_pulled_by_id(self, run_python, arguments, local_hub, stages, tmp_path):
        """The language model, stage 2 and the adapter on a Hub: another process makes the same captions of them."""
        arguments[arguments.index("--model_name_or_path") + 1] = "lab/brain"
        hub = ["--push_to_hub", "true", "--hub_model_id", "lab/adapter", "--license", "apache-2.0"]
        hub += ["--share_geometry", "true"]  # of a corpus that says nothing of its terms
        script, corpus = str(EXAMPLES / "train_grpo.py"), str(stages / "corpus")
        own = run_python(
            TUNE + CAPTION, str(tmp_path / "out"), corpus, str(stages / "llama"), str(stages / "instructed"), script,
            *arguments, *hub, "--max_steps", "3", "--learning_rate", "0.3",
            env=local_hub.environment(tmp_path / "pusher"),
        )  # fmt: skip
        assert "base_model: lab/brain" in local_hub.files("lab/adapter")["README.md"].decode()
        environment = local_hub.environment(tmp_path / "puller")
        pulled = run_python(CAPTION, "lab/adapter", corpus, env=environment, isolated=True)
        captions, expected = (json.loads(text.strip().splitlines()[-1]) for text in (pulled, own))
        assert captions == expected
        assert captions["tuned"] != captions["base"]


TUNE = """
import runpy, sys
from transformers import AutoModelForCausalLM, AutoProcessor, AutoTokenizer
from modeling_brainllm import BrainLlamaForCausalLM
_, out, corpus, text_model, slim, script, *arguments = sys.argv
AutoModelForCausalLM.from_pretrained(text_model).push_to_hub("lab/llama")
AutoTokenizer.from_pretrained(text_model).push_to_hub("lab/llama")
model = BrainLlamaForCausalLM.from_pretrained(slim)
model.config.text_model_id = "lab/llama"
model.push_to_hub("lab/brain")
AutoProcessor.from_pretrained(slim).push_to_hub("lab/brain", share_geometry=True)
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
sys.argv = ["", out, corpus]
"""

CAPTION = """
import json, sys
from datasets import load_from_disk
from peft import AutoPeftModelForCausalLM
from transformers import AutoProcessor
adapter, corpus = sys.argv[1:]
processor = AutoProcessor.from_pretrained("lab/brain", trust_remote_code=True)
model = AutoPeftModelForCausalLM.from_pretrained(adapter, trust_remote_code=True).eval()
rows = [row for row in load_from_disk(corpus)["test"] if row["subject"] == "s1"]
prompts = [processor.caption_prompt] * len(rows)
inputs = processor(text=prompts, brain=[row["brain_values"] for row in rows], subject="s1")
def caption():
    tokens = model.generate(**inputs, max_new_tokens=8, do_sample=False)[:, inputs["input_ids"].shape[1]:]
    return processor.batch_decode(tokens, skip_special_tokens=True)
tuned = caption()
with model.disable_adapter():
    base = caption()
print(json.dumps({"tuned": tuned, "base": base}))
"""
