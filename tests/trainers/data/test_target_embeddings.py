# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Target embeddings as columns: means over captions, files of images, what is written, what is refused."""

import numpy as np
import pytest
from datasets import Dataset, load_from_disk
from safetensors.numpy import save_file
from voxel_corpus import VOXELS, WIDTH, write_voxel_corpus

from trainers.arguments import DataArguments
from trainers.data.corpora import load_corpus_splits
from trainers.data.geometry import read_geometries
from trainers.data.target_embeddings import (
    add_image_embeddings,
    add_text_embeddings,
    confirm_text_embeddings,
    read_image_embeddings,
    require_embeddings,
    save_with_targets,
    stack_embeddings,
    target_sizes,
    text_space_of,
)
from trainers.embedders.text_encoders import MeanPooledEmbedder
from trainers.embedders.text_spaces import PROBE, text_space


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_voxel_corpus(tmp_path_factory.mktemp("voxels") / "corpus", images=5)


@pytest.fixture
def splits(corpus):
    return load_corpus_splits(DataArguments(dataset=str(corpus)))


def count_letters(texts) -> np.ndarray:
    """An embedder that can be done in the head: how often a, e and t occur."""
    return np.array([[text.count(letter) for letter in "aet"] for text in texts], np.float32)


class TestText:
    def test_is_the_mean_over_all_captions_of_the_image(self, splits):
        found = add_text_embeddings(splits, count_letters)
        for split, rows in found.items():
            for row in rows:
                expected = count_letters(row["references"]).mean(axis=0)
                np.testing.assert_allclose(row["text_embedding"], expected, err_msg=split)

    def test_each_image_is_embedded_once(self, splits):
        seen = []
        add_text_embeddings(splits, lambda texts: seen.extend(texts) or count_letters(texts))
        images = {group for rows in splits.values() for group in rows["group"]}
        seen.remove(PROBE)
        assert len(seen) == 2 * len(images)

    def test_a_transformer_embeds(self, splits, text_model):
        embedder = MeanPooledEmbedder.from_pretrained(str(text_model))
        found = add_text_embeddings(splits, embedder)
        row = found["test"][2]
        np.testing.assert_allclose(row["text_embedding"], embedder(row["references"]).mean(axis=0), atol=1e-6)

    def test_the_only_description_of_a_corpus_without_references(self, splits):
        bare = type(splits)({name: rows.remove_columns("references") for name, rows in splits.items()})
        row = add_text_embeddings(bare, count_letters)["train"][3]
        np.testing.assert_allclose(row["text_embedding"], count_letters([row["completion"]])[0])

    def test_rows_keep_format_order_and_brains(self, splits):
        found = add_text_embeddings(splits, count_letters)["train"]
        assert found.format["type"] == "brain"
        assert found["sample_id"] == splits["train"]["sample_id"]
        np.testing.assert_array_equal(found[4]["brain_values"], splits["train"][4]["brain_values"])
        assert len(found[0]["text_embedding"]) == 3  # in place of the one that the corpus came with

    @pytest.mark.parametrize("captions", [[], ["a cat", " "]])
    def test_row_without_captions(self, splits, captions):
        def forget(row, index):
            return {"references": captions, "completion": ""} if index == 3 else row

        broken = type(splits)(train=splits["train"].map(forget, with_indices=True))
        with pytest.raises(ValueError, match="Row 'tiny/s1/train/3/0' has no caption, or an empty one"):
            add_text_embeddings(broken, count_letters)


class TestTextSpace:
    """Whose column `text_embedding` is: said by it, seen from the captions, or unknown."""

    def test_travels_with_the_rows(self, corpus, splits, tmp_path):
        found = add_text_embeddings(splits, count_letters)
        save_with_targets(found, corpus, tmp_path / "with")
        again = load_corpus_splits(DataArguments(dataset=str(tmp_path / "with")))
        for rows in again.values():
            assert text_space_of(rows) == text_space(count_letters)
        assert text_space_of(again["train"].remove_columns("text_embedding")) is None
        assert text_space_of(splits["train"]) is None

    def test_a_column_that_the_encoder_made_is_confirmed(self, splits):
        made = add_text_embeddings(splits, lambda texts: 5 * count_letters(texts))
        bare = made.remove_columns("text_space")
        seen = []
        found = confirm_text_embeddings(bare, lambda texts: seen.extend(texts) or count_letters(texts), num_images=3)
        assert len(seen) == 2 * 3 + 1
        assert text_space_of(found["test"]) == text_space(count_letters)
        assert found["train"]["text_embedding"] == made["train"]["text_embedding"]

    def test_another_column_is_refused(self, splits):
        """The corpus comes with one that answers to no caption; of another width, and of the same."""
        message = r"`text_embedding` of image 'train/0' is not what `sentence_encoder` makes of its captions"
        with pytest.raises(ValueError, match=message + rf" \(width {WIDTH}, expected 3\)"):
            confirm_text_embeddings(splits, count_letters)
        turned = add_text_embeddings(splits, lambda texts: count_letters(texts) ** 2)
        with pytest.raises(ValueError, match=message + r"\. Name"):
            confirm_text_embeddings(turned, count_letters)


class TestImages:
    @pytest.fixture
    def vectors(self, splits) -> dict[str, np.ndarray]:
        groups = sorted({group for rows in splits.values() for group in rows["group"]})
        return {
            group: np.random.default_rng(n).standard_normal(4).astype(np.float32) for n, group in enumerate(groups)
        }

    def test_by_name_of_the_image(self, splits, vectors, tmp_path):
        save_file(vectors, tmp_path / "images.safetensors")
        found = add_image_embeddings(splits, read_image_embeddings(tmp_path / "images.safetensors"))
        for rows in found.values():
            for row in rows:
                np.testing.assert_array_equal(np.float32(row["image_embedding"]), vectors[row["group"]])
        assert target_sizes(found["train"]) == {"text": WIDTH, "image": 4}

    def test_by_number_of_the_image(self, splits, tmp_path):
        """Groups end with the number of the image, as NSD's do."""
        array = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
        np.save(tmp_path / "images.npy", array)
        found = add_image_embeddings(splits, read_image_embeddings(tmp_path / "images.npy"))
        row = found["train"][3]
        np.testing.assert_array_equal(np.float32(row["image_embedding"]), array[int(row["group"].split("/")[1])])

    def test_an_image_without_an_embedding(self, splits, vectors):
        del vectors["train/2"]
        with pytest.raises(ValueError, match="1 of 13 images have no embedding, the first is 'train/2'"):
            add_image_embeddings(splits, vectors)

    def test_unknown_ending(self):
        with pytest.raises(ValueError, match=r"\.safetensors or \.npy; found 'images.pt'"):
            read_image_embeddings("images.pt")

    def test_wrong_shapes(self, tmp_path):
        np.save(tmp_path / "images.npy", np.zeros(3))
        with pytest.raises(ValueError, match=r"\[images, width\]; found shape \[3\]"):
            read_image_embeddings(tmp_path / "images.npy")
        save_file({"1": np.zeros(3), "2": np.zeros(4)}, tmp_path / "images.safetensors")
        with pytest.raises(ValueError, match="one vector"):
            read_image_embeddings(tmp_path / "images.safetensors")


class TestSaving:
    def test_is_a_corpus_again(self, corpus, splits, tmp_path):
        found = add_text_embeddings(splits, count_letters)
        save_with_targets(found, corpus, tmp_path / "with")
        assert set(read_geometries(str(tmp_path / "with"))) == set(VOXELS)
        assert (tmp_path / "with" / "corpus.json").is_file()
        again = load_corpus_splits(DataArguments(dataset=str(tmp_path / "with")))
        assert again["train"][7]["text_embedding"] == found["train"][7]["text_embedding"]
        assert load_from_disk(tmp_path / "with")["train"].features["text_embedding"].length == 3

    def test_writes_over_nothing(self, corpus, splits):
        with pytest.raises(FileExistsError, match="exists already"):
            save_with_targets(splits, corpus, corpus)

    def test_rows_without_targets(self, splits):
        with pytest.raises(ValueError, match="no column text_embedding or image_embedding"):
            target_sizes(splits["train"].remove_columns("text_embedding"))


class TestStacking:
    ROWS = [{"sample_id": f"s/{i}", "group": f"image/{i}", "text_embedding": [i + 1.0, 0.0]} for i in range(3)]

    def test_is_the_column_as_it_stands(self):
        np.testing.assert_array_equal(stack_embeddings(self.ROWS, "text_embedding"), [[1, 0], [2, 0], [3, 0]])

    @pytest.mark.parametrize(
        ("vector", "message"),
        [
            (None, "is null"),
            ([1.0], r"has the shape \[1\], that of the rows before \[2\]"),
            ([0.0, 0.0], "has the length 0.0"),
            ([1.0, np.nan], "has the length nan"),
            ([1.0, None], "has the length nan"),
        ],
    )
    def test_a_broken_one_is_named(self, vector, message):
        rows = [*self.ROWS[:2], {**self.ROWS[2], "text_embedding": vector}]
        with pytest.raises(ValueError, match=rf"`text_embedding` of row 's/2' \(image 'image/2'\) {message}"):
            stack_embeddings(rows, "text_embedding")

    def test_rows_are_searched_where_they_have_been_selected(self):
        """A null among the rows that were left out is nobody's."""
        rows = Dataset.from_list([*self.ROWS, {**self.ROWS[0], "sample_id": "s/3", "text_embedding": None}])
        require_embeddings(rows.select([2, 0]), "text_embedding")
        with pytest.raises(ValueError, match="of row 's/3'"):
            require_embeddings(rows.select([3, 1]), "text_embedding")
        with pytest.raises(ValueError, match="of row 's/3'"):
            target_sizes(rows)
