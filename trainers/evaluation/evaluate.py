# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Model × split × tasks → report: every arm runs the same batches and decoding, and differs in the brain alone.

Arms: `brain`; `permuted`, a brain of another group of the same subject; `matched`, such a brain of the same
session, position and length; `no_brain`, the language model on the bare text; `null` and `mean_brain`, the
interface with nothing and with the mean brain; `deaf_twin`, the best that can be done without the brain
([`~trainers.evaluation.deaf_twin`]); `zero`, `voxel_shuffle`, `noise`, broken values; and, where the data allow,
the control brains of [`~trainers.evaluation.control_brains`]. What each task runs of these: its `measure`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.corpora import require_rows
from ..data.provenance import split_facts
from ..metrics.embedding_scores import TokenEmbeddings
from ..reports.provenance import count_parameters, find_fingerprint, find_protocol, find_versions
from ..reports.report import EvaluationReport
from .controls import NUM_DRAWS, VALUE_CONTROLS
from .ridge_baseline import Embedder
from .run import Measured, Run, Twin
from .tasks import Task, choose_tasks, make_task


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def evaluate(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    dataset: "DatasetDict",
    *,
    tasks: Sequence[str | Task] | None = None,
    corpus: Mapping[str, Any] | None = None,
    split: str = "test",
    subjects: Sequence[str] | None = None,
    num_permutations: int = 20,
    num_text_permutations: int = 5,
    value_controls: Sequence[str] = tuple(VALUE_CONTROLS),
    generate: bool = True,
    generation: Mapping[str, Any] | None = None,
    embedder: Embedder | None = None,
    embed_tokens: TokenEmbeddings | None = None,
    twins: Sequence[Twin] = (),
    structure_twin: Twin | None = None,
    max_identification: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | None = None,
    progress: bool = True,
) -> EvaluationReport:
    """Score a model with its own brains and with every control, in one task or several.

    Args:
        model, processor, dataset: A checkpoint; rows in their splits, of which `train` serves baselines and protocol.
        tasks (`Sequence`, *optional*): Names of [`~trainers.evaluation.tasks.TASKS`], or objects; by the columns.
        corpus (`Mapping`, *optional*), checkpoint (`str`, *optional*):
            Content of `corpus.json`, and name of the model: what the report says about split, leaks and origin.
        split (`str`, *optional*, defaults to `"test"`), subjects (`Sequence[str]`, *optional*): What is evaluated.
        num_permutations (`int`, *optional*, defaults to 20), value_controls (`Sequence[str]`, *optional*):
            Permutations of the brains; which broken values to score. Captions have one permutation and all values.
        num_text_permutations, generate, generation, all *optional*: Of how many permutations texts are generated, and
            whether of any; arguments of `generate` in place of the published ones; of captions, of some of them.
        embedder (`Callable`, *optional*): Texts → embeddings `[texts, embedding]`; adds the baselines of
            [`~trainers.evaluation.ridge_baseline`] and `text_similarity`.
        embed_tokens (`Callable`, *optional*): Texts → tokens with their vectors; adds `bert_score`.
        twins (`Sequence[tuple]`), structure_twin (`tuple`), both *optional*: Models of the same recipe, each with its
            processor, trained on shuffled brains; on structure ([`~trainers.data.structure.brains_of_structure`]).
        max_identification (`int`, *optional*): Most candidates of a text: by default 512 texts, 256 images.
        batch_size, seed, device, progress, all *optional*: Rows per batch; seed; where to run; progress bar or none.

    Returns:
        [`EvaluationReport`]: Not yet saved.

    Raises:
        ValueError: If the split, a subject, a task or its columns are missing, or a subject's samples form one group.
    """
    require_rows(dataset, split)
    processor.check_config(model.config)
    tested = choose_subjects(dataset[split], subjects)
    chosen = [make_task(task) for task in tasks or choose_tasks(tested)]
    was_training = model.training
    model = model.to(model.device if device is None else device).eval()
    options: dict[str, Any] = {"num_permutations": num_permutations, "num_text_permutations": num_text_permutations}
    options |= {"value_controls": list(value_controls), "max_identification": max_identification}
    options |= {"batch_size": batch_size, "generate": generate, "seed": seed}
    with torch.inference_mode(), tqdm(disable=not progress, unit="pass") as bar:
        run = Run(
            model, processor, dataset, split, tested, embedder, embed_tokens, twins, structure_twin,
            generation=generation, advance=bar.update, show=bar.set_description, **options,
        )  # fmt: skip
        measured = {task.name: task.measure(run) for task in chosen}
    model.train(was_training)
    settings = options | {"dtype": str(model.dtype), "num_twins": len(twins)} | _settings_of_tasks(measured)
    return EvaluationReport.from_samples(
        [sample for found in measured.values() for sample in found.samples],
        rules={task.name: task.rules for task in chosen},
        settings=settings | {"ridge_baseline": embedder is not None and "train" in dataset},
        split=split_facts(corpus, split),
        protocol=find_protocol(model.config, dataset, tested, corpus),
        versions=find_versions(),
        fingerprint=find_fingerprint(model, corpus, checkpoint),
        parameters=count_parameters(model),
        ceilings=[row for found in measured.values() for row in found.ceilings],
    )


def _settings_of_tasks(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """What each task had of its own: decoding, arms that are absent with the reason, the best without the brain."""
    return {
        "num_draws": NUM_DRAWS,
        "tasks": {name: found.settings for name, found in measured.items()},
        "absent_arms": {name: found.absent for name, found in measured.items()},
        "deaf_twin": {name: found.rival for name, found in measured.items() if found.rival},
    }


def choose_subjects(rows: "Dataset", subjects: Sequence[str] | None) -> "Dataset":
    """The rows of some subjects; all of them if `None`."""
    if subjects is None:
        return rows
    known = sorted(set(rows["subject"]))
    unknown = sorted(set(subjects) - set(known))
    if unknown:
        raise ValueError(f"`subjects`: the split has no rows of {', '.join(unknown)}; it has {', '.join(known)}.")
    return rows.select([i for i, subject in enumerate(rows["subject"]) if subject in subjects])


__all__ = ["choose_subjects", "evaluate"]
