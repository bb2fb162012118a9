# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import os
import pickle

import numpy as np
import pytest

from dataset_builders.readers.unpickling import load_pickle


class _Hostile:
    """Runs a command when unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def _save(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


class TestPlainData:
    @pytest.mark.parametrize("protocol", [3, 4, 5])
    def test_arrays_and_containers_come_back(self, tmp_path, protocol):
        truth = {
            0: [{"content": "é ü", "additional": np.array([0, 3]), "none": None, "flag": True}],
            "story": (1, 2.5, b"raw"),
        }
        read = load_pickle(_save(tmp_path / "a.pkl", truth, protocol))
        assert read["story"] == truth["story"]
        np.testing.assert_array_equal(read[0][0]["additional"], [0, 3])
        assert read[0][0]["content"] == "é ü"

    @pytest.mark.parametrize("dtype", ["<f4", ">f4", "f8", "f2", "<i8", ">i2", "u1", "?"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_every_number_type_and_order(self, tmp_path, dtype, order):
        truth = np.arange(24).reshape(2, 3, 4).astype(dtype).copy(order)
        read = load_pickle(_save(tmp_path / "a.pkl", truth))
        np.testing.assert_array_equal(read, truth)
        assert read.dtype == truth.dtype.newbyteorder("=")  # NumPy restores arrays in the machine's byte order

    def test_scalars_and_empty_arrays(self, tmp_path):
        scalar, empty = load_pickle(_save(tmp_path / "a.pkl", (np.float32(1.5), np.empty((0, 7), np.float32))))
        assert scalar == np.float32(1.5)
        assert empty.shape == (0, 7)

    def test_both_spellings_of_numpy_core(self, tmp_path):
        # Protocol 3 names globals as text, so the older spelling can be put in by replacement.
        new = pickle.dumps(np.arange(3.0), 3)
        assert b"numpy._core" in new
        for name, content in (("new", new), ("old", new.replace(b"numpy._core", b"numpy.core"))):
            (tmp_path / name).write_bytes(content)
            np.testing.assert_array_equal(load_pickle(tmp_path / name), [0, 1, 2])


class TestHostileData:
    def test_command_is_refused_and_not_run(self, tmp_path):
        marker = tmp_path / "executed"
        path = _save(tmp_path / "evil.wq.pkl", {"story": [_Hostile(f"touch {marker}")]})
        with pytest.raises(
            ValueError, match=r"evil\.wq\.pkl was refused: it holds the global '(posix|nt)\.system'.*dow"
        ):
            load_pickle(path)
        assert not marker.exists()
        pickle.loads(path.read_bytes())  # the attack is real: the standard reader falls for it
        assert marker.exists()

    @pytest.mark.parametrize(
        "name", ["builtins eval", "builtins getattr", "numpy load", "numpy.core.multiarray array"]
    )
    def test_other_globals_are_refused(self, tmp_path, name):
        module, function = name.split()
        (tmp_path / "a.pkl").write_bytes(b"\x80\x03c" + f"{module}\n{function}\n".encode() + b".")
        with pytest.raises(ValueError, match=f"the global '{module}.{function}'"):
            load_pickle(tmp_path / "a.pkl")

    def test_dotted_name_does_not_reach_attributes(self, tmp_path):
        stream = b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93."
        (tmp_path / "a.pkl").write_bytes(stream)
        with pytest.raises(ValueError, match=r"the global 'numpy\.dtype\.__init__'"):
            load_pickle(tmp_path / "a.pkl")

    def test_object_array_is_refused_even_if_it_holds_the_attack(self, tmp_path):
        marker = tmp_path / "executed"
        inner = np.array([_Hostile(f"touch {marker}")], dtype=object)
        for content in (inner, np.array([1, "a"], dtype=object)):
            with pytest.raises(ValueError, match="plain numbers"):
                load_pickle(_save(tmp_path / "a.pkl", content))
        assert not marker.exists()

    @pytest.mark.parametrize(
        "dtype", [[("a", "f4"), ("b", "i4")], [("a", "f4", (2,))], "U4", "S3", "M8[s]", "V8", "c8"]
    )
    def test_records_and_texts_are_refused(self, tmp_path, dtype):
        with pytest.raises(ValueError, match="plain numbers"):
            load_pickle(_save(tmp_path / "a.pkl", np.zeros(2, dtype)))

    @pytest.mark.parametrize("claimed", [(5,), (10**9, 10**9), (-1, -4), (2.0, 2)])
    def test_shape_that_its_bytes_do_not_fill_is_refused(self, tmp_path, claimed):
        _, arguments, state = np.zeros(4, np.float32).__reduce__()

        class Lie:
            def __reduce__(self):
                function = np.zeros(1).__reduce__()[0]
                return function, arguments, (state[0], claimed, *state[2:])

        with pytest.raises(ValueError, match="an array of shape"):
            load_pickle(_save(tmp_path / "a.pkl", Lie()))

    def test_constructor_cannot_be_rewritten(self, tmp_path):
        # GLOBAL, then BUILD with {"_function": 1}: sets an attribute of what lies on the stack.
        (tmp_path / "a.pkl").write_bytes(b"\x80\x03cnumpy\ndtype\n}X\x09\x00\x00\x00_functionK\x01sb.")
        with pytest.raises(ValueError, match="rewrites a function"):
            load_pickle(tmp_path / "a.pkl")
        np.testing.assert_array_equal(load_pickle(_save(tmp_path / "b.pkl", np.arange(2))), [0, 1])

    def test_memo_bomb_is_refused(self, tmp_path):
        (tmp_path / "a.pkl").write_bytes(b"\x80\x04Nr\xff\xff\xff\x7f.")
        with pytest.raises(ValueError, match="remember 2147483647 objects in 9 bytes"):
            load_pickle(tmp_path / "a.pkl")

    def test_changed_bytes_give_plain_data_or_one_error(self, tmp_path):
        content = bytearray(pickle.dumps({0: [{"content": "a", "additional": np.arange(3)}], 1: np.float32(2)}, 4))
        generator = np.random.default_rng(0)
        refused = 0
        for _ in range(1000):
            damaged = bytearray(content)
            for place in generator.integers(2, len(content), generator.integers(1, 4)):
                damaged[place] = generator.integers(256)
            (tmp_path / "a.pkl").write_bytes(damaged)
            try:
                load_pickle(tmp_path / "a.pkl")
            except ValueError as error:
                assert "a.pkl" in str(error)  # noqa: PT017 - either outcome is right
                refused += 1
        assert 300 < refused < 1000


class TestThingsInPlaceOfData:
    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
    def test_truncated_file(self, tmp_path, kept):
        content = pickle.dumps({"fmri": np.zeros((50, 50))}, 4)
        (tmp_path / "a.dic").write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(ValueError, match=r"a\.dic is cut short or damaged .* download it again"):
            load_pickle(tmp_path / "a.dic")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"P01 data", "not a pickle"),
            (b"../../.git/annex/objects/x1/y2/MD5E-s316030--abc.pkl", "git-annex pointer.*datalad get"),
            (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
            (b'\n<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "web page"),
            (b"\x1f\x8b\x08\x00rest", "gunzip"),
        ],
    )
    def test_wrong_content(self, tmp_path, content, message):
        (tmp_path / "a.wq.pkl").write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.wq\.pkl .*{message}"):
            load_pickle(tmp_path / "a.wq.pkl")

    def test_dangling_annex_link(self, tmp_path):
        (tmp_path / "a.wq.pkl").symlink_to(".git/annex/objects/MD5E-s1--a")
        with pytest.raises(FileNotFoundError, match="datalad get"):
            load_pickle(tmp_path / "a.wq.pkl")

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            load_pickle(tmp_path / "a.wq.pkl")


def test_real_participant_equals_the_standard_reader(participant):
    for name in ("example.wq.pkl", "example.pca1000.wq.pkl.dic"):
        read, trusted = load_pickle(participant / name), pickle.loads((participant / name).read_bytes())
        assert read.keys() == trusted.keys()
        if name.endswith("dic"):
            np.testing.assert_array_equal(read[167]["fmri"], trusted[167]["fmri"])
        else:
            assert [s["content"] for s in read[0]] == [s["content"] for s in trusted[0]]
