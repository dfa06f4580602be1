"""Queue time: how long a request waited between the proxy's stamp and its arrival here.

Proxies write the time of arrival as ``t=1700000000.123``, in seconds (nginx ``${msec}``), milliseconds or microseconds
(Apache ``%t``), with or without ``t=``. The size of the number tells the unit. Anyone may send such a header where no
proxy sets it, and clocks of two machines differ: what lies in the future or is too old is no measurement.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_WAIT: Final = 3600.0
_STAMP: Final = re.compile(rb"(?:t=)?(\d{10,20}(?:\.\d{1,9})?)")
_MILLISECONDS: Final = 1e11
_MICROSECONDS: Final = 1e14
_NANOSECONDS: Final = 1e17


def queued_seconds(value: bytes, now: float) -> float | None:
    """Give the seconds from the stamp to `now`, or None where the value is none or cannot be right.

    Args:
        value: The header's value.
        now: Seconds since the epoch.
    """
    match = _STAMP.fullmatch(value.strip())
    if match is None:
        return None
    stamp = float(match[1])
    for bound, factor in ((_NANOSECONDS, 1e9), (_MICROSECONDS, 1e6), (_MILLISECONDS, 1e3)):
        if stamp >= bound:
            stamp /= factor
            break
    waited = now - stamp
    return waited if 0 <= waited <= LONGEST_WAIT else None
