# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""ds003020 in small, read back equal to the truth that it was written from."""

import json
import shutil

import numpy as np
import pytest
from layouts.huth_builders import FRAMES, NAN, REPEATS, VOXELS, SmallLebel, response, samples_of
from layouts.huth_builders import listed as list_recordings
from layouts.lebel import TEST_STORY, lebel, write_mask, write_raw_names

from dataset_builders import prepare_corpus
from dataset_builders.corpora.huth.lebel2023 import Lebel2023
from dataset_builders.corpora.huth.lebel2023_facts import PUBLISHED, SourceFile
from dataset_builders.corpora.huth.lebel2023_files import find_sessions


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("ds003020")
    return root, lebel(root, FRAMES, VOXELS, REPEATS, NAN)


@pytest.fixture
def copy(written, tmp_path):
    """A copy to damage."""
    return shutil.copytree(written[0], tmp_path / "copy")


@pytest.fixture
def listed(written, tmp_path):
    return lambda root=written[0], **options: list_recordings(root, tmp_path / "cache", **options)


class TestFacts:
    """What the tables say, recomputed from other statements of the same sources."""

    def test_hours_of_frames(self):
        assert len(PUBLISHED.scan_lengths) == 84
        assert sum(map(PUBLISHED.num_frames, PUBLISHED.scan_lengths)) == 28_088
        assert sum(map(PUBLISHED.num_frames, PUBLISHED.stories["UTS05"])) == 9_752

    def test_stories_of_subjects(self):
        assert {subject: len(stories) for subject, stories in PUBLISHED.stories.items()} == {
            subject: number for subject, number in PUBLISHED.num_stories.items() if subject != "UTS09"
        }
        assert all(stories <= PUBLISHED.scan_lengths.keys() for stories in PUBLISHED.stories.values())
        assert "life" not in PUBLISHED.stories["UTS04"]

    def test_sessions_hold_every_story_once(self):
        assert PUBLISHED.sessions["UTS03"].keys() == PUBLISHED.scan_lengths.keys() - {TEST_STORY}
        assert len(PUBLISHED.repeat_sessions["UTS03"]) == PUBLISHED.repeats["UTS03"]

    def test_sizes_of_the_files_whose_size_is_stated(self):
        assert PUBLISHED.response_file("UTS03", "sweetaspie") == SourceFile(120_020_384)
        known = PUBLISHED.files["preprocessed_data/UTS03/wheretheressmoke.hf5"]
        assert PUBLISHED.response_file("UTS03", TEST_STORY) == known
        assert known.size == 2_447_000_216

    def test_sizes_of_the_fixture_follow_the_same_formula(self, written):
        for subject in VOXELS:
            for story in FRAMES:
                known = SmallLebel.FACTS.response_file(subject, story)
                assert response(written[0], story, subject).stat().st_size == known.size

    def test_nothing_is_expected_of_strangers(self):
        assert PUBLISHED.response_file("UTS10", "souls") == SourceFile()
        assert PUBLISHED.response_file("UTS01", "unheard") == SourceFile()


class TestRecordings:
    def test_values_are_those_of_the_files(self, listed, written):
        _, recordings = listed()
        assert set(recordings) == {f"{subject}/{story}" for subject in VOXELS for story in FRAMES}
        for subject, stories in written[1].responses.items():
            for story, truth in stories.items():
                recording = recordings[f"{subject}/{story}"]
                values = recording.read()
                assert values.dtype == np.float32
                assert values.shape == (recording.num_frames, recording.num_features) == truth.shape
                np.testing.assert_array_equal(values, truth.astype(np.float32))
                assert np.isnan(values).all(axis=0).sum() == NAN

    def test_single_repeats(self, listed, written):
        builder, recordings = listed(test_repeats="single")
        for subject, truth in written[1].repeats.items():
            for number, repeat in enumerate(truth, 1):
                values = recordings[f"{subject}/{TEST_STORY}.repeat-{number:02d}"].read()
                np.testing.assert_array_equal(values, repeat.astype(np.float32))
        assert f"UTS01/{TEST_STORY}" not in recordings
        samples = samples_of(builder, recordings)
        rows = [s for s in samples if s.recording.startswith(f"UTS03/{TEST_STORY}")]
        assert {s.official_split for s in rows} == {"test"}
        assert {s.group for s in rows} == {TEST_STORY}
        texts = [(s.completion, s.frames) for s in rows]
        assert texts == texts[: len(texts) // REPEATS] * REPEATS

    def test_only_what_is_asked_for_need_be_there(self, copy, listed):
        """A partial `datalad get`: the files of the others are links without content."""
        for path in copy.rglob("*.hf5"):
            if path.parent.name != "UTS03" or path.stem == "naked":
                path.unlink()
                path.symlink_to("../../../.git/annex/objects/aa/bb/MD5E-s9--0/MD5E-s9--00.hf5")
        stories = [story for story in FRAMES if story != "naked"]
        _, recordings = listed(copy, subjects=["UTS03"], stories=stories)
        assert set(recordings) == {f"UTS03/{story}" for story in stories}
        with pytest.raises(FileNotFoundError, match=r"UTS01/.*datalad get"):
            listed(copy)

    def test_unknown_names(self, listed):
        with pytest.raises(ValueError, match=r"subjects=\['UTS02'\] is not in .*: choose from UTS01, UTS03"):
            listed(subjects=["UTS02"])
        with pytest.raises(ValueError, match=r"stories=\['life'\] is not in .*choose from alternateithicatom, legacy"):
            listed(stories=["life"])


class TestSessions:
    def test_known_ones(self, listed):
        _, recordings = listed()
        assert recordings["UTS03/souls"].session == "2"
        assert recordings[f"UTS03/{TEST_STORY}"].session == "2+3+4"
        assert recordings["UTS01/souls"].session == ""

    def test_of_repeats(self, listed):
        _, recordings = listed(test_repeats="single")
        assert [recordings[f"UTS03/{TEST_STORY}.repeat-{k:02d}"].session for k in (1, 2, 3)] == ["2", "3", "4"]

    def test_from_the_names_of_raw_files(self, copy, listed):
        heard = {"1": ["MotorLocalizer"], "2": ["souls", (TEST_STORY, 1)], "5": ["legacy", (TEST_STORY, 2)]}
        write_raw_names(copy, "UTS01", heard)
        _, recordings = listed(copy)
        assert recordings["UTS01/souls"].session == "2"
        assert recordings["UTS01/legacy"].session == "5"
        assert recordings["UTS01/naked"].session == ""
        # The third repeat is in none of them.
        assert recordings[f"UTS01/{TEST_STORY}"].session == ""

    def test_published(self, tmp_path):
        assert find_sessions(tmp_path, "UTS03")["thecurse", "1"] == "20"
        assert find_sessions(tmp_path, "UTS03")[TEST_STORY, "10"] == "11"
        assert find_sessions(tmp_path, "UTS01") == {}


class TestSamples:
    @pytest.mark.parametrize("story", FRAMES)
    def test_words_and_frames_are_those_of_one_clock(self, listed, written, story):
        """The files themselves carry the time of each row and the number of words in it."""
        builder, recordings = listed(stories=[story], verify_facts=False)
        values = recordings[f"UTS01/{story}"].read()
        truth = written[1].words[story]
        samples = [s for s in samples_of(builder, recordings) if s.subject == "UTS01"]
        assert len(samples) > 20
        for sample in samples:
            own = sample.frames[0] - 1  # the row in whose two seconds the words began
            assert sample.frames == tuple(range(own + 1, own + 5))
            assert sample.frame_times == tuple(values[list(sample.frames), 0])
            start = 2 * own + 10
            heard = [word for word in truth if start <= word[1] < start + 2]
            assert sample.words == tuple(word for word, _, _ in heard)
            assert sample.word_onsets == tuple(onset for _, onset, _ in heard)
            assert sample.word_offsets == tuple(offset for _, _, offset in heard)
            if own >= 0:
                assert len(heard) == values[own, 2]
            before = [word for word, onset, _ in truth if onset < start][-32:]
            assert sample.prompt.split() == before
            assert sample.completion == sample.text == " ".join(sample.words)
            assert sample.sample_id == f"lebel2023/UTS01/{story}/{own + 1}"

    def test_rows_of_all_forms_of_textgrid(self, listed, written):
        """Five stories in four forms: the words of the rows are all words that have frames."""
        builder, recordings = listed()
        for story, words in written[1].words.items():
            found = [w for s in samples_of(builder, recordings) if s.recording == f"UTS03/{story}" for w in s.words]
            last = 2 * (FRAMES[story] - 4) + 10  # the window that starts here has its four frames
            assert found == [word for word, onset, _ in words if 8 <= onset < last]

    def test_ids_and_groups(self, listed):
        builder, recordings = listed()
        samples = samples_of(builder, recordings)
        assert len({s.sample_id for s in samples}) == len(samples)
        assert len({s.brain_id for s in samples}) == len(samples)
        assert all(s.group == s.topic == s.stimulus and s.corpus == "lebel2023" for s in samples)
        assert {s.stimulus for s in samples if s.official_split == "test"} == {TEST_STORY}

    def test_windows_can_be_chosen(self, listed):
        builder, recordings = listed(num_frames=6, window_frames=3, prompt_words=5)
        for sample in samples_of(builder, recordings):
            assert len(sample.frames) == 6
            assert (sample.frames[0] - 1) % 3 == 0
            assert len(sample.prompt.split()) <= 5

    def test_what_is_left_out_is_counted(self, listed):
        builder, recordings = listed()
        samples_of(builder, recordings)
        assert builder.notes["windows past the last frame"] > 0
        assert builder.notes["windows before the first frame"] > 0

    @pytest.mark.parametrize("option", ["num_frames", "window_frames", "prompt_words"])
    def test_sizes_of_nothing(self, listed, option):
        with pytest.raises(ValueError, match=f"{option}=0: at least 1"):
            listed(**{option: 0})

    def test_unknown_way_of_treating_repeats(self, listed):
        with pytest.raises(ValueError, match="test_repeats='median' is unknown: choose one of mean, single"):
            listed(test_repeats="median")


class TestGeometry:
    def test_voxels_are_where_the_mask_of_pycortex_has_them(self, listed, written):
        builder, _ = listed()
        geometry, truth = builder.geometry("UTS01"), written[1]
        assert geometry.space == "UTS01_auto"
        assert geometry.grid_shape == truth.mask.shape[::-1]
        # The reader's own walk through the mask: z slowest, x fastest.
        places = [(x, y, z) for z in range(5) for y in range(7) for x in range(6) if truth.mask[z, y, x]]
        expected = [(truth.affine @ (*place, 1))[:3] for place in places]
        np.testing.assert_allclose(geometry.coordinates, expected)
        volume = np.zeros(geometry.grid_shape)
        volume.ravel()[geometry.grid_index] = np.arange(1, 61)
        np.testing.assert_array_equal(volume.T[truth.mask], np.arange(1, 61))

    def test_noise_ceiling_of_the_mean_and_of_single_repeats(self, listed, written):
        ceilings = {}
        for test_repeats in ("mean", "single"):
            builder, _ = listed(test_repeats=test_repeats)
            geometry = builder.geometry("UTS03")
            ceilings[test_repeats] = geometry.noise_ceiling / 100
            assert np.isnan(geometry.noise_ceiling[-NAN:]).all()
            np.testing.assert_allclose(geometry.noise_ceiling[:3], 100, atol=1e-3)
        assert geometry.noise_ceiling_unit == "percent of the variance of a single repeat"
        assert geometry.coordinates is None
        # Spearman and Brown: averages of three from single ones.
        single = ceilings["single"][3:-NAN]
        np.testing.assert_allclose(ceilings["mean"][3:-NAN], 3 * single / (1 + 2 * single), rtol=1e-5)
        # An independent estimate: the mean correlation of pairs of repeats, over many voxels.
        repeats = written[1].repeats["UTS03"][:, :, 3:-NAN]
        pairs = [
            np.mean([np.corrcoef(repeats[a, :, v], repeats[b, :, v])[0, 1] for v in range(repeats.shape[2])])
            for a, b in ((0, 1), (0, 2), (1, 2))
        ]
        assert np.mean(single) == pytest.approx(np.mean(pairs), abs=0.03)

    def test_without_mask_and_without_test_story(self, listed):
        builder, _ = listed(stories=["souls"], subjects=["UTS03"])
        assert builder.geometry("UTS03") is None
        assert builder.notes["subjects whose voxels have no places"] == 1

    def test_mask_of_another_release(self, copy, listed, written):
        mask = written[1].mask.copy()
        mask[np.unravel_index(mask.argmax(), mask.shape)] = False
        write_mask(copy / "derivative" / "pycortex-db" / "UTS01", "UTS01_auto", mask, np.eye(4))
        builder, _ = listed(copy)
        with pytest.raises(ValueError, match=r"mask_thick\.nii\.gz is a mask of 59 voxels .* UTS01 have 60"):
            builder.geometry("UTS01")

    @pytest.mark.parametrize("name", ["../../elsewhere", 1, ""])
    def test_odd_table_of_transforms(self, copy, listed, name):
        (copy / "derivative" / "subject_xfms.json").write_text(json.dumps({"UTS01": name}))
        builder, _ = listed(copy)
        with pytest.raises(ValueError, match=r"subject_xfms\.json: UTS01 has .*; expected the name of a folder"):
            builder.geometry("UTS01")


class TestPrepared:
    def test_rows(self, written, tmp_path):
        builder = SmallLebel(cache_dir=str(tmp_path), data_dir=written[0], dtype="float32")
        builder.download_and_prepare()
        dataset, info = builder.as_dataset_dict(), builder.corpus_info
        assert set(dataset["test"]["stimulus"]) == {TEST_STORY}
        assert not set(dataset["train"]["stimulus"]) & set(dataset["validation"]["stimulus"])
        assert info.split.policy == "official"
        assert info.split.leaks == []
        assert info.facts["differences"] == []
        assert info.preprocessing["voxels_with_nan"] == {"UTS01": NAN, "UTS03": NAN}
        assert info.preprocessing["features"] == VOXELS

    def test_by_its_name(self, written, tmp_path):
        """The published facts are not those of the fixture, and every difference is listed."""
        builder = prepare_corpus("lebel2023", written[0], tmp_path, verify_facts=False, subjects=["UTS03"])
        *files, features, stories, recordings, frames = builder.corpus_info.facts["differences"]
        assert [line.partition(", bytes: expected")[0].rpartition("/")[2] for line in files] == [
            *(f"{story}.hf5" for story in sorted(FRAMES)),
            "legacy.TextGrid",
            f"{TEST_STORY}.TextGrid",
        ]
        assert [features, stories, recordings, frames] == [
            "UTS03: features expected 95556, found 50",
            "UTS03: stories expected 84, found 5",
            "UTS03: recordings expected 84, found 5",
            f"UTS03: frames expected 28088, found {sum(FRAMES.values())}",
        ]
        with pytest.raises(ValueError, match=r"alternateithicatom\.hf5 has 18048 bytes and the publisher says"):
            prepare_corpus("lebel2023", written[0], tmp_path, subjects=["UTS03"])

    def test_values_in_rows(self, written, tmp_path):
        builder = SmallLebel(
            cache_dir=str(tmp_path), data_dir=written[0], dtype="float32", store="rows", subjects=["UTS03"]
        )
        builder.download_and_prepare()
        for row in builder.as_dataset_dict()["test"]:
            first = int(row["sample_id"].rsplit("/", 1)[1])
            truth = written[1].responses["UTS03"][TEST_STORY][first : first + 4].astype(np.float32)
            np.testing.assert_array_equal(row["brain_values"], np.nan_to_num(truth))
            assert row["frame_times"] == [float(time) for time in truth[:, 0]]

    def test_a_copy_that_lacks_a_story(self, copy, tmp_path):
        response(copy, "naked", "UTS03").unlink()
        options = {"cache_dir": str(tmp_path / "cache"), "data_dir": copy}
        with pytest.raises(ValueError, match="UTS03: stories expected 5, found 4"):
            SmallLebel(**options).download_and_prepare()
        builder = SmallLebel(**options, verify_facts=False)
        builder.download_and_prepare()
        differences = builder.corpus_info.facts["differences"]
        assert [line for line in differences if "stories" in line] == ["UTS03: stories expected 5, found 4"]

    def test_expected_of_some_stories_only(self, listed):
        builder, _ = listed(stories=["souls", TEST_STORY], test_repeats="single")
        assert builder.expected_facts["UTS01"] == {"features": 60, "stories": 2, "recordings": 4, "frames": 135}
        published, _ = listed(cls=Lebel2023, stories=["souls"], verify_facts=False)
        assert published.expected_facts["UTS09"] == {"features": 98336}
