# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Captions of images under every control: the arms differ in whose brain, and which values, the model is given."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor

from ..data.brain_format import with_brain_arrays
from ..scoring.table import BRAIN, PERMUTED
from ..scoring.table import NO_BRAIN as NOBODY
from ..statistics.permutations import NO_BRAIN, TIME_SHIFT, no_brain, permute_across_groups, swap_subjects
from .arms import continue_texts, encode_brains
from .control_brains import OTHER_STIMULUS, SAME_STIMULUS
from .controls import VALUE_CONTROLS
from .deaf_twin import MEAN_BRAIN


#: Arms that every corpus can have and every evaluation of captions runs, for all samples.
MANDATORY_ARMS = (BRAIN, "zero", "voxel_shuffle", PERMUTED)
#: Arms beside these: of control brains and of no brain, then of noise and of the subject's mean brain.
OPTIONAL_ARMS = (SAME_STIMULUS, OTHER_STIMULUS, TIME_SHIFT, NOBODY, "noise", MEAN_BRAIN)
# All of a row that a caption can depend on.
_VISIBLE = ("subject", "brain_values")


def assign_control_brains(
    groups: Sequence[str],
    subjects: Sequence[str],
    num_tested: int,
    optional_arms: Sequence[str] = OPTIONAL_ARMS,
    seed: int = 0,
    later: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """
    Which brain stands, in each arm, in the place of each tested one.

    Args:
        groups (`Sequence[str]` of length brains), subjects (`Sequence[str]` of length brains):
            Image and subject of each brain sample: first those that are tested, then those that are only lent.
        num_tested (`int`):
            How many are tested.
        optional_arms (`Sequence[str]`, *optional*):
            Arms beside [`MANDATORY_ARMS`].
        seed (`int`, *optional*, defaults to 0):
            Seed of the draws.
        later (`np.ndarray` of shape `(tested,)`, *optional*):
            Brain numbers of the arm `time_shift`, of [`~trainers.evaluation.control_brains.assign_later_trials`].

    Returns:
        `dict[str, np.ndarray]`: For each arm brain numbers `(tested,)`, or `NO_BRAIN` (-1) where there is no control
        brain. An arm of lent brains for which nobody has a control brain is left out.

    Raises:
        ValueError: If an arm is unknown, or the tested brains of a subject saw a single image.
    """
    unknown = sorted(set(optional_arms) - set(OPTIONAL_ARMS))
    if unknown:
        raise ValueError(f"`optional_arms`: {', '.join(unknown)} unknown; choose from {', '.join(OPTIONAL_ARMS)}.")
    own, groups, subjects = np.arange(num_tested), list(groups), list(subjects)
    swapped = permute_across_groups(groups[:num_tested], own.tolist(), seed=seed, blocks=subjects[:num_tested])
    control_brains = dict.fromkeys(MANDATORY_ARMS, own) | {PERMUTED: swapped[0]}
    lendings = {SAME_STIMULUS: swap_subjects(groups, subjects, True, seed)[:num_tested]}
    lendings |= {OTHER_STIMULUS: swap_subjects(groups, subjects, False, seed)[:num_tested]}
    lendings |= {} if later is None else {TIME_SHIFT: later}
    for arm, lent in lendings.items():
        if arm in optional_arms and (lent != NO_BRAIN).any():
            control_brains[arm] = lent
    control_brains |= {NOBODY: no_brain(own.tolist())} if NOBODY in optional_arms else {}
    return control_brains | {arm: own for arm in ("noise", MEAN_BRAIN) if arm in optional_arms}


def explain_absent(
    control_brains: Mapping[str, np.ndarray],
    subjects: Sequence[str],
    no_time_shift: str,
    optional_arms: Sequence[str] = OPTIONAL_ARMS,
) -> dict[str, str]:
    """
    Why arms are absent, for the report.

    Args:
        control_brains (`Mapping[str, np.ndarray]`):
            Result of [`assign_control_brains`].
        subjects (`Sequence[str]`):
            Subject of each brain, tested or lent.
        no_time_shift (`str`):
            Why there is no `time_shift` where there is none, of
            [`~trainers.evaluation.control_brains.assign_later_trials`].
        optional_arms (`Sequence[str]`, *optional*):
            Arms that were asked for.
    """
    alone = "there is no brain of another subject that the model can read"
    reason = {SAME_STIMULUS: "no other subject saw the same images", OTHER_STIMULUS: alone}
    reason |= dict.fromkeys(reason, alone) if len(set(subjects)) < 2 else {}
    reason |= {TIME_SHIFT: no_time_shift}
    return {arm: why for arm, why in reason.items() if arm in optional_arms and arm not in control_brains}


def caption_arms(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    brains: Dataset,
    control_brains: Mapping[str, np.ndarray],
    prompt: str,
    generation: Mapping[str, Any],
    *,
    batch_size: int = 32,
    seed: int = 0,
    advance: Callable[[], Any] = lambda: None,
    show: Callable[[str], Any] = lambda name: None,
) -> dict[str, list[str | None]]:
    """
    Captions of every arm, from prompt and brain alone: nothing else of the rows is read.

    Every arm runs the same batches, with the same decoding from the same state of the random generator.

    Args:
        model ([`BrainLlamaForCausalLM`]), processor ([`BrainLlamaProcessor`]):
            They must agree.
        brains (`Dataset`):
            Rows with `subject` and `brain_values`, one per brain sample.
        control_brains (`Mapping[str, np.ndarray]`):
            Result of [`assign_control_brains`].
        prompt (`str`):
            With one marker, which is taken out for the arm `no_brain`.
        generation (`Mapping`):
            Arguments of `generate`.
        batch_size (`int`), seed (`int`), advance (`Callable`), show (`Callable`), all *optional*:
            See [`~trainers.evaluation.run.Run`].

    Returns:
        `dict[str, list[str | None]]`: For each arm a caption per tested brain; `None` where there is no control brain.

    Raises:
        ValueError: If the prompt does not hold the marker once, or a subject is unknown to the processor.
    """
    if prompt.count(processor.brain_token) != 1:
        raise ValueError(
            f"`prompt` must hold the marker {processor.brain_token} once, where the brain stands; found {prompt!r}. "
            "Use `trainers.data.prompts.caption_prompt`."
        )
    used = np.unique(np.concatenate([numbers[numbers >= 0] for numbers in control_brains.values()]))
    visible = with_brain_arrays(brains.select_columns(list(_VISIBLE))).select(used)
    captions: dict[str, list[str | None]] = {}
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        whole = _encode(model, processor, visible, batch_size, None, seed)
        for arm, numbers in control_brains.items():
            show(arm)
            embeds, text = whole, prompt
            if arm in VALUE_CONTROLS:
                embeds = _encode(model, processor, visible, batch_size, VALUE_CONTROLS[arm], seed)
            elif arm == MEAN_BRAIN:
                embeds = _mean_brains(whole, visible["subject"])
            elif arm == NOBODY:
                embeds, text = None, prompt.replace(processor.brain_token, "")
            places = np.where(numbers < 0, NO_BRAIN, np.searchsorted(used, numbers))
            batches = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
            with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
                torch.manual_seed(seed)
                found = [_caption(model, processor, embeds, batch, text, generation) for batch in batches]
            captions[arm] = [caption for batch in found for caption in batch]
            advance()
    model.train(was_training)
    return captions


def _encode(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    brains: Dataset,
    batch_size: int,
    control: Callable[..., np.ndarray] | None,
    seed: int,
) -> torch.Tensor:
    """Encoder outputs `(brains, encoder tokens, encoder hidden)` of all brains, subject by subject."""
    subjects = np.asarray(brains["subject"])
    members = [np.flatnonzero(subjects == subject) for subject in dict.fromkeys(subjects.tolist())]
    embeds = torch.cat(
        [
            encode_brains(
                model, processor, list(brains.select(own)), batch_size=batch_size, control=control, seed=seed
            )
            for own in members
        ]
    )
    # argsort of a permutation is its inverse: from the order of subjects back to that of rows
    return embeds[torch.from_numpy(np.argsort(np.concatenate(members))).to(embeds.device)]


def _mean_brains(embeds: torch.Tensor, subjects: Sequence[str]) -> torch.Tensor:
    """Every brain's encoder output replaced by the mean of its subject: what the interface says about any image."""
    numbers = torch.from_numpy(np.unique(np.asarray(subjects), return_inverse=True)[1]).to(embeds.device)
    return torch.stack([embeds[numbers == number].mean(0) for number in range(int(numbers.max()) + 1)])[numbers]


def _caption(
    model: BrainLlamaForCausalLM,
    processor: BrainLlamaProcessor,
    embeds: torch.Tensor | None,
    places: np.ndarray,
    text: str,
    generation: Mapping[str, Any],
) -> list[str | None]:
    """Captions of one batch, given the place of each row's brain in `embeds`; without `embeds`, of no brain at all."""
    if embeds is None:
        return [*continue_texts(model, processor, [text] * len(places), {}, generation)]
    given = np.flatnonzero(places >= 0)
    captions: list[str | None] = [None] * len(places)
    if len(given):
        distinct, index = np.unique(places[given], return_inverse=True)
        brain = {
            "encoder_outputs": embeds[torch.from_numpy(distinct).to(embeds.device)],
            "brain_index": torch.from_numpy(index).to(embeds.device),
        }
        found = continue_texts(model, processor, [text] * len(given), brain, generation)
        for row, caption in zip(given, found, strict=True):
            captions[row] = caption
    return captions


__all__ = ["MEAN_BRAIN", "OPTIONAL_ARMS", "assign_control_brains", "caption_arms", "explain_absent"]
