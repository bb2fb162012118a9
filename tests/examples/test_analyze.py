# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The script of analyses: saved reports in, sections out, into a report or a folder of their own."""

import importlib.util
import json
import runpy
import shutil
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from trainers.scoring.table import to_arrow


REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("example_analyze", REPOSITORY / "examples" / "analyze.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def analyze(script, monkeypatch, capsys, tmp_path):
    """Runs a command without a process of its own, and returns what it printed."""

    def run(*arguments: object) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["analyze.py", *map(str, arguments)])
        script.main()
        return capsys.readouterr().out

    return run


def make_samples(gain: float = 0.0, seed: int = 0) -> list[dict]:
    """Samples of 30 groups, whose own brain lowers the loss by `gain` for each nat of surprise above 3."""
    generator, samples = np.random.default_rng(seed), []
    for i in range(180):
        surprise = float(generator.uniform(3, 6))
        names = {"sample_id": f"toy/{i}", "subject": f"s{i % 2}", "group": f"{i // 6}", "brain_id": f"toy/{i}"}
        texts = {"task": "continuation", "prompt": "a b c"[: 1 + 2 * (i % 3)], "references": ["d"], "num_tokens": 3}
        losses = {
            "brain": surprise - gain * (surprise - 3) + 0.2 * generator.normal(),
            "permuted": (surprise + 0.2 * generator.normal(size=6)).tolist(),
            "no_brain": surprise,
        }
        samples.append(names | texts | {"losses": losses})
    return samples


def write_samples(folder: Path, samples: list[dict]) -> Path:
    folder.mkdir(parents=True)
    pq.write_table(to_arrow(samples), folder / "samples.parquet")
    return folder


def sections_of(folder: Path) -> dict[str, dict]:
    return {section["name"]: section for section in json.loads((folder / "sections.json").read_text())}


def run_here(monkeypatch, script: str, *arguments: object) -> None:
    """Runs a script as the command line would, without a process of its own."""
    path = REPOSITORY / "examples" / script
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    runpy.run_path(str(path), run_name="__main__")


class TestSavedReports:
    def test_into_a_folder_of_their_own(self, analyze, tmp_path):
        report, out = write_samples(tmp_path / "report", make_samples(0.2)), tmp_path / "out"
        printed = analyze("surprise", "--reports", report, "--output_dir", out, "--num_bins", 3)
        assert "Pairwise accuracy grows: +" in printed
        analyze("prompt_length", "--reports", report, "--output_dir", out, "--unit", "word")
        analyze("surprise", "--reports", report, "--output_dir", out, "--num_bins", 4)
        found = sections_of(out)
        assert sorted(found) == ["prompt_length_words", "surprise_continuation"]
        assert len(found["surprise_continuation"]["rows"]) == 4
        assert "| mean |" in (out / "sections.md").read_text()
        assert (out / "sections.html").read_text().count("<img") == 2

    def test_into_a_report(self, analyze, tmp_path):
        from trainers.reports.report import EvaluationReport
        from trainers.scoring.rules import TEXT_RULES
        from trainers.scoring.texts import score_texts

        conditions = {"split": {"evaluated": "test"}, "settings": {"seed": 0}, "rules": {"continuation": TEXT_RULES}}
        report = EvaluationReport.from_samples(
            score_texts(make_samples(0.2)), **conditions, versions={}, fingerprint={}
        )
        # What it lacks was let through when it was made: nobody need say so again.
        report.save(tmp_path / "report", allow=[item.name for item in report.missing])
        options = ("--reports", tmp_path / "report", "--output_dir", tmp_path / "report")
        for _ in range(2):  # the second run replaces what the first one found
            analyze("surprise", *options, "--num_bins", 3)
        again = EvaluationReport.load(tmp_path / "report")
        assert [section["name"] for section in again.sections] == ["surprise_continuation"]
        assert again.samples == report.samples
        assert "## Surprise (continuation)" in (tmp_path / "report" / "report.md").read_text()

    def test_a_report_that_cannot_be_read_is_told_before_the_work(self, analyze, tmp_path):
        (tmp_path / "report").mkdir()
        (tmp_path / "report" / "report.json").write_text('{"schema_version": 99}')
        with pytest.raises(ValueError, match="has schema version 99"):
            analyze("surprise", "--reports", tmp_path / "nothing", "--output_dir", tmp_path / "report")

    @pytest.mark.parametrize("analysis", ["surprise", "prompt_length"])
    def test_captions_have_no_losses_to_ask(self, analyze, tmp_path, analysis):
        rows = [
            {
                "task": "caption",
                "sample_id": f"toy/{i}",
                "group": "g",
                "subject": "s1",
                "prompt": "",
                "references": ["a cat"],
                "scores": {"brain": {"cider": 1.0}},
            }
            for i in range(120)
        ]
        write_samples(tmp_path / "captions", [row | {"prompt": "a" * (i % 2)} for i, row in enumerate(rows)])
        with pytest.raises(ValueError, match=r"120 of 120 samples have no loss of the arm '\w+' \(first: 'toy/0'\)"):
            analyze(analysis, "--reports", tmp_path / "captions", "--output_dir", tmp_path / "out")

    def test_sizes_and_folds_of_a_size(self, analyze, tmp_path):
        folders = {}
        for size, gain in ((10, 0.0), (100, 0.3)):
            samples = make_samples(gain, seed=size)
            for fold, part in enumerate((samples[:90], samples[90:])):
                folders[size, fold] = write_samples(tmp_path / f"{size}-{fold}", part)
        reports = [f"{size}={folder}" for (size, _), folder in folders.items()]
        options = ("--output_dir", tmp_path / "out", "--task", "continuation")
        printed = analyze("training_set_size", "--reports", *reports, *options)
        assert "grows" in printed
        rows = sections_of(tmp_path / "out")["training_set_size"]["rows"]
        assert [(row["x"], row["num_samples"]) for row in rows] == [(10, 180), (100, 180)]

    def test_transfer_names_cells_or_takes_the_subjects(self, analyze, tmp_path):
        report = write_samples(tmp_path / "report", make_samples(0.3))
        cells = (f"s0={report}", f"s0:others={report}")
        options = ("--output_dir", tmp_path / "out", "--task", "continuation")
        assert "trained and tested on the same: 1 of 1 above chance" in analyze(
            "transfer", "--reports", *cells, *options
        )
        rows = sections_of(tmp_path / "out")["transfer_subjects"]["rows"]
        assert [(row["train"], row["test"]) for row in rows] == [("s0", "s0"), ("s0", "s1"), ("s0", "others")]

    def test_what_is_missing_is_named(self, analyze, tmp_path, capsys):
        with pytest.raises(FileNotFoundError, match="holds no samples.parquet"):
            analyze("surprise", "--reports", tmp_path / "nothing", "--output_dir", tmp_path / "out")
        for arguments, message in (
            (("language_model_size",), "give --reports, or --option, --values and --dataset to train"),
            (("prompt_length", "--reports", "x", "--unit", "token"), "--unit token needs --tokenizer"),
        ):
            with pytest.raises(SystemExit, match=message):
                analyze(*arguments, "--output_dir", tmp_path / "out")
        with pytest.raises(SystemExit):
            analyze("surprise", "--reports", "x", "--output_dir", tmp_path / "out", "--colour", "red")
        assert "unrecognized arguments: --colour red" in capsys.readouterr().err


@pytest.mark.slow
class TestCheckpoint:
    def test_regions_and_planted_words_of_a_checkpoint(self, analyze, corpus, text_model, tmp_path):
        from transformers import AutoTokenizer

        from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig

        model = BrainLlamaForCausalLM.from_text_model(text_model, FrameEncoderConfig(num_features=8, hidden_size=8))
        processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
        for part in (model, processor):
            part.save_pretrained(tmp_path / "checkpoint")
        (tmp_path / "features.json").write_text(json.dumps({"front": [0, 1, 2]}))
        options = ("--checkpoint", tmp_path / "checkpoint", "--dataset", corpus, "--num_permutations", 2)
        options += ("--output_dir", tmp_path / "out")
        analyze("regions", *options, "--features", tmp_path / "features.json", "--num_matched", 1)
        analyze("planted_words", *options)
        found = sections_of(tmp_path / "out")
        assert [row["region"] for row in found["regions"]["rows"]] == ["whole brain", "front", "front"]
        assert len(found["planted_words"]["rows"]) == 6

    @pytest.fixture
    def training(self, script, corpus, text_model, tmp_path, monkeypatch):
        """Arguments of a command that trains for two steps, in this process."""
        monkeypatch.setattr(script, "run", partial(run_here, monkeypatch))
        training = ["--config", str(REPOSITORY / "examples/recipes/official.yaml"), "--text_model_id", str(text_model)]
        training += ["--use_cpu", "--report_to", "none", "--max_steps", "2", "--warmup_epochs", "0"]
        options = {"option": "max_train_groups", "dataset": str(corpus), "num_permutations": 2, "seed": 0}
        return Namespace(output_dir=tmp_path, training_arguments=training, allow=[], **options)

    def test_a_decoder_of_fewer_training_groups(self, script, corpus, training, tmp_path):
        size, folder = script.train_and_evaluate(training, "4", ())
        assert size == 4
        assert len(script.read_samples([folder])) > 0
        config = json.loads((tmp_path / "max_train_groups-4" / "config.json").read_text())
        full = json.loads((corpus / "corpus.json").read_text())["split"]["sizes"]["train"]
        assert 0 < sum(config["training_brains"].values()) < full / 2
        counted, _ = script.train_and_evaluate(training, "4", ("encoder", "interface"))  # nothing is trained again
        assert counted > 0

    def test_what_reports_may_lack_is_handed_on(self, script, corpus, training, tmp_path):
        """Of a corpus without `corpus.json` nothing is known of the split, which only `--allow split` lets pass."""
        shutil.copytree(corpus, tmp_path / "rows", ignore=shutil.ignore_patterns("corpus.json", "SHA256SUMS"))
        training.dataset = str(tmp_path / "rows")
        with pytest.raises(ValueError, match="a sceptical reader would miss split"):
            script.train_and_evaluate(training, "4", ())
        training.allow = ["split"]
        _, folder = script.train_and_evaluate(training, "4", ())
        missing = json.loads((folder / "report.json").read_text())["missing"]
        assert {item["name"] for item in missing} == {"deaf_twin", "ridge", "split"}

    def test_the_command_knows_what_reports_may_lack(self, script, monkeypatch):
        command = (
            "training_set_size --option max_train_groups --values 4 --dataset rows --output_dir out --allow split"
        )
        monkeypatch.setattr("sys.argv", ["analyze.py", *command.split(), "--use_cpu", "true"])
        args = script.parse_arguments()
        assert (args.allow, args.training_arguments) == (["split"], ["--use_cpu", "true"])
