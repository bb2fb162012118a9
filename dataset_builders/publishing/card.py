# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The dataset card: everything it says is read from the prepared corpus and its `corpus.json`."""

import inspect
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from datasets import DatasetDict
from huggingface_hub import DatasetCardData

from ..corpora.base import BrainCorpusBuilder
from ..corpora.info import CorpusInfo, SplitInfo
from ..schema import BRAIN_VALUES, COLUMNS
from ..splitting.leaks import describe_leak


# Files that are named for each reason; `corpus.json` names them all.
_LISTED_FILES = 20

_CARD = """---
{metadata}
---

# {name}

{description}

## Division

{division}

{sizes}

{leaks}

## Subjects

The picture shows the mean of what was recorded, before it was standardised.

{people}
{left_out}{defects}{questions}
## Brain values

{preprocessing}

## Columns

{columns}

## Facts

Measured while the files were read.

```json
{facts}
```

## Use

```python
from datasets import load_from_disk

dataset = load_from_disk("path/to/this/folder")
```
{storage}
Brain recordings are personal data of the people who gave them. Do not try to identify anyone, and do not use decoders
trained on them on people who have not agreed to it.

## License

{license}. {redistribution}
{consent}{citation}"""


def _table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _division(split: SplitInfo) -> str:
    unit = {"topic": "all passages of a topic", "paper": "single samples, as the published code does"}
    held_out = f" Tested: {', '.join(split.test_subjects)}" if split.test_subjects else ""
    if split.num_adaptation_groups:
        held_out += f", of each of whom {split.num_adaptation_groups} stimuli outside of the test set are trained on"
    return (
        f"Policy `{split.policy}`: test is fold {split.fold} of {split.num_folds}, dividing "
        f"{unit.get(split.policy, 'whole passages or stories')} with seed {split.seed}. Validation is "
        f"{split.validation_fraction:.0%} of the remaining groups and never part of the test split."
        f"{held_out and held_out + '.'}"
    )


def _leaks(split: SplitInfo) -> str:
    if not split.leaks:
        return "No leak was found: the splits share no group, brain frame, sentence or prompt that holds a target."
    lines = "\n".join(f"- {describe_leak(leak)}" for leak in split.leaks)
    return f"**These splits leak.** Scores on them do not measure decoding of new text.\n\n{lines}"


def _list(title: str, lines: list[str]) -> str:
    return f"\n## {title}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n" if lines else ""


def people(info: CorpusInfo) -> list[dict[str, Any]]:
    """What is counted of each subject."""
    counted = ("recordings", "frames", "stories", "samples")
    found, widths = info.facts["subjects"], info.preprocessing["features"]
    return [
        {"subject": name, **{fact: found[name][fact] for fact in counted}, "features": widths[name]}
        for name in info.subjects
    ]


def _people(info: CorpusInfo) -> str:
    rows, pictured = people(info), list[tuple[object, ...]]()
    for row in rows:
        name = row["subject"]
        pictured.append((*row.values(), f"![mean of {name}](subjects/{name}.png)"))
    return _table((*rows[0], "mean"), pictured)


def _left_out(info: CorpusInfo) -> str:
    """What was not taken, dropped or noticed on the way, each with its number."""
    dropped = Counter[str]()
    for found in info.facts["subjects"].values():
        dropped.update({name: count for name, count in found.items() if name.startswith("dropped")})
    rows: list[tuple[object, ...]] = [
        (f"rows with {name.removeprefix('dropped_').replace('_', ' ')}", count, "")
        for name, count in dropped.items()
        if count
    ]
    rows += [(note, count, "") for note, count in info.facts["notes"].items()]
    rows += [(f"files: {reason}", len(files), _some(files)) for reason, files in info.not_taken.items()]
    return f"\n## Left out, and noticed\n\n{_table(('what', 'how many', 'which'), rows)}\n" if rows else ""


def _some(files: list[str]) -> str:
    more = f" and {len(files) - _LISTED_FILES} more" if len(files) > _LISTED_FILES else ""
    return ", ".join(f"`{file}`" for file in files[:_LISTED_FILES]) + more


def _questions(info: CorpusInfo) -> str:
    """How often each type of question is asked, and what the best guess without a brain is."""
    rows: list[tuple[object, ...]] = []
    for kind, found in info.answers.items():
        answer, count = next(iter(found["answers"].items()))
        rows.append((kind, found["questions"], answer, f"{count / sum(found['answers'].values()):.0%}"))
    table = _table(("type", "questions for training", "most frequent answer", "share"), rows)
    return f"\n## Questions\n\n{table}\n" if rows else ""


_STORED_APART = """
Rows refer to frames of `recordings/`, where each run is stored once and which `load_from_disk` opens as well.
`trainers.data.corpora.load_corpus_splits` puts both together without copying.
"""


def _preprocessing(info: CorpusInfo) -> str:
    done = info.preprocessing
    widths = ", ".join(f"{subject} {width}" for subject, width in done["features"].items())
    components = f"{done['num_components']} principal components" if done["num_components"] else "no reduction"
    regions = ", ".join(done["rois"]) if done["rois"] else "all"
    if done["num_reliable_voxels"]:
        regions += f", of which the {done['num_reliable_voxels']} most reliable voxels"
    spaces = ", ".join(sorted(set(done["spaces"].values()) - {""})) or "none known"
    confounds = f" Regressed out: {', '.join(done['confounds'])}." if done.get("confounds") else ""
    return (
        f"Standardised: {done['standardize']}. Useless voxels (NaN, or never varying): {done['bad_voxels']}. Regions: "
        f"{regions}; {components}. Stored as {done['dtype']}. Features a frame: {widths}. Space of their coordinates: "
        f"{spaces}.{confounds}\n\nMeans, deviations, choice of voxels and components were fitted on training frames; "
        "they lie in `subjects/`, with what is known of each feature."
    )


def dataset_card(dataset: DatasetDict, info: CorpusInfo) -> str:
    """
    The text of the card of a prepared corpus.

    Args:
        dataset (`DatasetDict`):
            The rows, as built; the description is the docstring of their builder.
        info ([`CorpusInfo`]):
            What `corpus.json` says.

    Returns:
        `str`: Markdown with the metadata block of the Hub.
    """
    features = next(iter(dataset.values())).features
    metadata = DatasetCardData(
        language="en",
        license=info.license_id,
        pretty_name=info.corpus,
        task_categories=["text-generation"],
        tags=["fmri", "brain-decoding", "brain-to-text"],
    )
    return _CARD.format(
        metadata=metadata.to_yaml(),
        name=info.corpus,
        description=next(iter(dataset.values())).info.description,
        division=_division(info.split),
        sizes=_table(("split", "rows"), list(info.split.sizes.items())),
        leaks=_leaks(info.split),
        people=_people(info),
        left_out=_left_out(info),
        defects=_list("Known defects", info.known_defects),
        questions=_questions(info),
        preprocessing=_preprocessing(info),
        storage=_STORED_APART if isinstance(features[BRAIN_VALUES], dict) else "",
        consent=f"\nWhoever prepared this accepted: {info.consent}\n" if info.consent else "",
        columns=_table(("column", "what it holds"), [(f"`{name}`", text) for name, text in COLUMNS.items()]),
        facts=json.dumps(info.facts, indent=2),
        license=info.license,
        redistribution=info.redistribution,
        citation=f"\n```bibtex\n{info.citation}\n```\n" if info.citation else "",
    )


def corpora_table(builders: Mapping[str, type[BrainCorpusBuilder]]) -> str:
    """Each corpus in one line: its name, what it is, its license, and whether prepared rows may be published."""
    lines = []
    for name, cls in builders.items():
        described = (inspect.getdoc(cls) or "").partition("\n")[0]
        terms = "yes" if cls.MAY_REDISTRIBUTE else "no"
        terms += ", and needs `--accept_license`" if cls.CONSENT else ""
        lines.append((f"`{name}`", described, cls.LICENCE, terms))
    return _table(("corpus", "what it is", "license", "may be published"), lines)


__all__ = ["corpora_table", "dataset_card", "people"]
