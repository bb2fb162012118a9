# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Small simulated releases, and their builder with nothing prepared."""

from dataset_builders.corpora.synthetic.images import SyntheticImages


SMALL = {"num_subjects": 2, "num_sessions": 2, "trials_per_session": 60, "num_shared": 10, "num_voxels": 60}


def listed(folder, **options):
    """A builder of a written release, its recordings by id and its samples."""
    builder = SyntheticImages(data_dir=folder, cache_dir=str(folder.parent / "cache"), **options)
    recordings = builder.list_recordings()
    return builder, {recording.recording_id: recording for recording in recordings}, builder.list_samples(recordings)
