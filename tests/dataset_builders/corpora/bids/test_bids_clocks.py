# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""When frames were measured: what the files say, against times computed here from the same words of the standard."""

import gzip
import json

import numpy as np
import pytest
from layouts.bids import SPACE, START_TIME, TR, bids, write_mask, write_series
from layouts.listing import listed as list_corpus

from dataset_builders.corpora.bids.bids import Bids


STEM = "sub-01_task-story_run-1"
NUM_FRAMES = 40
FIXED = f"derivatives/fmriprep/sub-01/func/sub-01_task-story_run-01_{SPACE}_desc-preproc_bold"


def written(root, raw, derived, header_tr=TR):
    """A dataset of one run whose JSON files say this, and whose header says that TR in seconds."""
    truth = bids(root, {STEM: 1}, num_frames=NUM_FRAMES)
    (root / "task-story_bold.json").write_text(json.dumps(raw))
    (root / f"{FIXED}.json").write_text(json.dumps(derived))
    image = root / f"{FIXED}.nii.gz"
    write_series(image, truth.values[STEM], truth.masks[STEM])
    content = bytearray(gzip.decompress(image.read_bytes()))
    content[92:96] = np.float32(header_tr).tobytes()  # pixdim[4] of nifti1.h
    image.write_bytes(gzip.compress(bytes(content)))
    return root


def frame_times(root, **options):
    """Time of every frame by its number, as rows say it."""
    samples = list_corpus(Bids, root, **options)[2]
    assert len(samples) > 15
    return {frame: time for s in samples for frame, time in zip(s.frames, s.frame_times, strict=True)}


def onsets_and_lengths(raw, derived):
    """The standard in other words than the reader's: when each volume of the raw run starts, and how long it takes."""
    tr = raw.get("RepetitionTime", TR)
    starts = raw.get("VolumeTiming", [tr * number for number in range(NUM_FRAMES + 10)])
    length = raw.get("AcquisitionDuration", tr - raw.get("DelayTime", 0))
    length = tr if length > 100 else length  # the length of the whole series, as some converters write it
    gone = derived.get("NumberOfVolumesDiscardedByUser", 0) - raw.get("NumberOfVolumesDiscardedByUser", 0)
    within = derived.get("StartTime", length / 2)
    return {frame: starts[frame + gone] + within for frame in range(NUM_FRAMES)}


SPARSE = {"VolumeTiming": [2.0 * number for number in range(NUM_FRAMES)], "AcquisitionDuration": 0.8}


@pytest.mark.parametrize(
    ("raw", "derived", "header"),
    [
        ({"RepetitionTime": TR}, {}, TR),
        ({"RepetitionTime": TR}, {"StartTime": START_TIME}, TR),
        ({"RepetitionTime": TR, "DelayTime": 0.8}, {}, TR),
        ({"RepetitionTime": TR, "AcquisitionDuration": 1.2}, {}, TR),
        ({"RepetitionTime": TR, "AcquisitionDuration": 300.0}, {}, TR),
        ({"RepetitionTime": TR}, {"NumberOfVolumesDiscardedByUser": 3}, TR),
        ({"RepetitionTime": TR}, {"NumberOfVolumesDiscardedByUser": 4, "StartTime": 0.5}, TR),
        ({"RepetitionTime": TR, "NumberOfVolumesDiscardedByUser": 4}, {}, TR),
        ({"RepetitionTime": TR, "NumberOfVolumesDiscardedByUser": 4}, {"NumberOfVolumesDiscardedByUser": 4}, TR),
        ({"RepetitionTime": TR, "NumberOfVolumesDiscardedByUser": 4}, {"NumberOfVolumesDiscardedByUser": 6}, TR),
        (SPARSE, {}, TR),
        (SPARSE, {}, 0.8),
        (SPARSE, {"StartTime": 0.3}, 0.8),
        ({**SPARSE, "VolumeTiming": [1.5 + 2.0 * number for number in range(NUM_FRAMES)]}, {}, TR),
        (
            {**SPARSE, "VolumeTiming": [2.0 * number for number in range(NUM_FRAMES + 3)]},
            {"NumberOfVolumesDiscardedByUser": 3},
            TR,
        ),
    ],
)
def test_frame_times_are_those_of_the_standard(tmp_path, raw, derived, header):
    if raw.get("NumberOfVolumesDiscardedByUser") and "NumberOfVolumesDiscardedByUser" not in derived:
        expected = onsets_and_lengths({**raw, "NumberOfVolumesDiscardedByUser": 0}, derived)
    else:
        expected = onsets_and_lengths(raw, derived)
    result = frame_times(written(tmp_path / "ds", raw, derived, header))
    assert len(result) > 30
    for frame, time in result.items():
        assert time == pytest.approx(expected[frame], abs=1e-6)


def test_a_sparse_series_every_six_seconds(tmp_path):
    """Volumes of 1.5 s, one every 6 s: frame 3 is measured around 18.75 s, not 5.25 s."""
    raw = {"VolumeTiming": [6.0 * number for number in range(NUM_FRAMES)], "AcquisitionDuration": 1.5}
    root = written(tmp_path / "ds", raw, {}, header_tr=1.5)
    samples = list_corpus(Bids, root)[2]
    result = {frame: time for s in samples for frame, time in zip(s.frames, s.frame_times, strict=True)}
    assert result[3] == pytest.approx(18.75)
    assert result[10] == pytest.approx(60.75)


@pytest.mark.parametrize(
    ("raw", "derived", "header", "message"),
    [
        ({"RepetitionTime": 1.5}, {}, 1.0, "the TR is 1.5 s by the JSON of the raw run, 1 s by the header"),
        (
            {"RepetitionTime": 2.0},
            {"RepetitionTime": 2.5},
            2.0,
            "2.5 s by the JSON of the deriv.*, 2 s by the JSON",
        ),
        ({**SPARSE, "RepetitionTime": 3.0}, {}, TR, "3 s by the JSON of the raw run, .* 2 s by VolumeTiming"),
        (SPARSE, {}, 1.1, "1.1 s by the header, 2 s by VolumeTiming"),
        ({"VolumeTiming": SPARSE["VolumeTiming"]}, {}, TR, "VolumeTiming and no AcquisitionDuration"),
        ({**SPARSE, "VolumeTiming": [0.0, 2.0]}, {}, TR, "names 2 volumes; the series has 40, and 0 were dropped"),
        ({**SPARSE, "VolumeTiming": "fast"}, {}, TR, "VolumeTiming='fast'; expected the onset of each volume"),
        ({**SPARSE, "VolumeTiming": [n**1.1 for n in range(40)]}, {}, TR, "only evenly spaced volumes are read"),
        ({**SPARSE, "AcquisitionDuration": 3.0}, {}, TR, "AcquisitionDuration=3.0; expected seconds"),
        ({"RepetitionTime": TR, "DelayTime": 2.0}, {}, TR, "DelayTime=2.0; expected seconds within the TR of 2 s"),
        (
            {"RepetitionTime": TR, "DelayTime": 1.0, "AcquisitionDuration": 1.5},
            {},
            TR,
            "by DelayTime .* for 1 s and",
        ),
        (
            {"RepetitionTime": TR, "DelayTime": 1.5},
            {"StartTime": 0.9},
            TR,
            "StartTime=0.9; expected seconds within",
        ),
        (
            {"RepetitionTime": TR},
            {"NumberOfVolumesDiscardedByUser": 1.5},
            TR,
            "DiscardedByUser=1.5; expected a num",
        ),
        ({"RepetitionTime": TR}, {"NumberOfVolumesDiscardedByUser": "two"}, TR, "'two'; expected a number of volumes"),
    ],
)
def test_what_disagrees_is_refused(tmp_path, raw, derived, header, message):
    with pytest.raises(ValueError, match=message):
        frame_times(written(tmp_path / "ds", raw, derived, header))


def test_the_option_overrules_files_that_disagree(tmp_path):
    result = frame_times(written(tmp_path / "ds", {"RepetitionTime": 2.2}, {}), tr=2.0)
    assert result[7] == pytest.approx(15.0)


class TestRawSeries:
    """Where the raw series is there, its length tells of volumes that nobody speaks of."""

    def _with_raw(self, root, derived, frames):
        written(root, {"RepetitionTime": TR}, derived)
        mask = np.ones((2, 2, 2), bool)
        write_series(root / "sub-01" / "func" / f"{STEM}_bold.nii.gz", np.zeros((frames, 8)), mask)
        return root

    def test_volumes_that_the_json_tells_of(self, tmp_path):
        root = self._with_raw(tmp_path / "ds", {"NumberOfVolumesDiscardedByUser": 3}, NUM_FRAMES + 3)
        assert frame_times(root)[4] == pytest.approx(15.0)

    @pytest.mark.parametrize(("told", "frames"), [(0, 43), (3, 40), (2, 43)])
    def test_volumes_that_nobody_tells_of(self, tmp_path, told, frames):
        root = self._with_raw(tmp_path / "ds", {"NumberOfVolumesDiscardedByUser": told}, frames)
        with pytest.raises(
            ValueError, match=f"has 40 frames and the raw series {frames}, and by their JSON {told} were"
        ):
            frame_times(root)

    def test_a_raw_series_that_was_not_fetched(self, tmp_path):
        root = written(tmp_path / "ds", {"RepetitionTime": TR}, {})
        (root / "sub-01" / "func" / f"{STEM}_bold.nii.gz").write_text("/annex/objects/MD5E-s10--0123.nii.gz\n")
        assert frame_times(root)[4] == pytest.approx(9.0)


def test_mask_of_one_volume_on_four_axes(tmp_path):
    """Some programs write a mask as a series of one volume; it is that mask."""
    root = written(tmp_path / "ds", {"RepetitionTime": TR}, {})
    mask = np.zeros((5, 4, 3), bool)
    mask[1:3, 2, 0] = True
    write_mask(root / "roi.nii.gz", mask[..., None])
    recordings = list_corpus(Bids, root, mask="roi.nii.gz")[1]
    assert {recording.num_features for recording in recordings.values()} == {2}
    write_mask(root / "roi.nii.gz", np.stack([mask, mask], axis=-1))
    with pytest.raises(ValueError, match="has 2 volumes and a mask has one"):
        list_corpus(Bids, root, mask="roi.nii.gz")
