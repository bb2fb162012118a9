# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Bad files of ds003020: each is named, with what was expected and what was found.

Where a size or a count would tell first, facts are not verified, so that the check itself is met.
"""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from layouts.huth_builders import FRAMES, NAN, REPEATS, VOXELS, SmallLebel, response, samples_of
from layouts.huth_builders import listed as list_recordings
from layouts.lebel import TEST_STORY, lebel, write_hf5

from dataset_builders.corpora.huth.lebel2023 import Lebel2023
from dataset_builders.corpora.huth.lebel2023_facts import SourceFile


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("ds003020")
    return root, lebel(root, FRAMES, VOXELS, REPEATS, NAN)


@pytest.fixture
def copy(written, tmp_path):
    """A copy to damage."""
    return shutil.copytree(written[0], tmp_path / "copy")


@pytest.fixture
def listed(tmp_path):
    return lambda root, **options: list_recordings(root, tmp_path / "cache", **options)


def damage(root, story="souls", **arrays):
    write_hf5(response(root, story), arrays)


def read(listed, root):
    return listed(root, verify_facts=False)[1]["UTS01/souls"].read()


class TestBadFiles:
    def test_no_such_folder(self, listed, tmp_path):
        with pytest.raises(FileNotFoundError, match="holds no folder derivative/preprocessed_data: name the folder"):
            listed(tmp_path)

    def test_size_differs_from_the_published_one(self, copy, listed):
        with response(copy).open("ab") as file:
            file.write(b"\0" * 8)
        with pytest.raises(ValueError, match=r"souls\.hf5 has 16456 bytes and the publisher says 16448"):
            listed(copy)

    def test_md5_differs_from_the_published_one(self, copy, listed):
        files = {f"TextGrids/{TEST_STORY}.TextGrid": SourceFile(md5="0" * 32)}
        builder, recordings = listed(copy)
        builder.FACTS = replace(SmallLebel.FACTS, files=files)
        with pytest.raises(ValueError, match=rf"{TEST_STORY}\.TextGrid has the MD5"):
            samples_of(builder, recordings)

    def test_every_difference_is_listed_where_it_is_meant(self, copy, listed):
        class OtherRelease(SmallLebel):
            FACTS = replace(
                SmallLebel.FACTS,
                files={
                    "TextGrids/souls.TextGrid": SourceFile(size=7),
                    f"TextGrids/{TEST_STORY}.TextGrid": SourceFile(md5="0" * 32),
                },
            )

        with response(copy).open("ab") as file:
            file.write(b"\0" * 8)
        with response(copy, "legacy", "UTS03").open("ab") as file:
            file.write(b"\0")
        builder, recordings = listed(copy, cls=OtherRelease, verify_facts=False)
        samples_of(builder, recordings)
        sizes, others = builder.differences[:2], sorted(builder.differences[2:])
        folder = "derivative/preprocessed_data"
        assert sizes == [
            f"{folder}/UTS01/souls.hf5, bytes: expected 16448, found 16456",
            f"{folder}/UTS03/legacy.hf5, bytes: expected 15248, found 15249",
        ]
        assert [line.partition(":")[0] for line in others] == [
            "derivative/TextGrids/souls.TextGrid, bytes",
            f"derivative/TextGrids/{TEST_STORY}.TextGrid, MD5",
        ]

    def test_cut_short(self, copy, listed):
        path = response(copy)
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(ValueError, match=r"souls\.hf5"):
            read(listed, copy)

    def test_pointer_of_git_annex(self, copy, listed):
        response(copy).write_text("/annex/objects/MD5E-s16448--00112233445566778899aabbccddeeff.hf5\n")
        with pytest.raises(ValueError, match=r"souls\.hf5 is a git-annex pointer.*datalad get"):
            read(listed, copy)

    def test_no_dataset_of_that_name(self, copy, listed):
        damage(copy, responses=np.zeros((30, 60)))
        with pytest.raises(ValueError, match=r"souls\.hf5 has no dataset 'data' but /responses"):
            read(listed, copy)

    def test_another_number_of_axes(self, copy, listed):
        damage(copy, data=np.zeros((1, 30, 60)))
        with pytest.raises(
            ValueError, match=r"souls\.hf5: 'data' has the shape \(1, 30, 60\) and not \[frames, voxels\]"
        ):
            read(listed, copy)

    def test_integers(self, copy, listed):
        damage(copy, data=np.zeros((30, 60), np.int16))
        with pytest.raises(ValueError, match=r"souls\.hf5: 'data' holds int16 and not real numbers"):
            read(listed, copy)

    def test_infinite_values(self, copy, listed, written):
        values = written[1].responses["UTS01"]["souls"].copy()
        values[4, 7] = np.inf
        values[5, 8] = 1e300  # not infinite until it is a float32
        damage(copy, data=values)
        with pytest.raises(ValueError, match=r"souls\.hf5: 2 of 1800 values of 'data' are infinite.*frame 4, voxel 7"):
            read(listed, copy)

    def test_mostly_nan(self, copy, listed, written):
        values = written[1].responses["UTS01"]["souls"].copy()
        values[:, :40] = np.nan
        damage(copy, data=values)
        with pytest.raises(ValueError, match=r"souls\.hf5: 70% of the values of 'data' are NaN"):
            read(listed, copy)

    def test_other_frames_than_the_scan_leaves(self, copy, listed):
        damage(copy, data=np.zeros((31, 60)))
        with pytest.raises(ValueError, match=r"souls\.hf5 has 31 frames; .*respdict\.json says 50 .* leaves 30"):
            read(listed, copy)

    def test_other_voxels_than_the_subject_has(self, copy, listed):
        damage(copy, data=np.zeros((30, 61)))
        with pytest.raises(ValueError, match=r"souls\.hf5 has 61 voxels and .*alternateithicatom\.hf5 has 60"):
            read(listed, copy)

    def test_test_story_without_repeats(self, copy, listed):
        damage(copy, TEST_STORY, data=np.zeros((35, 60)))
        with pytest.raises(ValueError, match=rf"{TEST_STORY}\.hf5 has no dataset 'individual_repeats' but /data"):
            listed(copy, verify_facts=False)

    def test_repeats_of_another_shape(self, copy, listed):
        damage(copy, TEST_STORY, data=np.zeros((35, 60)), individual_repeats=np.zeros((3, 34, 60)))
        with pytest.raises(ValueError, match=r"repeats have the shape \(34, 60\) .* mean has \(35, 60\)"):
            listed(copy, verify_facts=False)

    def test_link_to_another_file(self, copy, listed):
        response(copy).unlink()
        with h5py.File(response(copy), "w") as file:
            file["data"] = h5py.ExternalLink(str(response(copy, "legacy")), "data")
        with pytest.raises(ValueError, match="a link to another file"):
            listed(copy, verify_facts=False)

    def test_story_that_respdict_does_not_list(self, copy, listed):
        path = copy / "derivative" / "respdict.json"
        path.write_text(json.dumps({"souls": 50}))
        with pytest.raises(ValueError, match=r"respdict\.json does not list the story 'alternateithicatom'"):
            listed(copy)

    @pytest.mark.parametrize("text", ["{", "[]", '{"souls": "50"}', '{"souls": 20}', '{"souls": true}'])
    def test_broken_respdict(self, copy, listed, text):
        (copy / "derivative" / "respdict.json").write_text(text)
        with pytest.raises(ValueError, match=r"respdict\.json"):
            listed(copy)

    def test_without_respdict_the_published_lengths_hold(self, copy, listed):
        (copy / "derivative" / "respdict.json").unlink()
        assert len(listed(copy)[1]) == len(FRAMES) * len(VOXELS)
        with pytest.raises(ValueError, match=r"published respdict\.json says 363"):
            listed(copy, cls=Lebel2023, verify_facts=False)

    def test_no_textgrid(self, copy, listed):
        (copy / "derivative" / "TextGrids" / "souls.TextGrid").unlink()
        builder, recordings = listed(copy)
        with pytest.raises(FileNotFoundError, match=r"souls\.TextGrid does not exist"):
            samples_of(builder, recordings)

    def test_textgrid_of_another_story(self, copy, listed):
        """Its words go on after the scan."""
        grids = copy / "derivative" / "TextGrids"
        shutil.copy(grids / "alternateithicatom.TextGrid", grids / "naked.TextGrid")
        builder, recordings = listed(copy)
        with pytest.raises(ValueError, match=r"naked\.TextGrid: the last word, .* and the recording ends at"):
            samples_of(builder, recordings)
