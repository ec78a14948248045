"""A whole program around a `BusinessServer`.

::

    if __name__ == "__main__":
        sys.exit(run(Shop))
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from anychat.business.server import BusinessServer
from anychat.business.settings import FILE_NAME, Settings


def run(
    make: Callable[[Any, Settings], BusinessServer], path: Path | str = FILE_NAME
) -> int:
    """Read the settings, run the business server until ctrl-C or SIGTERM.

    What happens is printed on standard output.

    :param make: a subclass of `BusinessServer`, or whatever makes one of the
        reactor and the settings.
    :return: an exit code: 0, or 2 where the settings cannot be used.
    """
    raise NotImplementedError
