# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a tiny model: each arm is what it says it is, and a brain that decides the text is found."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import LlamaForCausalLM

from modeling_brainllm import BrainLlamaForCausalLM, VoxelEncoderConfig
from trainers.evaluation import controls
from trainers.evaluation import texts as evaluation
from trainers.evaluation.arms import encode_brains
from trainers.evaluation.evaluate import evaluate as evaluate_model
from trainers.reports.report import EvaluationReport
from trainers.statistics.permutations import permute_across_groups


SHORT = {"num_beams": 2, "do_sample": False, "min_new_tokens": 1, "max_new_tokens": 4, "repetition_penalty": 2.0}
CORPUS = {
    "corpus": "tiny", "subjects": ["s1"], "fingerprint": "f",
    "split": {
        "policy": "passage", "fold": 0, "num_folds": 2, "sizes": {"train": 8, "test": 24}, "leaks": [],
        "leak_allowed": False,
    },
}  # fmt: skip


def change(rows: Dataset, **columns) -> Dataset:
    """Rows with some columns computed anew from each row."""
    return Dataset.from_list([row | {name: f(row) for name, f in columns.items()} for row in rows])


@pytest.fixture
def setting(make_model, make_processor, make_rows):
    model = make_model()
    return model, make_processor(model), DatasetDict(train=make_rows(4, seed=1), test=make_rows(12))


@pytest.fixture
def evaluate():
    def run(setting, **options):
        defaults = {"num_permutations": 3, "generate": False, "batch_size": 5, "progress": False, "corpus": CORPUS}
        return evaluate_model(*setting, **defaults | options)

    return run


def losses(report: EvaluationReport, reading: str, arm: str) -> np.ndarray:
    """Losses (samples,) or (permutations, samples)."""
    return np.array([s["losses"][arm] for s in report.samples if s["task"] == reading]).T


class TestArms:
    def test_no_brain_is_the_plain_language_model(self, setting, evaluate, text_model):
        _, processor, data = setting
        report = evaluate(setting, tasks=["continuation"])
        plain = LlamaForCausalLM.from_pretrained(text_model).eval()
        for row, sample in zip(data["test"], report.samples, strict=True):
            prompt = processor.tokenizer(row["prompt"], return_tensors="pt").input_ids
            whole = processor.tokenizer(f"{row['prompt']} {row['completion']}", return_tensors="pt").input_ids
            labels = whole.clone()
            labels[:, : prompt.shape[1]] = -100
            with torch.no_grad():
                expected = plain(whole, labels=labels).loss.item()
            assert sample["losses"]["no_brain"] == pytest.approx(expected, abs=2e-5)

    def test_brain_is_the_loss_of_the_model_itself(self, setting, evaluate):
        model, processor, data = setting
        report = evaluate(setting, tasks=["continuation"])
        row = data["test"][3]
        text = f"<|brain|>{row['prompt']} {row['completion']}"
        inputs = processor(text=[text], brain=[np.array(row["brain_values"])], subject=["s1"])
        num_labels = len(row["completion"].split())
        labels = inputs["input_ids"].clone()
        labels[:, :-num_labels] = -100
        with torch.no_grad():
            expected = model.eval()(**inputs, labels=labels).loss.item()
        assert report.samples[3]["losses"]["brain"] == pytest.approx(expected, abs=2e-5)

    def test_permuting_by_the_identity_changes_nothing(self, setting, evaluate, monkeypatch):
        def identity(groups, brain_ids, num_permutations=1, seed=0, blocks=None):
            return np.stack([np.asarray(brain_ids)] * num_permutations)

        monkeypatch.setattr(evaluation.permutations, "permute_across_groups", identity)
        report = evaluate(setting)
        for reading in ("continuation", "sentence"):
            assert (losses(report, reading, "permuted") == losses(report, reading, "brain")).all()
            assert report.find(reading, "permuted", "pairwise_accuracy")["value"] == 0.5

    def test_permuted_is_the_donors_brain(self, setting, evaluate):
        rows = setting[2]["test"]
        report = evaluate(setting, tasks=["continuation"])
        control_brains = permute_across_groups(rows["group"], rows["brain_id"], 3)[1]
        values = dict(zip(rows["brain_id"], rows["brain_values"], strict=True))
        given = {
            row["sample_id"]: values[control_brain] for row, control_brain in zip(rows, control_brains, strict=True)
        }
        swapped = change(rows, brain_values=lambda row: given[row["sample_id"]])
        swapped_report = evaluate((*setting[:2], DatasetDict(test=swapped)), tasks=["continuation"])
        expected = losses(swapped_report, "continuation", "brain")
        assert losses(report, "continuation", "permuted")[1] == pytest.approx(expected, abs=1e-5)

    def test_value_controls_leave_the_text_arms_alone(self, setting, evaluate):
        report, without = evaluate(setting), evaluate(setting, value_controls=[])
        assert (losses(report, "sentence", "brain") == losses(without, "sentence", "brain")).all()
        assert {row["arm"] for row in report.arms} - {row["arm"] for row in without.arms} == set(controls.__all__) & {
            "zero", "voxel_shuffle", "noise",
        }  # fmt: skip
        for arm in ("zero", "voxel_shuffle", "noise"):
            assert (losses(report, "sentence", arm) != losses(report, "sentence", "brain")).any()
        assert losses(report, "sentence", "noise").shape == (controls.NUM_DRAWS, 12)
        assert np.ptp(losses(report, "sentence", "noise"), axis=0).min() > 0

    def test_zero_is_one_and_the_same_brain_for_all(self, setting, evaluate):
        rows = setting[2]["test"]
        one = change(rows, prompt=lambda _: "the", completion=lambda _: "cat is red .")
        report = evaluate((*setting[:2], DatasetDict(test=one)), tasks=["continuation"])
        assert np.ptp(losses(report, "continuation", "zero")) < 1e-5
        assert np.ptp(losses(report, "continuation", "brain")) > 1e-3

    def test_text_only_is_the_interface_with_the_mean_brain(self, setting, evaluate):
        model, processor, data = setting
        report = evaluate(setting, tasks=["continuation"])
        brains = {row["brain_id"]: row for row in data["test"]}
        embeds = encode_brains(model.eval(), processor, list(brains.values()), batch_size=8).mean(0, keepdim=True)
        row = data["test"][5]
        inputs = processor(text=[f"<|brain|>{row['prompt']} {row['completion']}"], encoder_outputs=embeds.detach())
        labels = inputs["input_ids"].clone()
        labels[:, : -len(row["completion"].split())] = -100
        with torch.no_grad():
            expected = model(**inputs, labels=labels).loss.item()
        assert report.samples[5]["losses"]["mean_brain"] == pytest.approx(expected, abs=2e-5)

    def test_batch_size_changes_nothing(self, setting, evaluate):
        small, large = evaluate(setting, batch_size=1), evaluate(setting, batch_size=64)
        for reading in ("continuation", "sentence"):
            for arm in ("brain", "permuted", "no_brain"):
                expected = losses(large, reading, arm)
                assert losses(small, reading, arm) == pytest.approx(expected, abs=1e-5)

    def test_the_matrix_gives_the_losses_of_single_passes(self, setting, evaluate):
        matrix, passes = (evaluate(setting, tasks=["sentence"], max_identification=n) for n in (512, 0))
        for arm in ("brain", "permuted"):
            assert losses(matrix, "sentence", arm) == pytest.approx(losses(passes, "sentence", arm), abs=1e-5)
        assert matrix.identification
        assert not passes.identification

    def test_samples_with_different_numbers_of_frames(self, make_model, make_processor, make_rows, evaluate):
        model = make_model(num_frames=3)
        rows = change(
            make_rows(16, num_frames=3),
            brain_values=lambda row: row["brain_values"][: 2 if int(row["group"]) % 2 else 3],
        )
        data, reverse = DatasetDict(test=rows), DatasetDict(test=rows.select(range(len(rows) - 1, -1, -1)))
        report = evaluate((model, make_processor(model), data))
        again = evaluate((model, make_processor(model), reverse))
        by_id = {s["sample_id"]: s["losses"]["brain"] for s in again.samples if s["task"] == "continuation"}
        for sample in report.samples:
            if sample["task"] == "continuation":
                assert by_id[sample["sample_id"]] == pytest.approx(sample["losses"]["brain"], abs=1e-5)


class TestLentBrains:
    def test_time_shift_is_the_loss_under_the_later_brain(self, setting, evaluate, make_rows):
        model, processor, _ = setting
        timed = change(
            make_rows(32),
            stimulus=lambda row: str(int(row["group"]) // 8),
            frame_times=lambda row: [4.0 * int(row["brain_id"].split("/")[1])],
        )
        report = evaluate((model, processor, DatasetDict(test=timed)), tasks=["continuation"])
        assert set(report.settings["absent_arms"]["continuation"]) == {
            "other_subject_same_stimulus", "other_subject_other_stimulus",
        }  # fmt: skip
        values = dict(zip(timed["brain_id"], timed["brain_values"], strict=True))
        lent = {sample["sample_id"]: values[sample["control_brains"]["time_shift"]] for sample in report.samples}
        swapped = change(timed, brain_values=lambda row: lent[row["sample_id"]])
        expected = losses(evaluate((model, processor, DatasetDict(test=swapped))), "continuation", "brain")
        assert losses(report, "continuation", "time_shift") == pytest.approx(expected, abs=1e-5)
        for sample in report.samples:
            own, control_brain = (
                int(name.split("/")[1]) for name in (sample["brain_id"], sample["control_brains"]["time_shift"])
            )
            assert abs(control_brain - own) >= 3

    def test_other_subjects_lend_where_they_can(self, setting, evaluate, make_rows):
        model, processor, _ = setting
        rows = [
            row | {"subject": subject, "sample_id": f"{subject}/{row['sample_id']}"}
            | {"brain_id": f"{subject}/{row['brain_id']}", "brain_values": (np.array(row["brain_values"]) + shift)}
            for subject, shift in (("s1", 0.0), ("s2", 0.3))
            for row in make_rows(12)
            if subject == "s1" or int(row["group"]) < 4
        ]  # fmt: skip
        report = evaluate((model, processor, DatasetDict(test=Dataset.from_list(rows))))
        by_id = {row["brain_id"]: row for row in rows}
        for sample in report.samples:
            control_brain = by_id[sample["control_brains"]["other_subject_other_stimulus"]]
            assert control_brain["subject"] != sample["subject"]
            assert control_brain["group"] != sample["group"]
            shared = int(sample["group"]) < 4
            assert ("other_subject_same_stimulus" in sample["losses"]) is shared
        figures = {row["arm"]: row for row in report.arms if row["task"] == "continuation"}
        assert figures["other_subject_same_stimulus"]["num_samples"] == 32
        assert report.find("continuation", "other_subject_same_stimulus", "loss_gain")["num_groups"] == 4
        assert {row["subject"] for row in report.by_subject} == {"s1", "s2"}
        assert report.find("sentence", "permuted", "loss_gain")["num_subjects"] == 2


class TestRidgeBaseline:
    def test_is_beside_the_decoder(self, setting, evaluate, make_rows):
        model, processor, _ = setting
        data = DatasetDict(train=make_rows(48, seed=1), test=make_rows(16))

        def colours(texts):
            return np.array([[float(colour in text) for colour in ("red", "blue", "green", "gold")] for text in texts])

        report = evaluate((model, processor, data), embedder=colours, generate=True, generation=SHORT)
        found = {(row["task"], row["arm"]): row for row in report.identification}
        assert found["sentence", "ridge"]["pairwise_accuracy"] > 0.75  # texts of one colour tie
        assert report.find("continuation", "other_texts", "identification_cosine", arm="ridge")["ci_low"] > 0.5
        retrieved, constant = (report.score("continuation", arm, "bleu_1") for arm in ("retrieval", "constant"))
        assert retrieved > constant

    def test_needs_training_rows(self, setting, evaluate, make_rows):
        with pytest.raises(ValueError, match=r"'train'.*has no rows"):
            evaluate((*setting[:2], DatasetDict(test=make_rows(4))), embedder=lambda texts: np.ones((len(texts), 2)))


class TestOtherModels:
    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_two_subjects_with_different_voxels(self, text_model, make_processor, make_rows, evaluate, interface):
        encoder = VoxelEncoderConfig(
            region_sizes=[3], region_embedding_size=4, num_frequencies=4, key_size=8, num_queries=8,
            num_residual_layers=1, num_tokens=2, hidden_size=8, token_code_size=None,
        )  # fmt: skip
        options = {"interface": interface} | ({"adapter_layers": [0, 1]} if interface == "cross_attention" else {})
        model = BrainLlamaForCausalLM.from_text_model(text_model, encoder, dtype=torch.float32, config_kwargs=options)
        for parameter in model.model.brain_interface.parameters():  # large, so that the brain matters
            torch.nn.init.normal_(parameter)
        processor = make_processor(model)
        generator, rows = np.random.default_rng(0), []
        for subject, voxels in (("s1", 20), ("s2", 13)):
            processor.feature_extractor.add_subject(
                subject, generator.normal(0, 40, (voxels, 3)), generator.integers(-1, 4, (voxels, 1))
            )
            rows += [
                row
                | {"subject": subject, "brain_id": f"{subject}/{row['brain_id']}"}
                | {
                    "sample_id": f"{subject}/{row['sample_id']}",
                    "brain_values": generator.normal(0, 1, voxels).tolist(),
                }
                for row in make_rows(8)
            ]
        one_brain_each = {row["brain_id"]: row["brain_values"] for row in rows}
        rows = [row | {"brain_values": one_brain_each[row["brain_id"]]} for row in rows]
        report = evaluate(
            (model, processor, DatasetDict(test=Dataset.from_list(rows))), generate=True, generation=SHORT
        )
        assert losses(report, "sentence", "brain").shape == (16,)
        assert np.ptp(losses(report, "sentence", "permuted"), axis=0).min() > 0
        only = [row for row in rows if row["subject"] == "s2"]
        alone = evaluate((model, processor, DatasetDict(test=Dataset.from_list(only))))
        for reading in ("continuation", "sentence"):
            expected = losses(alone, reading, "brain")
            assert losses(report, reading, "brain")[len(expected) :] == pytest.approx(expected, abs=1e-5)


class TestGeneration:
    @pytest.mark.parametrize("reading", ["sentence", "continuation"])
    def test_permuted_texts_are_those_of_the_donors_brains(self, setting, evaluate, reading):
        """
        Each text equals one that is generated afresh with the control brain's values in the place of the own ones.
        """
        rows = setting[2]["test"]
        options = {"generate": True, "generation": SHORT, "tasks": [reading], "value_controls": []}
        report = evaluate(setting, num_text_permutations=2, **options)
        assert report.settings["num_text_permutations"] == 2
        control_brains = permute_across_groups(rows["group"], rows["brain_id"], 3)
        values = dict(zip(rows["brain_id"], rows["brain_values"], strict=True))
        lent = dict(zip(rows["brain_id"], control_brains[1], strict=True))
        swapped = change(rows, brain_values=lambda row: values[lent[row["brain_id"]]])
        fresh = evaluate((*setting[:2], DatasetDict(test=swapped)), **options)
        expected = {sample["sample_id"]: sample["texts"]["brain"] for sample in fresh.samples}
        own = {sample["sample_id"]: sample["texts"]["brain"] for sample in report.samples}
        for sample in report.samples:
            assert len(sample["texts"]["permuted"]) == 2
            assert sample["texts"]["permuted"][1] == expected[sample["sample_id"]]
        assert expected != own

    def test_every_arm_is_decoded_and_scored(self, setting, evaluate):
        report = evaluate(setting, generate=True, generation=SHORT)
        for sample in report.samples:
            assert set(sample["texts"]) == {"brain", "permuted", "no_brain", "shuffled", "constant", "deaf_twin"}
        assert {"shuffled", "constant"} <= {row["arm"] for row in report.arms}
        assert report.settings["tasks"]["sentence"]["generation"] == SHORT
        assert report.find("sentence", "permuted", "brainllm_bleu_1_gain")

    def test_truth_cannot_reach_the_predictions(self, setting, evaluate):
        report = evaluate(setting, generate=True, generation=SHORT, tasks=["continuation"])
        masked = change(setting[2]["test"], completion=lambda _: "dog", text=lambda _: "dog")
        other = evaluate((*setting[:2], DatasetDict(test=masked)), generate=True, generation=SHORT)
        texts = {s["sample_id"]: s["texts"] for s in other.samples if s["task"] == "continuation"}
        for sample in report.samples:
            for arm in ("brain", "permuted", "no_brain"):
                assert texts[sample["sample_id"]][arm] == sample["texts"][arm]

    def test_greedy_text_of_no_brain_is_that_of_the_language_model(self, setting, evaluate, text_model):
        greedy = {"do_sample": False, "max_new_tokens": 4}
        report = evaluate(setting, generate=True, generation=greedy, tasks=["continuation"])
        plain, tokenizer = LlamaForCausalLM.from_pretrained(text_model).eval(), setting[1].tokenizer
        for sample in report.samples[:6]:
            inputs = tokenizer(sample["prompt"], return_tensors="pt", return_token_type_ids=False)
            ids = plain.generate(**inputs, **greedy, pad_token_id=2)[0, inputs.input_ids.shape[1] :]
            assert sample["texts"]["no_brain"] == tokenizer.decode(ids, skip_special_tokens=True).strip()


class TestReportOfAModel:
    def test_states_split_conditions_and_fingerprint(self, setting, evaluate):
        report = evaluate(setting, checkpoint="runs/x")
        assert "Split: tiny, policy `passage`, fold 0 of 2" in report.to_markdown()
        assert report.fingerprint["data"] == "f"
        assert report.fingerprint["checkpoint"] == "runs/x"
        assert report.versions["torch"].startswith(torch.__version__.split("+")[0])

    def test_is_reproducible_and_restores_the_mode(self, setting, evaluate):
        setting[0].train()
        first, again = evaluate(setting), evaluate(setting)
        assert first == again
        assert setting[0].training

    def test_a_brain_that_decides_the_text_is_found(self, setting, evaluate, make_rows):
        model, processor, _ = setting
        data = DatasetDict(test=make_rows(32))
        teach(model, processor, make_rows(64, seed=5))
        report = evaluate((model, processor, data))
        assert report.find("sentence", "permuted", "pairwise_accuracy")["ci_low"] > 0.6
        assert report.find("continuation", "permuted", "loss_gain")["q"] < 0.05
        silent = evaluate((model, processor, DatasetDict(test=make_rows(32, signal=0.0))))
        found = silent.find("sentence", "permuted", "pairwise_accuracy")
        assert found["ci_low"] < 0.5 < found["ci_high"]

    def test_an_empty_split_is_refused(self, setting, evaluate):
        with pytest.raises(ValueError, match="'validation'.*has no rows"):
            evaluate(setting, split="validation")


def teach(model, processor, rows) -> None:
    """A few steps on the brain modules, without a trainer."""
    from trainers.data.collator import BrainDataCollator, read_as

    batch = BrainDataCollator(processor)(list(read_as(rows, "mixed")))
    inputs = {name: value for name, value in batch.items() if name not in ("sample_id", "group", "subject")}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model.token_losses(**inputs)[0].mean().backward()
        optimizer.step()


class TestExample:
    def test_evaluates_a_checkpoint_and_pools(self, setting, tmp_path, monkeypatch, capsys):
        model, processor, data = setting
        model.save_pretrained(tmp_path / "checkpoint")
        processor.save_pretrained(tmp_path / "checkpoint")
        DatasetDict(**data, validation=data["train"]).save_to_disk(tmp_path / "data")
        script = load_example("evaluate")
        arguments = ["--checkpoint", "checkpoint", "--dataset", "data", "--output_dir", "out", "--no_generate"]
        # No `corpus.json` lies beside the data.
        allow = ["--allow", "split", "deaf_twin"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments, "--num_permutations", "2", *allow])
        with pytest.raises(ValueError, match="would miss ridge"):
            script.main()
        # Nor was a sentence encoder given.
        allow += ["ridge"]
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments, "--num_permutations", "2", *allow])
        script.main()
        assert EvaluationReport.load("out").settings["num_permutations"] == 2
        assert "What the brain adds" in capsys.readouterr().out
        monkeypatch.setattr(sys, "argv", ["evaluate.py", "--pool", "out", "--output_dir", "pooled", *allow])
        script.main()
        assert EvaluationReport.load("pooled").arms == EvaluationReport.load("out").arms


def load_example(name: str):
    path = Path(__file__).parents[3] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
