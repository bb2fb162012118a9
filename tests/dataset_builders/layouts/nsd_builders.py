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
"""Builders of NSD for the small release of `layouts.nsd`: the reader's side, of which the writer knows nothing."""

from functools import cached_property

from layouts.nsd import NUM_VERTICES, NUM_VOXELS, SHAPES, TRIALS

from dataset_builders.nsd2022 import NSD2022
from dataset_builders.nsd2022_facts import NSDFacts


#: The small release differs from the real one in every count.
ANY = {"accept_licence": True, "verify_facts": False}


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
