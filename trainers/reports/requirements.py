# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What a report must hold before it may be written: controls, baselines, tests that can resolve, a split without leaks.

A score alone shows what a language model can write, not what was read from a brain. So the controls that reviewers ask
for are required; whoever writes a report without one says which by name (`allow`), and the report says it to all who
read it. An arm that a corpus cannot have is stated with its reason (`settings["absent_arms"]`) and is not missing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..scoring.rules import Rules
from ..scoring.table import RETRIEVAL, RIDGE


#: Bootstrap resamples of every interval; of permutations of every test one fewer, since what was observed counts.
NUM_RESAMPLES = 10_000
#: Fewer cannot tell p = .05 from p = .04 (Phipson & Smyth 2010).
MIN_RESAMPLES = 1_000

#: Without a twin trained on shuffled brains it is not the best that can be done without the brain.
DEAF_TWIN = "deaf_twin"
OTHER_SUBJECT = "other_subject"
#: Of predictions, `allow` may also hold: score the images that all files share; count empty captions as captions.
SUBSET, EMPTY = "subset", "empty"
# Arms of which no sample can lack its own.
_OF_ALL = ("permuted", "no_brain", "mean_brain", "zero", "voxel_shuffle", "noise")
_LEAK = "leak:"


@dataclass(frozen=True)
class Missing:
    """
    Something that a report lacks.

    Args:
        name (`str`):
            What `allow` calls it: an arm, a baseline, `"split"`, `"leak:<kind>"`, `"num_resamples"`.
        why (`str`):
            One sentence for people.
    """

    name: str
    why: str

    def to_dict(self) -> dict[str, str]:
        """What the JSON file of a report says."""
        return asdict(self)


_NO_TWIN = Missing(
    DEAF_TWIN,
    "`deaf_twin` is weaker than it should be: no twin was trained by the same recipe on shuffled brains, so the gain "
    "of the brain is over the model's own null condition and mean brain alone. Train with `--num_twins`.",
)


def find_missing(
    rules: Mapping[str, Rules], rows: Sequence[Mapping], settings: Mapping, split: Mapping, several_subjects: bool
) -> list[Missing]:
    """
    What a report lacks.

    Args:
        rules (`Mapping[str, Rules]`):
            Of each task: the controls and baselines that it must have.
        rows (`Sequence[Mapping]`), settings (`Mapping`), split (`Mapping`):
            Scores and identification of arms, and all else, as [`~trainers.reports.report.EvaluationReport`] holds
            them.
        several_subjects (`bool`):
            Whether several subjects were tested, which can stand in for each other.

    Returns:
        `list[Missing]`: Empty for a report without gaps.
    """
    missing = []
    for task, rule in rules.items():
        own = [row for row in rows if row["task"] == task]
        there = [row["arm"] for row in own if _is_whole(row, own)]
        there += settings.get("absent_arms", {}).get(task, {})
        # Where it was run, what it cannot be fitted to lacks it, and nobody left it out.
        there += (RETRIEVAL, RIDGE) if settings.get("ridge_baseline") else ()
        wanted = rule.controls + (OTHER_SUBJECT,) * (several_subjects and bool(rule.controls))
        missing += _lacking(wanted, there, f"control of the task `{task}`")
        # Only arms with texts have baselines of texts; regression needs none.
        has_texts = any(rule.headline in row for row in own)
        baselines = [name for name in rule.baselines if has_texts or name == RIDGE]
        missing += _lacking(baselines, there, f"baseline of the task `{task}`")
        missing += [_NO_TWIN] if DEAF_TWIN in rule.controls and not settings.get("num_twins") else []
    missing += [Missing(**gap) for gap in settings.get("gaps", ())]
    return list(dict.fromkeys(missing)) + _missing_anywhere(
        settings, split, any(r.knows_split for r in rules.values())
    )


def require_encoder(encoder: str | None, baselines: Sequence[str], allow: Collection[str]) -> None:
    """
    Refuses, before the work is done, an evaluation whose report would lack the baselines that a sentence encoder
    makes.

    Args:
        encoder (`str`, *optional*):
            Folder or Hub id of a sentence encoder.
        baselines (`Sequence[str]`):
            Which of `retrieval` and `ridge` the report is to have.
        allow (`Collection[str]`):
            What the report may lack, by name.

    Raises:
        ValueError: there is no encoder, and `allow` does not name a baseline.
    """
    left = [baseline for baseline in baselines if baseline not in allow]
    if encoder is None and left:
        raise ValueError(
            f"The report would miss {', '.join(left)}, baselines that a sentence encoder makes. Give "
            f"`--sentence_encoder`; or pass `--allow {' '.join(left)}`, and the report will say so at its top."
        )


def require_twins(twins: Collection[str], allow: Collection[str]) -> None:
    """
    Refuses, before the work is done, an evaluation without a brain-deaf twin.

    Args:
        twins (`Collection[str]`):
            Folders of twins.
        allow (`Collection[str]`):
            What the report may lack, by name.

    Raises:
        ValueError: there is none, and `allow` does not name `deaf_twin`.
    """
    if not twins and DEAF_TWIN not in allow:
        raise ValueError(
            "The report would miss a brain-deaf twin, over which the gain of the brain is measured. Train it beside "
            "the model (`train_sft.py --num_twins 2`), or name its folder (`--twins`); or pass "
            f"`--allow {DEAF_TWIN}`, and the report will say so at its top."
        )


def require_resamples(num_resamples: int, allow: Collection[str]) -> None:
    """
    Refuses, before the work is done, tests that cannot resolve.

    Args:
        num_resamples (`int`):
            Resamples of each test and interval.
        allow (`Collection[str]`):
            What the report may lack, by name.

    Raises:
        ValueError: there are too few, and `allow` does not name `num_resamples`.
    """
    if num_resamples < MIN_RESAMPLES and "num_resamples" not in allow:
        raise ValueError(
            f"`num_resamples` is {num_resamples}, expected {MIN_RESAMPLES:,} or more: fewer cannot tell p = .05 from "
            "p = .04. Raise it; or pass `--allow num_resamples`, and the report will say so at its top."
        )


def describe_absent(settings: Mapping[str, Any]) -> list[str]:
    """One sentence for each task: the controls that are absent with a reason; none where none is."""
    told = []
    for name, reasons in settings.get("absent_arms", {}).items():
        if reasons:
            arms = "; ".join(f"`{arm}` ({why})" for arm, why in reasons.items())
            told.append(f"Controls that are absent ({name}): {arms}.")
    return told


def _is_whole(row: Mapping, rows: Sequence[Mapping]) -> bool:
    """Whether all samples have an arm that all can have: a score without its controls is not reported."""
    most = max(other.get("num_samples", 0) for other in rows)
    # A row of identification has a score in the place of a number of samples.
    return row["arm"] not in _OF_ALL or ("score" not in row and row.get("num_samples", most) == most)


def _lacking(wanted: Sequence[str], there: Sequence[str], what: str) -> list[Missing]:
    """What is wanted, and neither there nor excused."""
    return [
        Missing(name, f"`{name}` is missing, a required {what}.")
        for name in wanted
        if not any(arm.startswith(name) for arm in there)
    ]


def _missing_anywhere(settings: Mapping[str, Any], split: Mapping[str, Any], knows_split: bool) -> list[Missing]:
    """What any report may lack: resamples, a known split, a clean one."""
    missing, drawn = [], settings["num_resamples"]
    if drawn < MIN_RESAMPLES:
        why = f"Tests and intervals rest on `num_resamples` = {drawn}; {MIN_RESAMPLES:,} are the least."
        missing.append(Missing("num_resamples", why))
    if not knows_split:
        return missing
    if "policy" not in split:
        return [*missing, Missing("split", "Nothing is known about the `split`, so nothing about leaks either.")]
    counts: dict[str, int] = {}
    for leak in split["leaks"]:
        counts[leak["kind"]] = counts.get(leak["kind"], 0) + leak["count"]
    return missing + [
        Missing(f"{_LEAK}{kind}", f"The split leaks: `{kind}` ({count} rows). No score shows unseen stimuli decoded.")
        for kind, count in counts.items()
    ]


def require_controls(missing: Sequence[Missing], allow: Collection[str]) -> None:
    """
    Refuses a report that lacks what nobody allowed.

    Args:
        missing (`Sequence[Missing]`):
            What is missing.
        allow (`Collection[str]`):
            Names of what may be missing.

    Raises:
        ValueError: Names everything that is missing without leave, and how to give it.
    """
    refused = [item for item in missing if item.name not in allow]
    if refused:
        names = list(dict.fromkeys(item.name for item in refused))
        raise ValueError(
            f"The report is not written: a sceptical reader would miss {', '.join(names)}.\n"
            + "\n".join(f"- {item.why}" for item in refused)
            + "\nEvaluate again with what is missing; or, for an arm that the corpus cannot have, state the reason in "
            f"`settings['absent_arms']`; or pass `allow={names}`, and the report will say so at its top."
        )


__all__ = [
    "MIN_RESAMPLES",
    "NUM_RESAMPLES",
    "Missing",
    "describe_absent",
    "find_missing",
    "require_controls",
    "require_encoder",
    "require_resamples",
    "require_twins",
]
