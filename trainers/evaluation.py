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
"""Model × split × controls → report: every arm runs the same batches and decoding, and differs in the brain alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from . import controls
from .comparisons import best_constant
from .conditions import find_fingerprint, find_versions, require_rows, split_facts
from .controls import VALUE_CONTROLS
from .data_collator import read_as
from .metrics import identify, remove_text_prior
from .reading import Reading
from .report import EvaluationReport


if TYPE_CHECKING:
    from datasets import DatasetDict


# Ye et al. (2025), released code. There the repetition penalty sees generated tokens only, and so it does here.
PUBLISHED_GENERATION = {
    "num_beams": 5,
    "do_sample": False,
    "min_new_tokens": 4,
    "max_new_tokens": 32,
    "repetition_penalty": 2.0,
}


def evaluate_arms(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    dataset: "DatasetDict",
    *,
    corpus: Mapping[str, Any] | None = None,
    split: str = "test",
    readings: Sequence[str] = ("continuation", "sentence"),
    num_permutations: int = 20,
    value_controls: Sequence[str] = tuple(VALUE_CONTROLS),
    generate: bool = True,
    generation: Mapping[str, Any] | None = None,
    max_identification: int = 512,
    batch_size: int = 32,
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | None = None,
    progress: bool = True,
) -> EvaluationReport:
    """Score a model with its own brains and with every control.

    Arms of each reading: `brain`; `permuted`, a brain of another group of the same subject, `num_permutations` times;
    `no_brain`, the language model on the bare text; and `zero`, `voxel_shuffle`, `noise`, broken values. Losses are
    the mean cross-entropy of the completion's tokens. Texts are generated for the first three. Brains are encoded
    once. In the reading `"sentence"` each text is scored under every brain of its block, which gives the
    identification and from which the permuted losses are read.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]): A checkpoint; they must agree.
        dataset (`DatasetDict`):
            Rows in their splits; `train` only serves to find the best constant completion.
        corpus (`Mapping`, *optional*), checkpoint (`str`, *optional*):
            Content of `corpus.json`, and name of the model: what the report says about split, leaks and origin.
        split (`str`, *optional*, defaults to `"test"`), readings (`Sequence[str]`, *optional*): What is evaluated.
        num_permutations (`int`, *optional*, defaults to 20), value_controls (`Sequence[str]`, *optional*):
            Permutations of the brains across groups; which of the broken values to score.
        generate (`bool`, *optional*, defaults to `True`), generation (`Mapping`, *optional*):
            Whether to generate texts, and arguments of `generate` in place of the published ones.
        max_identification (`int`, *optional*, defaults to 512):
            Largest number of brains of a block for which the whole matrix of losses is computed.
        batch_size (`int`), seed (`int`), device, progress (`bool`), all *optional*:
            Rows per batch; seed of everything drawn; where to run; whether to show a progress bar.

    Returns:
        [`EvaluationReport`]: Not yet saved.

    Raises:
        ValueError: If the split is missing or empty, or a subject's samples form a single group.
    """
    require_rows(dataset, split)
    generation = dict(PUBLISHED_GENERATION if generation is None else generation)
    processor.check_config(model.config)
    was_training = model.training
    model = model.to(model.device if device is None else device).eval()
    samples = []
    with torch.inference_mode(), tqdm(disable=not progress, unit="pass") as bar:
        for reading in readings:
            bar.set_description(reading)
            rows = Reading(model, processor, read_as(dataset[split], reading), batch_size, seed)
            columns = _loss_columns(rows, num_permutations, value_controls, reading, max_identification, bar.update)
            if generate:
                columns["texts"] = _generate_arms(rows, columns["donors"][0], generation, bar.update)
                columns["texts"] |= _constant_arm(dataset, reading, len(rows.rows), seed)
            samples += _table(rows, reading, columns)
    model.train(was_training)
    settings: dict[str, Any] = {
        "readings": list(readings),
        "num_permutations": num_permutations,
        "batch_size": batch_size,
        "seed": seed,
    }
    settings |= {"value_controls": list(value_controls), "generation": generation if generate else None}
    settings |= {"max_identification": max_identification, "dtype": str(model.dtype)}
    return EvaluationReport.from_samples(
        samples,
        split=split_facts(corpus, split),
        settings=settings,
        versions=find_versions(),
        fingerprint=find_fingerprint(model, corpus, checkpoint),
    )


def _constant_arm(dataset: "DatasetDict", reading: str, num_rows: int, seed: int) -> dict[str, list[str]]:
    """The training completion that does best as the answer to everything; a floor of every text score."""
    if "train" not in dataset:
        return {}
    return {"constant": [best_constant(list(read_as(dataset["train"], reading)["completion"]), seed=seed)] * num_rows}


def _loss_columns(
    rows: Reading,
    num_permutations: int,
    value_controls: Sequence[str],
    reading: str,
    max_identification: int,
    advance: Callable,
) -> dict[str, Any]:
    """Losses of every arm, the donors of the permuted arm, and identification where the whole matrix is affordable."""
    groups, brain_ids = ([row[name] for row in rows.rows] for name in ("group", "brain_id"))
    permuted = controls.permute_across_groups(groups, brain_ids, num_permutations, rows.seed, rows.blocks)
    donors = np.stack([rows.number(ids) for ids in permuted])
    losses: dict[str, np.ndarray] = {}
    columns: dict[str, Any] = {"donors": donors, "losses": losses}
    if reading == "sentence" and max(map(len, rows.brains.values())) <= max_identification:
        matrix = _loss_matrix(rows, advance)
        each = np.arange(len(rows.rows))
        losses["brain"], losses["permuted"] = matrix[each, rows.own], matrix[each, donors]
        columns["identification"] = _identify(rows, matrix, groups)
    else:
        losses["brain"] = rows.losses(rows.own)
        losses["permuted"] = np.stack([_advance(advance, rows.losses(numbers)) for numbers in donors])
    losses["no_brain"] = rows.losses(None)
    for name in value_controls:
        losses[name] = _advance(advance, rows.losses(rows.own, rows.encode(VALUE_CONTROLS[name])))
    return columns


def _loss_matrix(rows: Reading, advance: Callable) -> np.ndarray:
    """Losses `(texts, brains of the block)`, NaN where a smaller block has no more brains; one pass per rotation."""
    sizes = np.array([len(rows.brains[block]) for block in rows.blocks])
    matrix = np.full((len(sizes), sizes.max()), np.nan)
    for shift in range(sizes.max()):
        numbers = (rows.own + shift) % sizes
        matrix[np.arange(len(sizes)), numbers] = _advance(advance, rows.losses(numbers))
    return matrix


def _identify(rows: Reading, matrix: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Rank and number of candidates `(rows, 2)` of the right text, by likelihood and by gain over the mean brain."""
    found = {name: np.empty((len(groups), 2)) for name in ("likelihood", "likelihood_gain")}
    for block, brains in rows.brains.items():
        members = np.array([i for i, other in enumerate(rows.blocks) if other == block])
        members = members[np.argsort(rows.own[members])]
        scores = -matrix[members, : len(brains)]
        for name, values in (("likelihood", scores), ("likelihood_gain", remove_text_prior(scores))):
            result = identify(values, [groups[i] for i in members])
            found[name][members] = np.stack([result.ranks, result.num_candidates], axis=1)
    return found


def _generate_arms(
    rows: Reading, donors: np.ndarray, generation: Mapping[str, Any], advance: Callable
) -> dict[str, list[str]]:
    """Texts of the generating arms, and the own brain's texts handed to samples of other groups."""
    arms = {"brain": rows.own, "permuted": donors, "no_brain": None}
    texts = {arm: rows.generate(numbers, generation, advance) for arm, numbers in arms.items()}
    groups, each = [row["group"] for row in rows.rows], range(len(rows.rows))
    shuffled = controls.permute_across_groups(groups, each, seed=rows.seed, blocks=rows.blocks)[0]
    return texts | {"shuffled": [texts["brain"][i] for i in shuffled]}


def _table(rows: Reading, reading: str, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One `dict` per row, as [`~trainers.comparisons`] describes it."""
    kept = ("sample_id", "subject", "group", "brain_id", "prompt")
    samples = []
    for i, (row, num_tokens) in enumerate(zip(rows.rows, rows.num_tokens(), strict=True)):
        sample = {name: row[name] for name in kept}
        sample |= {"reading": reading, "truth": row["completion"].strip(), "num_tokens": int(num_tokens)}
        sample["losses"] = {arm: _at(values, i) for arm, values in columns["losses"].items()}
        if "texts" in columns:
            sample["texts"] = {arm: texts[i] for arm, texts in columns["texts"].items()}
        if "identification" in columns:
            sample["identification"] = {name: found[i].tolist() for name, found in columns["identification"].items()}
        samples.append(sample)
    return samples


def _at(losses: np.ndarray, row: int) -> float | list[float]:
    # Six decimals: finer than float32 can tell losses apart, and a fifth of the file.
    return np.round(losses[..., row], 6).tolist()


def _advance(advance: Callable, result: np.ndarray) -> np.ndarray:
    advance()
    return result


__all__ = ["PUBLISHED_GENERATION", "evaluate_arms"]
