# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace

import numpy as np
import pytest

from dataset_builders.schema import Sample
from dataset_builders.splitting.policies import SPLIT_POLICIES, assign_splits, paper_draws, unlabelled_rows


def _samples(num_passages=20, sentences=3, subjects=("a",)):
    """Clean rows: distinct sentences of two cuts, three passages a topic."""
    rows = []
    for subject in subjects:
        for story in range(num_passages):
            for index in range(sentences):
                chunks = [f"subject {story}", f"acts on {index}", f"at place {story} of {index}"]
                rows += [
                    Sample(
                        sample_id=f"c/{subject}/{story:03d}/{index}/{k}",
                        corpus="c",
                        subject=subject,
                        stimulus=f"{story:03d}",
                        group=f"{story:03d}",
                        topic=f"topic-{story // 3}",
                        brain_id=f"c/{subject}/{story:03d}/{index}",
                        prompt=" ".join(chunks[:k]),
                        completion=chunks[k],
                        text=" ".join(chunks),
                        recording=f"{subject}/run",
                        frames=(story * sentences + index,),
                    )
                    for k in (1, 2)
                ]
    return rows


def _images():
    """Eight subjects see five shared images and twenty of their own, each three times."""
    kinds = [f"shared{n}" for n in range(5)] + [f"own{n}" for n in range(20)]
    rows = []
    for subject in "12345678":
        for kind in kinds:
            group = kind if kind.startswith("shared") else f"{subject}-{kind.removeprefix('own')}"
            official = "test" if kind.startswith("shared") else "train"
            for repeat in range(3):
                sample = replace(_samples(1, 1)[0], sample_id=f"{subject}/{kind}/{repeat}", subject=subject)
                rows.append(replace(sample, stimulus=group, group=group, topic=group, official_split=official))
    return rows


class TestGroupedFolds:
    @pytest.mark.parametrize(("policy", "key"), [("passage", "group"), ("topic", "topic")])
    @pytest.mark.parametrize("num_folds", [2, 5])
    def test_each_row_is_tested_once_and_no_key_is_divided(self, policy, key, num_folds):
        samples = _samples(subjects=("a", "b"))
        tested = np.zeros(len(samples), int)
        for fold in range(num_folds):
            splits = assign_splits(samples, policy, fold=fold, num_folds=num_folds)
            tested += splits == "test"
            sides: dict[str, set[str]] = {}
            for sample, split in zip(samples, splits, strict=True):
                sides.setdefault(getattr(sample, key), set()).add(split)
            assert all(len(side) == 1 for side in sides.values())
            assert set(splits) == {"train", "validation", "test"}
        assert (tested == 1).all()

    def test_seed_decides(self):
        samples = _samples()
        first, again, other = (assign_splits(samples, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    def test_no_validation_on_request(self):
        assert set(assign_splits(_samples(), validation_fraction=0)) == {"train", "test"}

    def test_too_few_groups(self):
        with pytest.raises(ValueError, match="num_folds=5 needs as many groups and the corpus has 4"):
            assign_splits(_samples(num_passages=4))
        with pytest.raises(ValueError, match="validation_fraction=0"):
            assign_splits(_samples(num_passages=2), num_folds=2)

    def test_unknown_policy(self):
        with pytest.raises(ValueError, match="split='random' is unknown: choose one of passage, topic, official"):
            assign_splits(_samples(), "random")


class TestPaperDraws:
    TARGETS = ("a", "", "b", "a", "c", "b")

    def _stream(self, count):
        random.seed(2021)
        return [random.random() for _ in range(count)]

    def test_every_sample_draws(self):
        assert paper_draws(self.TARGETS, "sample").tolist() == self._stream(6)

    def test_new_targets_draw(self):
        a, b, c = self._stream(3)
        assert paper_draws(self.TARGETS, "new_target").tolist() == [a, 0.0, b, a, c, b]

    def test_repeats_draw_and_the_first_counts(self):
        a, b, _, c, _ = self._stream(5)
        assert paper_draws(self.TARGETS, "first_of_target").tolist() == [a, 0.0, b, a, c, b]

    def test_each_subject_has_the_stream_of_its_own_run(self):
        both = assign_splits(_samples(subjects=("a", "b")), "paper", validation_fraction=0)
        alone = assign_splits(_samples(), "paper", validation_fraction=0)
        np.testing.assert_array_equal(both, np.tile(alone, 2))


class TestOfficial:
    def test_marked_rows_are_the_test_split_and_no_others(self):
        samples = [
            replace(sample, official_split="test" if sample.stimulus in ("003", "007") else "train")
            for sample in _samples(subjects=("a", "b"))
        ]
        splits = assign_splits(samples, "official")
        assert {s.stimulus for s, split in zip(samples, splits, strict=True) if split == "test"} == {"003", "007"}
        assert (splits == "test").sum() == 2 * 2 * 6
        groups = {name: {s.group for s, x in zip(samples, splits, strict=True) if x == name} for name in set(splits)}
        assert len(groups["validation"]) == 2  # a tenth of 18, rounded up
        assert not groups["validation"] & groups["train"]

    def test_a_subject_is_held_out(self):
        """Seven subjects to the eighth, on the shared images: those are absent from training."""
        samples = _images()
        splits = assign_splits(samples, "official", test_subjects=["8"])
        rows = {name: [s for s, x in zip(samples, splits, strict=True) if x == name] for name in set(splits)}
        assert {s.subject for s in rows["test"]} == {"8"}
        assert {s.group for s in rows["test"]} == {f"shared{n}" for n in range(5)}
        learnt = rows["train"] + rows["validation"]
        assert {s.subject for s in learnt} == set("1234567")
        assert not any(s.group.startswith("shared") for s in learnt)
        assert not {s.group for s in rows["train"]} & {s.group for s in rows["validation"]}
        assert len({s.group for s in learnt}) == 7 * 20

    def test_adaptation_by_few_images(self):
        samples = _images()
        without = assign_splits(samples, "official", test_subjects=["8"])
        before: set[str] = set()
        for count in (1, 5, 12, 20):
            splits = assign_splits(samples, "official", test_subjects=["8"], num_adaptation_groups=count)
            assert set(without[without != splits]) == {""}
            added = {s.group for s, x, y in zip(samples, splits, without, strict=True) if x != y}
            assert len(added) == count
            assert all(group.startswith("8-") for group in added)
            assert before < added, "a smaller number is part of a larger one"
            before = added
            # All repeats of an image are trained on.
            assert all(x == "train" for s, x in zip(samples, splits, strict=True) if s.group in added)

    def test_stimuli_that_all_perceived_adapt_unless_they_are_validated_on(self):
        stories = [replace(s, official_split="test" * (s.stimulus == "003")) for s in _samples(subjects=("a", "b"))]
        splits = assign_splits(stories, "official", test_subjects=["b"], num_adaptation_groups=17)
        groups = {name: {s.group for s, x in zip(stories, splits, strict=True) if x == name} for name in set(splits)}
        assert groups["test"] == {"003"}
        assert not groups["validation"] & (groups["train"] | groups["test"])
        with pytest.raises(ValueError, match="num_adaptation_groups=18: b has 17 groups outside of the test set"):
            assign_splits(stories, "official", test_subjects=["b"], num_adaptation_groups=18)

    @pytest.mark.parametrize("options", [{"policy": "official"}, {"policy": "subject", "test_subjects": ["8"]}])
    def test_adaptation_needs_someone_to_adapt_to(self, options):
        with pytest.raises(
            ValueError, match="num_adaptation_groups=3 with split=.* adaptation needs split='official'"
        ):
            assign_splits(_images(), **options, num_adaptation_groups=3)

    def test_what_may_be_looked_at_without_text(self):
        """Of the test subject all that is neither tested nor validated on; of others nothing more."""
        samples = _images()
        for count in (0, 3):
            splits = assign_splits(samples, "official", test_subjects=["8"], num_adaptation_groups=count)
            rows = unlabelled_rows(samples, splits, ["8"])
            found, learnt = ({samples[row].group for row in np.flatnonzero(x)} for x in (rows, splits == "train"))
            assert found == {f"8-{n}" for n in range(20)} - learnt
            assert not (rows & (splits != "")).any()

    def test_corpus_without_a_test_set(self):
        with pytest.raises(ValueError, match="split='official': no row belongs to a test set of the corpus's own"):
            assign_splits(_samples(), "official")

    @pytest.mark.parametrize("policy", ["official", "time"])
    def test_there_is_one_fold(self, policy):
        with pytest.raises(ValueError, match=f"fold=1 with split='{policy}', which divides the corpus in one way"):
            assign_splits(_samples(), policy, fold=1)


class TestSubject:
    def test_leave_one_out_tests_each_subject_on_stimuli_that_no_other_has_perceived(self):
        samples = _samples(subjects=("c", "a", "b"))
        for fold, subject in enumerate("abc"):
            splits = assign_splits(samples, "subject", fold=fold, num_folds=4)
            rows = {name: [s for s, x in zip(samples, splits, strict=True) if x == name] for name in set(splits)}
            assert {s.subject for s in rows["test"]} == {subject}
            assert {s.subject for s in rows["train"] + rows["validation"]} == set("abc") - {subject}
            groups = {name: {s.group for s in part} for name, part in rows.items()}
            assert len(groups["test"]) == 5  # a fourth of 20
            assert not groups["test"] & (groups["train"] | groups["validation"])
            assert not groups["train"] & groups["validation"]
            # Dropped: the others on the tested stimuli, and the subject on all that the others were trained on.
            assert len(rows[""]) == 2 * 5 * 6 + 15 * 6

    def test_stimuli_of_one_side_stay_there(self):
        """Seven subjects to the eighth: own images of the eighth are all tested, a fold of the shared ones too."""
        shared = _samples(subjects=tuple("12345678"), num_passages=10)
        own = [
            replace(sample, group=f"{sample.subject}-{sample.group}", sample_id=f"own/{sample.sample_id}")
            for sample in shared
        ]
        samples = shared + own
        splits = assign_splits(samples, "subject", test_subjects=["8"], num_folds=5, validation_fraction=0)
        test = [s for s, x in zip(samples, splits, strict=True) if x == "test"]
        train = [s for s, x in zip(samples, splits, strict=True) if x == "train"]
        assert {s.subject for s in test} == {"8"}
        assert {s.group for s in test} >= {s.group for s in own if s.subject == "8"}
        assert len({s.group for s in test}) == 10 + 2
        assert {s.group for s in train} >= {s.group for s in own if s.subject != "8"}
        assert not {s.group for s in train} & {s.group for s in test}

    def test_nothing_is_dropped_where_nothing_is_shared(self):
        samples = [replace(s, group=f"{s.subject}{s.group}") for s in _samples(subjects=("a", "b"))]
        splits = assign_splits(samples, "subject", test_subjects=["b"])
        assert "" not in set(splits)
        assert (splits == "test").sum() == len(samples) / 2

    def test_fold_chooses_stimuli_if_subjects_are_named(self):
        samples = _samples(subjects=("a", "b"))
        tested = [assign_splits(samples, "subject", test_subjects=["b"], fold=fold) == "test" for fold in range(5)]
        assert (np.sum(tested, axis=0) == [sample.subject == "b" for sample in samples]).all()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"fold": 2}, "fold=2 with split='subject': choose from 0 to 1, one a subject"),
            ({"test_subjects": ["z"]}, r"test_subjects=\['z'\]: choose from a, b"),
            ({"test_subjects": []}, r"test_subjects=\[\]: choose from a, b"),
            ({"test_subjects": ["b", "a"]}, "leaves no subject to train on"),
            ({"num_folds": 30}, "num_folds=30 needs as many groups and subjects of both sides share 20"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            assign_splits(_samples(subjects=("a", "b")), "subject", **options)

    @pytest.mark.parametrize("policy", [policy for policy in SPLIT_POLICIES if policy not in ("subject", "official")])
    def test_test_subjects_need_the_policy(self, policy):
        with pytest.raises(ValueError, match=f"with split='{policy}': they need split='subject' or 'official'"):
            assign_splits(_samples(), policy, test_subjects=["a"])


TR, LOOK_BACK = 1.5, 3


def _story_rows(story="s", subjects=("a", "b"), volumes=80, clock=True, seed=0):
    """Windows: the words of a volume, a prompt of three volumes, four frames that follow. And when words are said."""
    generator = np.random.default_rng(seed)
    heard = [[f"{story}{volume}x{k}" for k in range(generator.integers(1, 5))] for volume in range(volumes)]
    rows, said = [], {}
    for volume, words in enumerate(heard):
        said |= {word: TR * (volume + k / len(words)) if clock else volume for k, word in enumerate(words)}
    for subject in subjects:
        for volume in range(LOOK_BACK, volumes):
            frames = tuple(range(volume + 1, volume + 5)) if clock else tuple(range(volume, volume + 4))
            words, name = heard[volume], f"w/{subject}/{story}/{volume}"
            times = tuple(said[word] for word in words)
            rows.append(
                Sample(
                    sample_id=name, corpus="w", subject=subject, stimulus=story, group=story, topic=story,
                    brain_id=name,
                    prompt=" ".join(word for part in heard[volume - LOOK_BACK : volume] for word in part),
                    completion=" ".join(words), text=" ".join(words), recording=f"{subject}/{story}", frames=frames,
                    words=tuple(words) if clock else (), word_onsets=times if clock else (),
                    word_offsets=tuple(time + 0.1 for time in times) if clock else (),
                    frame_times=tuple(TR * (frame + 0.5) for frame in frames) if clock else (),
                )
            )  # fmt: skip
    return rows, said


def _parts(samples, splits):
    return {name: [s for s, x in zip(samples, splits, strict=True) if x == name] for name in set(splits)}


class TestTime:
    @pytest.mark.parametrize("clock", [True, False])
    @pytest.mark.parametrize("gap", [0, 3])
    def test_no_frame_and_no_word_of_a_prompt_comes_near_the_other_side(self, clock, gap):
        samples, said = _story_rows(clock=clock)
        parts = _parts(samples, assign_splits(samples, "time", gap_frames=gap, validation_fraction=0.2))
        assert set(parts) == {"train", "validation", "test", ""}
        for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
            last = max(max(s.frames) for s in parts[earlier])
            assert min(min(s.frames) for s in parts[later]) - last > gap
            spoken = {word for s in parts[earlier] for word in s.completion.split()}
            known = [word for s in parts[later] for word in s.prompt.split()]
            assert not spoken & set(known)
            assert min(said[word] for word in known) > max(said[word] for word in spoken)

    def test_shares_are_those_asked_for(self):
        samples, _ = _story_rows(volumes=400)
        splits = assign_splits(samples, "time", num_folds=4, validation_fraction=0.2)
        shares = {name: np.mean(splits == name) for name in ("train", "validation", "test")}
        assert shares == pytest.approx({"train": 0.6, "validation": 0.15, "test": 0.25}, abs=0.03)
        # What is dropped lies across the two borders: seven volumes reach into a row, and six rows across a border.
        assert (splits == "").sum() <= 2 * 2 * 8

    def test_every_listener_has_the_same_border(self):
        one, _ = _story_rows(subjects=("a", "b"))
        two, _ = _story_rows("t", subjects=("b", "c"), volumes=120)
        samples = one + two
        sides: dict[tuple[str, str], set[str]] = {}
        for sample, split in zip(samples, assign_splits(samples, "time"), strict=True):
            sides.setdefault((sample.stimulus, sample.completion), set()).add(split)
        assert all(len(side) == 1 for side in sides.values())
        assert {side.copy().pop() for (story, _), side in sides.items() if story == "s"} >= {"train", "test"}

    def test_wider_gaps_drop_more_and_only_before_the_border(self):
        samples, _ = _story_rows()
        narrow, wide = (assign_splits(samples, "time", gap_frames=gap) for gap in (1, 12))
        assert (wide == "").sum() > (narrow == "").sum()
        np.testing.assert_array_equal(wide == "test", narrow == "test")
        assert set(narrow[wide == ""]) <= {"train", "validation", ""}

    def test_no_validation_on_request(self):
        samples, _ = _story_rows()
        assert set(assign_splits(samples, "time", validation_fraction=0)) == {"train", "test", ""}

    def test_empty_completions_need_no_place(self):
        samples, _ = _story_rows(clock=False)
        samples = [replace(sample, prompt="", completion="") for sample in samples]
        assert {"train", "test"} <= set(assign_splits(samples, "time"))

    def test_story_too_short_to_be_divided(self):
        samples, _ = _story_rows(volumes=8)
        with pytest.raises(ValueError, match=r"split='time' with gap_frames=9 leaves \d+ rows to train on and \d+ to"):
            assign_splits(samples, "time", gap_frames=9)


class TestGap:
    def test_stories_of_one_recording_are_kept_apart(self):
        """Five stories one after the other in one run: the last rows of a training story lie beside a tested one."""
        samples = _samples(num_passages=5, sentences=10)
        plain, gap = (assign_splits(samples, gap_frames=frames, validation_fraction=0) for frames in (0, 4))
        np.testing.assert_array_equal(gap == "test", plain == "test")
        assert set(plain[gap == ""]) == {"train"}
        frames = {name: {s.frames[0] for s in part} for name, part in _parts(samples, gap).items()}
        assert min(abs(a - b) for a in frames["train"] for b in frames["test"]) == 5
        assert max(min(abs(a - b) for b in frames["test"]) for a in frames[""]) == 4

    def test_recordings_do_not_touch(self):
        samples = [replace(sample, recording=f"a/{sample.stimulus}") for sample in _samples()]
        assert "" not in set(assign_splits(samples, gap_frames=100))

    def test_negative(self):
        with pytest.raises(ValueError, match="gap_frames=-1: a gap has 0 frames or more"):
            assign_splits(_samples(), gap_frames=-1)

    def test_too_wide(self):
        with pytest.raises(ValueError, match="leaves 0 rows to train on and 24 to test on: choose another split, or"):
            assign_splits(_samples(), gap_frames=60, validation_fraction=0)
