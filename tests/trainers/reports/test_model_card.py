# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Cards: valid metadata, the control table, the right base model."""

import pytest
import yaml

from modeling_brainllm import BrainLlamaConfig
from trainers.reports.membership import membership_section
from trainers.reports.model_card import create_model_card


@pytest.fixture
def config():
    return BrainLlamaConfig(
        text_model_id="meta-llama/Llama-3.2-1B", text_model_revision="abc", text_model_included=False
    )


@pytest.fixture
def report():
    from trainers.reports.report import EvaluationReport
    from trainers.scoring.rules import TEXT_RULES
    from trainers.scoring.texts import score_texts

    samples = [
        {
            "sample_id": f"{i}", "subject": "s", "group": f"{i // 2}", "brain_id": f"{i}", "task": "continuation",
            "prompt": "the", "references": ["red cat"], "num_tokens": 2,
            "losses": {"brain": 1.0 + i / 100, "permuted": [1.5, 0.5 + i / 10], "no_brain": 2.0},
            "texts": {"brain": "red cat", "permuted": "red dog", "no_brain": "a bird"},
        }
        for i in range(12)
    ]  # fmt: skip
    split = {"corpus": "toy", "policy": "passage", "fold": 0, "num_folds": 5, "sizes": {"test": 12}, "leaks": []}
    return EvaluationReport.from_samples(
        score_texts(samples),
        rules={"continuation": TEXT_RULES},
        split=split | {"evaluated": "test"},
        settings={"seed": 0},
        versions={},
        fingerprint={"data": "d1"},
    )


def metadata(card) -> dict:
    return yaml.safe_load(card.content.split("---")[1])


class TestModelCard:
    def test_metadata_for_the_hub(self, config, report):
        data = metadata(create_model_card(config, report, model_id="me/decoder", license="llama3.2"))
        assert data["base_model"] == "meta-llama/Llama-3.2-1B"
        assert data["license"] == "llama3.2"
        assert data["library_name"] == "transformers"
        assert {"fmri", "brain-decoding"} <= set(data["tags"])

    def test_results_carry_value_interval_and_every_arm(self, config, report):
        index = metadata(create_model_card(config, report, model_id="me/decoder", license="mit"))["model-index"]
        metrics = [metric for result in index[0]["results"] for metric in result["metrics"]]
        assert index[0]["name"] == "decoder"
        accuracy = next(m for m in metrics if m["name"].startswith("Pairwise accuracy (chance .5) against permuted"))
        found = report.find("continuation", "permuted", "pairwise_accuracy")
        assert accuracy["value"] == round(found["value"], 4)
        assert accuracy["args"]["ci_low"] == found["ci_low"]
        assert accuracy["args"]["q"] == found["q"]
        scores = [m["name"] for m in metrics if m["name"].startswith("BLEU-1 (BrainLLM form)")]
        assert [name.split(",")[1].split()[0] for name in scores] == ["brain", "permuted", "no_brain"]

    def test_gains_come_before_scores(self, config, report):
        index = metadata(create_model_card(config, report, model_id="me/decoder", license="mit"))["model-index"]
        names = [metric["name"] for result in index[0]["results"] for metric in result["metrics"]]
        gains = [i for i, name in enumerate(names) if "gain" in name or "Pairwise" in name]
        assert gains == list(range(6))
        assert len(names) > 6

    def test_membership_is_a_line_of_the_card(self, config, report):
        bare = create_model_card(config, report, model_id="me/decoder", license="mit").content
        assert "told from held-out data by this model was not measured." in bare
        auc = {"auc": 0.87654, "auc_low": 0.8, "auc_high": 0.95, "num_samples": 9, "num_others": 8}
        weak = {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6, "num_samples": 9, "num_others": 8}
        rows = [{"task": "sentence", "attack": "brain"} | weak, {"task": "sentence", "attack": "loss"} | auc]
        report.add(membership_section(rows))
        card = create_model_card(config, report, model_id="me/decoder", license="mit").content
        line = "Training data can be told from held-out data: AUC 0.877 [0.800, 0.950] by the strongest of 2 attacks"
        assert f"\n{line} (low loss of the text, task sentence).\n" in card

    def test_terms_of_the_data_travel_on(self, config, report):
        report.split |= {
            "license": "NSD terms",
            "redistribution": "Forbidden.",
            "consent": "I agree to it.",
            "citation": "@article{x}",
        }
        body = create_model_card(config, report, model_id="me/decoder", license="mit").text
        data = body[body.index("## Data") :]
        for text in ("`toy`, license NSD terms. Forbidden.", "accepted: I agree to it.", "@article{x}"):
            assert text in data

    def test_body_says_the_gain_then_the_split_then_the_control_table(self, config, report):
        body = create_model_card(config, report, model_id="me/decoder", license="mit").text
        evaluation = body[body.index("## Evaluation") :]
        assert evaluation.index("What the brain adds") < evaluation.index("Split: toy, policy `passage`")
        for arm in ("| brain |", "| permuted |", "| no_brain |"):
            assert arm in evaluation
        assert 'AutoModelForCausalLM.from_pretrained("me/decoder")' in body

    def test_without_a_report_it_says_so(self, config):
        card = create_model_card(config, model_id="me/decoder", license="mit", citation="@article{x}")
        assert "**Not evaluated.**" in card.text
        assert "@article{x}" in card.text
        assert "model-index" not in metadata(card)

    def test_adapter_names_its_base_model(self, config):
        card = create_model_card(config, model_id="me/lora", license="mit", adapter_base="me/decoder")
        data = metadata(card)
        assert (data["base_model"], data["library_name"]) == ("me/decoder", "peft")
        assert data["base_model_relation"] == "adapter"
        assert "AutoPeftModelForCausalLM" in card.text

    def test_a_report_without_controls_is_refused(self, config, report):
        report.arms = [row for row in report.arms if row["arm"] != "permuted"]
        with pytest.raises(ValueError, match="lacks the arms \\['permuted'\\]"):
            create_model_card(config, report, model_id="me/decoder", license="mit")

    def test_captions_have_a_card_too(self, config):
        from trainers.metrics.captions import DocumentFrequencies
        from trainers.reports.report import EvaluationReport
        from trainers.scoring.captions import CaptionScorer, human_scores, references_of_images, score_captions
        from trainers.scoring.rules import CAPTION_RULES

        samples = [
            {
                "task": "caption", "sample_id": f"{i}", "subject": "s", "group": f"{i}", "brain_id": f"{i}",
                "references": [f"a {thing} on a table", f"one {thing}"],
                "texts": {"brain": f"a {thing} here", "zero": "a man", "voxel_shuffle": "", "permuted": ["a dog"],
                          "no_brain": "a man"},
            }
            for i, thing in enumerate(("horse", "boat", "clock", "kite"))
        ]  # fmt: skip
        split = {"corpus": "toy", "policy": "official", "fold": 0, "num_folds": 1, "sizes": {"test": 4}, "leaks": []}
        scorer = CaptionScorer(DocumentFrequencies.fit(references_of_images(samples)))
        report = EvaluationReport.from_samples(
            score_captions(samples, scorer), rules={"caption": CAPTION_RULES}, split=split | {"evaluated": "test"},
            protocol={"name": None}, parameters={"interface": 1}, settings={"seed": 0}, versions={}, fingerprint={},
            ceilings=human_scores(samples, scorer),
        )  # fmt: skip
        card = create_model_card(config, report, model_id="me/captioner", license="mit")
        metrics = [m for result in metadata(card)["model-index"][0]["results"] for m in result["metrics"]]
        assert metrics[0]["name"] == "CIDEr x 100 gain over permuted (caption)"
        assert metrics[0]["value"] == round(100 * report.find("caption", "permuted", "cider_gain")["value"], 4)
        assert {m["name"] for m in metrics} >= {
            f"CIDEr x 100, {arm} (caption)" for arm in ("brain", "zero", "constant", "human")
        }
        assert "What the brain adds" in card.text

    def test_a_nameless_language_model_is_refused(self, config):
        config.text_model_id = None
        with pytest.raises(ValueError, match="text_model_id"):
            create_model_card(config, model_id="me/decoder", license="mit")
