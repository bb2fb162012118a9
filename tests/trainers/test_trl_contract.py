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
"""The private methods of TRL that reward tuning has to override: a release that changes them must not pass unseen."""

import inspect

import pytest
from trl import GRPOTrainer


# First parameters of each method, as in the releases that `pyproject.toml` admits.
METHODS = {
    "_generate_and_score_completions": ["self", "inputs"],
    "_tokenize_prompts": ["self", "prompts"],
    "_get_per_token_logps_and_entropies": [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
    ],
    "_compute_loss": ["self", "model", "inputs"],
}


class TestContract:
    @pytest.mark.parametrize("method", METHODS)
    def test_signature(self, method):
        parameters = list(inspect.signature(getattr(GRPOTrainer, method)).parameters)
        assert parameters[: len(METHODS[method])] == METHODS[method]
