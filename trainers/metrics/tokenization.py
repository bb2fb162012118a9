# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Word tokens as the Penn Treebank cuts them, which is what BrainLLM's published scores count.

The rules are those of R. MacIntyre's Treebank tokeniser with the additions of `nltk.word_tokenize`. That function
first splits sentences with a downloaded statistical model; here a period before white space ends a sentence unless it
closes an abbreviation, an initial or a dotted word such as "U.S.".
"""

import re


_ABBREVIATION = re.compile(
    r"[a-z]|\w*\.\w+|mr|mrs|ms|dr|prof|sr|jr|st|mt|gen|col|capt|lt|sgt|rev|vs|cf|inc|ltd|co|corp", re.IGNORECASE
)

# Before the sentence periods are set apart.
_RULES = (
    (re.compile(r"(^|[\s(\[{<])\""), r"\1 `` "),
    (re.compile(r"\"|''"), " '' "),
    (re.compile(r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", re.IGNORECASE), "' "),
    (re.compile(r"[:,](?!\d)|\.{2,}|--|``|[`;@#$%&?!*\[\](){}<>«»“”‘’\u2012-\u2015]"), r" \g<0> "),
    (re.compile(r"(?<=[^.\s])\.(?=[\s'`\])}>»”’]*$)"), " . "),
)
_INNER_PERIOD = re.compile(r"([^\s.][^\s]*?)\.(?=\s)")
# After them: closing quote, clitics ("they 're", "do n't") and fused words ("can not", "gon na").
_CLITICS = (
    (re.compile(r"(?<=[^'\s])'(?=\s|$)"), " '"),
    (re.compile(r"(?<=\w)n't(?!\S)|(?<=[^'\s])'(?:s|m|d|ll|re|ve)(?!\S)", re.IGNORECASE), r" \g<0>"),
    (
        re.compile(r"\b(can(?=not\b)|gim(?=me\b)|lem(?=me\b)|gon(?=na\b)|wan(?=na\b)|got(?=ta\b))", re.IGNORECASE),
        r"\1 ",
    ),
)
_GLUED = re.compile(r" (?=(?:[.,:;?!%)\]}]|''|'(?!\s)|'$))|(?<=[(\[{$#])\s|(?<=``)\s")


def _split_sentence_period(match: re.Match) -> str:
    word = match.group(1)
    return match.group(0) if _ABBREVIATION.fullmatch(word) else f"{word} ."


def word_tokenize(text: str) -> list[str]:
    """Cut a text into Penn Treebank word tokens.

    Args:
        text (`str`):
            One or more English sentences.

    Returns:
        `list[str]`: The tokens; `"they don't sting."` gives `["they", "do", "n't", "sting", "."]`.
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _INNER_PERIOD.sub(_split_sentence_period, text)
    for pattern, replacement in _CLITICS:
        text = pattern.sub(replacement, text)
    return text.split()


def detokenize(tokens: list[str]) -> str:
    """Join Treebank tokens with spaces and glue punctuation and apostrophes to the word before.

    A split "n't" stays apart, as in BrainLLM's scoring: its ROUGE never matches a contraction with "n't".

    Args:
        tokens (`list[str]`):
            Tokens of [`word_tokenize`].

    Returns:
        `str`: The text.
    """
    return _GLUED.sub("", " ".join(tokens))


__all__ = ["detokenize", "word_tokenize"]
