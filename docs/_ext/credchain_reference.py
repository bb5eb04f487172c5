"""Sphinx directives that draw the reference from the code, so that no page can go stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import reference_text
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from credchain.cli import main
from credchain.registry import Registry

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class _Drawn(SphinxDirective):
    """Markdown text in place of a directive whose argument says what to draw."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The nodes of the text. It comes from code, whose changes Sphinx does not see; so the page is read each time."""
        self.env.note_reread()
        return self.parse_text_to_nodes(StringList(self.text(self.arguments[0]), source=self.get_source_info()[0]))

    def text(self, wanted: str) -> list[str]:
        """The lines to draw."""
        raise NotImplementedError


class Keys(_Drawn):
    """``{credchain-keys} chain``: the keys of a table."""

    def text(self, wanted: str) -> list[str]:
        """The keys, a row each."""
        return reference_text.keys_of_table(wanted)


class Source(_Drawn):
    """``{credchain-source} client_secret``: the keys of a source."""

    def text(self, wanted: str) -> list[str]:
        """The keys, a row each."""
        return reference_text.keys_of_source(Registry().load(wanted))


class Command(_Drawn):
    """``{credchain-command} config show``: usage and options of a command."""

    def text(self, wanted: str) -> list[str]:
        """Usage, help and options."""
        path = tuple(wanted.split())
        return reference_text.command_text(dict(reference_text.commands(main))[path], path)


class Names(_Drawn):
    """``{credchain-names} credchain.aio``: the public names of a module."""

    def text(self, wanted: str) -> list[str]:
        """The names, a row each."""
        return reference_text.names_text(wanted)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    for name, directive in (("keys", Keys), ("source", Source), ("command", Command), ("names", Names)):
        app.add_directive(f"credchain-{name}", directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}
