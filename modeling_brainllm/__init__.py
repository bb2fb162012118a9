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
"""
BrainLlama: a frozen Llama that reads a brain, and the alignment of brains with images and captions that precedes it.

Importing registers the classes with the `Auto` classes.
"""

from importlib.metadata import PackageNotFoundError, version

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    AutoProcessor,
)

from .configuration_brain_contrastive import BrainContrastiveConfig
from .configuration_brainllama import BrainLlamaConfig, FrameEncoderConfig, VoxelEncoderConfig
from .feature_extraction_brainllama import BrainLlamaFeatureExtractor
from .modeling_brain_contrastive import BrainContrastiveModel
from .modeling_brainllama import BrainFeatures, BrainLlamaForCausalLM, BrainLlamaModel, BrainLlamaPreTrainedModel
from .processing_brainllama import BrainLlamaProcessor


try:
    __version__ = version("brainllm")
except PackageNotFoundError:  # the files are used from a clone that is not installed
    __version__ = "0.0.0+unknown"

AutoConfig.register(BrainLlamaConfig.model_type, BrainLlamaConfig, exist_ok=True)
AutoConfig.register(BrainContrastiveConfig.model_type, BrainContrastiveConfig, exist_ok=True)
AutoFeatureExtractor.register(BrainContrastiveConfig, BrainLlamaFeatureExtractor, exist_ok=True)
AutoFeatureExtractor.register(BrainLlamaConfig, BrainLlamaFeatureExtractor, exist_ok=True)
AutoModel.register(BrainContrastiveConfig, BrainContrastiveModel, exist_ok=True)
AutoModel.register(BrainLlamaConfig, BrainLlamaModel, exist_ok=True)
AutoModelForCausalLM.register(BrainLlamaConfig, BrainLlamaForCausalLM, exist_ok=True)
AutoModelForMultimodalLM.register(BrainLlamaConfig, BrainLlamaForCausalLM, exist_ok=True)
AutoProcessor.register(BrainLlamaConfig, BrainLlamaProcessor, exist_ok=True)

__all__ = [
    "BrainContrastiveConfig",
    "BrainContrastiveModel",
    "BrainFeatures",
    "BrainLlamaConfig",
    "BrainLlamaFeatureExtractor",
    "BrainLlamaForCausalLM",
    "BrainLlamaModel",
    "BrainLlamaPreTrainedModel",
    "BrainLlamaProcessor",
    "FrameEncoderConfig",
    "VoxelEncoderConfig",
    "__version__",
]
