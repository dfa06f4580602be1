"""What the beginning of a zstd frame tells of its window."""

import pytest
from request_codings import FORMS, skippable_frame, wide_zstd

from asgi_middleware.compression.zstd_head import LONGEST, window_of

MAGIC = b"\x28\xb5\x2f\xfd"
TEXT = b"the quick brown fox jumps over the lazy dog " * 40


@pytest.mark.parametrize(
    ("head", "window"),
    [
        # The window's descriptor: five bits for its power of two, three for eighths on top of it (RFC 8878 3.1.1.1.2).
        (b"\x00\x00", 1024),
        (b"\x00\x01", 1024 + 128),
        (b"\x00\x0f", 2048 + 7 * 256),
        (b"\x04\x58", 1 << 21),
        (b"\x83\x68\0\0\0\0", 1 << 23),
        # A single segment: the size, behind the dictionary's id (RFC 8878 3.1.1.1.4).
        (b"\x20\x05", 5),
        (b"\x60\x05\x01", 5 + 256 + 256),
        (b"\xa0\x05\x01\0\0", 5 + 256),
        (b"\xe0\x05\0\0\0\x01\0\0\0", 5 + (1 << 32)),
        (b"\x21\xff\x05", 5),
        (b"\x22\xff\xff\x05", 5),
        (b"\x23\xff\xff\xff\xff\x05", 5),
    ],
    ids=range(12),
)
def test_windows(head, window):
    """Each form of a head tells its window, as soon as it is there."""
    assert window_of(MAGIC + head) == window
    assert window_of((MAGIC + head + TEXT)[:LONGEST]) == window
    if head[0] & 0x20:
        assert window_of(MAGIC + head[:-1]) is None


@pytest.mark.parametrize("size", range(6))
def test_a_head_that_is_not_there_yet(size):
    """Too few bytes tell nothing."""
    assert window_of((MAGIC + b"\x00\x00")[:size]) is None


def test_the_longest_head():
    """A head with all its fields tells its window by its last byte."""
    head = MAGIC + b"\xe3" + bytes(4) + (5).to_bytes(8, "little")
    assert len(head) == LONGEST
    assert window_of(head) == 5
    assert window_of(head[:-1]) is None


def test_what_needs_no_window():
    """A frame without content needs none, and what is no frame will be refused."""
    assert window_of(skippable_frame(TEXT)) == 0
    assert window_of(b"none") == 0


@pytest.mark.parametrize("power", range(10, 24))
def test_streams_of_an_encoder(power):
    """An encoder's own heads say what it was told."""
    assert window_of(wide_zstd(power, TEXT)) == 1 << power


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_791, 65_792, 100_000])
def test_bodies_of_an_encoder(size):
    """A body that was encoded whole looks back at no more than itself."""
    assert window_of(FORMS["zstd"][1](bytes(size))) == size
