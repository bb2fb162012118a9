# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import pickle

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from dataset_builders import load_corpus, prepare_corpus
from dataset_builders.schema import COLUMNS


def _load(folder, tmp_path, layout="pereira", **config):
    config = {"verify_facts": False, **config}
    return load_corpus("brainllm2025", folder, cache_dir=tmp_path / "cache", layout=layout, **config)


def _rows(dataset):
    """All rows by their id, brain values as arrays."""
    dataset = dataset.with_format("numpy")
    return {row["sample_id"]: row for split in dataset.values() for row in split}


def _expected(truth, layout):
    """Id -> (prompt, completion, text, brain) by a second, plain reading of the rules."""
    expected = {}
    for subject, stories in truth.items():
        for story, (items, recording) in stories.items():
            name = f"{story:03d}" if isinstance(story, int) else story
            for index, item in enumerate(items):
                chunks = item.chunks if layout == "pereira" else [chunk.lower() for chunk in item.chunks]
                for k in range(1, len(chunks)):
                    prompt = " ".join(chunks[:k]).strip()
                    if prompt and chunks[k]:
                        text = " ".join(chunks) if layout == "pereira" else chunks[k]
                        row = (prompt, chunks[k], text, recording[item.frames[k]])
                        expected[f"brainllm2025-{layout}/{subject}/{name}/{index}/{k}"] = row
    return expected


class TestReadBackEqualsTruth:
    @pytest.mark.parametrize(
        ("layout", "subjects"),
        [("pereira", ("P01", "M02")), ("huth", ("1", "2")), ("narratives", ("sub-002", "sub-016"))],
    )
    @pytest.mark.parametrize("protocol", [4, 5])
    def test_all_layouts(self, tmp_path, sentences, windows, write, layout, subjects, protocol):
        truth = sentences(subjects) if layout == "pereira" else windows(subjects)
        folder = write(tmp_path / "data", layout, truth, protocol)
        rows, expected = _rows(_load(folder, tmp_path, layout)), _expected(truth, layout)
        assert rows.keys() == expected.keys()
        for name, (prompt, completion, text, brain) in expected.items():
            row = rows[name]
            assert list(row) == list(COLUMNS)
            assert (row["prompt"], row["completion"], row["text"]) == (prompt, completion, text)
            assert row["subject"] == name.split("/")[1]
            assert row["group"] == row["stimulus"] == name.split("/")[2]
            np.testing.assert_array_equal(row["brain_values"], brain)
            assert row["brain_values"].dtype == np.float32

    def test_one_subject_and_chosen_stories(self, tmp_path, windows, write):
        truth = windows(("sub-002", "sub-016"))
        folder = write(tmp_path / "data", "narratives", truth)
        chosen = ["story4", "story1", "story2"]
        rows = _rows(_load(folder, tmp_path, "narratives", subjects=["sub-016"], stories=chosen, num_folds=3))
        assert {row["subject"] for row in rows.values()} == {"sub-016"}
        assert {row["stimulus"] for row in rows.values()} == set(chosen)

    def test_brain_id_is_the_identity_of_the_frames(self, tmp_path, windows, write):
        rows = _rows(_load(write(tmp_path / "data", "huth", windows()), tmp_path, "huth"))
        values = {}
        for row in rows.values():
            values.setdefault(row["brain_id"], set()).add(row["brain_values"].tobytes())
        assert all(len(distinct) == 1 for distinct in values.values())
        assert len(values) == len({value for distinct in values.values() for value in distinct}) < len(rows)

    def test_empty_samples_are_dropped_and_counted(self, tmp_path, windows, write):
        folder = write(tmp_path / "data", "huth", windows(num_stories=6))
        builder = prepare_corpus("brainllm2025", folder, tmp_path / "cache", layout="huth", verify_facts=False)
        facts = builder.corpus_info.facts["subjects"]["1"]
        pairs = [
            ("".join(item.chunks[:k]), item.chunks[k])
            for items, _ in windows(num_stories=6)["1"].values()
            for item in items
            for k in range(1, 4)
        ]
        assert facts["dropped_empty_completions"] == sum(not completion for _, completion in pairs) > 0
        assert (
            facts["dropped_empty_prompts"] == sum(not prompt and bool(completion) for prompt, completion in pairs) > 0
        )
        assert facts["samples"] == sum(bool(prompt and completion) for prompt, completion in pairs)


def _damage(folder, change, suffix=".pca1000.wq.pkl.dic"):
    path = next(folder.glob(f"*{suffix}"))
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content, 4))


class TestSessions:
    """Pereira's passages up to 71 and from 72 on are two experiments; of other layouts no session is known."""

    def test_rows_and_values(self, tmp_path, sentences, write):
        """Standardised within session, each session's training brains have mean 0 and deviation 1."""
        truth = sentences(num_stories=90)
        folder = write(tmp_path / "data", "pereira", truth)
        splits = _load(folder, tmp_path, standardize="session")
        for row in _rows(splits).values():
            assert row["session"] == ("243sentences" if int(row["stimulus"]) < 72 else "384sentences")
        for session in ("243sentences", "384sentences"):
            rows = [row for row in splits["train"].with_format("numpy") if row["session"] == session]
            values = np.concatenate(list({row["brain_id"]: row["brain_values"] for row in rows}.values()))
            np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
            np.testing.assert_allclose(values.std(0), 1, atol=1e-4)

    @pytest.mark.parametrize("layout", ["huth", "narratives"])
    def test_unknown(self, tmp_path, windows, write, layout):
        folder = write(tmp_path / "data", layout, windows())
        assert {row["session"] for row in _rows(_load(folder, tmp_path, layout)).values()} == {""}

    def test_positions(self, tmp_path, sentences, write):
        """Both samples of a sentence have its place in the passage."""
        folder = write(tmp_path / "data", "pereira", sentences())
        for name, row in _rows(_load(folder, tmp_path)).items():
            assert row["position"] == int(name.split("/")[3])


class TestErrors:
    @pytest.fixture
    def folder(self, tmp_path, sentences, write):
        return write(tmp_path / "data", "pereira", sentences())

    @pytest.mark.parametrize(
        ("suffix", "change", "message"),
        [
            (".dic", lambda brain: brain.pop(3), r"do not match: \['3'\] are missing in the second"),
            (".pkl", lambda texts: texts.pop(3), r"do not match: \[\] are missing in the second, \['3'\] in the"),
            (".dic", lambda brain: brain[3]["fmri"].__setitem__((0, 0), np.nan), "story 003: 1 of .* NaN or infinite"),
            (".dic", lambda brain: brain[3]["fmri"].__setitem__((0, 1), np.inf), "story 003: 1 of .* NaN or infinite"),
            (".dic", lambda brain: brain[3].pop("fmri"), "story 003: the brain file has no matrix 'fmri'"),
            (
                ".dic",
                lambda brain: brain[3].update(fmri=np.zeros((4, 15), "f4")),
                r"differ in features \(\[15, 16\]\)",
            ),
            (".dic", lambda brain: brain[3].update(fmri=np.zeros((1, 16), "f4")), "item 1: 'additional' names frames"),
            (".pkl", lambda texts: texts[3][0]["word"][1].update(additional=np.array([-1])), "names frames"),
            (".pkl", lambda texts: texts[3][0]["word"][1].update(additional=np.array([], int)), "at least one frame"),
            (".pkl", lambda texts: texts[3][0]["word"][1].pop("additional"), "at least one frame"),
            (".pkl", lambda texts: texts[3][0]["word"][1].update(content=7), "item 0: 'content' is 7 and not text"),
            (".pkl", lambda texts: texts[3][0].pop("word"), "a list of items with the key 'word'"),
            (".pkl", lambda texts: texts.clear(), "no dictionary of stories"),
        ],
    )
    def test_damaged_content(self, tmp_path, folder, suffix, change, message):
        _damage(folder, change, suffix)
        with pytest.raises(ValueError, match=message):
            _load(folder, tmp_path)

    def test_facts_are_checked_unless_waived(self, tmp_path, folder):
        with pytest.raises(ValueError, match=r"(?s)features expected 1000, found 16.*verify_facts=False"):
            _load(folder, tmp_path, verify_facts=True)
        builder = prepare_corpus("brainllm2025", folder, tmp_path / "cache", verify_facts=False)
        differences = builder.corpus_info.facts["differences"]
        assert any("stories expected 168, found 12" in difference for difference in differences)

    def test_missing_folder_and_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="data_dir=None is not a folder.*https"):
            _load(None, tmp_path)
        (tmp_path / "P01.wq.pkl.gz").touch()
        with pytest.raises(FileNotFoundError, match="gunzip"):
            _load(tmp_path, tmp_path)

    def test_missing_partner(self, tmp_path, folder):
        (folder / "P01.pca1000.wq.pkl.dic").unlink()
        with pytest.raises(FileNotFoundError, match=r"P01\.pca1000\.wq\.pkl\.dic does not exist"):
            _load(folder, tmp_path)

    def test_unknown_names(self, tmp_path, folder, windows, write):
        with pytest.raises(ValueError, match=r"subjects=\['P09'\].*choose from P01"):
            _load(folder, tmp_path, subjects=["P09"])
        with pytest.raises(ValueError, match=r"stories=\['x'\]"):
            _load(folder, tmp_path, stories=["x"])
        with pytest.raises(ValueError, match="layout='other' is unknown"):
            _load(folder, tmp_path, layout="other")
        narratives = write(tmp_path / "narratives", "narratives", windows(("sub-002",)))
        with pytest.raises(ValueError, match=r"subjects=\['sub-9'\] are not in"):
            _load(narratives, tmp_path, "narratives", subjects=["sub-9"])

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"split": "random"}, "split='random' is unknown"),
            ({"fold": 5}, "fold=5: choose from 0 to 4"),
            ({"num_folds": 1}, "num_folds=1: at least 2 is needed"),
            ({"num_folds": 4, "split": "paper"}, "published split has 5 folds"),
            ({"validation_fraction": 1.0}, "validation_fraction=1.0"),
            ({"num_folds": 13}, "num_folds=13 needs as many groups and the corpus has 12"),
            ({"colour": "red"}, "no option colour: its options are"),
        ],
    )
    def test_bad_options(self, tmp_path, folder, config, message):
        with pytest.raises(ValueError, match=message):
            _load(folder, tmp_path, **config)

    def test_changed_file_is_read_again(self, tmp_path, folder):
        first = _rows(_load(folder, tmp_path))
        _damage(folder, lambda brain: brain[0]["fmri"].__imul__(2))
        second = _rows(_load(folder, tmp_path))
        name = "brainllm2025-pereira/P01/000/0/1"
        np.testing.assert_array_equal(second[name]["brain_values"], 2 * first[name]["brain_values"])


class TestRealParticipant:
    @pytest.mark.parametrize("fold", range(5))
    def test_published_partition(self, participant, tmp_path, fold):
        builder = prepare_corpus(
            "brainllm2025", participant, tmp_path, split="paper", fold=fold, validation_fraction=0
        )
        info, dataset = builder.corpus_info, builder.as_dataset_dict()
        size = [257, 237, 256, 233, 271][fold]
        assert info.split.sizes == {"train": 1254 - size, "test": size}
        assert info.split.leak_allowed
        counts = {leak["kind"]: leak["count"] for leak in info.split.leaks}
        assert counts["shared_group"] == size  # every passage is on both sides
        assert counts["shared_brain"] == [199, 183, 184, 201, 223][fold]
        # All but five short sentences, which might recur by chance, are told apart by their text too.
        assert counts["shared_text"] == [197, 182, 184, 200, 223][fold]
        if fold == 1:
            places = [tuple(map(int, name.split("/")[2:])) for name in dataset["test"]["sample_id"]]
            assert places[:4] == [(0, 1, 2), (1, 0, 1), (3, 1, 1), (3, 1, 2)]
            assert [sum(k == wanted for *_, k in places) for wanted in (1, 2)] == [125, 112]
            assert (counts["shared_brain"], counts["target_in_prompt"]) == (183, 98)

    def test_paper_takes_validation_from_train(self, participant, tmp_path):
        full = load_corpus("brainllm2025", participant, tmp_path, split="paper", validation_fraction=0)
        held = load_corpus("brainllm2025", participant, tmp_path, split="paper")
        assert held["test"]["sample_id"] == full["test"]["sample_id"]
        parts = set(held["train"]["sample_id"]), set(held["validation"]["sample_id"])
        assert parts[0] | parts[1] == set(full["train"]["sample_id"])
        assert not parts[0] & parts[1]
        assert not set(held["train"]["group"]) & set(held["validation"]["group"])

    def test_passage_folds_cover_all_rows_without_leaks(self, participant, tmp_path):
        tested = []
        for fold in range(5):
            builder = prepare_corpus("brainllm2025", participant, tmp_path, fold=fold)
            assert builder.corpus_info.split.leaks == []
            tested.append(set(builder.as_dataset_dict()["test"]["sample_id"]))
        assert len(set.union(*tested)) == sum(map(len, tested)) == 1254
        passages = np.array([int(name.split("/")[2]) for fold in tested for name in sorted(fold)])
        names = [name for fold in tested for name in sorted(fold)]
        folds = GroupKFold(n_splits=5, shuffle=True, random_state=2021).split(names, groups=passages)
        assert [{names[row] for row in rows} for _, rows in folds] == tested

    def test_topic_split_keeps_topics_together(self, participant, tmp_path):
        dataset = load_corpus("brainllm2025", participant, tmp_path, split="topic")
        topics = [set(split["topic"]) for split in dataset.values()]
        assert len(set.union(*topics)) == sum(map(len, topics)) == 24 + 96

    def test_rows(self, participant, tmp_path):
        dataset = load_corpus("brainllm2025", participant, tmp_path)
        rows = _rows(dataset)
        row = rows["brainllm2025-pereira/example/000/0/1"]
        assert row["text"] == "Beekeeping encourages the conservation of local habitats."
        assert (row["prompt"], row["completion"]) == ("Beekeeping encourages", "the conservation")
        assert row["brain_values"].shape == (1, 1000)
        assert len({row["brain_id"] for row in rows.values()}) == 627
        assert row["brain_id"] == rows["brainllm2025-pereira/example/000/0/2"]["brain_id"]
