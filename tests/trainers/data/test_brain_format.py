# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features, List, Value, load_from_disk
from torch.utils.data import DataLoader

from dataset_builders import prepare_corpus, save_corpus
from trainers import DataArguments, load_corpus_splits
from trainers.data.brain_format import RecordingTable, recording_files, with_brain_arrays


def _rows(values, kind):
    return Dataset.from_dict(
        {"name": [str(i) for i in range(len(values))], "brain_values": [v.tolist() for v in values]},
        features=Features({"name": Value("string"), "brain_values": kind}),
    )


VARIABLE, FIXED = List(List(Value("float16"))), List(List(Value("float16"), length=5))


class TestValuesInRows:
    @pytest.mark.parametrize("kind", [VARIABLE, FIXED])
    def test_every_way_to_ask(self, kind):
        generator = np.random.default_rng(0)
        values = [generator.normal(size=(frames, 5)).astype(np.float16) for frames in (1, 4, 2, 3, 3)]
        rows = with_brain_arrays(_rows(values, kind))
        for found in (
            [row["brain_values"] for row in rows],
            rows["brain_values"],
            rows[:]["brain_values"],
            [rows[[4, 0, 2]]["brain_values"][i] for i in (1,)],
            rows.select([3, 1]).select_columns(["brain_values"])["brain_values"],
        ):
            wanted = {5: values, 1: [values[0]], 2: [values[3], values[1]]}[len(found)]
            for array, expected in zip(found, wanted, strict=True):
                assert array.dtype == np.float16
                np.testing.assert_array_equal(array, expected)
        assert rows[1]["name"] == "1"

    def test_no_copy_is_made(self):
        values = [np.full((2, 5), i, np.float16) for i in range(4)]
        rows = with_brain_arrays(_rows(values, FIXED))
        storage = rows.data.column("brain_values").chunk(0).values.values.to_numpy(zero_copy_only=True)
        assert np.shares_memory(rows[2]["brain_values"], storage)
        assert np.shares_memory(rows[1:3]["brain_values"][1], storage)

    def test_subjects_of_different_width(self):
        values = [np.ones((2, 3), np.float16), np.ones((2, 7), np.float16)]
        assert [v.shape for v in with_brain_arrays(_rows(values, VARIABLE))["brain_values"]] == [(2, 3), (2, 7)]

    def test_vectors_without_frames(self):
        values = [np.arange(4, dtype=np.float32), np.arange(6, dtype=np.float32)]
        rows = with_brain_arrays(_rows(values, List(Value("float32"))))
        np.testing.assert_array_equal(rows[1]["brain_values"], values[1])

    def test_ragged_frames_are_refused(self):
        """Frames of 3 and 5 features are no two frames of 4, alone and beside other rows."""
        ragged = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0]]
        for lists in ([ragged], [[[1.0, 2.0]], ragged], [ragged, ragged]):
            features = Features({"name": Value("string"), "brain_values": VARIABLE})
            rows = Dataset.from_dict({"name": ["x"] * len(lists), "brain_values": lists}, features=features)
            with pytest.raises(ValueError, match=r"same number of features; found \[3, 5\]"):
                with_brain_arrays(rows)[-1]

    def test_spawned_workers_know_the_format(self):
        """A worker process that starts anew imports what the rows need, and nothing else tells it."""
        values = [np.full((2, 5), i, np.float16) for i in range(6)]
        loader = DataLoader(
            with_brain_arrays(_rows(values, FIXED)), num_workers=2, multiprocessing_context="spawn", collate_fn=list
        )
        found = [row["brain_values"] for batch in loader for row in batch]
        np.testing.assert_array_equal(np.stack(found), np.stack(values))

    def test_saved_with_its_format_it_loads(self, tmp_path):
        values = [np.full((2, 5), i, np.float16) for i in range(3)]
        with_brain_arrays(_rows(values, FIXED)).save_to_disk(tmp_path / "rows")
        np.testing.assert_array_equal(load_from_disk(str(tmp_path / "rows"))[2]["brain_values"], values[2])


class TestValuesInRecordings:
    @pytest.fixture
    def folder(self, tmp_path):
        options = {"num_frames": 3, "num_passages": 12, "num_subjects": 2}
        for store in ("rows", "recordings"):
            builder = prepare_corpus("synthetic_sentences", cache_dir=tmp_path / "cache", store=store, **options)
            save_corpus(builder, tmp_path / store)
        return tmp_path

    def test_rows_are_those_that_hold_their_values(self, folder):
        within = load_corpus_splits(DataArguments(dataset=str(folder / "rows")))
        apart = load_corpus_splits(DataArguments(dataset=str(folder / "recordings")))
        for split in within:
            for row, same in zip(apart[split], within[split], strict=True):
                np.testing.assert_array_equal(row.pop("brain_values"), same.pop("brain_values"))
                assert row == same

    @pytest.mark.parametrize("store", ["rows", "recordings"])
    def test_a_shuffled_batch_is_its_rows(self, folder, store):
        """Rows come in pieces of one row each; what is made of them at once is what is made of each alone."""
        rows = load_corpus_splits(DataArguments(dataset=str(folder / store)))["train"]
        order = np.random.default_rng(0).permutation(len(rows))[:20].tolist()
        plain = rows.with_format(None)
        for some in (rows, rows.select(range(len(rows) - 1, -1, -1)), rows.select(range(len(rows)))):
            batch = some[order]
            assert list(batch) == rows.column_names
            ids = {sample_id: row for row, sample_id in enumerate(plain["sample_id"])}
            for place, sample_id in enumerate(batch["sample_id"]):
                alone, stored = rows[ids[sample_id]], plain[ids[sample_id]]
                for name, column in batch.items():
                    if name != "brain_values":
                        assert column[place] == stored[name]
                np.testing.assert_array_equal(batch["brain_values"][place], alone["brain_values"])
                assert not batch["brain_values"][place].flags.owndata

    def test_rows_of_one_batch_with_and_without_gaps(self, tmp_path):
        values = np.arange(90, dtype=np.float32).reshape(30, 3).astype(np.float16)
        schema = pa.schema({"recording": pa.string(), "values": pa.list_(pa.float16())})
        for name, part in {"a": values[:10], "b": values[10:]}.items():
            with pa.OSFile(str(tmp_path / f"{name}.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
                lists = pa.array(list(part), pa.list_(pa.float16()))
                writer.write_batch(pa.record_batch([pa.array([name] * len(part)), lists], schema=schema))
        table = RecordingTable([str(tmp_path / "a.arrow"), str(tmp_path / "b.arrow")])
        rows = [
            ("a", [0, 1, 2]),
            ("b", [3]),
            ("a", [3, 4]),
            ("b", [5, 4]),
            ("b", [0, 2, 4]),
            ("a", [9]),
            ("b", [18, 19]),
        ]
        frames = [frame for _, own in rows for frame in own]
        ends = np.cumsum([0] + [len(own) for _, own in rows])
        found = table.take_rows([name for name, _ in rows], ends, np.array(frames))
        for (name, own), taken in zip(rows, found, strict=True):
            np.testing.assert_array_equal(taken, values[:10][own] if name == "a" else values[10:][own])
        for name, own in (("a", [9, 10]), ("a", [-1]), ("b", [])):
            with pytest.raises(ValueError, match="refers to the frames"):
                table.take_rows([name], np.array([0, len(own)]), np.array(own, dtype=int))
        with pytest.raises(KeyError, match="no recording 'c'"):
            table.take_rows(["c"], np.array([0, 1]), np.array([0]))

    def test_views_of_the_file(self, folder):
        rows = load_corpus_splits(DataArguments(dataset=str(folder / "recordings")))["train"]
        assert not rows[0]["brain_values"].flags.owndata
        assert not rows[0]["brain_values"].flags.writeable

    def test_without_recordings(self, folder):
        rows = with_brain_arrays(load_from_disk(str(folder / "recordings"))["train"])
        with pytest.raises(ValueError, match="refer to recordings that are stored apart"):
            rows[0]

    def test_recordings_in_pieces(self, tmp_path):
        """As the Hub returns them: batches that end anywhere."""
        values = np.arange(60, dtype=np.float32).reshape(20, 3).astype(np.float16)
        names = ["a"] * 7 + ["b"] * 13
        schema = pa.schema({"recording": pa.string(), "values": pa.list_(pa.float16())})
        with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for start in range(0, 20, 5):
                lists = pa.array(list(values[start : start + 5]), pa.list_(pa.float16()))
                writer.write_batch(pa.record_batch([pa.array(names[start : start + 5]), lists], schema=schema))
        table = RecordingTable([str(tmp_path / "x.arrow")])
        for name, own in (("a", values[:7]), ("b", values[7:])):
            for frames in ([0, 1, 2], [4, 5, 6], [6, 2], [3]):
                np.testing.assert_array_equal(table.take(name, np.array(frames)), own[frames])
        with pytest.raises(KeyError, match="no recording 'c'"):
            table.take("c", np.array([0]))

        for frames in ([-2], [0, 1, 7], [], [6, -1]):
            with pytest.raises(ValueError, match=r"refers to the frames .* recording 'a'.*0\.\.6"):
                table.take("a", np.array(frames, dtype=int))

    def test_no_recordings(self, tmp_path):
        assert recording_files(str(tmp_path)) is None
