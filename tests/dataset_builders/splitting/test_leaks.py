# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from dataset_builders.schema import Sample
from dataset_builders.splitting import leaks
from dataset_builders.splitting.fingerprints import VARIES
from dataset_builders.splitting.leaks import LEAK_KINDS, LeakageError, describe_leak, digest_frames, find_leaks
from dataset_builders.splitting.policies import assign_splits


REPOSITORY = Path(__file__).parents[3]


sys.path.append(str(REPOSITORY / "examples" / "benchmarks"))
leak_corpora, leak_table = import_module("leak_corpora"), import_module("leak_table")


class TestLeakTable:
    @pytest.mark.parametrize("plant", leak_table.PLANTS, ids=lambda plant: f"{plant.kind}: {plant.title}")
    def test_planted_leaks_are_found(self, plant):
        assert all(leak_table.is_found(plant, shape, seed) for shape in plant.shapes for seed in (10, 11))

    @pytest.mark.parametrize(
        ("shape", "policy", "options"),
        [(shape, *policy) for shape, policies in leak_corpora.POLICIES.items() for policy in policies],
    )
    def test_clean_splits_are_left_alone(self, shape, policy, options):
        for seed in range(5):
            assert leak_corpora.make(shape, seed, policy, **options).findings() == []

    def test_every_kind_is_planted(self):
        assert {plant.kind for plant in leak_table.PLANTS} == set(LEAK_KINDS)
        assert len(LEAK_KINDS) >= 15
        assert sum(len(policies) for policies in leak_corpora.POLICIES.values()) * 5 >= 50

    def test_documentation_lists_every_kind_in_order(self):
        assert re.findall(r"^\| `(\w+)`", leaks.__doc__, re.MULTILINE) == list(LEAK_KINDS)

    def test_script_writes_both_tables(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(leak_table, "PLANTS", leak_table.PLANTS[:2])
        monkeypatch.setattr(leak_table, "POLICIES", {"sentences": (("passage", {}),)})
        monkeypatch.setattr(sys, "argv", ["leak_table.py", "--output_dir", str(tmp_path), "--repeats", "1"])
        leak_table.main()
        written = (tmp_path / "leaks.md").read_text()
        assert capsys.readouterr().out == written
        assert "6 of 6 plants found; 0 false alarms in 1 clean splits." in written
        assert json.loads((tmp_path / "leaks.json").read_text())["planted"][0]["found"] == 3


def _rows(subject="a"):
    """Two passages of three sentences, each of two cuts: passage 0 for training, passage 1 to be tested."""
    rows = []
    for story in range(2):
        for index in range(3):
            chunks = [f"the subject {story}", f"acts on {index}", f"at the place {story} of number {index}"]
            name = f"c/{subject}/{story:03d}/{index}"
            rows += [
                Sample(
                    sample_id=f"{name}/{k}", corpus="c", subject=subject, stimulus=f"{story:03d}",
                    group=f"{story:03d}", topic="t", brain_id=name, prompt=" ".join(chunks[:k]), completion=chunks[k],
                    text=" ".join(chunks), recording=f"{subject}/run", frames=(3 * story + index,),
                )
                for k in (1, 2)
            ]  # fmt: skip
    return rows


VALUES = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
SIDES = np.array(["train"] * 6 + ["test"] * 6, dtype=object)


def _planted(values=None, options=None, **changes):
    """What is found after one test row was changed; and its name."""
    samples = _rows()
    assert find_leaks(samples, SIDES, {"a/run": digest_frames(VALUES)}) == []
    samples[8] = replace(samples[8], **changes)
    digests = {name: digest_frames(found) for name, found in (values or {"a/run": VALUES}).items()}
    return find_leaks(samples, SIDES, digests, **(options or {})), samples[8].sample_id


class TestOneChangedRow:
    @pytest.mark.parametrize(
        ("kind", "changes"),
        [
            ("shared_group", {"group": "000"}),
            ("other_subject", {"group": "000", "subject": "b"}),
            ("duplicate_id", {"sample_id": "c/a/000/0/1"}),
            ("shared_text", {"text": "The subject 0  acts on 0 at the place 0 of number 0"}),
            ("near_text", {"text": "The SUBJECT 0, acts on 0: (at the place 0) of no number 0!"}),
            ("target_in_prompt", {"stimulus": "000", "completion": "acts on 0"}),
            ("fitted_on_test", {"options": {"fitted_on": {"": {"a/run": [0, 1, 2, 4]}}}, "frames": (4,)}),
        ],
    )
    def test_each_kind_is_found_alone(self, kind, changes):
        found, name = _planted(**changes)
        count = 2 if kind == "fitted_on_test" else 1
        assert [(leak["kind"], leak["splits"], leak["count"]) for leak in found] == [(kind, ["train", "test"], count)]
        assert found[0]["examples"][0].removeprefix(": ") == name

    def test_frames_by_name_and_by_value(self):
        found, _ = _planted(frames=(4, 0))
        assert [leak["kind"] for leak in found] == ["shared_frames", "shared_brain"]
        copy = {"a/run": VALUES, "a/again": VALUES[:1].copy()}
        found, _ = _planted(values=copy, recording="a/again", frames=(0,))
        assert [leak["kind"] for leak in found] == ["shared_brain"]
        found, _ = _planted(values=copy, recording="a/again", frames=(0,), subject="b")
        assert [leak["kind"] for leak in found] == ["renamed_subject"]

    def test_further_trial_and_repeated_row(self):
        train, extra = _rows()[0], np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32)
        text = {"prompt": train.prompt, "completion": train.completion, "group": train.group}
        found, _ = _planted({"a/run": VALUES, "a/more": extra}, recording="a/more", frames=(0,), **text)
        assert [leak["kind"] for leak in found] == ["shared_group", "repeated_trial"]
        found, _ = _planted(brain_id=train.brain_id, **text)
        assert [leak["kind"] for leak in found] == ["shared_group", "repeated_row"]

    def test_without_digests_the_rest_is_found(self):
        samples = _rows()
        samples[8] = replace(samples[8], group="000", frames=(0,))
        assert [leak["kind"] for leak in find_leaks(samples, SIDES)] == ["shared_group", "shared_frames"]

    def test_dropped_rows_do_not_count(self):
        samples = _rows()
        samples[8] = replace(samples[8], group="000")
        assert find_leaks(samples, np.where(np.arange(12) == 8, "", SIDES).astype(object)) == []

    def test_every_pair_of_splits_is_compared(self):
        splits = np.array(["train", "validation", "test"] * 4, dtype=object)
        pairs = {tuple(leak["splits"]) for leak in find_leaks(_rows(), splits) if leak["kind"] == "shared_group"}
        assert pairs == {("train", "validation"), ("train", "test"), ("validation", "test")}

    def test_duplicate_id_within_a_split(self):
        samples = _rows()
        samples[3] = replace(samples[3], sample_id=samples[1].sample_id)
        samples[9] = replace(samples[9], sample_id=samples[1].sample_id)
        found = [(leak["splits"], leak["count"]) for leak in find_leaks(samples, SIDES)]
        assert found == [(["train", "train"], 1), (["train", "test"], 1)]


class TestNoFalseAlarm:
    @pytest.mark.parametrize(
        "changes",
        [
            {"completion": "acts on 0", "prompt": "the subject 0"},  # phrases recur
            {"stimulus": "000", "completion": "cts on"},  # no whole word
            {"text": "the subject 0 acts on 0 at a place 1 of letter 0"},  # two words differ
            {"text": "acts on 0"},  # short
            {"text": "the subject 0 acts on 0 at the place 0 of number 0", "references": ("a dog", "a cat")},
            {"completion": "and then and then", "prompt": "and then and then and then"},
            {"references": ("a cat", "a dog"), "completion": "a cat", "prompt": "is it a cat or is it a dog"},
            {"topic": "another"},
        ],
    )
    def test_chance(self, changes):
        assert _planted(**changes)[0] == []

    def test_empty_frames_are_nobody(self):
        values = VALUES.copy()
        values[[0, 4]] = 0
        values[[1, 5]] = np.nan
        assert _planted(values={"a/run": values})[0] == []

    def test_captions_that_two_images_happen_to_share(self):
        samples = [
            replace(sample, prompt="", text=sample.completion, references=tuple(f"{w} {sample.group}" for w in "abc"))
            for sample in _rows()
        ]
        usual = ("a man riding a wave", "a surfer on a wave")
        samples = [replace(sample, references=(*usual, *sample.references)) for sample in samples]
        assert find_leaks(samples, SIDES) == []
        samples[8] = replace(samples[8], references=(*usual, *samples[0].references[:-1], "a sea"))
        assert [leak["kind"] for leak in find_leaks(samples, SIDES)] == ["near_references"]

    def test_people_repeat_themselves_but_not_all_the_time(self):
        said = "row row row your boat gently down the stream"
        samples = [
            replace(row, sample_id=f"{n}/{k}", brain_id=f"{n}/{k}", recording=f"a/{row.stimulus}", frames=(9 * n + k,))
            for n in range(20) for k, row in enumerate(_rows())
        ]  # fmt: skip
        sides = np.tile(SIDES, 20)
        for count, kinds in ((1, []), (2, ["target_in_own_prompt"])):
            rows = np.flatnonzero(sides == "test")[:count]
            for row in rows:
                samples[row] = replace(samples[row], completion=said, prompt=f"we sang {said}, and then", text=said)
            notes: Counter[str] = Counter()
            assert [leak["kind"] for leak in find_leaks(samples, sides, notes=notes)] == kinds
            assert bool(notes) == (not kinds)

    def test_few_sentences_of_many_are_near_by_chance(self):
        generator, rows = np.random.default_rng(4), []
        for n in range(2000):
            text = " ".join(f"w{word}" for word in generator.integers(0, 500, 10))
            name = {"sample_id": str(n), "brain_id": str(n), "group": str(n), "stimulus": str(n), "frames": (n,)}
            rows.append(replace(_rows()[0], text=text, prompt=text[:9], completion=text[10:], **name))
        sides = np.array(["train"] * 1000 + ["test"] * 1000, dtype=object)
        for count, kinds in ((5, []), (6, ["near_text"])):
            for n in range(count):
                rows[1000 + n] = replace(rows[1000 + n], text=f"{rows[n].text} more")
            notes: Counter[str] = Counter()
            assert [leak["kind"] for leak in find_leaks(rows, sides, notes=notes)] == kinds
            # What is let pass is said.
            assert notes == ({} if kinds else {"near_text, train and test: rows put down to chance": count})

    def test_topics_may_be_shared_unless_whole_topics_are_held_out(self):
        assert find_leaks(_rows(), SIDES) == []
        assert [leak["kind"] for leak in find_leaks(_rows(), SIDES, policy="topic")] == ["shared_topic"]

    def test_names_that_nothing_was_fitted_on(self):
        evidence = {"fitted_on": {"z": {"a/run": [0, 1, 2], "b/run": [3]}}, "tuned_on": {"c": ["c/a/000/0/1", "d"]}}
        assert find_leaks(_rows(), SIDES, **evidence) == []

    def test_captions_of_coco(self):
        shared = Path(os.environ.get("BRAINLLM_SHARED", REPOSITORY.parent / "shared"))
        path = shared / "data" / "coco_captions" / "captions_val2017.json"
        if not path.is_file():
            pytest.skip(f"COCO'S CAPTIONS ARE NOT TESTED: {path} is absent")
        captions: dict[int, list[str]] = {}
        for annotation in json.loads(path.read_text())["annotations"]:
            captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
        samples = [
            replace(_rows()[0], sample_id=str(i), group=str(i), stimulus=str(i), brain_id=str(i), frames=(i,),
                    prompt="", completion=found[0], text=found[0], references=tuple(found))
            for i, found in captions.items()
        ]  # fmt: skip
        assert find_leaks(samples, assign_splits(samples)) == []


class TestTimePolicy:
    def _corpus(self, gap):
        samples, values = leak_corpora.windows(np.random.default_rng(3))
        return leak_corpora.Corpus("windows", samples, values, assign_splits(samples, "time", gap_frames=gap), "time")

    def test_stories_may_be_divided_with_a_gap(self):
        assert self._corpus(3).findings() == []
        kinds = {leak["kind"] for leak in find_leaks(self._corpus(3).samples, self._corpus(3).splits)}
        assert kinds == {"shared_group"}  # what any other policy would make of it

    def test_shuffled_windows_are_found(self):
        corpus = self._corpus(3)
        corpus.splits = np.random.default_rng(0).choice(["train", "validation", "test"], len(corpus.samples))
        kinds = {leak["kind"] for leak in corpus.findings()}
        assert kinds >= {"shared_frames", "adjacent_frames", "shared_brain", "other_subject"}

    def test_same_stretch_of_a_story(self):
        """Heard by another subject, and heard again by the same one."""
        corpus = self._corpus(3)
        row = next(row for row in corpus.rows("test") if corpus.samples[row].subject == "S1")
        told = (corpus.samples[row].stimulus, corpus.samples[row].completion, corpus.samples[row].prompt)
        for sample, split in zip(corpus.samples, corpus.splits, strict=True):
            assert split == "test" or (sample.stimulus, sample.completion, sample.prompt) != told
        for subject, kinds in (("new", set()), ("S1", {"shared_group", "repeated_trial"})):
            planted = self._corpus(3)
            target = planted.rows("train")[0]
            planted.change(
                target, prompt=told[2], completion=told[1], stimulus=told[0], group=told[0], subject=subject
            )
            assert {leak["kind"] for leak in planted.findings()} == {"other_subject", *kinds}

    @pytest.mark.parametrize(("gap", "leaks"), [(2, True), (3, False)])
    def test_gap_covers_the_response(self, gap, leaks):
        """Volumes of 2 s: three between the splits make 8 s from frame to frame."""
        rows = [
            replace(_rows()[0], sample_id=str(frame), brain_id=str(frame), frames=(frame,), frame_times=(2.0 * frame,),
                    stimulus=str(frame), group=str(frame), prompt="", completion=f"word {frame}", text=f"word {frame}")
            for frame in range(20)
        ]  # fmt: skip
        sides = np.array(
            ["train" if frame < 10 else "" if frame < 10 + gap else "test" for frame in range(20)], object
        )
        assert ([leak["kind"] for leak in find_leaks(rows, sides)] == ["adjacent_frames"]) is leaks

    def test_recordings_without_a_clock_have_no_neighbours(self):
        samples = [replace(sample, frame_times=()) for sample in _rows()]
        assert find_leaks(samples, SIDES) == []


class TestTellings:
    def test_every_row_of_the_story_is_named(self):
        corpus = leak_corpora.make("windows", 0)
        told, story = (corpus.samples[corpus.rows(side)[0]] for side in ("train", "test"))
        texts = {s.frames: s for s in corpus.samples if s.group == told.group and s.subject == told.subject}
        for row in corpus.rows("test"):
            sample = corpus.samples[row]
            if sample.group == story.group:
                said = texts[sample.frames]
                corpus.change(row, prompt=said.prompt, completion=said.completion, text=said.text)
        touched = np.count_nonzero([corpus.samples[row].group == story.group for row in corpus.rows("test")])
        found = {leak["kind"]: leak["count"] for leak in corpus.findings()}
        assert found["retold_stimulus"] == touched == 3 * 56

    def test_one_name_in_all_splits_is_another_matter(self):
        """Under `time` a story is in all splits by design, and tells itself again nowhere."""
        corpus = leak_corpora.make("windows", 0, "time", num_folds=4, gap_frames=4)
        assert {corpus.samples[row].group for row in corpus.rows("test")} == {
            corpus.samples[row].group for row in corpus.rows("train")
        }
        assert corpus.findings() == []

    def test_the_real_participant(self, participant):
        """168 passages by people: none tells another again, and no twelve words in a row recur."""
        from dataset_builders.corpora.brainllm2025 import BrainLLM2025

        builder = BrainLLM2025(data_dir=participant)
        samples = builder.list_samples(builder.list_recordings())
        for fold in range(5):
            found = {leak["kind"] for leak in find_leaks(samples, assign_splits(samples, fold=fold))}
            assert not found & {"retold_stimulus", "shared_words"}


@pytest.mark.slow
class TestSize:
    def test_as_many_rows_as_the_largest_corpus(self):
        """Eight subjects, 9,000 images of their own, three trials each, five captions an image: not quadratic."""
        speech, row = leak_corpora.Speech(np.random.default_rng(0), 5000), _rows()[0]
        captions = [tuple(f"A {' '.join(speech.say(9))}." for _ in range(5)) for _ in range(8 * 9000)]
        samples = [
            replace(
                row, sample_id=f"{trial}/{image}", subject=f"S{image // 9000}", stimulus=f"nsd/{image}",
                group=f"nsd/{image}", brain_id=f"{trial}/{image}", prompt="", completion=texts[0], text=texts[0],
                references=texts, recording=f"S{image // 9000}/{trial}", frames=(image % 9000,),
            )
            for trial in range(3)
            for image, texts in enumerate(captions)
        ]  # fmt: skip
        values = np.random.default_rng(1).integers(0, 256, (24, 9000, VARIES.stop), dtype=np.uint8)
        digests = dict(zip(sorted({sample.recording for sample in samples}), values, strict=True))
        splits = assign_splits(samples)
        assert find_leaks(samples, splits, digests) == []


class TestError:
    def test_says_what_where_and_how_to_help(self):
        found, name = _planted(group="000")
        error = LeakageError(found)
        assert error.leaks == found
        assert describe_leak(found[0]) in str(error)
        assert f"shared_group: 1 rows of test share with train a passage, story or image, for example {name}" in str(
            error
        )
        assert "gap_frames" in str(error)
        assert "split='paper'" in str(error)

    @pytest.mark.parametrize("kind", LEAK_KINDS)
    def test_every_kind_has_a_sentence(self, kind):
        line = describe_leak({"kind": kind, "splits": ["train", "test"], "count": 3, "examples": ["x"]})
        assert re.fullmatch(rf"{kind}: 3 rows of test [^{{}}]+, for example x", line)


class TestBuilderRefusesLeaks:
    def test_sentence_in_two_passages(self, tmp_path, sentences, write):
        from dataset_builders import load_corpus

        truth = sentences(num_stories=5)
        items, _ = truth["P01"][0]
        for story in range(1, 5):
            truth["P01"][story][0][0] = items[0]
        folder = write(tmp_path / "data", "pereira", truth)
        with pytest.raises(LeakageError, match="shared_text: 2 rows of test share with train"):
            load_corpus("brainllm2025", folder, tmp_path, verify_facts=False)

    def test_overlapping_windows_leak_under_the_published_split_only(self, tmp_path, windows, write):
        from dataset_builders import prepare_corpus

        folder = write(tmp_path / "data", "huth", windows())
        found = {}
        for split in ("passage", "paper"):
            options = {"layout": "huth", "verify_facts": False, "split": split}
            found[split] = prepare_corpus("brainllm2025", folder, tmp_path, **options).corpus_info.split
        assert found["passage"].leaks == []
        assert not found["passage"].leak_allowed
        assert {"shared_group", "shared_brain"} <= {leak["kind"] for leak in found["paper"].leaks}
        assert found["paper"].leak_allowed
