# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Small simulated releases, and their builder with nothing prepared."""

from dataset_builders.synthetic_images import SyntheticImages


SMALL = {"num_subjects": 2, "num_sessions": 2, "trials_per_session": 60, "num_shared": 10, "num_voxels": 60}


def listed(folder, **options):
    """A builder of a written release, its recordings by id and its samples."""
    builder = SyntheticImages(data_dir=folder, cache_dir=str(folder.parent / "cache"), **options)
    recordings = builder.list_recordings()
    return builder, {recording.recording_id: recording for recording in recordings}, builder.list_samples(recordings)
