"""Words of cells that try to be more than words, in every format."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmbench.report import render
from mmbench.report.escape import csv_cell, markdown_code, markdown_line, tex, tex_label, tex_words
from mmbench.report.figures import write_figures
from mmbench.report.figures.write import _file_word
from mmbench.store import Cell

from ..cells import cell, mnist_svhn_rows, modality, row

WORDS = {
    "newline": "a\nb\r\nc\u2028d\x85e",
    "pipe": "a|b||c",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "entity": "R&D &lt;b>",
    "tex": "\\input{/etc/passwd} \\write18{rm -rf x} ^^5cinput{x} 100%",
    "newline and tex": "x\n\\input{evil}\n\\immediate\\write18{evil}",
    "marks": "a_b % c # d $ e { f } ~ ^ & g",
    "backtick": "one ` alone",
    "backticks": "`code` and ``more``",
    "dollar": "$\\frac{1}$ $",
    "link": "[click](javascript:alert(1)) ![x](http://example.org/x.png)",
    "control": "a\x00b\x1b[2Jc\x07\x7f",
    "bracket": "[1pt] and *star",
    "star": "*star",
    "backslash pipe": "a\\|b\\\\|c",
    "long": "x" * 200,
    "formula": "=cmd|' /C calc'!A1",
    "plus": "+1+1",
    "at": "@SUM(1)",
    "tab": "\t=1+1",
    "letters": "naïve 鳥 🐦 Ωß ×±→†‡§…’",
}

PRINTING = {
    *("textbackslash", "textasciitilde", "textasciicircum", "textasciigrave", "textbar"),
    *(
        "allowbreak",
        "parbox",
        "raggedright",
        "raggedleft",
        "dag",
        "ddag",
        "S",
        "pm",
        "times",
        "ldots",
        "texttt",
    ),
}
"""Commands that print a letter, or break and set a text."""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def hostile(word: str) -> tuple[list[Cell], list[Cell]]:
    """Cells whose every word is this one, and a failure."""
    rows: list[dict[str, Any]] = [
        r | {"note": word, "judge": word, "data": word, "unit": r["unit"] or word} for r in mnist_svhn_rows()
    ]
    rows += [r | {"metric": f"other {word}"} for r in rows if r["metric"] == "fmd"]
    more: dict[str, Any] = {
        "left_out": {word: word},
        "overrides": {word: word},
        "config": {word: word},
        "environment": {"commit": word, "torch": word, "device": word, "finished": word},
    }
    made = cell(f"m{word}", rows=rows, dataset=f"d{word}", titles={"mnist": word}, budget=f"b{word}", **more)
    made["stages"]["elbo"]["collapsed"] = [word]
    made["dataset"]["modalities"] = [modality("mnist", title=word, network=word), modality("svhn", likelihood=word)]
    lost = cell(word, 4, dataset=f"d{word}", budget=f"b{word}", status="failed", reason=word, rows=[])
    other = cell(word, 4, dataset=word, status="failed", reason=word, rows=[])
    return [made], [lost, other]


class Tags(HTMLParser):
    """Keeps the tags that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


def marks(text: str) -> list[str]:
    """What each line begins with. A wide table is cut into more of them, and many changed settings have a line."""
    lines = [line for line in text.split("\n") if "not the recipe's" not in line]
    return [line.partition(" ")[0] for line in lines if line and line[0] != "|" and not line.startswith("###")]


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_markdown_keeps_its_lines_columns_and_tags(word: str) -> None:
    text = render(*hostile(word))
    assert not CONTROL.search(text)
    assert marks(text) == marks(render(*hostile("word")))
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, "a row has more cells than its head"
    tags = Tags()
    tags.feed(re.sub(r"^(## .*)`.*`", r"\1", text, flags=re.MULTILINE))  # in code nothing is a tag
    assert tags.found == []
    assert "](" not in re.sub(r"`[^`]*`", "", text)
    for line in text.split("\n"):
        assert line.count("`") % 2 == 0


def compared(word: str) -> list[Cell]:
    """Cells of which claims, means and notes speak, with this word where they name something."""
    more: dict[str, Any] = {"dataset": f"d{word}", "budget": f"b{word}"}
    views = ["pen", "sign", "name"]
    rows = [row("coherence", f"{a}->{b}", b, 5.0, note=f"3 {word}") for a in views for b in views if a != b]
    rows += [row("coherence", "joint", "+".join(views), 50.0), row("coherence", "name->pen", "pen", 90.0, judge="j")]
    rows += [row("fmd", "joint", view, 9.0, judge=word) for view in ("pen", "sign")]
    made = [cell(model, seed, rows[1:], modalities=views, **more) for model in ("mvae", "mld") for seed in (0, 1)]
    for one in made:
        one["dataset"]["title"] = word
    return made


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_what_is_said_of_claims_and_means_keeps_lines_and_commands(word: str) -> None:
    text = render(compared(word))
    assert "were not run" in text
    assert "Means hide tasks that are not above chance" in text
    assert not CONTROL.search(text)
    assert marks(text) == marks(render(compared("word")))
    assert all(line.count("`") % 2 == 0 for line in text.split("\n"))
    shown = "\n".join(x for x in render(compared(word), format="tex").split("\n") if x[:1] != "%")
    plain = "\n".join(x for x in render(compared("word"), format="tex").split("\n") if x[:1] != "%")
    assert commands(shown) - PRINTING <= commands(plain)
    bare = re.sub(r"\\[{}%_&#$\\]", "", shown)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0


def commands(text: str) -> set[str]:
    return set(re.findall(r"\\([A-Za-z]+)", text))


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_latex_has_no_command_that_plain_words_do_not_have(word: str) -> None:
    """Nothing of a word is live: the commands outside comments are ours, and so is the balance of groups."""
    text, plain = (render(*hostile(w), format="tex") for w in (word, "word"))
    shown = "\n".join(line for line in text.split("\n") if not line.startswith("%"))
    assert commands(shown) - PRINTING <= commands("\n".join(x for x in plain.split("\n") if x[:1] != "%"))
    assert not CONTROL.search(text)
    bare = re.sub(r"\\[{}%_&#$\\]", "", shown)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert "#" not in bare
    assert "^" not in bare
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", shown, re.DOTALL):
        for line in body.splitlines():
            assert not re.match(r"\s*[\[*]", line), "an option of the line before it"
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    for label in re.findall(r"\\label\{(.*)\}", shown):
        assert re.fullmatch(r"tab:[A-Za-z0-9_.:+-]+", label)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_latex_typesets_it(tmp_path: Path, word: str) -> None:
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{head}\n{render(*hostile(word), format='tex')}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("format", ["csv", "csv-wide"])
@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_csv_has_one_line_for_each_number_and_no_formula(word: str, format: Any) -> None:
    cells, lost = hostile(word)
    cells[0]["model"]["name"] = word
    text = render(cells, lost, format)
    lines = list(csv.reader(io.StringIO(text)))
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 1 + len(cells[0]["rows"])
    assert text.count("\n") == len(lines)
    for line in lines:
        for value in line:
            assert not value.lstrip().startswith(("=", "+", "@", "\t", "\r"))
            assert not value.lstrip().startswith("-") or re.fullmatch(r"-[\d.e+-]+", value)


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_json_holds_the_words_as_they_are(word: str) -> None:
    """And nothing in the file controls a terminal."""
    text = render(*hostile(word), format="json")
    assert text.isascii()
    assert not CONTROL.search(text)
    (group,) = json.loads(text)["groups"]
    assert group["dataset"] == f"d{word}"
    assert {line.get("model", f"m{word}") for table in group["tables"] for line in table["lines"]} == {f"m{word}"}


def test_numbers_in_the_csv_keep_their_signs() -> None:
    rows = [r | {"value": -r["value"]} for r in mnist_svhn_rows()]
    table = pd.read_csv(io.StringIO(render([cell(rows=rows)], format="csv")))
    assert table["value"].dtype == np.float64
    assert sorted(table["value"]) == sorted(-float(row["value"]) for row in mnist_svhn_rows())


def test_words_that_need_no_care_come_out_as_they_went_in() -> None:
    for word in ("MLD* 3fa9c1 (score.steps=150; stale) †", "run `mmbench run` again", "M → S", "85.22 ± 0.50", "−4.00"):
        assert markdown_line(word) == word
        assert csv_cell(word) == word
    assert markdown_code("mnist_svhn") == "`mnist_svhn`"
    assert tex_label("mnist_svhn") == "mnist_svhn"


def test_words_are_printed_as_they_are() -> None:
    """What a reader sees: entities of Markdown are HTML's, LaTeX's commands are known."""
    from html import unescape

    assert unescape(markdown_line("<a|b> & ` c")) == "<a|b> & ` c"
    assert tex("a_b & 50% $x$ {c} #1") == r"a\_b \& 50\% \$x\$ \{c\} \#1"
    assert tex("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert tex("*a [b]") == "{*}a {[}b{]}"


def test_commands_in_sentences_are_in_typewriter_and_a_lone_backtick_is_printed() -> None:
    assert tex_words("run `a_b` and `c`.") == r"run \texttt{a\_b} and \texttt{c}."
    assert tex_words("one ` alone") == r"one \textasciigrave{} alone"
    assert tex_words("`*x`") == r"\texttt{{*}x}"


def test_labels_and_files_of_different_words_stay_different() -> None:
    assert tex_label("a b") != tex_label("a/b")
    assert _file_word("MVAE (beta=2.5) †") == "MVAE-beta-2.5"
    assert _file_word("mnist-to-svhn") == "mnist-to-svhn"
    assert re.fullmatch(r"[\w-]+", _file_word("†"))
    assert _file_word("x" * 300 + "a") != _file_word("x" * 300 + "b")
    assert len(_file_word("é" * 300).encode()) < 110


@pytest.mark.filterwarnings("error:Glyph")
@pytest.mark.parametrize("name", ["newline", "tex", "dollar", "control", "long", "html"])
def test_figures_of_any_words_are_drawn_below_their_folder(tmp_path: Path, name: str) -> None:
    word = WORDS[name]
    made = [hostile(word)[0][0], hostile(word)[0][0]]
    made[1]["model"] = made[1]["model"] | {"name": f"m{word}/"}  # its title differs, its word in a file's name may not
    for one in made:
        one["rows"] = one["rows"][:4]
    paths = write_figures(made, tmp_path, tmp_path / "out", forms=("png",))
    assert len(set(paths)) == len(paths)
    assert {path.parent for path in paths} == {tmp_path / "out"}
    assert all(path.is_file() and path.suffix == ".png" for path in paths)
    assert sum("training" in path.name for path in paths) == 2
