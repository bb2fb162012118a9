# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The tokens of caption scores: what Stanford's program printed, recorded, and what our rules make of the same text.

The oracle was `java -cp stanford-corenlp-3.4.1.jar edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase`,
the jar of pycocoevalcap 1.2 under Java 17, with the punctuation removed that pycocoevalcap removes.
"""

import hashlib
import json
import random
import string

import pytest
from testing_utils import shared_path

from trainers.metrics.ptb_tokenization import ptb_tokenize, ptb_tokens


# Tokens of all captions of COCO val2017 in the order of the file, tokens joined by spaces, captions by line breaks.
COCO_TOKENS = "9da43c339600f891a139ae36b35d1b37fe172eee418e9cc868d3e7169a641a3c"

# Each followed by a line "A man" in the oracle's input.
CASES = [
    ("A man riding a wave on top of a surfboard.", "a man riding a wave on top of a surfboard"),
    ("It's a dog; they're cats, and I'm sure we'll see.", "it 's a dog they 're cats and i 'm sure we 'll see"),
    ("He doesn't, can't, won't and shouldn't've.", "he does n't ca n't wo n't and should n't 've"),
    ("You cannot have it, gonna wanna gotta lemme gimme.", "you can not have it gon na wan na got ta lem me gim me"),
    ("'Tis the season, 'twas the night", "'t is the season 't was the night"),
    ("rock 'n' roll and rock'n'roll", "rock 'n' roll and rock 'n' roll"),
    ("Give 'em the '90s bus of '05 now", "give 'em the '90s bus of '05 now"),
    ("The dogs' bowl is John's", "the dogs bowl is john 's"),
    ("Boys' and girls' toys.", "boys and girls toys"),
    ("y'all, ma'am, o'clock and O'Neil", "y' all ma'am o'clock and o'neil"),
    ("d'art, l'oiseau and C'mon", "d'art l'oiseau and c'mon"),
    ("A Ho'ohu sign", "a ho'ohu sign"),
    ("A black-and-white photo of a T-shirt", "a black-and-white photo of a t-shirt"),
    ("a multi- colored half -eaten pizza", "a multi colored half eaten pizza"),
    ("beach--kite and word -- word", "beach kite and word word"),
    ("a dash – an em—dash", "a dash an em dash"),
    ("A 747-400 and a B-25 at 10-29-2011", "a 747-400 and a b-25 at 10-29-2011"),
    ("3,000 people at 11:44 and 10.14", "3,000 people at 11:44 and 10.14"),
    ("about -5 or +5 or .5 percent", "about -5 or +5 or .5 percent"),
    ("5:54pm and 5pm", "5:54 pm and 5pm"),
    ("1/2 cup and 3/4 of it", "1/2 cup and 3/4 of it"),
    ("2 1/2 cups of milk", "2\u00a01/2 cups of milk"),
    ("12th and 1st in the 1990s", "12th and 1st in the 1990s"),
    ("$5.00 or US$10, 50% off", "$ 5.00 or us$ 10 50 % off"),
    ("a 4x4 with 3D mp3", "a 4x4 with 3d mp3"),
    ("No. 5 bus and fig. 3 but no.", "no. 5 bus and fig. 3 but no"),
    ("A flat screen T.V.", "a flat screen t.v."),
    ("A flat screen T.V. in a room.", "a flat screen t.v. in a room"),
    ("The U.S. Army in the U.S.", "the u.s. army in the u.s."),
    ("at 10:30 a.m. and 5 p.m. on Monday", "at 10:30 a.m. and 5 p.m. on monday"),
    ("Mr. Smith met Dr. Jones on Elm St. near Main St.", "mr. smith met dr. jones on elm st. near main st."),
    ("A sign for W 122 St., Seminary Row, and Broadway", "a sign for w 122 st. seminary row and broadway"),
    ("A sign that reads K.", "a sign that reads k"),
    ("The J. The K. Smith", "the j the k. smith"),
    ("etc., e.g. cats, i.e. felines vs. dogs", "etc. e.g. cats i.e. felines vs. dogs"),
    ("Bigelow.taken and ground.A man.", "bigelow.taken and ground.a man"),
    ("stair.s of .neck. and .hit", "stair.s of neck and hit"),
    ("hello!there what?now end.", "hello!there what?now end"),
    ("toilet,wash and it;s p;ayer", "toilet wash and it s p ayer"),
    ("photo: a snack: b", "photo a snack b"),
    ('He said "hello there" to me.', "he said hello there to me"),
    ('a sign with "Don\'t" and "stop."', "a sign with do n't and stop"),
    ("a 'no peddling' sign and 5' tall", "a no peddling sign and 5 tall"),
    ("it’s “quoted” and ‘single’ don’t", "it 's quoted and single do n't"),
    ("ok.. wait... what?! no!! yes?", "ok wait what ?! no !! yes"),
    ("Three . . . dots…", "three dots"),
    ("(a man) [in] {a} hat", "-lrb- a man -rrb- -lsb- in -rsb- -lcb- a -rcb- hat"),
    ("A <b>bold</b> man", "a <b> bold </b> man"),
    ("him/her and/or his / her", "him/her and/or his / her"),
    ("schoolbus/boat/house and a/b/c/d", "schoolbus/boat/house and a/b/c / d"),
    ("AT&T and R&B with A & B", "at&t and r&b with a & b"),
    ("#41 bus and #hashtag by @user", "# 41 bus and #hashtag by @user"),
    ("write to me@site.com today", "write to me@site.com today"),
    ("see http://www.foo.com/bar?x=1 or www.foo.com.", "see http://www.foo.com/bar?x=1 or www.foo.com"),
    ("a smile :) and ;-) here", "a smile :-rrb- and ;--rrb- here"),
    ("foo_bar and __ and a_b-c", "foo_bar and __ and a_b-c"),
    ("C++ and C# code", "c++ and c# code"),
    ("café naïve Ünïcode", "café naïve ünïcode"),
    ("£5, €10 and 5¢ for ½ a cup at 20°", "# 5 $ 10 and 5 cents for 1/2 a cup at 20 °"),
    ("a 😀 face", "a face"),
    ("日本語 sign", "日本語 sign"),
    ("a*b + c = d ~ e ^ f | g \\ h", "a * b + c = d ~ e ^ f | g \\ h"),
    ("A&M's and CD's", "a&m 's and cd 's"),
    ("soft\u00adhyphen", "softhyphen"),
    ("   two   spaces  and\ta tab   ", "two spaces and a tab"),
]


@pytest.mark.parametrize(("text", "tokens"), CASES)
def test_recorded_tokens(text, tokens):
    assert " ".join(ptb_tokenize(text)) == tokens


def test_every_published_caption():
    captions = json.loads(shared_path("data/coco_captions/captions_val2017.json").read_text())["annotations"]
    tokens = "\n".join(" ".join(ptb_tokenize(caption["caption"])) for caption in captions)
    assert len(captions) == 25_014
    assert hashlib.sha256(tokens.encode()).hexdigest() == COCO_TOKENS


class TestIdentities:
    def test_nothing_has_no_tokens(self):
        assert [ptb_tokenize(text) for text in ("", "  ", ".", " ... ", '"!"')] == [[], [], [], [], []]

    def test_line_breaks_are_spaces(self):
        assert ptb_tokenize("A man\nand\r\n a dog.\n") == ["a", "man", "and", "a", "dog"]

    def test_the_short_way_equals_the_rules(self):
        """Plain captions never meet the rules; a sign in front forces them to."""
        for text in ("A man, a dog and a cat.", "You cannot park on Elm St.", "gonna go", "He reads K.", "The end ."):
            assert ptb_tokenize(f"* {text}") == ["*", *ptb_tokenize(text)]

    def test_tokens_are_stable(self):
        """Cutting what was cut changes nothing where tokens are plain words."""
        tokens = ptb_tokenize("A man's black-and-white dog doesn't sit, it runs.")
        assert ptb_tokenize(" ".join(tokens)) == tokens

    def test_the_remembered_form_is_the_same(self):
        assert list(ptb_tokens("It's a dog.")) == ptb_tokenize("It's a dog.") == ["it", "'s", "a", "dog"]
        ptb_tokenize("It's a dog.").append("spoilt")
        assert ptb_tokenize("It's a dog.") == ["it", "'s", "a", "dog"]

    def test_no_text_breaks_it(self):
        generator = random.Random(0)
        letters = string.printable + "éß½€“”’…—日😀\u00ad\u00a0"
        for _ in range(2000):
            text = "".join(generator.choices(letters, k=generator.randrange(30)))
            tokens = ptb_tokenize(text)
            assert all(tokens)
            assert not any(set(token) & set(" \t\n\r") for token in tokens)
