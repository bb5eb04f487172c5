"""`credchain explain`: the chain as a picture, for the eye and for a text."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from credchain.cli import main
from credchain.cli.pictures import DARK, LIGHT, Member, Palette, Picture, mermaid, svg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.emulator import Emulator

SCOPE = "https://vault.azure.net/.default"
SVG = "{http://www.w3.org/2000/svg}"
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "draw-a-chain.md"
NASTY = "va\"u'lt <b>&amp; `*_x_*` #35; \x00\x1b[31m \ud800 \u202e -->]]>"

SMALL = Picture(
    (
        Member("environment", "in the default order"),
        Member("reader", "enabled by the keyword enable", ("at most 3 s", "on_failure = continue"), goes_on=True),
    ),
    (("shared_cache", "disabled by the environment variable CREDCHAIN_DISABLE"),),
    ("at most 20 s in all",),
)
WALKED = Picture(
    (
        Member("environment", "here", outcome="unavailable", told="unavailable after 6 ms: not set"),
        Member("reader", "there", goes_on=True, outcome="failed", told="failed after 7 ms: refused"),
        Member("vault", "there", outcome="token", told="token after 8 ms"),
        Member("managed_identity", "there", outcome="not asked", told="not asked"),
    )
)


def call(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """The command in this process, without the machine's own settings."""
    ruling = {name: None for name in os.environ if name.startswith(("AZURE_", "CREDCHAIN_"))}
    return CliRunner().invoke(main, ["explain", *arguments], env={**ruling, **(environment or {})})


def texts(drawn: str, kind: str) -> list[str]:
    """The texts of a picture that have a class."""
    found = ET.fromstring(drawn).iter(f"{SVG}text")
    return [one.text or "" for one in found if kind in one.get("class", "").split()]


def test_mermaid_of_a_small_chain() -> None:
    """The sources in order, what follows each outcome, what softens a failure, and who is left out and why."""
    drawn = mermaid(SMALL)

    assert drawn == (
        "flowchart LR\n"
        '    asked["a token is asked for<br/>at most 20 s in all"]\n'
        '    s1["1 environment<br/>in the default order"]\n'
        '    s2["2 reader<br/>enabled by the keyword enable<br/>at most 3 s<br/>on_failure = continue"]\n'
        '    done(["done"])\n'
        '    stop(["stop"])\n'
        '    nobody(["no source applied"])\n'
        "    asked --> s1\n"
        "    s1 -- unavailable --> s2\n"
        "    s1 -- token --> done\n"
        "    s1 -- failure --> stop\n"
        "    s2 -- unavailable --> nobody\n"
        "    s2 -- token --> done\n"
        "    s2 -- failure --> nobody\n"
        '    subgraph out ["not in the chain"]\n'
        '        x1["shared_cache<br/>disabled by the environment variable CREDCHAIN_DISABLE"]:::absent\n'
        "    end\n"
        "    classDef token fill:#116329,stroke:#116329,color:#ffffff\n"
        "    classDef failed fill:#a40e26,stroke:#a40e26,color:#ffffff\n"
        "    classDef absent stroke-dasharray:4 4\n"
    )


def test_mermaid_marks_the_way() -> None:
    """Thick arrows for what happened and for nothing else; the winner, a failure and who was not asked have classes."""
    drawn = mermaid(WALKED)

    assert [line.strip() for line in drawn.splitlines() if "==" in line] == [
        "asked ==> s1",
        "s1 == unavailable ==> s2",
        "s2 == failure ==> s3",
        "s3 == token ==> done",
    ]
    assert '"3 vault<br/>there<br/>token after 8 ms"]:::token' in drawn
    assert 'refused"]:::failed' in drawn
    assert 'not asked"]:::absent' in drawn


def test_mermaid_labels_are_escaped() -> None:
    """Whatever a name or a reason holds, it cannot end its label, open a tag or be taken for Markdown."""
    picture = Picture((Member(NASTY, NASTY, (NASTY,)),), ((NASTY, NASTY),), (NASTY,))

    drawn = mermaid(picture)

    labels = re.findall(r'"([^"]*)"', drawn)
    assert len(labels) == drawn.count('"') / 2
    assert not [label for label in labels if re.search(r"[<>`*&\x00-\x1f\ud800]", label.replace("<br/>", ""))]
    assert "#60;b#62;#38;amp#59;" in drawn
    assert "#35;35#59;" in drawn


def test_svg_holds_each_source_once() -> None:
    """In the order of the chain, numbered, with why it is there; then those without a place, with the reason."""
    drawn = svg(SMALL)

    assert texts(drawn, "name") == ["The chain", "1 environment", "2 reader", "Not in the chain", "shared_cache"]
    assert "disabled by the environment variable CREDCHAIN_DISABLE" in texts(drawn, "muted")
    assert texts(drawn, "note") == ["at most 3 s", "on_failure = continue"]
    assert texts(drawn, "label") == ["token", "failure", "unavailable", "token", "unavailable or failure"]
    assert texts(drawn, "end") == ["done", "stop", "done", "no source applied"]


def test_svg_marks_winner_failure_and_way() -> None:
    """The outcome is told in words, and shown by classes; the way is as long as the walk was."""
    drawn = svg(WALKED)

    boxes = [one.get("class") for one in ET.fromstring(drawn).iter(f"{SVG}rect") if "box" in one.get("class", "")]
    assert boxes == ["box unavailable", "box failed", "box token", "box not-asked"]
    assert texts(drawn, "token") == ["token after 8 ms", "done"]
    assert texts(drawn, "failed") == ["failed after 7 ms: refused"]
    assert drawn.count('class="line taken"') == 3


def test_svg_of_a_chain_that_found_nothing() -> None:
    """The way leads to the end, which is marked."""
    drawn = svg(Picture((Member("environment", "here", outcome="unavailable", told="unavailable after 6 ms"),)))

    assert texts(drawn, "failed") == ["no source applied"]


def test_svg_escapes_what_it_is_given() -> None:
    """Any text gives well-formed XML that holds no element and no character of somebody else's making."""
    picture = Picture((Member(NASTY, NASTY, (NASTY,), outcome="failed", told=NASTY),), ((NASTY, NASTY),), (NASTY,))

    drawn = svg(picture)

    kinds = {element.tag.removeprefix(SVG) for element in ET.fromstring(drawn.encode()).iter()}
    assert kinds == {"svg", "title", "desc", "style", "rect", "path", "text"}
    assert any("va\"u'lt <b>&amp; `*_x_*`" in text for text in texts(drawn, "name"))
    assert all(char.isprintable() or char == "\n" for char in drawn)


def test_svg_speaks_to_those_who_do_not_see_it() -> None:
    """It is one picture, with a title and a description in words that its attributes name."""
    root = ET.fromstring(svg(WALKED))

    named = {root.find(f"{SVG}{tag}").get("id") for tag in ("title", "desc")}  # type: ignore[union-attr]
    said = root.findtext(f"{SVG}desc") or ""
    assert root.get("role") == "img"
    assert set((root.get("aria-labelledby") or "").split()) == named
    assert "3. vault; there; token after 8 ms." in said
    assert "4. managed_identity; there; not asked." in said


def test_svg_is_as_wide_as_its_content() -> None:
    """Short reasons make a narrow picture, long ones a wider one that stays within a page."""
    widths = [
        int(ET.fromstring(svg(Picture((Member("a", "word " * words),)))).get("width") or 0) for words in (1, 8, 11, 900)
    ]

    assert widths[0] < widths[1] < widths[2] <= widths[3] < 800


def test_texts_stay_within_the_picture() -> None:
    """However long a reason is, each of its lines begins and ends within the picture."""
    root = ET.fromstring(svg(Picture((Member("a" * 90, "word " * 300, outcome="failed", told="x" * 500),))))

    height, width = int(root.get("height") or 0), int(root.get("width") or 0)
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("y") or 0) < height
        assert len(text.text or "") * 7 < width


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read(palette: Palette) -> None:
    """Text has a contrast of at least 4.5 to 1 with what is behind it (WCAG 2.2, 1.4.3), lines of 3 to 1 (1.4.11)."""
    pairs = [(text, back) for text in (palette.text, palette.muted) for back in (palette.paper, palette.box)]
    pairs += [(palette.token, palette.box), (palette.failed, palette.box)]
    pairs += [(palette.paper, palette.token), (palette.paper, palette.failed)]

    poor = [pair for pair in pairs if contrast(*pair) < 4.5]

    assert poor == []
    assert contrast(palette.line, palette.paper) >= 3


def test_both_palettes_are_in_the_picture() -> None:
    """The one for dark stands behind the question whether the reader wants dark."""
    light, _, dark = svg(SMALL).partition("@media (prefers-color-scheme:dark)")

    assert LIGHT.text in light
    assert DARK.text in dark
    assert DARK.text not in light


def test_the_chain_of_this_machine() -> None:
    """Order, provider, limits and what a variable disables come from the settings, each with its origin."""
    drawn = call(environment=example()[0])

    assert drawn.exit_code == 0
    assert 's1["1 environment<br/>in the default order"]' in drawn.output
    assert (
        's2["2 reader<br/>in the order of the environment variable CREDCHAIN_ORDER'
        '<br/>provider: managed_identity<br/>at most 3 s<br/>on_failure = continue"]' in drawn.output
    )
    assert 's3["3 managed_identity<br/>in the default order<br/>at most 10 s"]' in drawn.output
    assert "s2 -- failure --> s3" in drawn.output
    assert 'x1["shared_cache<br/>disabled by the environment variable CREDCHAIN_DISABLE"]' in drawn.output


def test_picture_of_the_page_is_up_to_date(tmp_path: Path) -> None:
    """The page shows what its own example draws."""
    variables, arguments = example()

    drawn = call(*[str(tmp_path / one) if one == "chain.svg" else one for one in arguments], environment=variables)

    assert (drawn.exit_code, drawn.output) == (0, "")
    assert (tmp_path / "chain.svg").read_text() == (PAGE.parent / "chain.svg").read_text()


def test_asking_marks_winner_and_times(emulator: Emulator) -> None:
    """What each source said, in milliseconds; who stands behind the winner was not asked; no token is drawn."""
    variables = emulator.environment(emulator.add_application(), identity=True)

    drawn = call("--ask", SCOPE, environment={**variables, "CREDCHAIN_DISABLE": "shared_cache"})

    secrets = [variables["AZURE_CLIENT_SECRET"], "eyJ"]
    assert drawn.exit_code == 0
    assert re.search(r's1\["1 environment<br/>in the default order<br/>token after \d+ ms"\]:::token', drawn.output)
    assert re.search(r's2\["2 managed_identity.*not asked"\]:::absent', drawn.output)
    assert f"scope {SCOPE}" in drawn.output
    assert not [secret for secret in secrets if secret in drawn.output]


def test_a_failure_is_drawn_as_well(emulator: Emulator) -> None:
    """A refused source stops the chain; the picture tells at whom and why, without the secret, and the command ends well."""
    application = emulator.add_application()
    variables = {
        **emulator.environment(application),
        "AZURE_CLIENT_SECRET": "a-wrong-secret",
        "CREDCHAIN_DISABLE": "shared_cache",
    }

    drawn = call("--ask", SCOPE, "--format", "svg", environment=variables)

    assert drawn.exit_code == 0
    assert any(text.startswith("failed after ") for text in texts(drawn.output, "failed"))
    assert "stop" in texts(drawn.output, "failed")
    assert "AADSTS7000215" in drawn.output
    assert "a-wrong-secret" not in drawn.output


def test_profile_is_drawn(tmp_path: Path) -> None:
    """The chain of another profile, asked for by name."""
    file = tmp_path / "credchain.toml"
    file.write_text('[profile.test.chain]\norder = ["managed_identity"]\n')

    drawn = call("--profile", "test", environment={"CREDCHAIN_CONFIG": str(file)})

    assert 's1["1 managed_identity' in drawn.output
    assert "s2[" not in drawn.output


def test_wrong_uses_are_sentences(tmp_path: Path) -> None:
    """A setting, a scope and a file that will not do end with their own exit codes and no traceback."""
    setting = call(environment={"CREDCHAIN_ORDER": "manged_identity"})
    scope = call("--ask", "two words", environment={"CREDCHAIN_DISABLE": "shared_cache"})
    file = call("--output", str(tmp_path / "nowhere" / "chain.svg"))

    assert (setting.exit_code, scope.exit_code, file.exit_code) == (3, 2, 2)
    assert "did you mean 'managed_identity'?" in setting.stderr
    assert scope.stderr.startswith("Error: ")
    assert "cannot be written" in file.stderr


def example() -> tuple[dict[str, str], list[str]]:
    """The first example of the page: its variables, and the arguments of its command."""
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert block is not None
    variables = dict(re.findall(r"^export (\w+)=(.*)$", block[1], flags=re.MULTILINE))
    command = re.search(r"^credchain explain (.*)$", block[1], flags=re.MULTILINE)
    assert command is not None
    return variables, command[1].split()


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2)."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
