# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What a builder lists before anything is prepared."""


def listed(cls, root, **options):
    """A builder with its recordings by id and its samples."""
    builder = cls(data_dir=root, cache_dir=str(root.parent / "cache"), **options)
    recordings = builder.list_recordings()
    return builder, {recording.recording_id: recording for recording in recordings}, builder.list_samples(recordings)
