# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What is counted in a corpus, and how it differs from what is published."""

from collections.abc import Mapping, Sequence

from ..schema import Recording, Sample


#: Stands for every subject in a table of expected facts.
ANY_SUBJECT = "*"


def drop_reason(sample: Sample) -> str | None:
    """Why a sample cannot be used, or `None`. A description of an image (it has `references`) needs no prompt."""
    if not sample.completion.strip():
        return "dropped_empty_completions"
    return None if sample.prompt.strip() or sample.references else "dropped_empty_prompts"


def measure_facts(recordings: Sequence[Recording], samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """Facts of each subject; sentences are windows where the stimulus is a story."""
    subjects = sorted({recording.subject for recording in recordings})
    runs: dict[str, list[Recording]] = {subject: [] for subject in subjects}
    rows: dict[str, list[Sample]] = {subject: [] for subject in subjects}
    for recording in recordings:
        runs[recording.subject].append(recording)
    for sample in samples:
        rows[sample.subject].append(sample)
    return {subject: _measure(runs[subject], rows[subject]) for subject in subjects}


def _measure(recordings: Sequence[Recording], samples: Sequence[Sample]) -> dict[str, int]:
    reasons = [drop_reason(sample) for sample in samples]
    kept = [sample for sample, reason in zip(samples, reasons, strict=True) if reason is None]
    texts: dict[str, set[str]] = {}
    for sample in kept:
        texts.setdefault(sample.brain_id, set()).add(sample.text)
    return {
        "recordings": len(recordings),
        "frames": sum(recording.num_frames for recording in recordings),
        "features": max(recording.num_features for recording in recordings),
        "stories": len({sample.stimulus for sample in kept}),
        "sentences": len({sample.sample_id.rsplit("/", 1)[0] for sample in kept}),
        "samples": len(kept),
        "distinct_brains": len(texts),
        "brains_with_several_texts": sum(len(found) > 1 for found in texts.values()),
        "dropped_empty_completions": reasons.count("dropped_empty_completions"),
        "dropped_empty_prompts": reasons.count("dropped_empty_prompts"),
    }


def check_facts(facts: Mapping[str, Mapping[str, int]], expected: Mapping[str, Mapping[str, int]]) -> list[str]:
    """One line for each fact that differs from what is expected of its subject."""
    return [
        f"{subject}: {name} expected {value}, found {found[name]}"
        for subject, found in facts.items()
        for name, value in {**expected.get(ANY_SUBJECT, {}), **expected.get(subject, {})}.items()
        if found[name] != value
    ]


__all__ = ["ANY_SUBJECT", "check_facts", "drop_reason", "measure_facts"]
