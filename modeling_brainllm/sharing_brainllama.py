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
"""Terms of the data: what of single people a push may take, and what the card says of it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save


SUBJECTS_FILE = "brain_subjects.safetensors"
#: What that file says of a subject, by the name under which it is shared.
KINDS = {"statistics": ("mean", "std", "num_scans"), "geometry": ("coordinates", "regions")}
#: The mean of one scan is the scan; statistics of fewer never leave, whatever the terms.
MIN_SCANS = 20
DATA_START, DATA_END = "<!-- brainllm: data -->", "<!-- brainllm: end of data -->"


def merge_terms(known: list[dict] | None, new: Iterable[Mapping[str, Any]]) -> list[dict] | None:
    """
    The terms of all data that a model or processor has seen, one entry a corpus; its subjects are added up.

    Args:
        known (`list[dict]`, *optional*), new (`Iterable[Mapping]`):
            Entries of `corpus` (name), `license`, `license_id` (of the Hub), `url`, `redistribution` (in words),
            `may_redistribute`, `consent` (what whoever prepared it accepted) and `subjects`.
    """
    merged = {entry["corpus"]: dict(entry) for entry in known or ()}
    for entry in new:
        before = merged.get(entry["corpus"], {})
        subjects = sorted({*before.get("subjects", ()), *entry.get("subjects", ())})
        allowed = bool(entry.get("may_redistribute")) and before.get("may_redistribute", True)
        merged[entry["corpus"]] = {**before, **entry, "subjects": subjects, "may_redistribute": allowed}
    return list(merged.values()) or None


def refuse_blocked(subjects: Iterable[str | None] | None, blocked: Iterable[str] | None) -> None:
    """
    Refuses brains of people who want no decoding of theirs, and brains of nobody knows whom beside such a list.

    Args:
        subjects (`Iterable[str]`, *optional*):
            Whose brains are given.
        blocked (`Iterable[str]`, *optional*):
            Names of those who are not to be decoded.

    Raises:
        PermissionError: one of them is, or it is unknown whether one is.
    """
    blocked, given = set(blocked or ()), [None] if subjects is None else list(subjects)
    named = sorted({subject for subject in given if subject in blocked})
    if named:
        raise PermissionError(
            f"This checkpoint does not decode brains of {', '.join(named)}: `blocked_subjects` names them, at their "
            "own wish. Leave them out."
        )
    if blocked and None in given:
        raise PermissionError(
            f"This checkpoint does not decode brains of {', '.join(sorted(blocked))} (`blocked_subjects`), and it was "
            "not told whose brain this is. Name the subject of each brain."
        )


def choose_subject_arrays(
    files: dict[str, Path | bytes], folder: Path, terms: list[dict], asked: Mapping[str, bool | None]
) -> dict[str, str]:
    """Leaves out of `files` what is not shared of subjects; returns what the card says of each kind."""
    file = folder / SUBJECTS_FILE
    try:
        arrays = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is no safetensors file ({error}). Save the processor again.") from error
    known = {field for fields in KINDS.values() for field in fields}
    unknown = sorted(name for name in arrays if name.rpartition(".")[2] not in known)
    if unknown:
        raise ValueError(f"{file} holds {unknown[:3]}, which no feature extractor saves. Save the processor again.")
    said, kept = {}, dict(arrays)
    for kind, fields in KINDS.items():
        whose = sorted({name.rpartition(".")[0] for name in arrays if name.rpartition(".")[2] in fields})
        if not whose:
            continue
        if asked[kind] is False:
            kept = {name: array for name, array in kept.items() if name.rpartition(".")[2] not in fields}
            said[kind] = f"Left out: {kind} of the subjects {', '.join(whose)}."
            continue
        if kind == "statistics":
            _require_scans({subject: int(arrays.get(f"{subject}.num_scans", [0])[0]) for subject in whose})
        forbidding = _require_permission(kind, whose, terms, asked[kind])
        why = f", which whoever pushed asked for by name (`share_{kind}`)" if forbidding else ""
        said[kind] = f"Shared: {kind} of the subjects {', '.join(whose)}{why}."
    if len(kept) < len(arrays):
        _leave_out(files, folder, kept)
    return said


def _require_scans(counts: Mapping[str, int]) -> None:
    few = {subject: count for subject, count in counts.items() if count < MIN_SCANS}
    if few:
        told = ", ".join(f"{subject} ({count or 'an unknown number'})" for subject, count in few.items())
        raise PermissionError(
            f"Nothing was pushed: `{SUBJECTS_FILE}` holds mean and deviation over fewer than {MIN_SCANS} different "
            f"scans, of {told}. The mean of one scan is the scan, so that they are never pushed. Leave them out by "
            "`share_statistics=False` (`--share_statistics false`), or fit them on more scans."
        )


def _require_permission(kind: str, whose: list[str], terms: list[dict], asked: bool | None) -> list[str]:
    """What forbids to share, in words; raises unless it was asked for by name."""
    forbidding = [
        f"the terms of '{entry['corpus']}' forbid to pass on its data ({entry.get('redistribution') or 'no reason'} "
        f"{entry.get('url') or ''})".replace(" )", ")")
        for entry in terms
        if not entry.get("may_redistribute") and set(entry.get("subjects", ())) & set(whose)
    ]
    covered = {subject for entry in terms for subject in entry.get("subjects", ())}
    nobody = sorted(set(whose) - covered)
    if nobody:
        forbidding.append(f"nothing is known of the terms of the data of {', '.join(nobody)}")
    if forbidding and asked is None:
        raise PermissionError(
            f"Nothing was pushed: `{SUBJECTS_FILE}` holds the {kind} of the subjects {', '.join(whose)}, and "
            f"{'; '.join(forbidding)}. Push without them by `share_{kind}=False` (`--share_{kind} false`): whoever "
            "loads the model then takes them from an own copy of the data. If you have the permission to share them, "
            f"say so by `share_{kind}=True` (`--share_{kind} true`), and the card will name it."
        )
    return forbidding


def _leave_out(files: dict[str, Path | bytes], folder: Path, kept: dict[str, Any]) -> None:
    """Tensors of subjects that remain, and settings that name no other subjects."""
    subjects = {name.rpartition(".")[0] for name in kept}
    if kept:
        files[SUBJECTS_FILE] = save(kept)
    else:
        del files[SUBJECTS_FILE]
    for name in ("processor_config.json", "preprocessor_config.json"):
        if name not in files:
            continue
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        part = settings.get("feature_extractor", settings)
        part["subjects"] = [subject for subject in part.get("subjects", ()) if subject in subjects]
        files[name] = (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode()


def describe_data(terms: list[dict], shared: Mapping[str, str]) -> str:
    """The section of a card on the data: which corpora, their terms, and what of single people was shared."""
    lines = []
    for entry in terms:
        allowed = "allow" if entry.get("may_redistribute") else "forbid"
        lines.append(
            f"- `{entry['corpus']}` ({', '.join(entry.get('subjects', ()))}), license {entry.get('license')}"
            f"{', ' + entry['url'] if entry.get('url') else ''}. Its terms {allowed} to pass on the data. "
            f"{entry.get('redistribution', '')}"
        )
        if entry.get("consent"):
            lines.append(f"  Whoever used it accepted: {entry['consent']}")
    lines = lines or ["Which data the weights were trained on, and on which terms, is not recorded."]
    told = [f"- {sentence}" for sentence in shared.values()]
    parts = ["## Data and terms", "\n".join(lines), "Weights were trained on these data.", "\n".join(told)]
    return "\n\n".join([DATA_START, *(part for part in parts if part), DATA_END])


__all__ = [
    "DATA_END",
    "DATA_START",
    "SUBJECTS_FILE",
    "choose_subject_arrays",
    "describe_data",
    "merge_terms",
    "refuse_blocked",
]
