# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Under which conditions figures were found: split, protocol, versions and origin, which every report states."""

from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..data.provenance import count_brains


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedConfig

    from modeling_brainllm import BrainLlamaForCausalLM


REPORTED_PACKAGES = ("brainllm", "torch", "transformers", "datasets", "peft", "numpy", "scipy", "sacrebleu", "jiwer")

WITHIN_SUBJECT, HELD_OUT_SUBJECT, FEW_SHOT = "within_subject", "held_out_subject", "few_shot"
MIXED = "mixed"


def describe_split(split: Mapping[str, Any]) -> str:
    """One sentence: what was held out, and every leak that was allowed."""
    if "policy" not in split:
        return "Split: unknown, no `corpus.json` came with the data; nothing is known about leaks."
    folds = split["fold"] if isinstance(split["fold"], list) else [split["fold"]]
    sizes = ", ".join(f"{size} {name}" for name, size in split["sizes"].items())
    text = f"Split: {split['corpus']}, policy `{split['policy']}`, fold {', '.join(map(str, folds))} of "
    text += f"{split['num_folds']} ({sizes} rows); "
    if split.get("test_subjects"):
        text += f"held-out subjects {', '.join(split['test_subjects'])}"
        adapted = split.get("num_adaptation_groups", 0)
        text += f", of whom {adapted} stimuli each were trained on; " if adapted else "; "
    text += f"evaluated on `{split['evaluated']}`; "
    if not split["leaks"]:
        return text + "no leak was found."
    leaks = "; ".join(f"{leak['kind']} ({leak['count']} rows)" for leak in split["leaks"])
    return text + f"**LEAKS that were allowed: {leaks}. No score below shows decoding of unseen stimuli.**"


def find_protocol(
    config: "PreTrainedConfig", dataset: "DatasetDict", rows: "Dataset", corpus: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """
    What training knew of the brains that are tested; told from checkpoint and data, so that nobody can choose it.

    - `"held_out_subject"`: no brain sample of the tested subjects was trained on.
    - `"few_shot"`: none but those few that the corpus set aside to adapt to them (`num_adaptation_groups`).
    - `"within_subject"`: more than these.
    - `"mixed"`: not the same for all of them.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Of the model. Where no stage wrote down its training rows ([`record_training_brains`]), all of the corpus's
            train split counts as trained on.
        dataset (`DatasetDict`), rows (`Dataset`):
            All splits, and the rows that are evaluated.
        corpus (`Mapping`, *optional*):
            Content of `corpus.json`.

    Returns:
        `dict`: `name` (`None` where nothing is known about training), `source` of what is known, `training_brains` of
        every subject, `subjects` tested; and `seen_images`, how many of the `num_images` tested images (groups) are in
        the train split.
    """
    noted = getattr(config, "training_brains", None)
    in_corpus = count_brains(dataset["train"]) if "train" in dataset else {}
    known = in_corpus if noted is None else noted
    subjects, images = sorted(set(rows["subject"])), set(rows["group"])
    split = (corpus or {}).get("split", {})
    adapted = (split.get("test_subjects") or ()) if split.get("num_adaptation_groups") else ()
    names = set()
    for subject in subjects:
        own = known.get(subject, 0)
        few = subject in adapted and own <= in_corpus.get(subject, 0)
        names.add(HELD_OUT_SUBJECT if not own else FEW_SHOT if few else WITHIN_SUBJECT)
    return {
        "name": None if not known else names.pop() if len(names) == 1 else MIXED,
        "source": "checkpoint" if noted is not None else "train split of the corpus",
        "training_brains": known,
        "subjects": subjects,
        "num_images": len(images),
        "seen_images": len(images & set(dataset["train"]["group"])) if "train" in dataset else None,
    }


def describe_protocol(protocol: Mapping[str, Any]) -> str:
    """One sentence: whose brains were tested, what training knew of them and of the stimuli."""
    if protocol["name"] is None:
        return "Protocol: unknown, neither checkpoint nor data say whose brains the model was trained on."
    known = protocol["training_brains"]
    tested = ", ".join(f"{name} ({known.get(name, 0)} of its brains in training)" for name in protocol["subjects"])
    trained = ", ".join(f"{name} {count}" for name, count in known.items()) or "nobody"
    text = f"Protocol: `{protocol['name']}`, tested on {tested}; brains in training: {trained}, according to the "
    text += f"{protocol['source']}; {protocol['num_images']} stimuli"
    if protocol["seen_images"] is None:
        return text + "."
    return text + f", of which {protocol['seen_images']} are in the train split."


def find_fingerprint(
    model: "BrainLlamaForCausalLM", corpus: Mapping[str, Any] | None, checkpoint: str | None
) -> dict[str, str | None]:
    """Which data and which weights."""
    return {
        "data": (corpus or {}).get("fingerprint"),
        "checkpoint": checkpoint or model.name_or_path or None,
        "text_model": model.config.text_model_id,
        "text_model_revision": model.config.text_model_revision,
    }


def count_parameters(model: "BrainLlamaForCausalLM") -> dict[str, int]:
    """
    Parameters of each part: `encoder` (trained by alignment), `interface` (projector and adapters, trained by
    instruction tuning), `lora` (trained by reward tuning) and the frozen `language_model`.
    """
    counts = {"encoder": 0, "interface": 0, "lora": 0, "language_model": 0}
    parts = {"lora_": "lora", "brain_encoder.": "encoder", "brain_interface.": "interface"}
    for name, parameter in model.named_parameters():
        part = next((part for mark, part in parts.items() if mark in name), "language_model")
        counts[part] += parameter.numel()
    return counts


def find_versions() -> dict[str, str]:
    """Versions of the libraries that figures depend on."""
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    return {name: metadata.version(name) for name in REPORTED_PACKAGES if name in installed}


__all__ = [
    "FEW_SHOT",
    "HELD_OUT_SUBJECT",
    "MIXED",
    "WITHIN_SUBJECT",
    "count_parameters",
    "describe_protocol",
    "describe_split",
    "find_fingerprint",
    "find_protocol",
    "find_versions",
]
