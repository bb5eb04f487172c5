"""A chain as a picture: records become Mermaid or SVG text. Pure; tokens and secrets never come here.

A name or a reason may hold anything, a stranger's words included. So each text is cleaned of what cannot be printed, and
escaped for where it stands.
"""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@attrs.frozen
class Member:
    """A source that has a place in the chain.

    Attributes:
        name: The source's name.
        because: Why it is in the chain.
        notes: What settings change about it, a few words each.
        goes_on: Whether the chain goes on when the source fails.
        outcome: ``"token"``, ``"unavailable"``, ``"failed"`` or ``"not asked"``; empty if the chain was not walked.
        told: The outcome in words, with its time and reason.
    """

    name: str
    because: str
    notes: tuple[str, ...] = ()
    goes_on: bool = False
    outcome: str = ""
    told: str = ""


@attrs.frozen
class Picture:
    """A chain to be drawn.

    Attributes:
        members: The sources in their order; at least one.
        left_out: The names of the sources that have no place, and why.
        notes: What holds for the whole chain, a sentence each.
    """

    members: tuple[Member, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@attrs.frozen
class Palette:
    """The colours of a picture, as CSS has them. Words carry the meaning too: colour alone never does."""

    paper: str
    box: str
    text: str
    muted: str
    line: str
    token: str
    failed: str


LIGHT = Palette("#ffffff", "#f6f8fa", "#1f2328", "#57606a", "#6e7781", "#116329", "#a40e26")
DARK = Palette("#0d1117", "#161b22", "#e6edf3", "#9da7b3", "#8b949e", "#56d364", "#ff7b72")

TITLE = "The chain"
NOBODY = "no source applied"
NOT_ASKED = "not asked"


def clean(text: str) -> str:
    """One line without what cannot be printed; XML has no place for most of that, not even escaped."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


# Mermaid

_PLAIN = frozenset(" .,_-:/()=+'")
"""What Mermaid takes as it is within quotes, beside letters and digits; its Markdown and entities need none of these."""

_CLASSES = (
    "classDef token fill:#116329,stroke:#116329,color:#ffffff",
    "classDef failed fill:#a40e26,stroke:#a40e26,color:#ffffff",
    "classDef absent stroke-dasharray:4 4",
)


def mermaid(picture: Picture) -> str:
    """The picture as a Mermaid flowchart, from left to right; the way that was taken is drawn thick."""
    asked = "<br/>".join(_quoted(text) for text in ("a token is asked for", *picture.notes))
    lines = ["flowchart LR", f'    asked["{asked}"]']
    for number, member in enumerate(picture.members, 1):
        lines.append(f'    s{number}["{_label(f"{number} {member.name}", member)}"]{_class(member)}')
    lines += ['    done(["done"])']
    if not all(member.goes_on for member in picture.members):
        lines += ['    stop(["stop"])']
    lines += [f'    nobody(["{NOBODY}"])']
    lines += [f"    {arrow}" for arrow in _arrows(picture.members)]
    if picture.left_out:
        lines += ['    subgraph out ["not in the chain"]']
        for number, (name, why) in enumerate(picture.left_out, 1):
            lines.append(f'        x{number}["{_quoted(name)}<br/>{_quoted(why)}"]:::absent')
        lines.append("    end")
    return "\n".join([*lines, *(f"    {one}" for one in _CLASSES)]) + "\n"


def _label(head: str, member: Member) -> str:
    return "<br/>".join(_quoted(text) for text in (head, member.because, *member.notes, member.told) if text)


def _class(member: Member) -> str:
    return {"token": ":::token", "failed": ":::failed", NOT_ASKED: ":::absent"}.get(member.outcome, "")


def _arrows(members: Sequence[Member]) -> Iterator[str]:
    yield f"asked {'==>' if members[0].outcome else '-->'} s1"
    for number, member in enumerate(members, 1):
        following = f"s{number + 1}" if number < len(members) else "nobody"
        yield _arrow(f"s{number}", "unavailable", following, taken=member.outcome == "unavailable")
        yield _arrow(f"s{number}", "token", "done", taken=member.outcome == "token")
        after_failure = following if member.goes_on else "stop"
        yield _arrow(f"s{number}", "failure", after_failure, taken=member.outcome == "failed")


def _arrow(start: str, label: str, end: str, *, taken: bool) -> str:
    return f"{start} == {label} ==> {end}" if taken else f"{start} -- {label} --> {end}"


def _quoted(text: str) -> str:
    """A text as it may stand within the quotes of a label."""
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in clean(text))


# SVG: sizes are in the units of the picture, which are pixels where it is shown as it is.

_MARGIN = 24
_PADDING = 14
_LINE = 19
_GAP = 44
_COLUMNS = 60
_NARROWEST = 250
_EXITS = 168
_EM = 13
_NAME_EM = 15
_AVERAGE = 0.61
"""How wide a letter is on average, in ems of a font that is rather wide."""


@attrs.frozen
class _Text:
    kind: str
    text: str

    @property
    def width(self) -> float:
        """How much room it needs, estimated: letters of East Asia are twice as wide."""
        letters = sum(1.65 if unicodedata.east_asian_width(char) in "WF" else 1.0 for char in self.text)
        return letters * (_NAME_EM * 1.06 if self.kind == "name" else _EM) * _AVERAGE


@attrs.frozen
class _Box:
    lines: tuple[_Text, ...]
    kind: str = ""

    @property
    def height(self) -> int:
        return len(self.lines) * _LINE + 2 * _PADDING - 6


def svg(picture: Picture) -> str:
    """The picture as an SVG document, from top to bottom, as wide as its content; it has colours for light and dark."""
    boxes = [_member_box(number, member) for number, member in enumerate(picture.members, 1)]
    absent = [_Box((_Text("name", clean(name)), *_wrapped("muted", why)), "absent") for name, why in picture.left_out]
    notes = [line for note in picture.notes for line in _wrapped("muted", note)]
    widest = max(line.width for line in [*notes, *(line for box in [*boxes, *absent] for line in box.lines)])
    width = max(_NARROWEST, int(widest) + 2 * _PADDING)
    parts: list[str] = [_text(_MARGIN, _MARGIN + 12, _Text("name", TITLE))]
    y = _MARGIN + 12
    for line in notes:
        y += _LINE
        parts.append(_text(_MARGIN, y, line))
    y = _drawn_chain(parts, picture.members, boxes, y + 18, width)
    y = _drawn_absent(parts, absent, y, width)
    return _document(picture, parts, width=2 * _MARGIN + width + _EXITS, height=y + _MARGIN)


def _member_box(number: int, member: Member) -> _Box:
    texts = [_Text("name", clean(f"{number} {member.name}")), *_wrapped("muted", member.because)]
    for note in member.notes:
        texts += _wrapped("note", note)
    texts += _wrapped(_told_kind(member.outcome), member.told)
    return _Box(tuple(texts), member.outcome.replace(" ", "-"))


def _told_kind(outcome: str) -> str:
    return outcome if outcome in ("token", "failed") else "note" if outcome == "unavailable" else "muted"


def _wrapped(kind: str, text: str) -> list[_Text]:
    return [_Text(kind, line) for line in textwrap.wrap(clean(text), _COLUMNS)]


def _drawn_chain(parts: list[str], members: Sequence[Member], boxes: Sequence[_Box], y: int, width: int) -> int:
    """Draw the sources with what follows each of their outcomes; where the next thing begins."""
    for member, box in zip(members, boxes, strict=True):
        parts += _box(box, y, width)
        parts += _exits(member, y + box.height / 2, _MARGIN + width)
        y += box.height
        goes_on = member.outcome == "unavailable" or (member.goes_on and member.outcome == "failed")
        label = "unavailable or failure" if member.goes_on else "unavailable"
        parts += _down(y, label, taken=goes_on)
        y += _GAP
    last = members[-1]
    taken = last.outcome == "unavailable" or (last.goes_on and last.outcome == "failed")
    parts += _pill(_MARGIN, y + 13, NOBODY, "failed" if taken else "", 160)
    return y + 26


def _drawn_absent(parts: list[str], absent: Sequence[_Box], y: int, width: int) -> int:
    if not absent:
        return y
    y += 34
    parts.append(_text(_MARGIN, y, _Text("name", "Not in the chain")))
    y += 12
    for box in absent:
        parts += _box(box, y, width)
        y += box.height + 10
    return y - 10


def _box(box: _Box, y: int, width: int) -> Iterator[str]:
    kind = f" {box.kind}" if box.kind else ""
    yield f'<rect class="box{kind}" x="{_MARGIN}" y="{y}" width="{width}" height="{box.height}" rx="6"/>'
    for index, line in enumerate(box.lines, 1):
        yield _text(_MARGIN + _PADDING, y + _PADDING - 9 + index * _LINE, line)


def _exits(member: Member, middle: float, x: int) -> Iterator[str]:
    """To the right: what a token and, where it does not lead on, a failure bring."""
    exits = [("token", "done", "token")]
    if not member.goes_on:
        exits.append(("failure", "stop", "failed"))
    for index, (label, end, outcome) in enumerate(exits):
        y = middle + (index * 36 - 18 if len(exits) > 1 else 0) + 4
        taken = member.outcome == outcome
        yield _line(f"M{x + 2} {y:g} H{x + 88}", f"M{x + 83} {y - 4:g} l7 4 l-7 4 z", taken=taken)
        yield _text(x + 44, y - 7, _Text("label", label), middle=True)
        yield from _pill(x + 94, y, end, outcome if taken else "", 60)


def _down(y: int, label: str, *, taken: bool) -> Iterator[str]:
    x = _MARGIN + 32
    yield _line(f"M{x} {y + 2} V{y + _GAP - 6}", f"M{x - 4} {y + _GAP - 10} l4 7 l4 -7 z", taken=taken)
    yield _text(x + 12, y + _GAP // 2 + 4, _Text("label", label))


def _pill(x: float, middle: float, text: str, kind: str, width: int) -> Iterator[str]:
    yield f'<rect class="{f"pill {kind}".strip()}" x="{x:g}" y="{middle - 13:g}" width="{width}" height="26" rx="13"/>'
    yield _text(x + width / 2, middle + 4.5, _Text(f"end {kind}".strip(), text), middle=True)


def _line(path: str, head: str, *, taken: bool) -> str:
    kind = " taken" if taken else ""
    return f'<path class="line{kind}" d="{path}"/><path class="head{kind}" d="{head}"/>'


def _text(x: float, y: float, text: _Text, *, middle: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text class="{text.kind}" x="{x:g}" y="{y:g}"{anchor}>{escape(text.text)}</text>'


def _document(picture: Picture, parts: Sequence[str], *, width: int, height: int) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img" aria-labelledby="credchain-title credchain-desc">',
        f'<title id="credchain-title">{TITLE}</title>',
        f'<desc id="credchain-desc">{escape(_described(picture))}</desc>',
        f"<style>{_style()}</style>",
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _described(picture: Picture) -> str:
    """The picture in words, for those who do not see it."""
    said = list(picture.notes)
    for number, member in enumerate(picture.members, 1):
        said.append(
            f"{number}. {'; '.join(one for one in (member.name, member.because, *member.notes, member.told) if one)}"
        )
    said.append(
        "Unavailable leads to the next source, a token ends the walk, a failure stops it unless noted otherwise"
    )
    said += [f"Not in the chain: {name}, {why}" for name, why in picture.left_out]
    return " ".join(f"{clean(one).rstrip('.')}." for one in said)


def _style() -> str:
    fonts = "text{font:13px system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}.name{font-weight:600;font-size:15px}"
    shape = ".end{font-weight:600}.label{font-size:12px}.line{fill:none}"
    thick = ".taken,.box.token,.box.failed{stroke-width:2.5}"
    dashed = ".absent,.box.not-asked{stroke-dasharray:5 4}"
    return f"{fonts}{shape}{thick}{dashed}{_colours(LIGHT)}@media (prefers-color-scheme:dark){{{_colours(DARK)}}}"


def _colours(of: Palette) -> str:
    return (
        f".paper{{fill:{of.paper}}}.box,.pill{{fill:{of.box};stroke:{of.line}}}.absent,.box.not-asked{{fill:{of.paper}}}"
        f"text,.note{{fill:{of.text}}}.muted,.label,.end{{fill:{of.muted}}}"
        f".line{{stroke:{of.line}}}.head{{fill:{of.line}}}.line.taken{{stroke:{of.text}}}.head.taken{{fill:{of.text}}}"
        f"text.token{{fill:{of.token}}}.box.token{{stroke:{of.token}}}.pill.token{{fill:{of.token};stroke:{of.token}}}"
        f"text.failed{{fill:{of.failed}}}.box.failed{{stroke:{of.failed}}}.pill.failed{{fill:{of.failed};stroke:{of.failed}}}"
        f"text.end.token,text.end.failed{{fill:{of.paper}}}"
    )
