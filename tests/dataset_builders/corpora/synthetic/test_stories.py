# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import json
import math
import re
from itertools import pairwise

import h5py
import numpy as np
import pytest

from dataset_builders.corpora.synthetic.lebel_files import (
    CONTENT_WORDS,
    haemodynamic_response,
    word_responses,
    write_synthetic_lebel,
)
from dataset_builders.corpora.synthetic.stories import SyntheticStories
from dataset_builders.preparation.noise_ceiling import noise_ceiling, signal_to_noise
from dataset_builders.splitting.leaks import LeakageError


TEST_STORY = "wheretheressmoke"


def _responses(folder, subject, story, name="data"):
    with h5py.File(folder / "derivative" / "preprocessed_data" / subject / f"{story}.hf5") as file:
        return file[name][:]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    options = {"num_stories": 3, "num_frames": 40, "num_voxels": 20, "num_repeats": 4, "seed": 3}
    return folder, write_synthetic_lebel(folder, subjects=("UTS01", "UTS02"), **options)


class TestFiles:
    """What is written has the layout of ds003020, as spelled out here and not in the writer."""

    def test_responses(self, written):
        folder, truth = written
        scans = json.loads((folder / "derivative" / "respdict.json").read_text())
        assert list(scans) == ["story01", "story02", "story03", TEST_STORY]
        for subject in ("UTS01", "UTS02"):
            for story, scan in scans.items():
                path = folder / "derivative" / "preprocessed_data" / subject / f"{story}.hf5"
                with h5py.File(path) as file:
                    names = {name: (data.shape, data.dtype, data.chunks) for name, data in file.items()}
                frames = scan - 20
                expected = {"data": ((frames, 20), np.dtype("<f8"), None)}
                copies = 1
                if story == TEST_STORY:
                    expected["individual_repeats"] = ((4, frames, 20), np.dtype("<f8"), None)
                    copies = 5
                assert names == expected
                assert path.stat().st_size == 2048 + 8 * copies * frames * 20
                assert truth.signals[subject][story].shape == (frames, 20)

    def test_test_story_is_the_mean_of_its_repeats(self, written):
        folder, _ = written
        repeats = _responses(folder, "UTS01", TEST_STORY, "individual_repeats")
        np.testing.assert_allclose(_responses(folder, "UTS01", TEST_STORY), repeats.mean(0))

    def test_voxels_are_zscored_within_a_story(self, written):
        folder, _ = written
        for values in (
            _responses(folder, "UTS02", "story01"),
            *_responses(folder, "UTS02", TEST_STORY, "individual_repeats"),
        ):
            np.testing.assert_allclose(values.mean(0), 0, atol=1e-12)
            np.testing.assert_allclose(values.std(0), 1)

    def test_textgrid(self, written):
        folder, truth = written
        lengths = json.loads((folder / "derivative" / "respdict.json").read_text())
        for story, words in truth.words.items():
            text = (folder / "derivative" / "TextGrids" / f"{story}.TextGrid").read_text()
            assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n')
            assert re.findall(r'name = "(.*)"', text) == ["phone", "word"]
            tier = text.partition('name = "word"')[2]
            pattern = r'xmin = (\S+) \n\s+xmax = (\S+) \n\s+text = "(.*)"'
            intervals = [(float(a), float(b), label) for a, b, label in re.findall(pattern, tier)]
            assert len(intervals) == int(re.search(r"intervals: size = (\d+)", tier)[1])
            assert all(one[1] == two[0] for one, two in pairwise(intervals))
            assert (intervals[0][0], intervals[-1][1]) == (0, 2 * lengths[story] - 20)
            spoken = [(label.lower(), a, b) for a, b, label in intervals if label not in ("sp", "{BR}")]
            assert spoken == [(word.text, word.onset, word.offset) for word in words]

    def test_stories_are_long_distinct_and_as_long_as_their_scan(self, written):
        _, truth = written
        for story, words in truth.words.items():
            assert words[-1].offset > 2 * len(truth.signals["UTS01"][story]) + 20 - 8
            assert 1.5 < len(words) / words[-1].offset < 3.5  # words a second, as people speak
        texts = [" ".join(word.text for word in words) for words in truth.words.values()]
        sentences = [
            part for text in texts for part in re.split(r" (?=(?:so|that night|years later|of course) my)", text)
        ]
        assert len(set(sentences)) == len(sentences)

    def test_same_seed_same_files(self, written, tmp_path):
        folder, _ = written
        options = {"num_stories": 3, "num_frames": 40, "num_voxels": 20, "num_repeats": 4}
        for seed, equal in ((3, True), (4, False)):
            write_synthetic_lebel(tmp_path / str(seed), subjects=("UTS01", "UTS02"), seed=seed, **options)
            for path in (folder / "derivative").rglob("*.*"):
                other = tmp_path / str(seed) / path.relative_to(folder)
                assert (path.read_bytes() == other.read_bytes()) is equal


class TestPlantedSignal:
    def test_response_is_the_double_gamma(self):
        seconds = np.linspace(-5, 40, 451)
        expected = [
            0 if t < 0 else t**5 * math.exp(-t) / math.gamma(6) - t**15 * math.exp(-t) / math.gamma(16) / 6
            for t in seconds
        ]
        np.testing.assert_allclose(haemodynamic_response(seconds), expected, atol=1e-15)
        assert seconds[np.argmax(expected)] == pytest.approx(5, abs=0.05)
        assert haemodynamic_response(seconds).sum() * 0.1 == pytest.approx(1 - 1 / 6, abs=0.001)

    def test_signal_answers_words_through_the_map(self, tmp_path):
        """Word by word and frame by frame: row j lies 2 j + 11 s into the sound."""
        truth = write_synthetic_lebel(tmp_path, num_stories=1, num_frames=30, num_voxels=5)
        planted, words = truth.signals["UTS01"]["story01"], truth.words["story01"]
        signal = np.zeros(planted.shape)
        for word in words:
            if word.text in CONTENT_WORDS:
                pattern = truth.maps["UTS01"][CONTENT_WORDS.index(word.text)]
                for row in range(len(signal)):
                    later = 2 * row + 11 - (word.onset + word.offset) / 2
                    signal[row] += float(haemodynamic_response(np.array(later))) * pattern
        signal = (signal - signal.mean(0)) / signal.std(0)
        np.testing.assert_allclose(planted, signal, atol=1e-9)

    def test_function_words_call_up_nothing(self, tmp_path):
        words = write_synthetic_lebel(tmp_path, num_stories=1, num_frames=20, num_voxels=2).words["story01"]
        silent = [word for word in words if word.text in ("my", "the", "so")]
        assert silent
        assert not word_responses(silent, 20).any()
        assert len(set(CONTENT_WORDS)) == len(CONTENT_WORDS)

    @pytest.mark.parametrize("ratio", [0.5, 2.0])
    def test_ratio_is_recovered_from_repeats(self, tmp_path, ratio):
        """By an estimator that knows the repeats alone; it says standard deviations, the plant says variances."""
        options = {"num_stories": 0, "num_frames": 300, "num_repeats": 10, "num_voxels": 64}
        truth = write_synthetic_lebel(tmp_path, signal_to_noise=ratio, **options)
        found = signal_to_noise(_responses(tmp_path, "UTS01", TEST_STORY, "individual_repeats")) ** 2
        assert found.mean() == pytest.approx(ratio, rel=0.05)
        np.testing.assert_allclose(found, truth.signal_to_noise, atol=0.25 * ratio)
        assert np.corrcoef(found, truth.signal_to_noise)[0, 1] > 0.97

    def test_noise_ceiling_is_reached_by_the_planted_signal_and_not_passed(self, tmp_path):
        options = {"num_stories": 0, "num_frames": 300, "num_repeats": 10, "num_voxels": 64}
        truth = write_synthetic_lebel(tmp_path, signal_to_noise=1.0, **options)
        repeats = _responses(tmp_path, "UTS01", TEST_STORY, "individual_repeats")
        signal = truth.signals["UTS01"][TEST_STORY]
        explained = 100 * np.mean([(signal * repeat).mean(0) ** 2 for repeat in repeats], axis=0)
        np.testing.assert_allclose(noise_ceiling(signal_to_noise(repeats)), explained, atol=6)

    def test_null_has_no_signal_and_looks_the_same(self, tmp_path):
        options = {"num_stories": 1, "num_frames": 300, "num_repeats": 10, "num_voxels": 64}
        truth = write_synthetic_lebel(tmp_path, signal_to_noise=0, **options)
        repeats = _responses(tmp_path, "UTS01", TEST_STORY, "individual_repeats")
        assert (signal_to_noise(repeats) ** 2).mean() < 0.01
        values = _responses(tmp_path, "UTS01", "story01")
        correlation = (values * truth.signals["UTS01"]["story01"]).mean(0)
        assert np.abs(correlation).mean() < 0.1
        assert values.std() == pytest.approx(1)

    def test_noise_is_slow(self, tmp_path):
        write_synthetic_lebel(tmp_path, signal_to_noise=0, num_stories=1, num_frames=400)
        values = _responses(tmp_path, "UTS01", "story01")
        assert (values[1:] * values[:-1]).mean() == pytest.approx(0.3, abs=0.03)


SMALL = {"num_stories": 4, "story_frames": 50, "num_voxels": 24, "num_repeats": 3}


def _prepare(cache, data_dir=None, **config):
    builder = SyntheticStories(cache_dir=str(cache), data_dir=data_dir, **config)
    builder.download_and_prepare()
    return builder


def _rows(builder, split):
    """Words of each row of a split, and brain values `[rows, frames, voxels]`."""
    dataset = builder.as_dataset_dict()[split]
    values = dataset.select_columns(["brain_values"]).with_format("numpy")[:]["brain_values"]
    return list(dataset["words"]), np.stack([np.stack(row) for row in values]).astype(np.float32)


class TestCorpus:
    def test_rows_say_what_was_told_and_hold_what_was_written(self, tmp_path):
        truth = write_synthetic_lebel(
            tmp_path / "files", subjects=("A", "B"), num_stories=4, num_frames=50, num_voxels=24
        )
        builder = _prepare(tmp_path / "cache", tmp_path / "files", store="rows", dtype="float32", window_frames=2)
        seen = 0
        for name, split in builder.as_dataset_dict().items():
            for row in split:
                recorded = _responses(tmp_path / "files", row["subject"], row["stimulus"])
                centres = 2 * np.arange(len(recorded)) + 11
                words = truth.words[row["stimulus"]]
                first = next(n for n, word in enumerate(words) if abs(word.onset - row["word_onsets"][0]) < 1e-3)
                told = words[first : first + len(row["words"])]
                assert row["completion"] == " ".join(row["words"]) == " ".join(word.text for word in told)
                assert row["prompt"] == " ".join(word.text for word in words[max(0, first - 32) : first])
                np.testing.assert_allclose(row["word_offsets"], [word.offset for word in told], atol=1e-4)
                frames = np.searchsorted(centres, row["frame_times"])
                np.testing.assert_array_equal(centres[frames], row["frame_times"])
                assert 0 < row["frame_times"][0] - 1 - row["word_onsets"][0] <= 4 or len(row["words"]) == 0
                np.testing.assert_array_equal(row["brain_values"], recorded[frames].astype(np.float32))
                assert (row["stimulus"] == TEST_STORY) == (name == "test")
                seen += 1
        assert seen > 100

    def test_facts_and_terms(self, tmp_path):
        info = _prepare(tmp_path, num_subjects=2, **SMALL).corpus_info
        assert info.subjects == ["SYN01", "SYN02"]
        assert (info.license, info.may_redistribute, info.known_defects) == ("Apache 2.0", True, [])
        assert info.facts["subjects"]["SYN02"]["stories"] == 5
        assert info.facts["differences"] == []

    def test_noise_ceiling_is_the_planted_one(self, tmp_path):
        options = {"num_stories": 2, "story_frames": 400, "num_voxels": 24, "num_repeats": 8}
        builder = _prepare(tmp_path, signal_to_noise=1.0, num_subjects=2, **options)
        planted, found = builder.truth().signal_to_noise, builder.geometry("SYN02").noise_ceiling
        error = found - 100 * planted / (planted + 1 / 8)  # of the mean of eight repeats
        assert np.abs(error).mean() < 2
        assert np.abs(error).max() < 15  # in the voxel without any signal
        null = _prepare(tmp_path, signal_to_noise=0, **options)
        assert null.geometry("SYN01").noise_ceiling.mean() < 8

    @pytest.mark.parametrize(
        "options",
        [
            {"split": "passage", "fold": 1},
            {"split": "official", "test_repeats": "single"},
            {"split": "subject", "fold": 1, "num_folds": 2},
            {"split": "subject", "test_subjects": ["SYN01"]},
            {"split": "time", "num_folds": 2, "gap_frames": 4, "validation_fraction": 0, "prompt_words": 3},
        ],
    )
    def test_every_policy_is_clean(self, tmp_path, options):
        split = _prepare(tmp_path, num_subjects=2, **SMALL, **options).corpus_info.split
        assert split.leaks == []
        assert not split.leak_allowed
        assert min(split.sizes["train"], split.sizes["test"]) > 10

    def test_story_divided_without_a_gap_is_refused(self, tmp_path):
        options = {"split": "time", "num_folds": 2, "prompt_words": 1, "validation_fraction": 0, "num_frames": 1}
        with pytest.raises(LeakageError, match=r"adjacent_frames: \d+ rows of test hold frames less than 8 seconds"):
            _prepare(tmp_path, **SMALL, **options)

    def test_seed_decides(self, tmp_path):
        prints = [
            _prepare(tmp_path / str(n), corpus_seed=seed, **SMALL).corpus_info.fingerprint
            for n, seed in enumerate((0, 0, 1))
        ]
        assert prints[0] == prints[1] != prints[2]

    @pytest.mark.parametrize(
        ("option", "value"),
        [("signal_to_noise", -1), ("num_stories", 1), ("story_frames", 19), ("num_repeats", 1), ("num_subjects", 0)],
    )
    def test_bad_options(self, tmp_path, option, value):
        with pytest.raises(ValueError, match=f"{option}={value}"):
            _prepare(tmp_path, **{option: value})


def _identification(builder):
    """Share of pairs of test windows without a common content word that ridge regression tells apart."""
    rows, brains = zip(*(_rows(builder, split) for split in ("train", "test")), strict=True)
    meanings = [np.array([[words.count(word) for word in CONTENT_WORDS] for words in part]) for part in rows]
    inputs = [values.reshape(len(values), -1) for values in brains]
    centre, mean = inputs[0].mean(0), meanings[0].mean(0)
    gram = (inputs[0] - centre).T @ (inputs[0] - centre) + 300 * np.eye(len(centre))
    weights = np.linalg.solve(gram, (inputs[0] - centre).T @ (meanings[0] - mean))
    told = meanings[1].sum(1) > 0
    predicted, true = ((inputs[1] - centre) @ weights)[told], meanings[1][told]
    score = predicted @ ((true - mean) / np.linalg.norm(true - mean, axis=1, keepdims=True)).T
    apart = true @ true.T == 0
    return (np.diag(score)[:, None] > score)[apart].mean()


class TestDecoding:
    OPTIONS = {"num_stories": 7, "story_frames": 120, "num_voxels": 32, "store": "rows"}

    def test_held_out_story_is_identified(self, tmp_path):
        assert _identification(_prepare(tmp_path, signal_to_noise=3.0, **self.OPTIONS)) > 0.75

    def test_null_corpus_gives_chance(self, tmp_path):
        scores = [
            _identification(_prepare(tmp_path, signal_to_noise=0, corpus_seed=seed, **self.OPTIONS))
            for seed in range(3)
        ]
        # Some 110 windows a story; neighbours share frames, so a fourth of them are independent.
        assert abs(np.mean(scores) - 0.5) < 3 * 0.5 / np.sqrt(2 * 110 / 4)
