# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""ds004510 and the folders of semantic-decoding in small, read back equal to the truth; bad files are named."""

import json
import shutil

import numpy as np
import pytest
from layouts.huth_builders import TANG_FRAMES, TANG_VOXELS, SmallTang
from layouts.huth_builders import listed as list_recordings
from layouts.lebel import TEST_STORY, write_hf5
from layouts.tang import EXPERIMENTS, semantic_decoding, tang

from dataset_builders import prepare_corpus
from dataset_builders.corpora.huth.tang2023 import PUBLISHED, Tang2023


SESSIONS = {"2": ["souls", "legacy"], "3": ["naked"]}
SUBJECTS = {"S1": 12, "S2": 10}


@pytest.fixture(scope="module")
def open_neuro(tmp_path_factory):
    root = tmp_path_factory.mktemp("ds004510")
    return root, tang(root, TANG_VOXELS, TANG_FRAMES)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("semantic-decoding")
    return root, semantic_decoding(root, SUBJECTS, SESSIONS, TANG_FRAMES)


@pytest.fixture
def listed(tmp_path):
    return lambda root, cls=SmallTang, **options: list_recordings(root, tmp_path / "cache", cls, **options)


def copy_of(written, tmp_path):
    return shutil.copytree(written[0], tmp_path / "copy")


def check_samples(builder, recordings, truth):
    """Every row against the marks in the responses and the words that were written."""
    samples = builder.list_samples(list(recordings.values()))
    for sample in samples:
        run = sample.recording.partition("/")[2]
        experiment, _, file = run.rpartition(".")
        first_centre = EXPERIMENTS[experiment][1] if experiment else 11.0
        values = recordings[sample.recording].read()
        own = sample.frames[0] - 1
        assert sample.frame_times == tuple(values[list(sample.frames), 0])
        start = first_centre - 1 + 2 * own
        words = truth.words[experiment or "train", file.partition("_")[0]]
        assert sample.words == tuple(word for word, onset, _ in words if start <= onset < start + 2)
        assert sample.prompt.split() == [word for word, onset, _ in words if onset < start][-32:]
        if own >= 0:
            assert len(sample.words) == values[own, 2]
    return samples


class TestFacts:
    def test_sizes_of_the_files_in_the_git_tree(self):
        """A few sizes that the tree of ds004510 states for UTS01, from frames and voxels."""
        voxels = PUBLISHED.voxels["UTS01"]
        assert 2048 + 8 * PUBLISHED.frames["imagined_speech"]["alpha"] * voxels == 19_472_288
        assert 2048 + 8 * PUBLISHED.frames["perceived_multispeaker"]["attend-F"] * voxels == 108_386_384
        assert 2048 + 8 * PUBLISHED.frames["perceived_speech"][TEST_STORY] * voxels == 188_863_376

    def test_expected_counts(self, open_neuro, listed):
        builder, _ = listed(open_neuro[0], Tang2023, verify_facts=False)
        expected = {"stories": 11, "recordings": 16, "frames": 1368, "features": 81126}
        assert builder.expected_facts["UTS01"] == expected


class TestOpenNeuro:
    def test_values_are_those_of_the_files(self, open_neuro, listed):
        builder, recordings = listed(open_neuro[0])
        truth = {
            f"{subject}/{experiment}.{file}": values
            for (subject, experiment, file), values in open_neuro[1].responses.items()
            if file != "sintel"
        }
        assert recordings.keys() == truth.keys()
        assert builder.notes["recordings without words"] == len(TANG_VOXELS)
        for name, recording in recordings.items():
            np.testing.assert_array_equal(recording.read(), truth[name].astype(np.float32))

    def test_rows_keep_the_clock_the_tier_and_the_labels_of_their_experiment(self, open_neuro, listed):
        builder, recordings = listed(open_neuro[0])
        samples = check_samples(builder, recordings, open_neuro[1])
        assert {sample.recording for sample in samples} == recordings.keys()
        assert "uh" not in {word for sample in samples for word in sample.words}
        assert len({sample.sample_id for sample in samples}) == len(samples)

    def test_stories_and_groups(self, open_neuro, listed):
        builder, recordings = listed(open_neuro[0])
        groups = {s.stimulus: s.group for s in builder.list_samples(list(recordings.values()))}
        assert groups.pop("attend-F") == groups.pop("attend-M") == "multispeaker"
        assert all(story == group for story, group in groups.items())
        assert groups.keys() == {"alpha", "bravo", "laluna", TEST_STORY}

    def test_repeats_are_recordings_of_one_story(self, open_neuro, listed):
        builder, recordings = listed(open_neuro[0], stories=["alpha"], subjects=["UTS02"])
        names = [f"UTS02/imagined_speech.alpha_repeat-{k}" for k in (1, 2)]
        assert list(recordings) == names
        first, second = (builder.list_samples([recordings[name]]) for name in names)
        assert [(s.completion, s.frames) for s in first] == [(s.completion, s.frames) for s in second]
        assert {s.stimulus for s in first + second} == {"alpha"}

    def test_unknown_names(self, open_neuro, listed):
        with pytest.raises(ValueError, match=r"subjects=\['UTS05'\] is not in .*: choose from UTS01, UTS02"):
            listed(open_neuro[0], subjects=["UTS05"])
        with pytest.raises(ValueError, match=r"stories=\['zulu'\] is not in .*: choose from alpha, attend-F"):
            listed(open_neuro[0], stories=["zulu"])

    def test_no_geometry(self, open_neuro, listed):
        assert listed(open_neuro[0])[0].geometry("UTS01") is None

    def test_prepared(self, open_neuro, tmp_path):
        builder = SmallTang(cache_dir=str(tmp_path), data_dir=open_neuro[0], num_folds=3)
        builder.download_and_prepare()
        info, dataset = builder.corpus_info, builder.as_dataset_dict()
        assert info.facts["differences"] == []
        assert info.split.leaks == []
        sides = {name: set(split["group"]) for name, split in dataset.items()}
        assert not sides["train"] & sides["test"]


class TestSemanticDecoding:
    def test_values_are_those_of_the_files(self, repository, listed):
        _, recordings = listed(repository[0])
        for (subject, experiment, file), values in repository[1].responses.items():
            if file != "sintel":
                run = file if experiment == "train" else f"{experiment}.{file}"
                np.testing.assert_array_equal(recordings[f"{subject}/{run}"].read(), values.astype(np.float32))

    def test_rows_and_their_division(self, repository, listed):
        builder, recordings = listed(repository[0])
        samples = check_samples(builder, recordings, repository[1])
        trained = {s.stimulus for s in samples if s.official_split == "train"}
        assert trained == {"souls", "legacy", "naked"}
        assert not trained & {s.stimulus for s in samples if s.official_split == "test"}

    def test_sessions(self, repository, listed):
        _, recordings = listed(repository[0])
        assert [recordings[f"S1/{story}"].session for story in ("souls", "legacy", "naked")] == ["2", "2", "3"]
        assert recordings["S1/perceived_movie.laluna"].session == ""

    def test_regions(self, repository, listed):
        builder, _ = listed(repository[0])
        geometry = builder.geometry("S2")
        for name, voxels in repository[1].rois["S2"].items():
            assert geometry.roi_names[name] == [name]
            assert np.flatnonzero(geometry.roi_labels[name]).tolist() == voxels

    def test_the_test_story_among_the_training_responses_is_left_out(self, repository, tmp_path, listed):
        """As in a copy of all of ds003020: no session lists it, and it must not be trained on."""
        root = copy_of(repository, tmp_path)
        responses = root / "data_train" / "train_response" / "S1"
        shutil.copy(responses / "souls.hf5", responses / f"{TEST_STORY}.hf5")
        builder, recordings = listed(root)
        assert f"S1/{TEST_STORY}" not in recordings
        assert builder.notes["stories that sess_to_story.json does not list"] == 1

    def test_prepared(self, repository, tmp_path):
        builder = SmallTang(
            cache_dir=str(tmp_path), data_dir=repository[0], split="official", validation_fraction=0.4, rois=["speech"]
        )
        builder.download_and_prepare()
        dataset, info = builder.as_dataset_dict(), builder.corpus_info
        assert info.split.leaks == []
        assert set(dataset["train"]["stimulus"]) | set(dataset["validation"]["stimulus"]) == {
            "souls",
            "legacy",
            "naked",
        }
        assert info.preprocessing["features"] == {"S1": 3, "S2": 3}

    def test_by_its_name(self, repository, tmp_path):
        builder = prepare_corpus("tang2023", repository[0], tmp_path, split="official", verify_facts=False)
        assert builder.corpus_info.split.leaks == []
        assert set(builder.as_dataset_dict()["train"]["subject"]) == set(SUBJECTS)

    def test_without_training_data(self, repository, tmp_path, listed):
        root = copy_of(repository, tmp_path)
        shutil.rmtree(root / "data_train")
        builder, recordings = listed(root)
        assert all("." in name for name in recordings)
        assert builder.geometry("S1") is None


class TestBadFiles:
    def test_neither_layout(self, tmp_path, listed):
        with pytest.raises(FileNotFoundError, match=r"holds neither derivative/preprocessed_data.* nor data_test"):
            listed(tmp_path)

    def test_both_layouts(self, open_neuro, repository, tmp_path, listed):
        root = copy_of(open_neuro, tmp_path)
        shutil.copytree(repository[0], root, dirs_exist_ok=True)
        with pytest.raises(ValueError, match="holds both"):
            listed(root)

    def test_unknown_experiment(self, open_neuro, tmp_path, listed):
        root = copy_of(open_neuro, tmp_path)
        folder = root / "derivative" / "preprocessed_data" / "UTS01"
        (folder / "perceived_movie").rename(folder / "perceived_movies")
        with pytest.raises(ValueError, match=r"has the experiments \['perceived_movies'\]: expected imagined_speech"):
            listed(root)

    def test_no_words(self, open_neuro, tmp_path, listed):
        root = copy_of(open_neuro, tmp_path)
        (root / "derivative" / "TextGrids" / "perceived_movie" / "laluna.TextGrid").unlink()
        builder, recordings = listed(root)
        with pytest.raises(FileNotFoundError, match=r"laluna\.TextGrid does not exist"):
            builder.list_samples(list(recordings.values()))

    def test_another_size(self, open_neuro, tmp_path, listed):
        root = copy_of(open_neuro, tmp_path)
        path = root / "derivative" / "preprocessed_data" / "UTS01" / "perceived_movie" / "laluna.hf5"
        write_hf5(path, {"data": np.zeros((13, 12))})
        with pytest.raises(ValueError, match=r"laluna\.hf5 has 3296 bytes and the publisher says 3392"):
            listed(root)
        assert listed(root, verify_facts=False)[1]["UTS01/perceived_movie.laluna"].num_frames == 13

    def test_other_frames_of_a_subject_of_unknown_size(self, repository, tmp_path, listed):
        root = copy_of(repository, tmp_path)
        path = root / "data_test" / "test_response" / "S1" / "perceived_movie" / "laluna.hf5"
        write_hf5(path, {"data": np.zeros((13, 12))})
        with pytest.raises(ValueError, match=r"laluna\.hf5 has 13 frames and 14 are published"):
            listed(root)

    def test_other_voxels_than_the_subject_has(self, repository, tmp_path, listed):
        root = copy_of(repository, tmp_path)
        path = root / "data_test" / "test_response" / "S1" / "perceived_speech" / f"{TEST_STORY}.hf5"
        write_hf5(path, {"data": np.zeros((14, 11))})
        with pytest.raises(ValueError, match=rf"{TEST_STORY}\.hf5 has 11 voxels and .*legacy\.hf5 has 12"):
            listed(root)

    def test_other_frames_than_the_scan_leaves(self, repository, tmp_path, listed):
        root = copy_of(repository, tmp_path)
        write_hf5(root / "data_train" / "train_response" / "S2" / "naked.hf5", {"data": np.zeros((15, 10))})
        with pytest.raises(ValueError, match=r"naked\.hf5 has 15 frames; .*respdict\.json says 34 .* leaves 14"):
            listed(root)

    @pytest.mark.parametrize("sessions", [{"2": "souls"}, {"2": [["souls"], TEST_STORY]}])
    def test_sessions_of_another_kind(self, repository, tmp_path, listed, sessions):
        root = copy_of(repository, tmp_path)
        (root / "data_train" / "sess_to_story.json").write_text(json.dumps(sessions))
        with pytest.raises(ValueError, match=r"sess_to_story\.json: session '2' holds .*; expected a list of stories"):
            listed(root)

    @pytest.mark.parametrize("name", ["respdict.json", "sess_to_story.json"])
    def test_missing_tables(self, repository, tmp_path, listed, name):
        root = copy_of(repository, tmp_path)
        (root / "data_train" / name).unlink()
        with pytest.raises(FileNotFoundError, match=f"{name} does not exist"):
            listed(root)

    @pytest.mark.parametrize("voxels", [[12], [-1], [1.5], "all"])
    def test_regions_of_another_subject(self, repository, tmp_path, listed, voxels):
        root = copy_of(repository, tmp_path)
        (root / "data_train" / "ROIs" / "S1.json").write_text(json.dumps({"speech": voxels}))
        with pytest.raises(ValueError, match=r"S1\.json: region 'speech' must list voxels from 0 to 11"):
            listed(root)[0].geometry("S1")
