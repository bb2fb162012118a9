# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What an adapter was trained on top of: told from the weights, so that it is put on no other model unnoticed."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers.utils import cached_file, logging

from modeling_brainllm import BrainLlamaForCausalLM
from modeling_brainllm.checksums import verify_checksums


logger = logging.get_logger(__name__)

#: Lies beside an adapter, in its checkpoints too.
ADAPTER_BASE = "adapter_base.json"
SAMPLED_VALUES = 4
# Weights loaded as bfloat16 or float16 are those of float32 but for rounding: half a unit in the eighth binary digit.
RELATIVE, ABSOLUTE = 5e-3, 1e-7


def describe_base(
    model: BrainLlamaForCausalLM, gather: Callable[[list], AbstractContextManager] = nullcontext
) -> dict[str, Any]:
    """
    Interface, and of each weight its shape and some of its values; an adapter that the model has is left out.

    No hash: a base is loaded in half precision for training and in full precision for evaluation.

    Args:
        model ([`BrainLlamaForCausalLM`]):
            The model below an adapter, or with its parts in place (`get_base_model()`).
        gather (`Callable[[list], AbstractContextManager]`, *optional*):
            Within which weights in shards are whole, e.g. under ZeRO-3.
    """
    weights = {}
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            continue
        with gather([parameter]), torch.no_grad():
            values, last = parameter.flatten(), parameter.numel() - 1
            places = [last * place // (SAMPLED_VALUES - 1) for place in range(SAMPLED_VALUES)]
            sampled = [float(f"{value:.6g}") for value in values[places].float().tolist()]
            weights[name.replace(".base_layer", "")] = {"shape": list(parameter.shape), "values": sampled}
    return {"interface": model.config.interface, "weights": weights}


def require_saved_by_peft(model: Any) -> None:
    """
    Refuses a `PeftModel` of which weights are trained that PEFT does not save.

    Args:
        model ([`BrainLlamaForCausalLM`] or [`~peft.PeftModel`]):
            A model to be trained.

    Raises:
        ValueError: a weight below the adapters requires a gradient.
    """
    if not hasattr(model, "get_base_model"):
        return
    marks = ("lora_", "modules_to_save.", *(config.peft_type.value.lower() for config in model.peft_config.values()))
    lost = [n for n, p in model.named_parameters() if p.requires_grad and not any(mark in n for mark in marks)]
    if lost:
        raise ValueError(
            f"{len(lost)} weights are trained that a PeftModel does not save (first: {lost[0]}). Name their modules, "
            'e.g. `modules_to_save=["brain_encoder", "brain_interface"]`, or use `model.add_adapter(config)` in place '
            "of `get_peft_model(model, config)`: such a model saves brain modules and adapter together."
        )


def save_base(base: dict[str, Any], folder: str | Path) -> None:
    """Writes what [`describe_base`] found beside an adapter."""
    (Path(folder) / ADAPTER_BASE).write_text(json.dumps(base) + "\n", encoding="utf-8")


def require_base(found: dict[str, Any], adapter: str | Path) -> None:
    """
    Refuses an adapter that was trained on top of another model.

    Args:
        found (`dict`):
            What [`describe_base`] says of the model that is to carry the adapter.
        adapter (`str` or `Path`):
            Folder or Hub id. One that does not say what it was trained on is taken, with a warning.

    Raises:
        ValueError: interface, weights or values are not those of the adapter's base.
    """
    verify_checksums(adapter)
    file = cached_file(str(adapter), ADAPTER_BASE, _raise_exceptions_for_missing_entries=False)
    if file is None:
        logger.warning(
            f"The adapter '{adapter}' has no `{ADAPTER_BASE}`, so that nothing says whether this is the model that it "
            "was trained on. Adapters of `examples/train_grpo.py` have one."
        )
        return
    difference = _difference(json.loads(Path(file).read_text(encoding="utf-8")), found)
    if difference is not None:
        raise ValueError(
            f"The adapter '{adapter}' was trained on top of another model: {difference}. Give the checkpoint that its "
            "`adapter_config.json` names as base."
        )


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    """The first difference, in words."""
    if expected["interface"] != found["interface"]:
        return f"its interface was '{expected['interface']}', this model's is '{found['interface']}'"
    ours, theirs = found["weights"], expected["weights"]
    shapes = [{name: weight["shape"] for name, weight in weights.items()} for weights in (theirs, ours)]
    other = [name for name in sorted({**theirs, **ours}) if shapes[0].get(name) != shapes[1].get(name)]
    if other:
        name = other[0]
        return f"`{name}` had the shape {shapes[0].get(name, 'none')}, here it has {shapes[1].get(name, 'none')}"
    changed = [name for name in theirs if not _are_close(theirs[name]["values"], ours[name]["values"])]
    if not changed:
        return None
    return f"{len(changed)} of {len(theirs)} weights have other values, the first of them `{changed[0]}`"


def _are_close(values: list[float], others: list[float]) -> bool:
    return torch.allclose(torch.tensor(values), torch.tensor(others), rtol=RELATIVE, atol=ABSOLUTE)


__all__ = ["ADAPTER_BASE", "describe_base", "require_base", "require_saved_by_peft", "save_base"]
