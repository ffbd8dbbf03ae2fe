"""``convo translate`` keeps the words of another language beside a flow."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli import cli, main
from convo.flow.parse import load_flow
from convo.testing import Phone

FLOW = """flow: hello
languages: [en, sw]
states:
  tongue:
    ask: Which language?
    choices: {en: English, sw: Kiswahili}
    save: language
  name:
    ask: What is your name?
    answer: text up to 40
    sorry: [Your name?, Just a name.]
  done:
    reply: Welcome, ${name}.
    end: complete
"""
WORDS = """states:
  tongue:
    ask: Lugha gani?
    choices: {en: Kiingereza, sw: Kiswahili}
  done:
    reply: Karibu, ${name}.
"""


def translate(*arguments: str) -> str:
    """Run the command and return what it says."""
    result = CliRunner().invoke(cli, ["translate", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_twin_is_begun_filled_and_kept_up_to_date(tmp_path: Path) -> None:
    flow, twin = tmp_path / "hello.yaml", tmp_path / "hello.sw.yaml"
    flow.write_text(FLOW, encoding="utf-8")
    assert "0 translated, 7 missing" in translate(str(flow), "sw")
    assert "#     ask: What is your name?" in twin.read_text(encoding="utf-8")

    twin.write_text(twin.read_text(encoding="utf-8").replace("language: sw\n", "language: sw\n" + WORDS))
    assert "4 translated, 3 missing, 0 to look at again" in translate(str(flow), "sw")
    assert WORDS in twin.read_text(encoding="utf-8")

    flow.write_text(FLOW.replace("Which language?", "What do you speak?"), encoding="utf-8")
    said = translate(str(flow), "sw")
    assert "1 to look at again" in said
    assert "states/tongue/ask has changed" in said
    warned = [str(each.message) for each in load_flow(flow).warnings]
    assert any("'states/tongue/ask' has changed" in each for each in warned)
    assert any("'states/name/ask' is missing" in each for each in warned)

    translate(str(flow), "sw", "--done")
    assert "0 to look at again" in translate(str(flow), "sw")
    assert not any("has changed" in each.message for each in load_flow(flow).warnings)


LISTED = """\
flow: topics
languages: [en, es]
states:
  topic:
    ask: What is it about?
    choices: [Bill, Bus/Train]
  done:
    reply: Thank you.
    end: complete
"""


@pytest.mark.parametrize("labels", ["[Factura, Autobús/Tren]", "{Bill: Factura, Bus/Train: Autobús/Tren}"])
def test_choices_of_a_plain_list(labels: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow, twin = tmp_path / "topics.yaml", tmp_path / "topics.es.yaml"
    flow.write_text(LISTED, encoding="utf-8")
    assert main(["translate", str(flow), "es"]) == 0
    assert "#       Bill: Bill" in twin.read_text(encoding="utf-8")
    twin.write_text(
        "translates: topics\nlanguage: es\nstates:\n  topic:\n    ask: ¿De qué se trata?\n"
        f"    choices: {labels}\n  done:\n    reply: Gracias.\n",
        encoding="utf-8",
    )
    capsys.readouterr()
    assert main(["translate", str(flow), "es"]) == 0
    assert "4 translated, 0 missing, 0 to look at again" in capsys.readouterr().out
    assert main(["check", str(flow), "--strict"]) == 0
    said = Phone(flow)
    said.world.speak(said.number, "es")
    said.send("hola").expect("¿De qué se trata? 1. Factura 2. Autobús/Tren")
    said.send("autobús/tren").expect("Gracias.")
    said.close()
    flow.write_text(LISTED.replace("Bus/Train", "Bus/Tram"), encoding="utf-8")
    if labels.startswith("["):
        assert main(["check", str(flow), "--strict"]) == 0


def test_a_list_of_choices_with_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow, twin = tmp_path / "topics.yaml", tmp_path / "topics.es.yaml"
    flow.write_text(LISTED, encoding="utf-8")
    twin.write_text(
        "translates: topics\nlanguage: es\nstates:\n  topic:\n    choices: [Factura]\n", encoding="utf-8"
    )
    assert main(["check", str(flow)]) == 1
    assert "1 choices stand here, and 2 in" in capsys.readouterr().out


def test_words_beside_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow, twin = tmp_path / "topics.yaml", tmp_path / "topics.es.yaml"
    flow.write_text(LISTED.replace("    choices", "    optional: []\n    choices"), encoding="utf-8")
    twin.write_text(
        "translates: topics\nlanguage: es\nstates:\n  topic:\n    optional: SALTAR\n", encoding="utf-8"
    )
    assert main(["check", str(flow)]) == 1
    assert "'optional' has nothing beside it" in capsys.readouterr().out


def test_a_language_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = tmp_path / "topics.yaml"
    flow.write_text(LISTED, encoding="utf-8")
    assert main(["translate", str(flow), "spanish"]) == 2
    assert "'spanish' is not the code of a language" in capsys.readouterr().err
    assert main(["translate", str(flow), "en"]) == 2
    assert "is in 'en' itself" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [flow]


def test_a_language_that_is_not_listed_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = tmp_path / "topics.yaml"
    flow.write_text(LISTED.replace("languages: [en, es]\n", ""), encoding="utf-8")
    assert main(["translate", str(flow), "sw"]) == 0
    assert "does not list it yet; write there: languages: [en, sw]" in capsys.readouterr().out
    assert main(["check", str(flow), "--strict"]) == 1
    assert "topics.sw.yaml stands beside this file, and its language is not listed" in capsys.readouterr().out
    (tmp_path / "topics.sw.yaml").write_text("flow: other\n", encoding="utf-8")
    assert main(["check", str(flow), "--strict"]) == 0


def test_a_keyword_that_hides_an_answer_in_another_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow, twin = tmp_path / "topics.yaml", tmp_path / "topics.es.yaml"
    flow.write_text(LISTED.replace("states:", "keywords: [TOPICS]\nstates:"), encoding="utf-8")
    twin.write_text(
        "translates: topics\nlanguage: es\nkeywords: [FACTURA]\nstates:\n  topic:\n    ask: ¿Qué?\n"
        "    choices: [Factura, Tren]\n  done:\n    reply: Gracias.\n",
        encoding="utf-8",
    )
    main(["check", str(flow)])
    assert "C009  warning: 'FACTURA' is the keyword of this flow, so" in capsys.readouterr().out


MENU = """\
flow: menu
languages: [en, sw]
states:
  menu:
    reply: [Hello., Send BYE.]
    triggers:
      MORE, AGAIN:
        reply: More.
      BYE: done
  done:
    reply: Bye.
    end: done
"""
MENU_SW = """\
translates: menu
language: sw
states:
  menu:
    reply: [Habari., Tuma KWAHERI.]
    triggers:
      MORE, AGAIN:
        words: ZAIDI
        reply: Zaidi.
      BYE:
        words: KWAHERI
  done:
    reply: Kwaheri.
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("words: KWAHERI", "words: STOP", "C004  warning: 'STOP', a word in 'sw', means opting out here"),
        (
            "MORE, AGAIN:",
            "ZAIDI:",
            "keep the key 'MORE, AGAIN', and write what is sent for it below: words: [ZAIDI]",
        ),
        ("  done:", "  mwisho:", "a state keeps its name in every language"),
        ("[Habari., Tuma KWAHERI.]", "Habari.", "2 texts stand here in"),
    ],
)
def test_mistakes_of_a_translation(
    old: str, new: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow, twin = tmp_path / "menu.yaml", tmp_path / "menu.sw.yaml"
    flow.write_text(MENU, encoding="utf-8")
    twin.write_text(MENU_SW, encoding="utf-8")
    assert main(["check", str(flow), "--strict"]) == 0, capsys.readouterr().out
    twin.write_text(MENU_SW.replace(old, new), encoding="utf-8")
    assert main(["check", str(flow), "--strict"]) == 1
    assert told in capsys.readouterr().out
