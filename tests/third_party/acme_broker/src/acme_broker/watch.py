"""An observer for credchain: a line in the program's log for each source that is asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from credchain import hookimpl
from credchain.events import AttemptFinished

if TYPE_CHECKING:
    from credchain.events import Event

logger = logging.getLogger("acme.audit")


@hookimpl
def credchain_event(event: Event) -> None:
    """Log what a chain has asked."""
    if isinstance(event, AttemptFinished):
        logger.warning("%s: %s", event.attempt.source, event.attempt.outcome)
