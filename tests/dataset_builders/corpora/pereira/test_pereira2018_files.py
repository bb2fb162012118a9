# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Each defect that a file of Pereira et al. (2018) may have, and what is said about it."""

import numpy as np
import pytest
from layouts.pereira import cell, column, write_pereira

from dataset_builders.corpora.pereira.pereira2018_files import (
    atlases,
    image_shape,
    read_images,
    read_sentences,
    read_voxels,
)


def read_everything(path):
    num_voxels = image_shape(path, "examples")[1]
    return read_images(path, "examples"), read_sentences(path), atlases(path, read_voxels(path, num_voxels))


def put(name, value):
    return lambda variables: variables.__setitem__(name, value)


def put_meta(name, value):
    return lambda variables: variables["meta"].__setitem__(name, value(variables["meta"].get(name)))


def repeat_coordinate(coordinates):
    return np.vstack([coordinates[:-1], coordinates[:1]])


#: Numbers of the sentences, and of their passages, as the small files have them.
ONE_TO_FORTY = np.arange(40) + 1
PASSAGES = np.repeat(np.arange(10), 4) + 1
SPOILT = {
    "no images": (put("examples", np.full((40, 30), "a", object)), "'examples' holds object in place of numbers"),
    "too few labels of sentences": (
        put("labelsSentences", column(ONE_TO_FORTY[:39])),
        "has 39 labels for 40",
    ),
    "sentence 0": (
        put("labelsSentences", column(ONE_TO_FORTY - 1)),
        "labelsSentences needs whole numbers from 1 to 40",
    ),
    "sentence twice": (put("labelsSentences", column([1, 1, *ONE_TO_FORTY[2:]])), "names a sentence twice"),
    "too few labels of passages": (put("labelsPassageForEachSentence", column(PASSAGES[:39])), "39 labels for 40"),
    "passage 0": (put("labelsPassageForEachSentence", column(PASSAGES - 1)), "from 1 to 10 and has 0"),
    "passage beyond the last": (put("labelsPassageForEachSentence", column(PASSAGES + 1)), "from 1 to 10 and has 11"),
    "half a passage": (put("labelsPassageForEachSentence", column(PASSAGES + 0.5)), "and has 1.5"),
    "NaN passage": (put("labelsPassageForEachSentence", column(PASSAGES * np.nan)), "and has nan"),
    "text for labels": (put("labelsPassageForEachSentence", cell(["a"] * 40)), "object of shape"),
    "passage without sentence": (
        put("labelsPassageForEachSentence", column(np.minimum(PASSAGES, 9))),
        r"passages \[10\] have no sentence",
    ),
    "topic beyond the last": (put("labelsPassageCategory", column(np.full(10, 6))), "from 1 to 5 and has 6"),
    "too few topics of passages": (put("labelsPassageCategory", column([1, 2])), "2 labels for 10"),
    "empty sentence": (put("keySentences", cell(["word " * 5] * 39 + [""])), "text 40 of keySentences is empty"),
    "number for a sentence": (put("keySentences", cell([*["a b c"] * 39, 7.0])), "holds float in place of text"),
    "missing variable": (lambda variables: variables.pop("keyPassages"), "it has no variable keyPassages"),
    "no meta": (put("meta", 1.0), "'meta' lacks one of colToCoord, dimx, dimy, dimz; it has no struct"),
    "no coordinates": (lambda v: v["meta"].pop("colToCoord"), "lacks one of colToCoord.*; it has dimx"),
    "fewer coordinates than voxels": (put_meta("colToCoord", lambda c: c[:29]), r"30 voxels and .* \(29, 3\)"),
    "more coordinates than voxels": (put("examples", np.zeros((40, 29))), r"29 voxels and .* \(30, 3\)"),
    "coordinates lying down": (put_meta("colToCoord", np.transpose), r"30 voxels and .* \(3, 30\)"),
    "coordinate 0": (put_meta("colToCoord", lambda c: c - 1), "meta.colToCoord needs whole numbers from 1"),
    "coordinate outside": (put_meta("colToCoord", lambda c: c[:, ::-1]), r"leaves the volume of \(7, 6, 5\)"),
    "coordinate twice": (put_meta("colToCoord", repeat_coordinate), "gives two voxels one coordinate"),
    "short mask": (put_meta("roiMultimaskAAL", lambda mask: mask[:-1]), "the mask of AAL labels 29 of 30 voxels"),
    "region without a name": (
        put_meta("roisAAL", lambda rois: rois[:-1]),
        "the mask of AAL needs whole numbers",
    ),
    "names of regions missing": (lambda v: v["meta"].pop("roisAAL"), "the names of AAL holds NoneType"),
}


class TestDefects:
    @pytest.mark.parametrize("case", SPOILT)
    def test_is_reported_with_the_file(self, tmp_path, case):
        spoil, message = SPOILT[case]
        write_pereira(tmp_path, {"M08": ("384sentences",)}, change=lambda _, variables: spoil(variables))
        with pytest.raises(ValueError, match=rf"M08/examples_384sentences\.mat.*{message}"):
            read_everything(tmp_path / "M08" / "examples_384sentences.mat")

    def test_without_a_defect(self, tmp_path):
        truth = write_pereira(tmp_path, {"M08": ("384sentences",)})
        images, stimuli, found = read_everything(tmp_path / "M08" / "examples_384sentences.mat")
        assert images.shape == (40, 30)
        assert list(stimuli.texts) == truth.texts["384sentences"]
        assert list(stimuli.passages) == truth.passages["384sentences"]
        assert list(stimuli.topics) == truth.topics["384sentences"]
        assert list(found) == ["AAL", "Gordon"]

    def test_atlases_of_data_must_be_complete(self, tmp_path):
        def shorten(_, variables):
            variables["meta"]["rois"] = variables["meta"]["rois"][:, :14]

        write_pereira(tmp_path, {"M08": ("384sentences",)}, "data", change=shorten)
        path = tmp_path / "M08" / "data_384sentences.mat"
        with pytest.raises(ValueError, match="meta has 15 atlases, 14 lists of regions and 15 masks"):
            atlases(path, read_voxels(path, 30))
