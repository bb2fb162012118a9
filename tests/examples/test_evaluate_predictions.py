# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The script that scores captions of any system, as users run it: on files in BrainHub's layout, without a model."""

import gzip
import json
import runpy
import sys
import zipfile
from pathlib import Path

import pytest

from trainers.embedders.token_embeddings import TokenEmbedder
from trainers.metrics import Meteor, MeteorData, bert_score, meteor_from_statistics
from trainers.reports.report import EvaluationReport


REPOSITORY = Path(__file__).resolve().parents[2]
THINGS = ("horse", "boat", "clock", "pizza", "kite", "vase", "bear", "train", "man", "cat")
RESAMPLES = ("--num_resamples", 1_000)


@pytest.fixture
def brainhub(tmp_path) -> Path:
    """Folder with references, and captions of two systems and two subjects: one names the thing, one another thing."""
    references = {str(i): [f"A {thing} in the park.", f"One {thing} is shown."] for i, thing in enumerate(THINGS)}
    (tmp_path / "fmri_cococap.json").write_text(json.dumps(references))
    for system, shift in (("seeing", 0), ("guessing", 3)):
        (tmp_path / system).mkdir()
        for subject in ("sub01", "sub02"):
            captions = {str(i): f"a {THINGS[(i + shift) % 10]} on a field" for i in range(len(THINGS))}
            (tmp_path / system / f"{subject}_decoded_caption.json").write_text(json.dumps(captions))
    return tmp_path


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Runs the script without a process of its own; returns what it printed, and what it said beside that."""

    def run(*arguments: object) -> tuple[str, str]:
        script = REPOSITORY / "examples" / "evaluate.py"
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr()

    return run


@pytest.mark.slow
def test_two_systems_are_scored_and_compared(run_here, brainhub):
    files = [brainhub / system / "sub01_decoded_caption.json" for system in ("seeing", "guessing")]
    options = ("--references", brainhub / "fmri_cococap.json", "--output_dir", brainhub / "out", *RESAMPLES)
    printed, beside = run_here("--predictions", *files, *options)
    assert "**What `seeing` knows**: something of what was perceived." in printed
    assert "**`seeing` minus `guessing`**: `seeing` is better by" in printed
    assert "constant caption: 100%" in beside
    names = {path.name for path in (brainhub / "out").iterdir()}
    assert names == {"report.json", "report.md", "report.html", "samples.parquet"}
    report = EvaluationReport.load(brainhub / "out")
    scores = {arm: report.score("predictions", arm, "cider") for arm in ("seeing", "constant", "guessing")}
    assert scores["seeing"] > scores["constant"] > scores["guessing"]
    _, beside = run_here("--predictions", *files, *options, "--no_progress")
    assert beside == ""


@pytest.mark.slow
def test_meteor_and_bert_score_take_what_they_need(run_here, brainhub, text_model):
    (brainhub / "meteor/data").mkdir(parents=True)
    with zipfile.ZipFile(brainhub / "meteor/meteor-1.5.jar", "w") as jar:
        for name in ("function/english.words", "synonym/english.synsets", "synonym/english.exceptions"):
            jar.writestr(name, "a\nthe" if name.startswith("function") else "")
    with gzip.open(brainhub / "meteor/data/paraphrase-en.gz", "wt") as lines:
        lines.write("0.5\nfield\npark\n")
    files = [brainhub / system / "sub01_decoded_caption.json" for system in ("seeing", "guessing")]
    options = ("--references", brainhub / "fmri_cococap.json", "--output_dir", brainhub / "out", *RESAMPLES)
    run_here("--predictions", *files, *options, "--no_progress", "--meteor_data", brainhub / "meteor",
             "--token_encoder", text_model)  # fmt: skip
    report = EvaluationReport.load(brainhub / "out")
    texts = [f"a {thing} on a field" for thing in THINGS]
    people = [[f"A {thing} in the park.", f"One {thing} is shown."] for thing in THINGS]
    counts = Meteor(MeteorData.load(brainhub / "meteor")).statistics(texts, people)
    assert report.score("predictions", "seeing", "meteor") == pytest.approx(
        float(meteor_from_statistics(counts.sum(axis=0)))
    )
    expected = bert_score(texts, people, TokenEmbedder.from_pretrained(str(text_model)))["bert_f1"].mean()
    assert report.score("predictions", "seeing", "bert_score") == pytest.approx(expected)
    assert report.find("predictions", "guessing", "meteor_gain", arm="seeing")["ci_low"] > 0
    assert report.settings["token_encoder"] == str(text_model)


@pytest.mark.slow
def test_what_may_be_missing_is_allowed_by_name(run_here, brainhub):
    references = brainhub / "fmri_cococap.json"
    content = json.loads(references.read_text())
    del content["9"]
    references.write_text(json.dumps(content))
    options = ("--references", references, "--output_dir", brainhub / "out", *RESAMPLES, "--no_progress")
    with pytest.raises(ValueError, match="references lack 1 of 10 images of the predictions 'seeing' of the subject"):
        run_here("--predictions", brainhub / "seeing", brainhub / "guessing", *options)
    run_here("--predictions", brainhub / "seeing", brainhub / "guessing", *options, "--allow", "subset")
    report = EvaluationReport.load(brainhub / "out")
    assert (len(report.samples), len({sample["group"] for sample in report.samples})) == (18, 9)


def test_captions_need_what_people_wrote(run_here, brainhub, capsys):
    with pytest.raises(SystemExit):
        run_here("--predictions", brainhub / "seeing", "--output_dir", brainhub / "out")
    assert "--predictions need --references, if they are captions" in capsys.readouterr().err


@pytest.mark.slow
def test_texts_for_the_rows_of_a_corpus(run_here, corpus, tmp_path):
    from trainers import DataArguments, load_corpus_splits, read_as

    rows = read_as(load_corpus_splits(DataArguments(dataset=str(corpus)))["test"], "sentence")
    (tmp_path / "knows.json").write_text(json.dumps(dict(zip(rows["sample_id"], rows["completion"], strict=True))))
    options = ("--predictions", tmp_path / "knows.json", "--dataset", corpus, "--output_dir", tmp_path / "out")
    printed, _ = run_here(*options, *RESAMPLES, "--allow", "retrieval", "structure")
    assert "`shuffled:knows`" in printed
    report = EvaluationReport.load(tmp_path / "out")
    assert report.score("sentence", "knows", "brainllm_bleu_1") == 1
    with pytest.raises(ValueError, match="`num_resamples` is 10, expected 1,000 or more"):
        run_here(*options, "--num_resamples", 10)
