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
import random
from dataclasses import replace

import numpy as np
import pytest

from dataset_builders.leaks import LEAK_KINDS, LeakageError, describe_leak, find_leaks
from dataset_builders.schema import Sample
from dataset_builders.splits import assign_splits, paper_draws


def _samples(num_passages=20, sentences=3, subjects=("a",)):
    """Clean rows: distinct sentences of two cuts, three passages a topic."""
    generator = np.random.default_rng(0)
    rows = []
    for subject in subjects:
        recording = generator.normal(size=(num_passages * sentences, 4)).astype(np.float32)
        for story in range(num_passages):
            for index in range(sentences):
                chunks = [f"subject {story}", f"acts on {index}", f"at place {story} of {index}"]
                rows += [
                    Sample(
                        sample_id=f"c/{subject}/{story:03d}/{index}/{k}",
                        corpus="c",
                        subject=subject,
                        story=f"{story:03d}",
                        group=f"{story:03d}",
                        topic=f"topic-{story // 3}",
                        brain_id=f"c/{subject}/{story:03d}/{index}",
                        prompt=" ".join(chunks[:k]),
                        completion=chunks[k],
                        text=" ".join(chunks),
                        recording=recording,
                        frames=np.array([story * sentences + index]),
                    )
                    for k in (1, 2)
                ]
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
            assert find_leaks(samples, splits) == []
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


class TestLeaks:
    def _planted(self, **changes):
        """Passage 0 in train, passage 1 in test, and one test row altered."""
        samples = [replace(sample, prompt=sample.prompt) for sample in _samples(num_passages=2)]
        splits = np.array(["train"] * 6 + ["test"] * 6, dtype=object)
        assert find_leaks(samples, splits) == []
        samples[8] = replace(samples[8], **changes)
        return find_leaks(samples, splits), samples[8].sample_id

    @pytest.mark.parametrize(
        ("kind", "changes"),
        [
            ("shared_group", {"group": "000"}),
            ("shared_brain", {"frames": np.array([4, 0])}),
            ("shared_text", {"text": "Subject 0  acts on 0 at place 0 of 0"}),
            ("target_in_prompt", {"story": "000", "completion": "acts on 0"}),
        ],
    )
    def test_each_kind_is_found_alone(self, kind, changes):
        leaks, name = self._planted(**changes)
        assert leaks == [{"kind": kind, "splits": ["train", "test"], "count": 1, "examples": [name]}]
        assert kind in LEAK_KINDS

    def test_equal_frames_are_found_in_another_recording(self):
        train = _samples(num_passages=2)[0]
        leaks, _ = self._planted(recording=train.brain_values.copy(), frames=np.array([0]))
        assert [leak["kind"] for leak in leaks] == ["shared_brain"]

    def test_recurring_completion_is_no_leak(self):
        leaks, _ = self._planted(completion="acts on 0", prompt="subject 0")
        assert leaks == []

    def test_part_of_a_word_is_no_match(self):
        leaks, _ = self._planted(story="000", completion="acts on")
        assert [leak["kind"] for leak in leaks] == ["target_in_prompt"]
        leaks, _ = self._planted(story="000", completion="cts on")
        assert leaks == []

    def test_every_pair_of_splits_is_compared(self):
        samples = _samples(num_passages=3)
        splits = np.array((["train", "validation", "test"] * 6), dtype=object)
        pairs = {tuple(leak["splits"]) for leak in find_leaks(samples, splits) if leak["kind"] == "shared_group"}
        assert pairs == {("train", "validation"), ("train", "test"), ("validation", "test")}

    def test_error_says_what_where_and_how_to_help(self):
        leaks, name = self._planted(group="000")
        error = LeakageError(leaks)
        assert error.leaks == leaks
        assert describe_leak(leaks[0]) in str(error)
        assert name in str(error)
        assert "split='paper'" in str(error)


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
