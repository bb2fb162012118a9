# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Are leaks found, and clean splits left alone? Corpora of three shapes with a known leak in each, and with none.

    python examples/benchmarks/leak_table.py --output_dir runs/leaks

Each kind of leak is planted in fresh corpora of every shape that can have it: one row, image or recording is changed.
A plant counts as found if a finding of its kind names the splits that it lies between. The same corpora without a
plant, divided by every policy, must give no finding at all. Prints a table in Markdown, written as `leaks.md` and
`leaks.json` too.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from leak_corpora import POLICIES, SHAPES, Corpus, make

from dataset_builders.schema import TEST, TRAIN, VALIDATION
from dataset_builders.splitting.leaks import LEAK_KINDS


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output_dir", type=Path, help="folder to write; prints only if absent")
    parser.add_argument("--repeats", type=int, default=5, help="corpora for each plant and shape, and clean ones")
    return parser.parse_args()


@dataclass(frozen=True)
class Plant:
    """A leak: its kind, what is done, to which shapes, and the splits between which it must be found."""

    kind: str
    title: str
    plant: Callable[[Corpus, int, int, np.random.Generator], None]  # corpus, a test row, a row of train, chance
    shapes: tuple[str, ...] = tuple(SHAPES)
    between: tuple[str, str] = (TRAIN, TEST)
    policy: str = "passage"


def other_subject(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    e = g.choice([row for row in c.rows(TRAIN) if c.samples[row].subject != c.samples[r].subject])
    c.change(r, group="planted")
    c.change(e, group="planted")


def another_trial(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    there = c.samples[r]
    c.append(replace(c.samples[e], sample_id="x", brain_id="x", recording=there.recording, frames=there.frames), TEST)


def validation_is_test(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    for row in c.rows(TEST):
        c.append(replace(c.samples[row], sample_id=f"v{row}"), VALIDATION)


def cut_story(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    """The end of a training story becomes test material without a gap."""
    for row in c.rows(TRAIN):
        if c.samples[row].recording == c.samples[e].recording and max(c.samples[row].frames) > 30:
            c.splits[row] = TEST if min(c.samples[row].frames) > 31 else ""


def copy_frame(change: Callable[[np.ndarray], np.ndarray], own: bool = True) -> Callable:
    def plant(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
        test, subject = c.samples[r], c.samples[r].subject
        if not own:
            e = g.choice([row for row in c.rows(TRAIN) if c.samples[row].subject != subject])
        elif c.samples[e].subject != subject:
            e = g.choice([row for row in c.rows(TRAIN) if c.samples[row].subject == subject])
        train = c.samples[e]
        c.values[test.recording][test.frames[0]] = change(c.values[train.recording][train.frames[0]])

    return plant


def copy_recording(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    values = c.values[c.samples[e].recording].astype("f8")
    c.values[c.samples[r].recording] = ((values - values.mean(0)) / values.std(0)).astype("f4")


def sentence(change: Callable[[list[str]], str]) -> Callable:
    def plant(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
        known, text = c.samples[r].text, change(c.samples[e].text.split())
        for row in c.rows(TEST):  # a stimulus is repeated, and with it the rows of all subjects
            if c.samples[row].text == known:
                c.change(row, text=text)

    return plant


def told_again(change: Callable[[list[str], np.random.Generator], list[str]]) -> Callable:
    """All that was read or heard in the story of the test row becomes what was in that of the training row."""

    def plant(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
        told, story = c.samples[e], c.samples[r]
        rows = [row for row in c.rows(TEST) if c.samples[row].group == story.group]
        source = {c.samples[row].frames: c.samples[row] for row in c.rows(TRAIN) if c.samples[row].group == told.group}
        texts = [source[frames] for frames in sorted(source)]
        places = sorted({c.samples[row].frames for row in rows})
        for place, text in zip(places, texts, strict=False):
            said = {name: " ".join(change(getattr(text, name).split(), g)) for name in ("prompt", "completion")}
            whole = " ".join(said.values()) if text.text != text.completion else said["completion"]
            for row in rows:
                if c.samples[row].frames == place:
                    c.change(row, text=whole, **said)

    return plant


def missing(share: float) -> Callable[[list[str], np.random.Generator], list[str]]:
    return lambda words, g: [word for word in words if g.random() >= share]


def exchanged(share: float) -> Callable[[list[str], np.random.Generator], list[str]]:
    return lambda words, g: [word if g.random() >= share else "other" for word in words]


def quoted(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    """A minute of a training story is quoted in the story of the test row, for everybody who heard it."""
    quote = sorted({s.frames: s for s in c.samples if s.group == c.samples[e].group}.items())[10:22]
    for frames, said in quote:
        for row in c.rows(TEST):
            if c.samples[row].group == c.samples[r].group and c.samples[row].frames == frames:
                c.change(row, prompt=said.prompt, completion=said.completion.upper(), text=said.completion.upper())


def captions(change: Callable[[list[str]], list[str]]) -> Callable:
    def plant(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
        image, references = c.samples[r].group, tuple(change(list(c.samples[e].references)))
        for row in c.rows(TEST):
            if c.samples[row].group == image:
                c.change(row, references=references)

    return plant


def in_training_prompt(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    c.change(r, stimulus=c.samples[e].stimulus)
    c.change(e, prompt=f"before {c.samples[r].completion} after")


def caption_in_prompt(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    c.change(r, prompt=f"Describe this image: {c.samples[r].references[-1].upper()}!")


def prompts_run_on(c: Corpus, r: int, e: int, g: np.random.Generator) -> None:
    """Not in one row, for people do repeat themselves, but in all."""
    for row in c.rows(TEST):
        c.change(row, prompt=f"{c.samples[row].prompt} {c.samples[row].completion}")


def fitted(statistic: str) -> Callable:
    return lambda c, r, e, g: c.fitted_on.update({statistic: {c.samples[r].recording: c.samples[r].frames}})


def tuned(choice: str) -> Callable:
    return lambda c, r, e, g: c.tuned_on.update({choice: [c.samples[r].sample_id]})


TEXTS, IMAGES, STORIES = ("sentences", "windows"), ("images",), ("windows",)
PLANTS = (
    Plant("shared_group", "stimulus in two splits", lambda c, r, e, g: c.change(
        r, group=c.samples[e].group, subject=c.samples[e].subject)),
    Plant("other_subject", "stimulus of another subject", other_subject),
    Plant("shared_topic", "topic in two splits", lambda c, r, e, g: c.change(r, topic=c.samples[e].topic),
          ("sentences",), policy="topic"),
    Plant("repeated_trial", "one more trial", another_trial),
    Plant("repeated_row", "row repeated", lambda c, r, e, g: c.append(replace(c.samples[e], sample_id="x"), TEST)),
    Plant("repeated_row", "validation is test", validation_is_test, between=(VALIDATION, TEST)),
    Plant("duplicate_id", "sample_id twice", lambda c, r, e, g: c.change(r, sample_id=c.samples[e].sample_id)),
    Plant("shared_frames", "windows overlap", lambda c, r, e, g: c.change(
        r, recording=c.samples[e].recording, frames=(c.samples[e].frames[-1],), frame_times=())),
    Plant("adjacent_frames", "story cut without a gap", cut_story, STORIES),
    Plant("shared_brain", "frame copied", copy_frame(lambda x: x)),
    Plant("renamed_subject", "frame of another subject", copy_frame(lambda x: x, own=False)),
    Plant("rescaled_brain", "frame shifted and scaled", copy_frame(lambda x: 0.37 * x + 12)),
    Plant("rescaled_brain", "frame z-scored", copy_frame(lambda x: (x - x.mean()) / x.std())),
    Plant("standardized_brain", "recording z-scored by feature", copy_recording, STORIES),
    Plant("shared_text", "sentence copied", sentence(" ".join), TEXTS),
    Plant("near_text", "case and punctuation", sentence(lambda w: ", ".join(w).upper() + "!"), TEXTS),
    Plant("near_text", "one word moved", sentence(lambda w: " ".join([*w[1:], w[0]])), TEXTS),
    Plant("near_text", "one word changed", sentence(lambda w: " ".join([*w[:3], "other", *w[4:]])), TEXTS),
    Plant("near_text", "one word left out", sentence(lambda w: " ".join(w[:3] + w[4:])), TEXTS),
    Plant("shared_words", "a minute quoted", quoted, STORIES),
    Plant("retold_stimulus", "another name", told_again(lambda w, g: w), STORIES),
    Plant("retold_stimulus", "capitals, punctuation", told_again(lambda w, g: [f"{t.upper()}," for t in w]), STORIES),
    Plant("retold_stimulus", "one word in ten changed", told_again(exchanged(0.1)), STORIES),
    Plant("retold_stimulus", "one word in ten missing", told_again(missing(0.1)), STORIES),
    Plant("retold_stimulus", "three words in ten missing", told_again(missing(0.3)), STORIES),
    Plant("retold_stimulus", "passage of four sentences", told_again(lambda w, g: w), ("sentences",)),
    Plant("shared_references", "image under two names", captions(lambda c: c[::-1]), IMAGES),
    Plant("near_references", "case and punctuation", captions(lambda c: [t.upper().strip(".") for t in c]), IMAGES),
    Plant("near_references", "one caption changed", captions(lambda c: [*c[:2], "Something else.", *c[3:]]), IMAGES),
    Plant("near_references", "one caption more", captions(lambda c: [*c, "Something else."]), IMAGES),
    Plant("target_in_prompt", "completion in a prompt", in_training_prompt),
    Plant("target_in_own_prompt", "caption in the prompt", caption_in_prompt, IMAGES, between=(TEST, TEST)),
    Plant("target_in_own_prompt", "prompts run on", prompts_run_on, TEXTS, between=(TEST, TEST)),
    Plant("fitted_on_test", "z-score", fitted("z-score")),
    Plant("fitted_on_test", "components", fitted("components")),
    Plant("fitted_on_test", "voxel selection", fitted("voxel selection")),
    Plant("tuned_on_test", "checkpoint", tuned("checkpoint")),
    Plant("tuned_on_test", "document frequencies of CIDEr", tuned("document frequencies")),
)  # fmt: skip


def found(plant: Plant, shape: str, seed: int) -> bool:
    """Whether the plant is found in a fresh corpus."""
    corpus, generator = make(shape, seed, plant.policy), np.random.default_rng(seed)
    test, train = (int(generator.choice(corpus.rows(name))) for name in (TEST, TRAIN))
    plant.plant(corpus, test, train, generator)
    return any(leak["kind"] == plant.kind and tuple(leak["splits"]) == plant.between for leak in corpus.findings())


def measure(repeats: int) -> dict:
    """Plants and how many of them were found; clean divisions and how many were accused."""
    planted = [
        {
            "kind": plant.kind,
            "plant": plant.title,
            "corpora": list(plant.shapes),
            "planted": repeats * len(plant.shapes),
            "found": sum(found(plant, shape, seed) for shape in plant.shapes for seed in range(repeats)),
        }
        for plant in PLANTS
    ]
    clean = []
    for shape, policies in POLICIES.items():
        for policy, options in policies:
            findings = [make(shape, 1000 + seed, policy, **options).findings() for seed in range(repeats)]
            clean.append(
                {"corpus": shape, "policy": policy, "splits": repeats, "false_alarms": sum(map(bool, findings))}
            )
    return {"planted": planted, "clean": clean}


def to_markdown(result: dict) -> str:
    """Two tables and the sums."""
    planted, clean = result["planted"], result["clean"]
    kinds = {row["kind"] for row in planted if row["found"] == row["planted"]}
    lines = ["| kind | planted as | in | planted | found |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row['kind']}` | {row['plant']} | {', '.join(row['corpora'])} | {row['planted']} | {row['found']} |"
        for row in planted
    ]
    lines += ["", "| clean corpus | policy | splits | false alarms |", "|---|---|---|---|"]
    lines += [f"| {row['corpus']} | `{row['policy']}` | {row['splits']} | {row['false_alarms']} |" for row in clean]
    lines += [
        "",
        f"{len(kinds)} of {len(LEAK_KINDS)} kinds; {sum(row['found'] for row in planted)} of "
        f"{sum(row['planted'] for row in planted)} plants found; {sum(row['false_alarms'] for row in clean)} false "
        f"alarms in {sum(row['splits'] for row in clean)} clean splits.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parse_arguments()
    result = measure(arguments.repeats)
    print(to_markdown(result), end="")
    if arguments.output_dir:
        arguments.output_dir.mkdir(parents=True, exist_ok=True)
        (arguments.output_dir / "leaks.md").write_text(to_markdown(result), encoding="utf-8")
        (arguments.output_dir / "leaks.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
