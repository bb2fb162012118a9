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
"""Under which conditions figures were found: split, protocol, versions and origin, which every report states."""

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from transformers.utils import cached_file, logging


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedConfig

    from modeling_brainllm import BrainLlamaForCausalLM


logger = logging.get_logger(__name__)

REPORTED_PACKAGES = ("brainllm", "torch", "transformers", "datasets", "peft", "numpy", "scipy", "sacrebleu", "jiwer")

#: Lies beside the rows of a prepared corpus, in its folder and on the Hub.
CORPUS_FACTS = "corpus.json"
#: Lies beside an adapter.
TRAINING_BRAINS = "training_brains.json"
WITHIN_SUBJECT, HELD_OUT_SUBJECT, FEW_SHOT = "within_subject", "held_out_subject", "few_shot"
MIXED = "mixed"


def read_corpus_facts(dataset: str) -> dict[str, Any] | None:
    """
    What a prepared corpus says of itself: how it was divided, its leaks and its terms.

    Args:
        dataset (`str`):
            Folder of the corpus, or Hub id of one that was pushed from there.

    Returns:
        `dict`: content of `corpus.json`; `None` where there is none, for rows that no corpus builder wrote.
    """
    file = Path(dataset) / CORPUS_FACTS
    if not Path(dataset).is_dir():
        try:
            file = Path(hf_hub_download(dataset, CORPUS_FACTS, repo_type="dataset"))
        except RemoteEntryNotFoundError:
            return None
        except LocalEntryNotFoundError:
            logger.warning(
                f"`{CORPUS_FACTS}` of '{dataset}' is not in the cache and cannot be fetched now: nothing is known "
                "of its split. Evaluate once with a network."
            )
            return None
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def split_facts(corpus: Mapping[str, Any] | None, evaluated: str) -> dict[str, Any]:
    """What a report says about the split: the content of `corpus.json` on division, leaks and terms of the data."""
    if corpus is None:
        return {"evaluated": evaluated}
    names = ("corpus", "subjects", "licence", "redistribution", "consent", "citation")
    return {name: corpus[name] for name in names if name in corpus} | dict(corpus["split"]) | {"evaluated": evaluated}


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


def count_brains(rows: "Dataset") -> dict[str, int]:
    """Distinct brain samples of each subject."""
    pairs = set(zip(rows["subject"], rows["brain_id"], strict=True))
    names, counts = np.unique([subject for subject, _ in pairs], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def note_training_brains(config: "PreTrainedConfig", counts: Mapping[str, int]) -> None:
    """
    Writes into a configuration, which is saved with the checkpoint, on whose brains it was trained.

    Every stage that updates a model calls it, with what [`count_brains`] finds in its training rows. Stages mostly
    share their rows, so of several counts the largest is kept. An adapter has no such configuration: see
    [`save_training_brains`].

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Gets the field `training_brains`.
        counts (`Mapping[str, int]`):
            Distinct brain samples of each subject.
    """
    known = getattr(config, "training_brains", {})
    names = sorted({*known, *counts})
    config.training_brains = {name: max(known.get(name, 0), counts.get(name, 0)) for name in names}


def save_training_brains(config: "PreTrainedConfig", folder: str | Path) -> None:
    """Writes what [`note_training_brains`] has noted beside an adapter, which does not save the configuration."""
    text = json.dumps(config.training_brains, indent=2)
    (Path(folder) / TRAINING_BRAINS).write_text(text + "\n", encoding="utf-8")


def take_over_training_brains(config: "PreTrainedConfig", adapter: str | Path) -> None:
    """
    Adds to a configuration on whose brains an adapter on top of the model was trained.

    Nothing is known about the brains of an adapter that does not say so, and then nothing about those of the whole:
    the field `training_brains` is taken out.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Of the model below the adapter.
        adapter (`str` or `Path`):
            Folder or Hub id.
    """
    file = cached_file(str(adapter), TRAINING_BRAINS, _raise_exceptions_for_missing_entries=False)
    if file is not None:
        note_training_brains(config, json.loads(Path(file).read_text(encoding="utf-8")))
    elif hasattr(config, "training_brains"):
        del config.training_brains


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
            Of the model. Where no stage wrote down its training rows ([`note_training_brains`]), all of the corpus's
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


def find_versions() -> dict[str, str]:
    """Versions of the libraries that figures depend on."""
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    return {name: metadata.version(name) for name in REPORTED_PACKAGES if name in installed}


def require_rows(dataset: "DatasetDict", split: str) -> None:
    """Raises `ValueError` if there is no such split or it is empty."""
    if split not in dataset or not len(dataset[split]):
        sizes = {name: len(rows) for name, rows in dataset.items()}
        raise ValueError(f"`split={split!r}` has no rows; the data hold {sizes}. Name a split that has.")


__all__ = [
    "CORPUS_FACTS",
    "FEW_SHOT",
    "HELD_OUT_SUBJECT",
    "MIXED",
    "WITHIN_SUBJECT",
    "count_brains",
    "describe_protocol",
    "describe_split",
    "find_fingerprint",
    "find_protocol",
    "find_versions",
    "note_training_brains",
    "read_corpus_facts",
    "require_rows",
    "save_training_brains",
    "split_facts",
    "take_over_training_brains",
]
