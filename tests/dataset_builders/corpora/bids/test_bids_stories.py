# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Which runs tell the same, by what was perceived and not by what it was called; and whose brain is whose."""

import json
import sys

import numpy as np
import pytest
from layouts.bids import bids, write_mask, write_words
from layouts.listing import listed as list_corpus

from dataset_builders import prepare_corpus
from dataset_builders.corpora.bids.bids import Bids
from dataset_builders.splitting.fingerprints import words_of
from dataset_builders.splitting.leaks import find_leaks
from dataset_builders.splitting.policies import assign_splits
from dataset_builders.splitting.retellings import merge_retellings


#: Six stories, of which the last is told once more under another task.
RUNS = {f"sub-01_task-tale{number}": number for number in range(6)} | {"sub-01_task-again": 5}
OPTIONS = {"num_folds": 3, "validation_fraction": 0.0}


def changed(words, how):
    """Words (text, start, end) as they are told the second time."""
    generator = np.random.default_rng(0)
    if how == "other name":
        return words
    if how == "capitals and punctuation":
        return [(f"{text.upper()},", start, end) for text, start, end in words]
    if how == "one word":
        return [("otherwise", *words[0][1:]), *words[1:]]
    if how == "one word in ten":
        return [(text if generator.random() > 0.1 else "otherwise", *times) for text, *times in words]
    return [word for word in words if generator.random() > {"a tenth missing": 0.1, "three tenths missing": 0.3}[how]]


WAYS = (
    "other name",
    "capitals and punctuation",
    "one word",
    "one word in ten",
    "a tenth missing",
    "three tenths missing",
)


@pytest.mark.parametrize("how", WAYS)
def test_a_story_told_again_stays_on_one_side(tmp_path, how):
    """No row of a test split has its words in training, whatever the second telling is called."""
    root = tmp_path / "ds"
    truth = bids(root, RUNS, num_frames=120)
    write_words(root / "sub-01/func/sub-01_task-again_events.tsv", changed(truth.words["sub-01_task-again"], how))
    builder, _, samples = list_corpus(Bids, root)
    groups = {sample.recording: sample.group for sample in samples}
    assert groups["sub-01/task-again"] == groups["sub-01/task-tale5"]
    assert len(set(groups.values())) == 6
    for fold in range(3):
        splits = assign_splits(samples, "passage", fold=fold, **OPTIONS)
        told = {splits[row] for row, sample in enumerate(samples) if sample.recording.endswith(("again", "tale5"))}
        assert len(told) == 1
        assert find_leaks(samples, splits) == []
    names = {sample.recording: sample.stimulus for sample in samples}
    same = how in ("other name", "capitals and punctuation")  # then it is the same stimulus, too
    assert (names["sub-01/task-again"] == names["sub-01/task-tale5"]) == same
    told_again = [note for note in builder.notes if note.startswith("stories that tell the same as")]
    assert len(told_again) == (not same)


def test_ten_readers_who_skip_words(tmp_path):
    """Each reads two stories in an order of fixations of their own; both stories stay whole."""
    generator = np.random.default_rng(3)
    runs = {f"sub-{s:02d}_task-{name}": seed for s in range(1, 11) for name, seed in (("a", 1), ("b", 2))}
    root = tmp_path / "ds"
    truth = bids(root, runs, num_frames=120)
    for stem, words in truth.words.items():
        kept = [word for word in words if generator.random() > 0.2]
        write_words(root / stem[:6] / "func" / f"{stem}_events.tsv", kept)
    groups = {}
    for sample in list_corpus(Bids, root)[2]:
        groups.setdefault(sample.recording[-1], set()).add(sample.group)
    assert len(groups["a"]) == len(groups["b"]) == 1
    assert groups["a"] != groups["b"]


class TestRetellings:
    def test_unlike_texts_stay_apart(self):
        """Two hundred texts of one small vocabulary, as frequent as in a language: no pair tells the same."""
        generator = np.random.default_rng(0)
        odds = 1 / np.arange(1, 301)
        texts = [generator.choice(300, 600, p=odds / odds.sum()).astype(str).tolist() for _ in range(60)]
        assert merge_retellings(texts) == list(range(60))

    def test_a_greeting_is_no_retelling(self):
        generator = np.random.default_rng(1)
        texts = [generator.integers(0, 5000, 1000).astype(str).tolist() for _ in range(8)]
        greeting = [f"greeting{number}" for number in range(30)]
        assert merge_retellings([greeting + text for text in texts]) == list(range(8))

    def test_a_part_belongs_to_its_whole_and_both_to_a_third(self):
        generator = np.random.default_rng(2)
        whole = generator.integers(0, 5000, 800).astype(str).tolist()
        other = generator.integers(0, 5000, 800).astype(str).tolist()
        assert merge_retellings([other, whole[:400], whole[400:], whole, []]) == [0, 1, 1, 1, 4]

    def test_words_are_compared_without_case_and_punctuation(self):
        assert words_of("It’s “WORDS”, all—right?") == words_of("it s words all right")


class TestNames:
    def test_two_datasets_share_no_name(self, tmp_path):
        """Concatenated, every row finds its own brain: no id of one dataset is one of the other."""
        ids = []
        for name in ("one", "another"):
            bids(tmp_path / name, {"sub-01_task-a": 1, "sub-01_task-b": 2})
            (tmp_path / name / "dataset_description.json").write_text(json.dumps({"Name": f"The {name} (2026)!"}))
            samples = list_corpus(Bids, tmp_path / name)[2]
            assert {sample.corpus for sample in samples} == {f"bids-the-{name}-2026"}
            ids.append({sample.brain_id for sample in samples} | {sample.sample_id for sample in samples})
        assert len(ids[0]) > 20
        assert not ids[0] & ids[1]

    def test_name_of_the_folder_or_of_the_user(self, tmp_path):
        bids(tmp_path / "ds000001", {"sub-01_task-a": 1})
        (tmp_path / "ds000001" / "dataset_description.json").unlink()
        assert Bids(data_dir=tmp_path / "ds000001").corpus_name == "bids-ds000001"
        assert Bids(data_dir=tmp_path / "ds000001", dataset="../Mine").corpus_name == "bids-mine"
        with pytest.raises(ValueError, match=r"dataset='\.\./': expected a name with letters"):
            _ = Bids(data_dir=tmp_path / "ds000001", dataset="../").corpus_name


def test_rows_follow_the_files(tmp_path):
    """Whatever was read is changed in turn, and each time the rows change with it."""
    root, options = tmp_path / "ds", {**OPTIONS, "num_folds": 2, "standardize": "none", "dtype": "float32"}
    bids(root, {"sub-01_task-a": 1, "sub-01_task-b": 2})
    mask, derivative = np.zeros((5, 4, 3), bool), root / "derivatives" / "fmriprep"
    mask[1:3, 1:, :2] = True

    def prepared():
        """Features, and the time of the first frame of the first row."""
        builder = prepare_corpus("bids", root, tmp_path / "cache", mask="roi.nii.gz", **options)
        times = builder.as_dataset_dict()["train"][0]["frame_times"]
        return builder.corpus_info.preprocessing["features"]["sub-01"], times[0]

    write_mask(root / "roi.nii.gz", mask)
    assert prepared()[0] == 12
    mask[2] = False
    write_mask(root / "roi.nii.gz", mask)
    assert prepared()[0] == 6
    for path in derivative.rglob("*_bold.json"):
        path.unlink()
    (derivative / "bold.json").write_text(json.dumps({"RepetitionTime": 2.0, "StartTime": 0.4}))
    early = prepared()[1]
    (derivative / "bold.json").write_text(json.dumps({"RepetitionTime": 2.0, "StartTime": 0.45}))
    assert prepared()[1] == pytest.approx(early + 0.05)


def test_every_file_that_is_opened_is_fingerprinted(tmp_path):
    """By Python's own record of what is opened, so that a file read tomorrow is found missing today."""
    root = tmp_path / "ds"
    bids(root, {"sub-01_task-a": 1, "sub-01_ses-2_task-b": 2})
    (root / "task-a_bold.json").write_text(json.dumps({"RepetitionTime": 2.0}))
    (root / "derivatives" / "fmriprep" / "space-MNI152NLin2009cAsym_bold.json").write_text("{}")
    opened, is_on = set(), [True]

    def record(event, arguments):
        if event == "open" and is_on[0] and str(arguments[0]).startswith(str(root)):
            opened.add(str(arguments[0]))

    sys.addaudithook(record)  # for good; but it looks away after this test
    builder = Bids(
        data_dir=root, cache_dir=str(tmp_path / "cache"), confounds=["rot_z"], **(OPTIONS | {"num_folds": 2})
    )
    builder.prepare()
    is_on[0] = False
    kinds = ("events.tsv", "bold.nii.gz", "bold.json", "mask.nii.gz", "timeseries.tsv", "description.json")
    assert all(any(path.endswith(kind) for path in opened) for kind in kinds)
    assert opened <= {str(path) for path in Bids.source_files(root)}
