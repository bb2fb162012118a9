# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Tables of tasks that decode a text of each row: losses and texts under the own brain and under every control."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.brain_format import with_brain_arrays
from ..data.corpora import require_rows
from ..data.structure import brains_of_structure
from ..metrics import best_constant_text, identify, remove_text_prior
from ..scoring.caption_scorer import ModelScorer
from ..scoring.table import BRAIN, RETRIEVAL, RIDGE, STRUCTURE
from ..scoring.texts import score_texts
from ..statistics import permutations
from ..statistics.main_effects import expected_wins
from .arms import Batches
from .control_brains import MATCHED, draw_control_brains, match_control_brains
from .controls import DRAWN_CONTROLS, NUM_DRAWS, VALUE_CONTROLS
from .deaf_twin import DEAF_TWIN, MEAN_BRAIN, NULL, STRUCTURE_TWIN, Deaf, choose_rival, losses_of, ways_without_brain
from .ridge_baseline import Embedder, ridge_baseline
from .run import Measured, Run
from .structure_baseline import structure_baseline


if TYPE_CHECKING:
    from datasets import Dataset

    from .tasks import Task


#: Draws of a language model under a brain, of which the one of least risk is chosen.
LEAST_RISK = {"num_candidates": 32, "temperature": 0.7, "top_k": 0, "min_new_tokens": 4, "max_new_tokens": 32}
# Largest block whose whole matrix of texts and brains is computed.
MAX_IDENTIFICATION = 512
# Ye et al. (2025), released code. There the repetition penalty sees generated tokens only, and so it does here.
PUBLISHED_GENERATION = {
    "num_beams": 5,
    "do_sample": False,
    "min_new_tokens": 4,
    "max_new_tokens": 32,
    "repetition_penalty": 2.0,
}


def measure_texts(task: "Task", run: Run) -> Measured:
    """
    Losses of every row under its own brain and every control, and texts of each of these that generate.

    Losses are the mean cross-entropy of the completion's tokens. Where the task identifies and the block is small
    enough, each text is scored under every brain of its block.

    Args:
        task ([`~trainers.evaluation.tasks.Task`]):
            Says which texts.
        run ([`~trainers.evaluation.run.Run`]):
            The evaluation.
    """
    run.show(task.name)
    rows = Batches(run.model, run.processor, task.rows(run.tested), run.batch_size, run.seed, run.embedder)
    generation = dict(run.generation or PUBLISHED_GENERATION) if run.generate else None
    columns = _loss_columns(rows, task, run)
    absent = _add_control_brains(rows, columns, run.advance)
    if generation is not None:
        columns["texts"] = _generate_arms(
            rows, columns["numbers"][: run.num_text_permutations], generation, run.advance
        )
        columns["texts"] |= _constant_arm(task, run, len(rows.rows))
    if run.embedder is not None or run.structure_twin is not None:
        require_rows(run.dataset, "train")
    if run.embedder is not None:
        _add_ridge_baseline(columns, task.rows(run.dataset["train"]), rows, run.embedder)
    rival = _add_deaf_twin(rows, columns, task, run, generation)
    _add_structure_twin(rows, columns, task, run, generation)
    samples = score_texts(_table(rows, task.name, columns), ModelScorer(run.embedder, embed_tokens=run.embed_tokens))
    return Measured(samples, absent, {"generation": generation}, rival=rival)


def _add_deaf_twin(
    rows: Batches, columns: dict[str, Any], task: "Task", run: Run, generation: Mapping[str, Any] | None
) -> str:
    """
    Losses and texts of the best way without the brain, and its name. Without validation rows it is the best on the
    tested rows themselves, which favours the rival.
    """

    def without_brain(tested: Batches) -> dict[str, Deaf]:
        twins = [Batches(*twin, tested.source, run.batch_size, run.seed, run.embedder) for twin in run.twins]
        return ways_without_brain(tested, twins)

    deaf, chosen_on = without_brain(rows), rows
    losses = losses_of(deaf)
    held_out = losses
    if len(run.dataset.get("validation", ())):
        validation = task.rows(run.dataset["validation"])
        chosen_on = Batches(rows.model, rows.processor, validation, rows.batch_size, rows.seed)
        held_out = losses_of(without_brain(chosen_on))
    rival = choose_rival(held_out, chosen_on.num_tokens())
    columns["losses"] |= {NULL: losses[NULL], DEAF_TWIN: losses[rival]}
    if generation is not None:
        columns["texts"][DEAF_TWIN] = deaf[rival].generate(generation, run.advance)
    return rival


def _add_structure_twin(
    rows: Batches, columns: dict[str, Any], task: "Task", run: Run, generation: Mapping[str, Any] | None
) -> None:
    """Losses and texts of the twin that knows length, place and session of each text, and no brain."""
    if run.structure_twin is None:
        return
    splits = brains_of_structure({"train": run.dataset["train"], run.split: run.tested})
    twin = Batches(*run.structure_twin, task.rows(splits[run.split]), run.batch_size, run.seed, run.embedder)
    deaf = Deaf(twin, twin.embeds)
    columns["losses"][STRUCTURE_TWIN] = deaf.losses()
    if generation is not None:
        columns["texts"][STRUCTURE_TWIN] = deaf.generate(generation, run.advance)


def _constant_arm(task: "Task", run: Run, num_rows: int) -> dict[str, list[str]]:
    """The training completion that does best as the answer to everything; a baseline of every text score."""
    if "train" not in run.dataset:
        return {}
    return {"constant": [best_constant_text(list(task.rows(run.dataset["train"])["completion"]))] * num_rows}


def _loss_columns(rows: Batches, task: "Task", run: Run) -> dict[str, Any]:
    """
    Losses of every arm, the control brains of the permuted arm, and identification where the whole matrix is
    affordable.
    """
    groups, brain_ids = ([row[name] for row in rows.rows] for name in ("group", "brain_id"))
    blocks = permutations.within_sessions(rows.blocks, [row.get("session") for row in rows.rows], groups)
    permuted = permutations.permute_across_groups(groups, brain_ids, run.num_permutations, rows.seed, blocks)
    numbers, advance = np.stack([rows.number(ids) for ids in permuted]), run.advance
    losses: dict[str, np.ndarray] = {}
    columns: dict[str, Any] = {
        "numbers": numbers,
        "control_brains": {"permuted": permuted.T.tolist()},
        "losses": losses,
    }
    most = MAX_IDENTIFICATION if run.max_identification is None else run.max_identification
    if task.identifies and max(map(len, rows.brains.values())) <= most:
        matrix = _loss_matrix(rows, advance)
        each = np.arange(len(rows.rows))
        losses["brain"], losses["permuted"] = matrix[each, rows.own], matrix[each, numbers]
        columns |= _identify(rows, matrix, groups)
    else:
        losses["brain"] = rows.losses(rows.own)
        losses["permuted"] = np.stack([_advance(advance, rows.losses(given)) for given in numbers])
    losses["no_brain"] = rows.losses(None)
    losses[MEAN_BRAIN] = _advance(advance, rows.losses(rows.own, rows.mean_brain()))
    for name in run.value_controls:
        losses[name] = _losses_under_control(rows, name, advance)
    return columns


def _losses_under_control(rows: Batches, name: str, advance: Callable) -> np.ndarray:
    """Losses `(rows,)` under broken values; `(draws, rows)` where these are drawn at random."""
    drawn = NUM_DRAWS if name in DRAWN_CONTROLS else 1
    seeds = range(rows.seed * NUM_DRAWS, rows.seed * NUM_DRAWS + drawn)
    found = [_advance(advance, rows.losses(rows.own, rows.encode(VALUE_CONTROLS[name], seed))) for seed in seeds]
    return np.stack(found) if name in DRAWN_CONTROLS else found[0]


def _add_control_brains(rows: Batches, columns: dict[str, Any], advance: Callable) -> dict[str, str]:
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


def _add_matched(rows: Batches, columns: dict[str, Any], distinct: Sequence[Mapping], advance: Callable) -> bool:
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


def _add_ridge_baseline(columns: dict[str, Any], train: "Dataset", rows: Batches, embedder: Embedder) -> None:
    """What ridge regression finds in the same brains, and in what is known of the texts without any."""
    known = list(with_brain_arrays(train))
    for name, fit in ((RIDGE, ridge_baseline), (STRUCTURE, structure_baseline)):
        baseline = fit(known, rows.rows, embedder)
        columns.setdefault("identification", {})[name] = {"cosine": baseline.identification}
        if "texts" in columns:
            columns["texts"][RETRIEVAL if name == RIDGE else STRUCTURE] = baseline.retrieved


def _loss_matrix(rows: Batches, advance: Callable) -> np.ndarray:
    """Losses `(texts, brains of the block)`, NaN where a smaller block has no more brains; one pass per rotation."""
    sizes = np.array([len(rows.brains[block]) for block in rows.blocks])
    matrix = np.full((len(sizes), sizes.max()), np.nan)
    for shift in range(sizes.max()):
        numbers = (rows.own + shift) % sizes
        matrix[np.arange(len(sizes)), numbers] = _advance(advance, rows.losses(numbers))
    return matrix


def _identify(rows: Batches, matrix: np.ndarray, groups: Sequence[str]) -> dict[str, dict[str, dict[str, np.ndarray]]]:
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
    return {"identification": {BRAIN: found}, "expected": {BRAIN: expected}}


def _generate_arms(
    rows: Batches, control_brains: np.ndarray, generation: Mapping[str, Any], advance: Callable
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
    rows: Batches, control_brains: np.ndarray, own: Sequence[str], generation: Mapping[str, Any], advance: Callable
) -> list[list[str]]:
    """Texts of every row, one for each permutation of `control_brains` `(permutations, rows)`."""
    drawn = generation.get("num_candidates", 1) > 1
    drawn = drawn or generation.get("do_sample", rows.model.generation_config.do_sample)
    if not drawn and not any(row["prompt"].strip() for row in rows.rows):
        # Then a text depends on nothing but the brain: it is the one that was written for the control brain.
        written = dict(zip(zip(rows.blocks, rows.own.tolist(), strict=True), own, strict=True))
        return [
            [written[block, number] for number in lent]
            for block, lent in zip(rows.blocks, control_brains.T.tolist(), strict=True)
        ]
    texts = [rows.generate(numbers, generation, advance) for numbers in control_brains]
    return [list(found) for found in zip(*texts, strict=True)]


def _table(rows: Batches, task: str, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One `dict` per row, as [`~trainers.scoring.table`] describes it."""
    kept = ("sample_id", "subject", "group", "brain_id", "prompt")
    samples = []
    for i, (row, num_tokens) in enumerate(zip(rows.rows, rows.num_tokens(), strict=True)):
        sample = {name: row[name] for name in kept}
        sample |= {"task": task, "references": [row["completion"].strip()], "num_tokens": int(num_tokens)}
        losses = {arm: _at(values, i) for arm, values in columns["losses"].items()}
        sample["losses"] = {arm: loss for arm, loss in losses.items() if not np.isnan(loss).any()}
        for key in ("control_brains", "texts"):
            values = {arm: found[i] for arm, found in columns.get(key, {}).items()}
            sample[key] = {arm: value for arm, value in values.items() if value is not None}
        for key in ("identification", "expected"):
            sample[key] = {
                arm: {name: found[i].tolist() for name, found in scores.items() if _known(found[i])}
                for arm, scores in columns.get(key, {}).items()
            }
            sample[key] = {arm: scores for arm, scores in sample[key].items() if scores}
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


__all__ = ["LEAST_RISK", "PUBLISHED_GENERATION", "measure_texts"]
