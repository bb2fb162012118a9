# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Alice 2016: small files of a known truth, and the real ones where they are at hand."""

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk
from layouts.alice import alice

from dataset_builders import prepare_corpus, save_corpus
from dataset_builders.corpora.alice2016 import CLOCK, CONFOUNDS, inter_subject_correlation, nuisance


@pytest.fixture
def written(tmp_path):
    return tmp_path / "data", alice(tmp_path / "data")


@pytest.fixture(scope="module")
def real():
    folder = Path(os.environ.get("BRAINLLM_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "alice2016"
    if not folder.is_dir():
        pytest.skip(f"THE 27 REAL PEOPLE ARE NOT TESTED: {folder} is absent; set BRAINLLM_SHARED to the data folder")
    return folder


def prepare(folder, cache, **options):
    return prepare_corpus("alice2016", folder, cache, **{"verify_facts": False, "dtype": "float32"} | options)


def residuals(values, design, fitted):
    """By the normal equations on the fitted frames, with a constant whose part stays."""
    design = design - design[fitted].mean(0)
    weights, *_ = np.linalg.lstsq(design[fitted], values[fitted] - values[fitted].mean(0), rcond=None)
    return values - design @ weights


def written_design(truth, person):
    """The confounds from the truth, each column by its definition."""
    rate, power = truth.rate[person], truth.power[person]
    time = np.arange(len(rate), dtype=float)
    shifted = [np.r_[x[1:], x[-1]] for x in (rate, power)] + [np.r_[x[0], x[:-1]] for x in (rate, power)]
    return np.column_stack([time, time**2 / 1e2, time**3 / 1e4, truth.movement[person], rate, power, *shifted])


class TestRows:
    def test_words_and_clock(self, written, tmp_path):
        """Words of a row are those that begin in its ten seconds; its frames lie 2 to 14 s after they begin."""
        folder, truth = written
        rows = [row for split in prepare(folder, tmp_path / "c").as_dataset_dict().values() for row in split]
        assert {row["subject"] for row in rows} == {"s18", "s19"}
        for row in rows:
            begin = row["frame_times"][0] - 3  # the first frame is the second volume, and times are centres
            assert (begin - 20) % 10 == 0
            words = [word for word, start, _ in truth.words if begin <= start < begin + 10]
            assert row["words"] == words
            assert row["completion"] == " ".join(words)
            np.testing.assert_allclose(row["frame_times"], begin + 3 + 2 * np.arange(7))
            assert row["group"] == f"alice/minute-{int((begin - 20) // 60):02d}"

    def test_values_are_the_time_courses(self, written, tmp_path):
        folder, truth = written
        rows = prepare(folder, tmp_path / "c", standardize="none", store="rows").as_dataset_dict()["test"]
        for row in rows:
            frames = ((np.array(row["frame_times"]) - 21) / 2).astype(int)
            np.testing.assert_allclose(row["brain_values"], truth.courses[row["subject"]][frames], rtol=1e-6)

    def test_zeros_are_left_out_with_their_reason(self, written, tmp_path):
        info = prepare(written[0], tmp_path / "c").corpus_info
        assert info.not_taken == {"the time courses are zero throughout": ["fmri/10mm/s20-timecourses.txt"]}

    @pytest.mark.parametrize(("split", "shares"), [("time", True), ("passage", True), ("subject", False)])
    def test_splits_are_clean(self, written, tmp_path, split, shares):
        builder = prepare(written[0], tmp_path / "c", split=split, validation_fraction=0.0, num_folds=2)
        rows = builder.as_dataset_dict()
        assert builder.corpus_info.split.leaks == []
        assert (set(rows["train"]["subject"]) == set(rows["test"]["subject"])) == shares
        for person in set(rows["train"]["subject"]) & set(rows["test"]["subject"]):
            times = [
                np.concatenate([row["frame_times"] for row in rows[name] if row["subject"] == person])
                for name in ("train", "test")
            ]
            assert np.abs(times[0][:, None] - times[1]).min() > 8


class TestConfounds:
    def test_weights_come_from_training_frames(self, written, tmp_path):
        folder, truth = written
        options = {"split": "passage", "num_folds": 2, "validation_fraction": 0.0, "standardize": "none"}
        builder = prepare(folder, tmp_path / "c", confounds=list(CONFOUNDS), store="rows", **options)
        assert builder.corpus_info.preprocessing["confounds"] == list(CONFOUNDS)
        splits = builder.as_dataset_dict()
        frames_of = {
            (name, person): np.unique(
                [(t - 21) / 2 for row in rows if row["subject"] == person for t in row["frame_times"]]
            ).astype(int)
            for name, rows in splits.items()
            for person in ("s18", "s19")
        }
        for row in splits["test"]:
            person = row["subject"]
            expected = residuals(truth.courses[person], written_design(truth, person), frames_of["train", person])
            frames = ((np.array(row["frame_times"]) - 21) / 2).astype(int)
            np.testing.assert_allclose(row["brain_values"], expected[frames], atol=2e-4)
        on_training = residuals(truth.courses["s18"], written_design(truth, "s18"), frames_of["train", "s18"])[
            frames_of["train", "s18"]
        ]
        design = written_design(truth, "s18")[frames_of["train", "s18"]]
        correlations = np.corrcoef(np.hstack([on_training, design]).T)[:6, 6:]
        assert np.abs(correlations).max() < 1e-6

    def test_a_person_held_out_has_weights_of_the_own(self, written, tmp_path):
        folder, truth = written
        options = {"split": "subject", "num_folds": 2, "validation_fraction": 0.0, "standardize": "none"}
        rows = prepare(folder, tmp_path / "c", confounds=["movement"], store="rows", **options).as_dataset_dict()
        for row in rows["test"]:
            own = truth.courses[row["subject"]]
            expected = residuals(own, truth.movement[row["subject"]], np.arange(len(own)))
            frames = ((np.array(row["frame_times"]) - 21) / 2).astype(int)
            np.testing.assert_allclose(row["brain_values"], expected[frames], atol=2e-4)

    def test_the_card_says_so(self, written, tmp_path):
        save_corpus(prepare(written[0], tmp_path / "c", confounds=["movement", "word_rate"]), tmp_path / "out")
        assert "Regressed out: movement, word_rate." in (tmp_path / "out" / "README.md").read_text()


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"radius": "8mm"}, "radius='8mm' is unknown: choose from 6mm, 10mm"),
            ({"confounds": ["motion"]}, r"confounds=\['motion'\] is unknown: choose from trend, movement"),
            ({"verify_facts": True}, "people with a signal: expected 27, found 2"),
        ],
    )
    def test_options(self, written, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            prepare(written[0], tmp_path / "c", **options)

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"holds no s\*-timecourses.txt"):
            prepare(tmp_path, tmp_path / "c")

    @pytest.mark.parametrize(
        ("name", "spoil", "message"),
        [
            (
                "10mm/s18-timecourses.txt",
                lambda text: text.replace("\n", " 1.0\n", 1),
                "line 1: 7 columns, expected 6",
            ),
            (
                "10mm/s18-timecourses.txt",
                lambda text: "nan" + text.lstrip()[text.lstrip().index(" ") :],
                "line 1, column 1 is not finite",
            ),
            ("s18-rate.txt", lambda text: text.split("\n", 1)[1], "has 149 volumes and the time course 150"),
            ("s18-rp_run05.txt", lambda text: text.split("\n", 1)[1], "has 159 volumes and the time course 150"),
            ("s18-sndpwr.txt", lambda text: "loud" + text.lstrip(), "expected numbers alone"),
        ],
    )
    def test_damaged_files(self, written, tmp_path, name, spoil, message):
        path = written[0] / "fmri" / name
        path.write_text(spoil(path.read_text()))
        with pytest.raises(ValueError, match=message):
            prepare(written[0], tmp_path / "c", confounds=list(CONFOUNDS))


class TestReal:
    def test_facts_of_the_publication(self, real, tmp_path):
        """27 people, 362 volumes, 2,127 words, correlations between people: a difference would be an error."""
        builder = prepare_corpus("alice2016", real, tmp_path)
        info = builder.corpus_info
        assert info.facts["differences"] == []
        assert len(info.subjects) == 27
        assert "s33" not in info.subjects
        first = builder.as_dataset_dict()["train"][0]
        assert first["completion"].startswith("reading but it had no pictures or conversations")

    def test_people_agree_by_regions(self, real):
        """.16 to .40 in spheres of 10 mm; the same computed by `np.corrcoef`."""
        paths = sorted((real / "fmri" / "10mm").glob("s*"))
        people = [values for path in paths if (values := np.loadtxt(path)).any()]
        found = inter_subject_correlation(people)
        np.testing.assert_allclose([found.min(), found.max()], [0.16, 0.40], atol=0.005)
        time = np.vander(np.linspace(-1, 1, 362), 4)
        clean = [own - time @ np.linalg.lstsq(time, own, rcond=None)[0] for own in people]
        clean = np.array([own / own.std(0) for own in clean])
        each = [
            [np.corrcoef(clean[i, :, r], np.delete(clean[:, :, r], i, 0).mean(0))[0, 1] for r in range(6)]
            for i in range(27)
        ]
        np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-4)
        assert np.max(each) == pytest.approx(0.63, abs=0.005)

    def test_the_published_word_rate_agrees_with_the_clock(self, real):
        """Word onsets through a haemodynamic response follow it best if volume 0 begins at 20 s of the TextGrid."""
        text = next((real / "stimuli").glob("*.TextGrid")).read_text()
        intervals = re.findall(r'xmin = ([\d.]+)\s+xmax = [\d.]+\s+text = "(.*?)"', text)
        onsets = [float(start) for start, label in intervals if label not in ("sp", "")]
        fine, lag = np.arange(0, 800, 0.1), np.arange(0, 32, 0.1)
        response = lag**5 * np.exp(-lag) / math.factorial(5) - lag**15 * np.exp(-lag) / math.factorial(15) / 6
        rate = np.convolve(np.histogram(onsets, np.append(fine, 800))[0], response)[: len(fine)]
        published = nuisance(real / "fmri", "s18", "word_rate", 362)[:, 1]
        agreement = {
            start: np.corrcoef(np.interp(start + 2 * np.arange(362), fine, rate), published)[0, 1]
            for start in range(10, 31)
        }
        assert max(agreement, key=lambda start: agreement[start]) == CLOCK.start(0) == 20
        assert agreement[20] > 0.97

    def test_pushed_and_loaded(self, real, tmp_path, run_python, local_hub):
        """Prepared, pushed and loaded by `datasets` alone in other processes; all rows are there."""
        save_corpus(prepare_corpus("alice2016", real, tmp_path / "cache", store="rows"), tmp_path / "out")
        run_python(PUSH, str(tmp_path / "out"), env=local_hub.environment(tmp_path / "pusher"))
        assert b"license: cc-by-4.0" in local_hub.files("lab/alice", "dataset")["README.md"]
        printed = run_python(PULL, env=local_hub.environment(tmp_path / "puller"), isolated=True)
        own = load_from_disk(str(tmp_path / "out"))
        assert printed.split()[-4:] == [str(own["test"].num_rows), "27", "6", own["test"][0]["completion"].split()[0]]


PUSH = """
import sys
from dataset_builders import push_corpus
push_corpus(sys.argv[1], "lab/alice")
"""

PULL = """
from datasets import load_dataset
rows = load_dataset("lab/alice", split="test")
print(len(rows), len(set(rows["subject"])), len(rows[0]["brain_values"][0]), rows[0]["completion"].split()[0])
"""
