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
"""The noise ceiling that a corpus brings along is shown, and its absence is said."""

import numpy as np

from trainers.ceilings import noise_ceiling_section
from trainers.voxels import SubjectGeometry


def test_numbers_of_each_subject():
    ceiling = np.append(np.linspace(0, 100, 101), np.nan).astype(np.float32)
    geometries = {"s1": SubjectGeometry(102, noise_ceiling=ceiling), "s2": SubjectGeometry(9)}
    section = noise_ceiling_section(geometries)
    (row,) = section.rows
    assert (row["subject"], row["voxels"], row["median"], row["quarter"], row["tenth"]) == ("s1", 102, 50, 75, 90)
    assert "Unknown for s2" in section.text


def test_a_corpus_without_repeats():
    assert noise_ceiling_section({"s1": SubjectGeometry(9)}) is None
