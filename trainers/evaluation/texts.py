# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Model × split × controls → report: every arm runs the same batches and decoding, and differs in the brain alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.brain_format import with_brain_arrays
from ..data.collator import read_as
from ..data.corpora import require_rows
from ..data.provenance import split_facts
from ..metrics import best_constant_text, identify, remove_text_prior
from ..reports.provenance import find_fingerprint, find_protocol, find_versions
from ..reports.texts import EvaluationReport
from ..statistics import permutations
from ..statistics.main_effects import expected_wins
from .arms import Reading
from .control_brains import MATCHED, draw_control_brains, match_control_brains
from .controls import DRAWN_CONTROLS, NUM_DRAWS, VALUE_CONTROLS
from .deaf_twin import DEAF_TWIN, MEAN_BRAIN, NULL, choose_rival, score_without_brain
from .ridge_baseline import Embedder, ridge_baseline


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


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
    num_text_permutations: int = 5,
    value_controls: Sequence[str] = tuple(VALUE_CONTROLS),
    generate: bool = True,
    generation: Mapping[str, Any] | None = None,
    embedder: Embedder | None = None,
    twins: Sequence[tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]] = (),
    max_identification: int = 512,
    batch_size: int = 32,
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | None = None,
    progress: bool = True,
) -> EvaluationReport:
    """Score a model with its own brains and with every control.

    Arms of each reading: `brain`; `permuted`, a brain of another group of the same subject, `num_permutations` times;
    `matched`, such a brain of the same session, position and length; `no_brain`, the language model on the bare text;
    `null` and `mean_brain`, the interface with nothing and with the mean brain; `deaf_twin`, the best that can be done
    without the brain ([`~trainers.evaluation.deaf_twin`]); `zero`, `voxel_shuffle`, `noise`, broken values, the last
    two drawn several times; and, where the data allow, the control brains of [`~trainers.evaluation.control_brains`].
    Losses are the mean cross-entropy of the completion's tokens; `brain`, `permuted` and `no_brain` have texts.
    In `"sentence"` each text is scored under every brain of its block, which gives the identification.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]): A checkpoint; they must agree.
        dataset (`DatasetDict`): Rows in their splits; `train` only serves the baselines (constant completion, ridge).
        corpus (`Mapping`, *optional*), checkpoint (`str`, *optional*):
            Content of `corpus.json`, and name of the model: what the report says about split, leaks and origin.
        split (`str`, *optional*, defaults to `"test"`), readings (`Sequence[str]`, *optional*): What is evaluated.
        num_permutations (`int`, *optional*, defaults to 20), value_controls (`Sequence[str]`, *optional*):
            Permutations of the brains across groups; which of the broken values to score.
        num_text_permutations (`int`, *optional*, defaults to 5): Of the first so many of these texts are generated.
        generate, generation, both *optional*: Whether to generate texts; arguments of `generate` if not as published.
        embedder (`Callable`, *optional*):
            Texts → embeddings `[texts, embedding]`; adds the baselines of [`~trainers.evaluation.ridge_baseline`]:
            identification by ridge regression, and the training completion that it retrieves.
        twins (`Sequence[tuple]`, *optional*):
            Models of the same recipe that were trained on shuffled brains, each with its processor.
        max_identification (`int`, *optional*, defaults to 512): Largest block whose whole matrix is computed.
        batch_size, seed, device, progress, all *optional*: Rows per batch; seed; where to run; progress bar or none.

    Returns:
        [`EvaluationReport`]: Not yet saved.

    Raises:
        ValueError: If the split is missing or empty, a subject's samples form one group, or no permutation has texts.
    """
    require_rows(dataset, split)
    processor.check_config(model.config)
    was_training = model.training
    model = model.to(model.device if device is None else device).eval()
    options: dict[str, Any] = {"num_permutations": num_permutations, "num_text_permutations": num_text_permutations}
    options |= {"value_controls": list(value_controls), "max_identification": max_identification}
    options["generation"] = dict(PUBLISHED_GENERATION if generation is None else generation) if generate else None
    samples, absent, rivals = [], {}, {}
    with torch.inference_mode(), tqdm(disable=not progress, unit="pass") as bar:
        for reading in readings:
            bar.set_description(reading)
            rows = Reading(model, processor, read_as(dataset[split], reading), batch_size, seed)
            columns, absent[reading] = _score(rows, reading, dataset, bar.update, embedder=embedder, **options)
            rivals[reading] = _add_deaf_twin(rows, columns, reading, dataset, twins)
            samples += _table(rows, reading, columns)
    model.train(was_training)
    settings = options | {"num_draws": NUM_DRAWS, "readings": list(readings), "batch_size": batch_size, "seed": seed}
    settings |= {"dtype": str(model.dtype), "ridge_baseline": embedder is not None, "absent_arms": absent}
    settings |= {"num_twins": len(twins), DEAF_TWIN: rivals}
    return EvaluationReport.from_samples(
        samples,
        split=split_facts(corpus, split),
        settings=settings,
        protocol=find_protocol(model.config, dataset, dataset[split], corpus),
        versions=find_versions(),
        fingerprint=find_fingerprint(model, corpus, checkpoint),
    )


def _score(
    rows: Reading,
    reading: str,
    dataset: "DatasetDict",
    advance: Callable,
    *,
    num_permutations: int,
    num_text_permutations: int,
    value_controls: Sequence[str],
    max_identification: int,
    generation: Mapping[str, Any] | None,
    embedder: Embedder | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The columns of one reading, and why arms are absent from them."""
    columns = _loss_columns(rows, num_permutations, value_controls, reading, max_identification, advance)
    absent = _add_lent_arms(rows, columns, advance)
    if generation is not None:
        columns["texts"] = _generate_arms(rows, columns["numbers"][:num_text_permutations], generation, advance)
        columns["texts"] |= _constant_arm(dataset, reading, len(rows.rows))
    if embedder is not None:
        require_rows(dataset, "train")
        _add_ridge_baseline(columns, read_as(dataset["train"], reading), rows, embedder)
    return columns, absent


def _add_deaf_twin(
    rows: Reading,
    columns: dict[str, Any],
    reading: str,
    dataset: "DatasetDict",
    twins: Sequence[tuple[BrainLlamaForCausalLM, BrainLlamaProcessor]],
) -> str:
    """
    Losses without the brain, and which arm of them is the rival. Without validation rows it is the best on the tested
    rows themselves, which favours the rival.
    """

    def score(tested: Reading) -> dict[str, np.ndarray]:
        deaf = [Reading(*twin, tested.source, tested.batch_size, tested.seed) for twin in twins]
        return score_without_brain(tested, deaf)

    losses, chosen_on = score(rows), rows
    held_out = losses
    if len(dataset.get("validation", ())):
        validation = read_as(dataset["validation"], reading)
        chosen_on = Reading(rows.model, rows.processor, validation, rows.batch_size, rows.seed)
        held_out = score(chosen_on)
    rival = choose_rival(held_out, chosen_on.num_tokens())
    columns["losses"] |= {NULL: losses[NULL], DEAF_TWIN: losses[rival]}
    return rival


def _constant_arm(dataset: "DatasetDict", reading: str, num_rows: int) -> dict[str, list[str]]:
    """The training completion that does best as the answer to everything; a baseline of every text score."""
    if "train" not in dataset:
        return {}
    return {"constant": [best_constant_text(list(read_as(dataset["train"], reading)["completion"]))] * num_rows}


def _loss_columns(
    rows: Reading,
    num_permutations: int,
    value_controls: Sequence[str],
    reading: str,
    max_identification: int,
    advance: Callable,
) -> dict[str, Any]:
    """
    Losses of every arm, the control brains of the permuted arm, and identification where the whole matrix is
    affordable.
    """
    groups, brain_ids = ([row[name] for row in rows.rows] for name in ("group", "brain_id"))
    permuted = permutations.permute_across_groups(groups, brain_ids, num_permutations, rows.seed, rows.blocks)
    numbers = np.stack([rows.number(ids) for ids in permuted])
    losses: dict[str, np.ndarray] = {}
    columns: dict[str, Any] = {
        "numbers": numbers,
        "control_brains": {"permuted": permuted.T.tolist()},
        "losses": losses,
    }
    if reading == "sentence" and max(map(len, rows.brains.values())) <= max_identification:
        matrix = _loss_matrix(rows, advance)
        each = np.arange(len(rows.rows))
        losses["brain"], losses["permuted"] = matrix[each, rows.own], matrix[each, numbers]
        columns |= _identify(rows, matrix, groups)
    else:
        losses["brain"] = rows.losses(rows.own)
        losses["permuted"] = np.stack([_advance(advance, rows.losses(given)) for given in numbers])
    losses["no_brain"] = rows.losses(None)
    losses[MEAN_BRAIN] = _advance(advance, rows.losses(rows.own, rows.mean_brain()))
    for name in value_controls:
        losses[name] = _losses_under_control(rows, name, advance)
    return columns


def _losses_under_control(rows: Reading, name: str, advance: Callable) -> np.ndarray:
    """Losses `(rows,)` under broken values; `(draws, rows)` where these are drawn at random."""
    drawn = NUM_DRAWS if name in DRAWN_CONTROLS else 1
    seeds = range(rows.seed * NUM_DRAWS, rows.seed * NUM_DRAWS + drawn)
    found = [_advance(advance, rows.losses(rows.own, rows.encode(VALUE_CONTROLS[name], seed))) for seed in seeds]
    return np.stack(found) if name in DRAWN_CONTROLS else found[0]


def _add_lent_arms(rows: Reading, columns: dict[str, Any], advance: Callable) -> dict[str, str]:
    """Losses under lent brains, NaN where a row has no control brain; returns why arms are absent."""
    distinct = [row for brains in rows.brains.values() for row in brains.values()]
    found, absent = draw_control_brains(distinct, rows.seed)
    for arm, control_brains in found.items():
        losses = _advance(advance, rows.losses(rows.own, rows.lend(control_brains)))
        lent = [control_brains.get(row["brain_id"]) for row in rows.rows]
        columns["losses"][arm] = np.where([control_brain is None for control_brain in lent], np.nan, losses)
        columns["control_brains"][arm] = lent
    if not _add_matched(rows, columns, distinct, advance):
        absent[MATCHED] = "the brains of a session are all of one group"
    return absent


def _add_matched(rows: Reading, columns: dict[str, Any], distinct: Sequence[Mapping], advance: Callable) -> bool:
    """Losses `(draws, rows)` under brains that are alike in all but the words; whether every row has some."""
    losses, drawn = [], []
    for draw in range(NUM_DRAWS):
        control_brains = match_control_brains(distinct, rows.seed * NUM_DRAWS + draw)
        if len(control_brains) < len(distinct):
            return False
        losses.append(_advance(advance, rows.losses(rows.own, rows.lend(control_brains))))
        drawn.append([control_brains[row["brain_id"]] for row in rows.rows])
    columns["losses"][MATCHED] = np.stack(losses)
    columns["control_brains"][MATCHED] = [list(several) for several in zip(*drawn, strict=True)]
    return True


def _add_ridge_baseline(columns: dict[str, Any], train: "Dataset", rows: Reading, embedder: Embedder) -> None:
    baseline = ridge_baseline(list(with_brain_arrays(train)), rows.rows, embedder)
    columns.setdefault("identification", {})["ridge"] = baseline.identification
    if "texts" in columns:
        columns["texts"]["retrieval"] = baseline.retrieved


def _loss_matrix(rows: Reading, advance: Callable) -> np.ndarray:
    """Losses `(texts, brains of the block)`, NaN where a smaller block has no more brains; one pass per rotation."""
    sizes = np.array([len(rows.brains[block]) for block in rows.blocks])
    matrix = np.full((len(sizes), sizes.max()), np.nan)
    for shift in range(sizes.max()):
        numbers = (rows.own + shift) % sizes
        matrix[np.arange(len(sizes)), numbers] = _advance(advance, rows.losses(numbers))
    return matrix


def _identify(rows: Reading, matrix: np.ndarray, groups: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """
    Rank and number of candidates `(rows, 2)` of the right text, by likelihood and by gain over the mean brain; and
    what the text beats under brains of other groups `(rows,)`, which is no merit of its own brain.
    """
    names = ("likelihood", "likelihood_gain")
    found = {name: np.empty((len(groups), 2)) for name in names}
    expected = {name: np.empty(len(groups)) for name in names}
    for block, brains in rows.brains.items():
        members = np.array([i for i, other in enumerate(rows.blocks) if other == block])
        members = members[np.argsort(rows.own[members])]
        scores, own = -matrix[members, : len(brains)], [groups[i] for i in members]
        for name, values in zip(names, (scores, remove_text_prior(scores)), strict=True):
            result = identify(values, own)
            found[name][members] = np.stack([result.ranks, result.num_candidates], axis=1)
            expected[name][members] = expected_wins(values, own)
    return {"identification": found, "identification_expected": expected}


def _generate_arms(
    rows: Reading, control_brains: np.ndarray, generation: Mapping[str, Any], advance: Callable
) -> dict[str, list]:
    """Texts of the generating arms, and the own brain's texts handed to samples of other groups."""
    if not len(control_brains):
        raise ValueError(
            "`num_text_permutations` must be 1 or more, found 0. Pass `generate=False` for no texts at all."
        )
    texts: dict[str, list] = {"brain": rows.generate(rows.own, generation, advance)}
    texts["permuted"] = _permuted_texts(rows, control_brains, texts["brain"], generation, advance)
    texts["no_brain"] = rows.generate(None, generation, advance)
    groups, each = [row["group"] for row in rows.rows], range(len(rows.rows))
    shuffled = permutations.permute_across_groups(groups, each, seed=rows.seed, blocks=rows.blocks)[0]
    return texts | {"shuffled": [texts["brain"][i] for i in shuffled]}


def _permuted_texts(
    rows: Reading, control_brains: np.ndarray, own: Sequence[str], generation: Mapping[str, Any], advance: Callable
) -> list[list[str]]:
    """Texts of every row, one for each permutation of `control_brains` `(permutations, rows)`."""
    drawn = generation.get("do_sample", rows.model.generation_config.do_sample)
    if not drawn and not any(row["prompt"].strip() for row in rows.rows):
        # Then a text depends on nothing but the brain: it is the one that was written for the control brain.
        written = dict(zip(zip(rows.blocks, rows.own.tolist(), strict=True), own, strict=True))
        return [
            [written[block, number] for number in lent]
            for block, lent in zip(rows.blocks, control_brains.T.tolist(), strict=True)
        ]
    texts = [rows.generate(numbers, generation, advance) for numbers in control_brains]
    return [list(found) for found in zip(*texts, strict=True)]


def _table(rows: Reading, reading: str, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One `dict` per row, as [`~trainers.scoring.text_table`] describes it."""
    kept = ("sample_id", "subject", "group", "brain_id", "prompt")
    samples = []
    for i, (row, num_tokens) in enumerate(zip(rows.rows, rows.num_tokens(), strict=True)):
        sample = {name: row[name] for name in kept}
        sample |= {"reading": reading, "truth": row["completion"].strip(), "num_tokens": int(num_tokens)}
        losses = {arm: _at(values, i) for arm, values in columns["losses"].items()}
        sample["losses"] = {arm: loss for arm, loss in losses.items() if not np.isnan(loss).any()}
        sample["control_brains"] = {
            arm: lent[i] for arm, lent in columns["control_brains"].items() if lent[i] is not None
        }
        if "texts" in columns:
            sample["texts"] = {arm: text for arm, texts in columns["texts"].items() if (text := texts[i]) is not None}
        for key in ("identification", "identification_expected"):
            if key in columns:
                sample[key] = {name: found[i].tolist() for name, found in columns[key].items() if _known(found[i])}
        samples.append(sample)
    return samples


def _at(losses: np.ndarray, row: int) -> float | list[float]:
    # Six decimals: finer than float32 can tell losses apart, and a fifth of the file.
    return np.round(losses[..., row], 6).tolist()


def _known(found: np.ndarray) -> bool:
    return not np.isnan(found).any()


def _advance(advance: Callable, result: np.ndarray) -> np.ndarray:
    advance()
    return result


__all__ = ["PUBLISHED_GENERATION", "evaluate_arms"]
