# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that no other test runs, at their smallest: they end, and what they print or write adds up."""

import json
import shutil
import sys
from importlib.util import find_spec

import pytest
from repository import REPOSITORY


sys.path.insert(0, str(REPOSITORY / "examples" / "benchmarks"))
import metric_parity
import planted_story
import report_time

from trainers.reports import report as reports
from trainers.reports.sections import Section
from trainers.scoring import captions as caption_scores


# Three images of COCO's layout; of the last there is one caption only.
COCO = {
    "annotations": [
        {"image_id": image, "id": number, "caption": caption}
        for number, (image, caption) in enumerate(
            [
                (7, "A man rides a horse."),
                (3, "Two dogs on a sofa."),
                (7, "A horse and its rider."),
                (3, "Dogs asleep."),
                (3, "A couch with dogs."),
                (9, "A boat."),
            ]
        )
    ]
}


@pytest.fixture
def captions(tmp_path):
    file = tmp_path / "captions.json"
    file.write_text(json.dumps(COCO))
    return file


def run_here(module, monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, arguments)])
    module.main()


class TestReportTime:
    def test_the_parts_are_parts_of_the_whole(self, monkeypatch, capsys):
        for name in report_time.STAGES:  # which the benchmark wraps; put back afterwards
            module = reports if hasattr(reports, name) else caption_scores
            monkeypatch.setattr(module, name, getattr(module, name))
        run_here(report_time, monkeypatch, "--images", 12, "--num_resamples", 1001)
        found = json.loads(capsys.readouterr().out)
        seconds = {name: spent["clock"] for name, spent in found["seconds"].items()}
        assert (found["images"], found["arms"]) == (12, len(report_time.KEPT))
        assert set(seconds) == {*report_time.STAGES, "save", "whole", "metrics", "resampling"}
        assert min(seconds.values()) > 0
        assert seconds["metrics"] + seconds["resampling"] + seconds["save"] < seconds["whole"]

    def test_the_table_keeps_as_many_captions_as_it_says(self):
        images = {str(i): [f"caption {i}", f"reference {i}"] for i in range(2000)}
        samples = report_time.make_samples(images, 0)
        for arm, kept in report_time.KEPT.items():
            own = sum(sample["texts"][arm] == f"caption {sample['sample_id']}" for sample in samples)
            assert own / 2000 == pytest.approx(kept, abs=0.05)
        assert samples[3]["references"] == ["reference 3"]

    def test_images_with_one_caption_are_left_out(self, captions, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["report_time.py", "--captions", str(captions), "--images", "5"])
        images = report_time.read_images(report_time.parse_arguments())
        assert sorted(map(len, images.values())) == [2, 3]


class TestMetricParity:
    def test_captions_and_their_images(self, captions):
        texts, images = metric_parity.read_captions(captions, 2)
        assert images[0] == ["A man rides a horse.", "A horse and its rider."]
        assert texts == [row["caption"] for row in COCO["annotations"] if row["image_id"] != 9]
        assert metric_parity.first_references(images)[1] == ["A horse and its rider.", "Dogs asleep."]

    def test_differences(self):
        found = metric_parity.difference([0.5, 1.0], [0.5, 0.75])
        assert found == {"ours": 0.75, "theirs": 0.625, "mean": 0.125, "largest": 0.25, "samples_off_by_1e-9": 1}

    @pytest.mark.slow
    def test_our_scores_are_theirs(self, captions, monkeypatch, capsys):
        if find_spec("pycocoevalcap") is None or shutil.which("java") is None:
            pytest.skip("SKIPPED FOR WANT OF AN ORACLE: it needs Java and `pip install pycocoevalcap`")
        run_here(metric_parity, monkeypatch, "--captions", captions, "--images", 2)
        found = json.loads(capsys.readouterr().out)
        assert found["tokens"]["different"] == 0
        assert max(found["bleu"].values()) < 1e-9
        for name in ("rouge_l", "cider"):
            assert found[name]["largest"] < 1e-9
        assert found["meteor"]["samples"]["largest"] < 1e-3


@pytest.mark.slow
def test_a_planted_story_is_told_from_beginning_to_end(tmp_path, monkeypatch):
    for name, value in {"num_stories": 8, "story_frames": 80, "num_voxels": 8}.items():
        monkeypatch.setitem(planted_story.CORPUS, name, value)
    steps = ("--text_steps", 2, "--brain_steps", 2)
    run_here(planted_story, monkeypatch, "--output_dir", tmp_path, *steps, "--decoded_text", "--num_others", 2)
    (saved,) = json.loads((tmp_path / "story" / "sections.json").read_text())
    told = json.loads((tmp_path / "story" / "reconstruction.json").read_text())
    section = Section(**saved)
    assert [row["metric"] for row in section.rows] == ["wer", "bleu_1", "meteor"] * 2
    assert {key for row in section.rows for key in row} == set(section.columns)
    vocabulary = json.loads((tmp_path / "language" / "tokenizer.json").read_text())["model"]["vocab"]
    assert told["told"]
    assert {word["text"] for word in told["told"]} <= set(vocabulary)
