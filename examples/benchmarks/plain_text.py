# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Plain English for the plain-text stage: WordNet's glosses and examples as sentences, and COCO captions.

    apt-get install wordnet-base
    python examples/benchmarks/plain_text.py --wordnet /usr/share/wordnet --captions captions_val2017.json \
        --output_dir runs/text

Writes one file a source, one sentence per line: `nouns.txt` ("An apiary is a shed containing beehives."), `verbs.txt`,
`examples.txt`, `captions.txt`. Glosses are definitions, which is what an encyclopaedic stimulus is made of.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path


SHORTEST, LONGEST = 5, 20
# WordNet's lexicographer files of acts, attributes, cognition, feelings, motives and states: nouns without an article.
ABSTRACT = {4, 7, 9, 12, 16, 26}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0].strip(), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--wordnet", type=Path, required=True, help="folder of WordNet's data files")
    parser.add_argument("--captions", type=Path, help="COCO annotation file with captions")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--nouns", type=int, default=15000, help="noun glosses to keep")
    parser.add_argument("--verbs", type=int, default=1000, help="verb glosses to keep")
    parser.add_argument("--examples", type=int, default=5000, help="example sentences to keep")
    parser.add_argument("--max_captions", type=int, default=4000, help="captions to keep")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice")
    return parser.parse_args()


def read_wordnet(folder: Path, part_of_speech: str) -> Iterator[tuple[str, int, str]]:
    """First word, lexicographer file and gloss of each synset."""
    for line in (folder / f"data.{part_of_speech}").read_text(encoding="utf-8").splitlines():
        fields, separator, gloss = line.partition(" | ")
        if separator and not line.startswith(" "):
            parts = fields.split()
            yield re.sub(r"\(.*\)", "", parts[4]).replace("_", " "), int(parts[1]), gloss.strip()


def definition(gloss: str) -> str:
    """The gloss without its examples and remarks."""
    text = re.sub(r"\([^)]*\)", "", gloss.split('; "')[0]).split(";")[0]
    return re.sub(r"\s+", " ", text).strip(' ,"')


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def noun_sentence(word: str, file: int, gloss: str) -> str:
    plain = file in ABSTRACT or word[:1].isupper() or word.endswith("s")
    article = "" if plain else "An " if word[0] in "aeiou" else "A "
    return f"{article}{word if article else capitalize(word)} is {definition(gloss)}."


def example_sentences(folder: Path) -> Iterator[str]:
    for part_of_speech in ("noun", "verb", "adj", "adv"):
        for _, _, gloss in read_wordnet(folder, part_of_speech):
            yield from (as_sentence(example) for example in re.findall(r'"([^"]+)"', gloss))


def as_sentence(text: str) -> str:
    text = capitalize(" ".join(text.split()))
    return text if text.endswith((".", "!", "?")) else f"{text}."


def main() -> None:
    args = parse_arguments()
    nouns = [noun_sentence(*synset) for synset in read_wordnet(args.wordnet, "noun")]
    verbs = [f"To {word} is to {definition(gloss)}." for word, _, gloss in read_wordnet(args.wordnet, "verb")]
    sources = {
        "nouns": (nouns, args.nouns),
        "verbs": (verbs, args.verbs),
        "examples": (list(example_sentences(args.wordnet)), args.examples),
    }
    if args.captions is not None:
        annotations = json.loads(args.captions.read_text(encoding="utf-8"))["annotations"]
        sources["captions"] = ([as_sentence(a["caption"]) for a in annotations], args.max_captions)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    chance = random.Random(args.seed)
    for name, (sentences, count) in sources.items():
        kept = [s for s in dict.fromkeys(sentences) if SHORTEST <= len(s.split()) <= LONGEST]
        chosen = chance.sample(kept, min(count, len(kept)))
        (args.output_dir / f"{name}.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
        print(f"{name}: {len(chosen)} of {len(kept)} sentences, e.g. {chosen[0]}")


if __name__ == "__main__":
    main()
