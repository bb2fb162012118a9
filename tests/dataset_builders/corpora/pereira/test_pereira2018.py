# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Pereira et al. (2018), from files in the layout of theirs that were written without any code of the reader."""

import numpy as np
import pytest
from layouts.pereira import GRID, GUISES, PUBLISHED, SMALL, write_pereira
from scipy.io import savemat

from dataset_builders import load_corpus, prepare_corpus
from dataset_builders.corpora.cutting import cut_sentence
from dataset_builders.corpora.pereira.pereira2018 import Pereira2018
from dataset_builders.corpora.pereira.pereira2018_files import read_images, read_sentences
from dataset_builders.readers.unpickling import load_pickle


SENTENCES, BOTH = "384sentences", ("384sentences", "243sentences")


@pytest.fixture
def small(tmp_path):
    """Few sentences of two subjects, one of whom took part in one experiment only."""
    return write_pereira(tmp_path / "data", {"P01": BOTH, "M08": (SENTENCES,)})


def make(folder, **options):
    options = {"verify_facts": False, "experiments": list(BOTH)} | options
    return Pereira2018(cache_dir=str(folder / "cache"), data_dir=folder / "data", **options)


def listed(builder):
    """Everything that is read before the values are."""
    recordings = builder.list_recordings()
    return recordings, builder.list_samples(recordings), [builder.geometry(r.subject) for r in recordings]


def shared_places(first, second):
    """Numbers of those voxels of two lists that are in both, in the order of the first list."""
    where = {tuple(place): number for number, place in enumerate(second.tolist())}
    pairs = [(n, where[tuple(place)]) for n, place in enumerate(first.tolist()) if tuple(place) in where]
    return np.array(pairs).T


class TestWhatIsRead:
    @pytest.mark.parametrize("kind", ["examples", "data"])
    def test_images_are_the_truth(self, tmp_path, kind):
        truth = write_pereira(tmp_path / "data", {"M08": (SENTENCES,), "M03": ("243sentences",)}, kind)
        recordings = make(tmp_path, images=kind).list_recordings()
        assert [recording.recording_id for recording in recordings] == ["M03/243sentences", "M08/384sentences"]
        for recording, number in zip(recordings, (33, 40), strict=True):
            images = recording.read()
            assert images.dtype == np.float32
            assert images.shape == (recording.num_frames, recording.num_features) == (number, 30)
            subject, experiment = recording.recording_id.split("/")
            np.testing.assert_array_equal(images, truth.images[f"{subject}/{kind}_{experiment}"].astype(np.float32))

    def test_pooled_experiments_have_the_voxels_that_both_have(self, tmp_path, small):
        first, second = (small.coordinates[f"P01/examples_{name}"] for name in BOTH)
        columns = shared_places(first, second)
        assert 0 < columns.shape[1] < 30
        builder = make(tmp_path, subjects=["P01"])
        recordings = builder.list_recordings()
        for recording, own in zip(recordings, columns, strict=True):
            images = small.images[f"P01/examples_{recording.session}"][:, own]
            np.testing.assert_array_equal(recording.read(), images.astype(np.float32))
            lost = 30 - columns.shape[1]
            assert builder.notes[f"voxels of P01/{recording.session} that another experiment lacks"] == lost
        np.testing.assert_array_equal(builder.geometry("P01").coordinates, first[columns[0]] * 2.0)

    def test_one_experiment_keeps_all_voxels(self, tmp_path, small):
        builder = make(tmp_path, subjects=["P01"], experiments=[SENTENCES])
        (recording,) = builder.list_recordings()
        assert recording.num_features == 30
        assert not [note for note in builder.notes if "lacks" in note]
        assert np.isnan(recording.read()).sum() == 41  # one voxel throughout, another once

    def test_rows(self, tmp_path, small):
        recordings, samples, _ = listed(make(tmp_path))
        assert len(samples) == 2 * (40 + 33 + 40)
        assert len({sample.sample_id for sample in samples}) == len(samples)
        for sample in samples:
            experiment, frame = sample.session, sample.frames[0]
            text = small.texts[experiment][frame]
            passage = small.passages[experiment][frame]
            assert sample.text == text
            assert sample.stimulus == sample.group == f"{experiment}/{passage + 1:03d}"
            assert sample.topic == f"{experiment}/{small.topics[experiment][passage]}"
            assert text.startswith(f"{sample.prompt} {sample.completion}")
            assert sample.frames == (frame,)
            assert sample.recording == f"{sample.subject}/{experiment}"
            assert sample.brain_id == sample.sample_id.rsplit("/", 1)[0]
        assert len({sample.brain_id for sample in samples}) == sum(r.num_frames for r in recordings)

    def test_topics_of_the_experiments_are_disjoint(self, tmp_path, small):
        assert set(small.topics[SENTENCES]) & set(small.topics["243sentences"])  # by name they are not
        topics = {}
        for sample in listed(make(tmp_path))[1]:
            topics.setdefault(sample.session, set()).add(sample.topic)
        assert not topics[SENTENCES] & topics["243sentences"]

    @pytest.mark.parametrize("kind", ["examples", "data"])
    def test_geometry(self, tmp_path, kind):
        truth = write_pereira(tmp_path / "data", {"M08": (SENTENCES,)}, kind)
        geometry = make(tmp_path, images=kind).geometry("M08")
        places = truth.coordinates["M08/" + f"{kind}_{SENTENCES}"]
        np.testing.assert_array_equal(geometry.coordinates, places * 2.0)
        assert geometry.grid_shape == GRID
        volume = np.zeros(GRID)
        volume.flat[geometry.grid_index] = 1
        assert volume[tuple(places.T)].all()
        np.testing.assert_array_equal(
            np.c_[places, np.ones(30)] @ geometry.affine.T, np.c_[geometry.coordinates, np.ones(30)]
        )
        atlases = truth.atlases[f"M08/{kind}_{SENTENCES}"]
        assert set(geometry.roi_labels) == set(atlases)
        assert len(atlases) == {"examples": 2, "data": 15}[kind]
        for name, (labels, regions) in atlases.items():
            np.testing.assert_array_equal(geometry.roi_labels[name], labels)
            assert geometry.roi_names[name] == regions
        assert geometry.roi_labels[name].dtype == np.int16

    def test_words_in_three_guises(self, tmp_path):
        truth = write_pereira(tmp_path / "data", {"M16": GUISES})
        recordings, samples, _ = listed(make(tmp_path, experiments=list(GUISES), verify_facts=True))
        assert [recording.session for recording in recordings] == list(GUISES)
        np.testing.assert_array_equal(
            recordings[1].read(), truth.images[f"M16/examples_{GUISES[1]}"].astype(np.float32)
        )
        assert [sample.completion for sample in samples] == 3 * truth.texts[GUISES[0]]
        assert {sample.prompt for sample in samples} == {""}
        assert len({sample.group for sample in samples}) == 180  # one word is one group, whatever its guise

    def test_one_sentence_and_one_voxel_keep_their_dimensions(self, tmp_path):
        savemat(tmp_path / "a.mat", {"examples": np.array([[1.5]]), "row": np.ones((1, 3))})
        assert read_images(tmp_path / "a.mat", "examples").tolist() == [[1.5]]
        assert read_images(tmp_path / "a.mat", "row").shape == (1, 3)

    def test_sentences_may_be_stored_in_another_order_than_images(self, tmp_path):
        """An image has a sentence by `labelsSentences`, and a sentence has its passage."""

        def swap(_, variables):
            variables["labelsSentences"][[0, 39]] = variables["labelsSentences"][[39, 0]]

        truth = write_pereira(tmp_path / "data", {"M08": (SENTENCES,)}, change=swap)
        stimuli = read_sentences(tmp_path / "data" / "M08" / f"examples_{SENTENCES}.mat")
        assert stimuli.texts[0] == truth.texts[SENTENCES][39]
        assert stimuli.passages[0] == truth.passages[SENTENCES][39] == 9


class TestParts:
    def test_words_that_are_left_over_go_to_later_parts(self):
        assert cut_sentence("a b c d e f g h i j k", 3) == ["a b c", "d e f g", "h i j k"]
        assert cut_sentence("a b c d e", 3) == ["a", "b c", "d e"]
        assert cut_sentence("a b", 3) == ["", "a", "b"]
        assert cut_sentence("a b c d", 2) == ["a b", "c d"]

    def test_every_sentence_of_the_release_of_brainllm_is_cut_alike(self, participant):
        stories = load_pickle(participant / "example.wq.pkl")
        items = [item for story in stories.values() for item in story]
        assert len(items) == 627
        for item in items:
            assert cut_sentence(item["content"], 3) == [part["content"] for part in item["word"]]

    def test_number_of_parts(self, tmp_path, small):
        samples = listed(make(tmp_path, num_parts=5))[1]
        assert len(samples) == 4 * (40 + 33 + 40)
        last = [sample for sample in samples if sample.sample_id.endswith("/4")]
        assert all(f"{sample.prompt} {sample.completion}" == sample.text for sample in last)


class TestCorpus:
    def test_as_published(self, tmp_path):
        """A copy with all sentences passes every check; passages and topics are held out whole."""
        write_pereira(tmp_path / "data", {"P01": BOTH, "M03": ("243sentences",)}, sizes=PUBLISHED)
        size = sum(path.stat().st_size for path in tmp_path.rglob("*.mat"))
        assert size < 800_000
        for policy in ("passage", "topic"):
            builder = prepare_corpus("pereira2018", tmp_path / "data", tmp_path / "cache", split=policy)
            info = builder.corpus_info
            assert info.facts["differences"] == info.split.leaks == []
            assert info.facts["subjects"]["P01"]["samples"] == 1254
            assert info.facts["subjects"]["P01"]["stories"] == 168
            assert not info.may_redistribute
            column = "group" if policy == "passage" else "topic"
            held = {name: set(rows[column]) for name, rows in builder.as_dataset_dict().items()}
            assert not held["test"] & held["train"]
            assert not held["validation"] & held["train"] | held["validation"] & held["test"]

    def test_values_are_standardised_within_an_experiment_by_training_frames(self, tmp_path, small):
        rows = load_corpus(
            "pereira2018", tmp_path / "data", tmp_path / "cache",
            subjects=["P01"], verify_facts=False, dtype="float32",
        )  # fmt: skip
        columns = shared_places(*(small.coordinates[f"P01/examples_{name}"] for name in BOTH))
        images = {name: small.images[f"P01/examples_{name}"][:, own] for name, own in zip(BOTH, columns, strict=True)}
        usable = np.all([np.isfinite(values).all(0) & (values.std(0) > 0) for values in images.values()], axis=0)
        for name, values in images.items():
            frames = {
                split: [int(row["brain_id"].split("/")[-1]) for row in part if row["session"] == name]
                for split, part in rows.items()
            }
            train = values[sorted(set(frames["train"]))][:, usable]
            expected = (values[frames["test"]][:, usable] - train.mean(0)) / train.std(0)
            found = [row["brain_values"][0] for row in rows["test"] if row["session"] == name]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    def test_smaller_copy_is_refused_or_described(self, tmp_path, small):
        with pytest.raises(ValueError, match=r"M08/examples_384sentences\.mat, images: expected 384, found 40"):
            load_corpus("pereira2018", tmp_path / "data", tmp_path / "cache")
        facts = prepare_corpus(
            "pereira2018", tmp_path / "data", tmp_path / "cache", verify_facts=False
        ).corpus_info.facts
        assert "P01/examples_243sentences.mat, passages: expected 72, found 10" in facts["differences"]
        assert "P01/examples_243sentences.mat, topics: expected 24, found 5" in facts["differences"]
        assert "P01: samples expected 1254, found 146" in facts["differences"]

    def test_missing_experiment_of_a_participant(self, tmp_path):
        write_pereira(tmp_path / "data", {"P01": (SENTENCES,)}, sizes=PUBLISHED)
        with pytest.raises(ValueError, match="P01: recordings expected 2, found 1"):
            load_corpus("pereira2018", tmp_path / "data", tmp_path / "cache")

    def test_regions(self, tmp_path):
        truth = write_pereira(tmp_path / "data", {"M08": (SENTENCES,)}, "data")
        labels, _ = truth.atlases[f"M08/data_{SENTENCES}"]["languageLH"]
        rows = load_corpus(
            "pereira2018", tmp_path / "data", tmp_path / "cache",
            images="data", rois=["languageLH"], verify_facts=False, bad_voxels="zero",
        )  # fmt: skip
        assert np.shape(rows["test"][0]["brain_values"]) == (1, np.count_nonzero(labels))


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"experiments": ["experiment2"]}, "choose some of 384sentences, 243sentences"),
            ({"experiments": []}, "choose some of"),
            ({"experiments": [SENTENCES, SENTENCES]}, "each once"),
            ({"images": "betas"}, "images='betas' is unknown: choose examples or data"),
            ({"num_parts": 1}, "num_parts=1: at least 2 is needed"),
        ],
    )
    def test_unknown_choices(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            make(tmp_path, **options)

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"is no folder: name that of the files of https"):
            make(tmp_path).list_recordings()

    def test_no_files(self, tmp_path):
        (tmp_path / "data" / "P01").mkdir(parents=True)
        with pytest.raises(FileNotFoundError, match="holds no file <subject>/data_<experiment>.mat"):
            make(tmp_path, images="data").list_recordings()

    def test_absent_subject(self, tmp_path, small):
        with pytest.raises(ValueError, match=r"subjects=\['M01'\] have no such .*: choose from M08, P01"):
            make(tmp_path, subjects=["M01"]).list_recordings()

    def test_link_without_content(self, tmp_path, small):
        path = tmp_path / "data" / "M08" / f"examples_{SENTENCES}.mat"
        path.unlink()
        path.symlink_to(".git/annex/objects/xx/MD5E-s12--00.mat/MD5E-s12--00.mat")
        with pytest.raises(FileNotFoundError, match="datalad get"):
            make(tmp_path).list_recordings()


class TestDefects:
    def test_labels_for_fewer_images(self, tmp_path):
        """The number of images is that of the labels."""

        def shorten(_, variables):
            variables["examples"] = variables["examples"][:39]

        write_pereira(tmp_path / "data", {"M08": (SENTENCES,)}, change=shorten)
        with pytest.raises(ValueError, match=r"384sentences\.mat has 39 images and 40 labels of sentences"):
            listed(make(tmp_path))

    def test_no_images_of_sentences_in_data(self, tmp_path):
        def remove(_, variables):
            del variables["examples_passagesentences"]

        write_pereira(tmp_path / "data", {"M08": (SENTENCES,)}, "data", change=remove)
        with pytest.raises(ValueError, match="holds no matrix 'examples_passagesentences' but keySentences"):
            make(tmp_path, images="data").list_recordings()

    def test_volumes_of_the_experiments_differ(self, tmp_path):
        def enlarge(key, variables):
            variables["meta"]["dimx"] += float(key.endswith("243sentences"))

        write_pereira(tmp_path / "data", {"P01": BOTH}, change=enlarge)
        with pytest.raises(ValueError, match=r"384sentences\.mat, .*243sentences\.mat: volumes differ"):
            make(tmp_path).list_recordings()

    def test_experiments_without_a_common_voxel(self, tmp_path):
        def move(key, variables):
            x = 1 if key.endswith("243sentences") else 2
            places = np.array([(x, y, z) for y in range(1, 7) for z in range(1, 6)])
            variables["meta"]["colToCoord"] = places

        write_pereira(tmp_path / "data", {"P01": BOTH}, change=move)
        with pytest.raises(ValueError, match="no voxel in common: choose one"):
            make(tmp_path).list_recordings()

    def test_subjects_who_read_different_sentences(self, tmp_path):
        def reword(key, variables):
            if key.startswith("M08"):
                variables["keySentences"][5, 0] = "Something else was written here."

        write_pereira(tmp_path / "data", {"M08": (SENTENCES,), "P01": (SENTENCES,)}, change=reword)
        with pytest.raises(ValueError, match="show different stimuli for 384sentences"):
            listed(make(tmp_path))

    @pytest.mark.parametrize("what", ["passages", "topics"])
    def test_published_counts(self, tmp_path, what):
        sizes = SMALL | {SENTENCES: (384, 95, 24) if what == "passages" else (384, 96, 12)}
        write_pereira(tmp_path / "data", {"M08": (SENTENCES,)}, sizes=sizes)
        with pytest.raises(ValueError, match=f"{what}: expected {96 if what == 'passages' else 24}, found"):
            listed(make(tmp_path, verify_facts=True))

    def test_concept_twice(self, tmp_path):
        def repeat(_, variables):
            variables["labelsConcept"][3] = 1

        write_pereira(tmp_path / "data", {"M16": GUISES[:1]}, change=repeat)
        with pytest.raises(ValueError, match="labelsConcept names a concept twice"):
            listed(make(tmp_path, experiments=list(GUISES[:1])))
