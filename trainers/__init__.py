# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Everything that updates or scores a model. Names are loaded when first used: importing the room costs nothing."""

from importlib import import_module
from typing import Any

from .exports import lazy_exports


#: Rooms whose public names are names of `trainers` too. Functions of `metrics` and `statistics` are taken from there.
_ROOMS = (
    "analyses",
    "contrastive",
    "data",
    "embedders",
    "evaluation",
    "grpo",
    "maps",
    "reports",
    "scoring",
    "sft",
    "statistics",
    "story",
    "warmup",
)
_names, _get, _ = lazy_exports(
    __name__,
    {
        "arguments": [
            "DataArguments",
            "EncoderArguments",
            "ModelArguments",
            "SemanticArguments",
            "TargetArguments",
            "TwinArguments",
            "WarmupArguments",
        ],
        "loading": ["fit_statistics", "load_contrastive_model", "load_model_and_processor"],
    },
)


def __getattr__(name: str) -> Any:
    if name in _names:
        return _get(name)
    for room in _ROOMS:
        module = import_module(f".{room}", __name__)
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_names, *(name for room in _ROOMS for name in import_module(f".{room}", __name__).__all__)])


__all__ = __dir__()
