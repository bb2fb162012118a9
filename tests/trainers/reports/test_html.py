# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Pages: whole in themselves, proof against hostile texts, readable by people and by machines that read aloud."""

import re
from html.parser import HTMLParser

import pytest
from reading_table import RULES, make_report, make_samples

from trainers.reports.charts import Series, line_chart
from trainers.reports.document import Chapter, Document, Examples, Interval, Picture, Table, plain, to_markdown
from trainers.reports.html import to_html
from trainers.reports.report import EvaluationReport
from trainers.reports.sections import Section
from trainers.scoring.texts import score_texts


HOSTILE = (
    '</td><script>alert(1)</script><img src="https://x.y/z" onerror=alert(2)>![p](https://x.y/q) & "quotes" | bar'
)
VOID = {"meta", "img", "line", "circle"}


class Page(HTMLParser):
    """Elements of a page, and whether every one that is opened is closed in its turn."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def page(*parts, **options) -> Page:
    document = Document("title", [], ["headline"], [], [Chapter("chapter", parts)], **options)
    return Page(to_html(document))


def hostile_report() -> EvaluationReport:
    samples = make_samples(0.3)
    for sample in samples:
        sample |= {"truth": HOSTILE, "prompt": HOSTILE, "texts": dict.fromkeys(sample["texts"], HOSTILE)}
    split = {"corpus": HOSTILE, "evaluated": "test"}
    settings = {"seed": 0, "note": HOSTILE, "num_twins": 1, "deaf_twin": {"sentence": "twin_1"}}
    report = EvaluationReport.from_samples(
        score_texts(samples), rules=RULES, split=split, settings=settings, versions={}, fingerprint={}
    )
    figure = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(3)"><script>alert(4)</script></svg>'
    report.add(Section("s", HOSTILE, HOSTILE, {"a": HOSTILE}, [{"a": HOSTILE}], figure))
    return report


class TestSafety:
    def test_hostile_texts_are_shown_and_are_no_markup(self):
        found = Page(hostile_report().to_html())
        assert found.open == []
        assert not {"script", "iframe", "object", "link", "base", "form"} & {tag for tag, _ in found.elements}
        attributes = [name for _, given in found.elements for name in given]
        assert not [name for name in attributes if name.startswith("on")]
        assert HOSTILE in "".join(found.text)

    def test_nothing_is_fetched(self):
        found = Page(hostile_report().to_html())
        sources = [given[name] for _, given in found.elements for name in ("src", "srcset") if name in given]
        assert [source.partition(",")[0] for source in sources] == ["data:image/svg+xml;base64"]
        policy = next(meta["content"] for meta in found.all("meta") if "http-equiv" in meta)
        assert policy.startswith("default-src 'none'")

    def test_links_to_scripts_are_no_links(self):
        assert page("[a](javascript:alert(1)) [b](https://doi.org/x)").all("a") == [{"href": "https://doi.org/x"}]

    def test_plain_is_shown_as_it_is(self):
        text = "*one* _two_ `three` [four](five) <b> & # ~ ! \\ |"
        assert text in "".join(page(plain(text)).text)

    def test_a_bar_or_a_line_end_does_not_end_a_cell_of_markdown(self):
        told = to_markdown(Document("t", [], [], [], [Chapter("c", [Table({"a": "a"}, [{"a": "x | y\nz"}])])]))
        assert "| x \\| y z |" in told


class TestReading:
    def test_order_of_the_page(self):
        html = make_report(0.3).to_html()
        order = ["incomplete", "What the brain adds", "Split: toy", "Scores: sentence", "Against each control"]
        order += ["The right text among all texts", "What was written", "Conditions"]
        places = [html.index(text) for text in order]
        assert places == sorted(places)

    def test_figures_are_those_of_the_report(self):
        report = make_report(0.3)
        text = " ".join(Page(report.to_html()).text)
        for row in report.comparisons:
            assert str(Interval(row["value"], row["ci_low"], row["ci_high"])) in text
        assert all(f"{row['loss']:.4g}" in text for row in report.arms if "loss" in row)

    def test_examples_are_evenly_spaced_and_show_every_arm(self):
        report = make_report(0.3)
        html = report.to_html()
        assert "8 of 60 samples, evenly spaced" in html
        found = Page(html)
        scopes = [given for given in found.all("th") if given.get("scope") == "row"]
        assert len(scopes) == 8 * (1 + len(report.samples[0]["texts"]))
        assert report.samples[7]["references"][0] in "".join(found.text)

    def test_every_picture_says_what_it_shows(self):
        figure = line_chart([Series("", [0, 1], [0, 1])], x_label="x", y_label="y")
        table = Table({"a": "a"}, [{"a": Interval(0.5, 0.25, 0.75, 0.1)}])
        found = page(Picture(figure, 'what "it" shows'), table)
        assert found.all("img")[0]["alt"] == 'what "it" shows'
        assert found.all("svg")[0]["aria-label"] == "0.5000 [0.2500, 0.7500], chance 0.1"
        assert found.all("svg")[0]["role"] == "img"

    @pytest.mark.parametrize(
        ("ink", "paper", "least"),
        [
            ("ink", "paper", 7),
            ("soft", "paper", 4.5),
            ("soft", "wash", 4.5),
            ("warning", "warning-wash", 7),
            ("accent", "paper", 4.5),
        ],
    )
    def test_contrast_is_that_of_wcag(self, ink, paper, least):
        colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", make_report(0.3).to_html()))
        # WCAG 2.2, contrast ratio; 4.5 is level AA, 7 level AAA.
        dark, light = sorted(luminance(colours[name]) for name in (ink, paper))
        assert (light + 0.05) / (dark + 0.05) >= least


class TestIntervals:
    def places(self, *intervals: Interval) -> list[dict[str, float]]:
        found = page(Table({"a": "a"}, [{"a": interval} for interval in intervals]))
        lines, dots = found.all("line"), found.all("circle")
        return [
            {
                "chance": float(chance["x1"]), "low": float(span["x1"]), "high": float(span["x2"]),
                "value": float(dot["cx"]),
            }
            for chance, span, dot in zip(lines[::2], lines[1::2], dots, strict=True)
        ]  # fmt: skip

    def test_places_are_an_affine_function_of_the_figures(self):
        one, two = Interval(2, 1, 4), Interval(-1, -2, 1)
        found = self.places(one, two)
        # From -2 to 4 on 158 of 170 pixels.
        for interval, place in zip((one, two), found, strict=True):
            for name in ("value", "low", "high", "chance"):
                expected = 6 + (getattr(interval, name) + 2) / 6 * 158
                assert place[name] == pytest.approx(expected, abs=0.06)

    def test_each_scale_has_its_own_axis(self):
        small, large = Interval(0.5, 0.25, 1, scale="small"), Interval(50, 25, 100, scale="large")
        one, two = self.places(small, large)
        assert one == two

    def test_an_interval_that_holds_chance_looks_otherwise(self):
        found = page(Table({"a": "a"}, [{"a": Interval(1, 0.5, 2)}, {"a": Interval(1, -0.5, 2)}]))
        assert [svg["class"] for svg in found.all("svg")] == ["interval clear", "interval"]


def test_examples_and_pictures_are_no_part_of_markdown():
    figure = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    chapter = Chapter("c", [Examples([{"truth": "a sentence of the corpus"}], "note"), Picture(figure, "p")])
    told = to_markdown(Document("t", [], ["h"], [], [chapter, Chapter("d", ["prose"])]))
    assert told == "h\n\n## d\n\nprose\n"
