"""Lines for the operator's log, by the logging that every library uses."""

import logging

from wit_world.imports import log as host


class _Handler(logging.Handler):
    """Hands over what is logged; the host adds time, plugin and connection."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            level = host.Level.ERROR
        elif record.levelno >= logging.WARNING:
            level = host.Level.WARN
        elif record.levelno >= logging.INFO:
            level = host.Level.INFO
        else:
            level = host.Level.DEBUG
        host.log(level, self.format(record))


logging.basicConfig(level=logging.DEBUG, handlers=[_Handler()], format="%(message)s")
#: The plugin's own logger.
log = logging.getLogger("plugin")
