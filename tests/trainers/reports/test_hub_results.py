# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Figures on the Hub: what is pushed is what the report says, and the Hub's own client reads it back."""

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from reading_table import ALLOW, make_report

from trainers.reports.hub_results import EVAL_RESULTS_FILE, Result, save_eval_results, to_eval_results, to_model_index


PUSH = """
import sys
from huggingface_hub import HfApi, ModelCard
from modeling_brainllm import BrainLlamaConfig
from trainers.reports.model_card import create_model_card
from trainers.reports.report import EvaluationReport
from trainers.reports.hub_results import save_eval_results
from huggingface_hub import create_repo, upload_folder
report = EvaluationReport.load(sys.argv[1])
create_repo("lab/brain")
config = BrainLlamaConfig(text_model_id="lab/llama", text_model_included=False)
create_model_card(config, report, model_id="lab/brain", license="mit").save(sys.argv[2] + "/README.md")
save_eval_results(report.results(), "lab/benchmark", sys.argv[2])
upload_folder(repo_id="lab/brain", folder_path=sys.argv[2])
print(len(ModelCard.load("lab/brain").data.eval_results))
"""


def test_gains_carry_interval_and_q_and_scores_stand_beside_controls_and_floors():
    report = make_report(0.5)
    results = {result.task: result for result in report.results()}
    found = report.find("sentence", "permuted", "loss_gain")
    gain = results["sentence_loss_gain_permuted"]
    assert (gain.value, gain.low, gain.high, gain.q) == tuple(found[n] for n in ("value", "ci_low", "ci_high", "q"))
    for arm in ("brain", "permuted", "no_brain", "constant", "shuffled"):
        assert f"sentence_brainllm_bleu_1_of_{arm}" in results
    first = [result.q is not None for result in report.results()]
    assert first == sorted(first, reverse=True)


def test_yaml_is_what_the_client_of_the_hub_reads(tmp_path):
    results = make_report(0.5).results()
    path = save_eval_results(results, "lab/benchmark", tmp_path, source_url="https://x.org", notes="Split: toy.")
    assert path == tmp_path / EVAL_RESULTS_FILE
    entries = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert [entry.task_id for entry in entries] == [result.task for result in results]
    assert [entry.value for entry in entries] == [round(result.value, 4) for result in results]
    assert {(entry.dataset_id, entry.source_url) for entry in entries} == {("lab/benchmark", "https://x.org")}
    assert all(entry.notes.endswith("Split: toy.") for entry in entries)


def test_notes_tell_the_interval_of_a_gain():
    (entry,) = yaml.safe_load(to_eval_results([Result("t", "loss", "Loss gain", 0.2, 0.1, 0.3, 0.004)], "lab/b"))
    assert entry["notes"] == "Loss gain: 95 % interval 0.1000 to 0.3000, q = 0.004."
    (entry,) = yaml.safe_load(to_eval_results([Result("t", "loss", "Loss", 4.0)], "lab/b"))
    assert entry["notes"] == "Loss."


def test_fingerprints_of_folds_are_one_revision():
    (entry,) = to_model_index([Result("t", "loss", "Loss", 4.0)], {"evaluated": "test"}, ["a", "b"])
    assert (entry.dataset_revision, entry.dataset_type) == ("a, b", "unknown")


@pytest.mark.slow
def test_card_and_results_reach_the_hub(tmp_path, local_hub, run_python):
    report = make_report(0.5)
    report.save(tmp_path / "report", allow=ALLOW)
    folder = tmp_path / "model"
    folder.mkdir()
    printed = run_python(PUSH, str(tmp_path / "report"), str(folder), env=local_hub.environment(tmp_path))
    assert int(printed.split()[-1]) == len(report.results())
    files = local_hub.files("lab/brain")
    entries = parse_eval_result_entries(yaml.safe_load(files[EVAL_RESULTS_FILE]))
    assert entries[0].value == round(report.results()[0].value, 4)
    card = files["README.md"].decode()
    assert card.index("What the brain adds") < card.index("| brain |")
