# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Builders of NSD for the small release of `layouts.nsd`: the reader's side, of which the writer knows nothing."""

from functools import cached_property

from layouts.nsd import NUM_VERTICES, NUM_VOXELS, SHAPES, TRIALS

from dataset_builders.corpora.nsd.nsd2022 import NSD2022
from dataset_builders.corpora.nsd.nsd2022_facts import NSDFacts


#: The small release differs from the real one in every count.
ANY = {"accept_license": True, "verify_facts": False}


class SmallNSD(NSD2022):
    """NSD, if it were as small as the files of the tests."""

    @cached_property
    def facts(self):
        return NSDFacts(
            sessions={"subj01": 4, "subj02": 3},
            trials_per_session=TRIALS,
            num_images=1400,
            num_subjects=2,
            images_per_subject=1000,
            num_shared=600,
            voxels=NUM_VOXELS,
            shapes=SHAPES,
            num_vertices=NUM_VERTICES,
        )


def listed(root, cls=NSD2022, **options):
    """A builder with its recordings by id and its samples, nothing prepared."""
    builder = cls(data_dir=root, cache_dir=str(root.parent / "cache"), **(ANY | options))
    recordings = builder.list_recordings()
    return builder, {recording.recording_id: recording for recording in recordings}, builder.list_samples(recordings)
