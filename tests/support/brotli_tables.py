"""A brotli stream that makes its decoder build as many prefix codes as there can be, in 56 KB."""

MOST = 256  # block types of one kind, and prefix codes of one kind (RFC 7932 6)
# The order of the lengths of code lengths, and the fixed code for these (RFC 7932 3.5): value and bits by length.
ORDER = (1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15)
LENGTHS = {0: (0, 2), 1: (7, 4), 2: (3, 3)}


class Bits:
    """Bits, the first one lowest."""

    def __init__(self) -> None:
        self.value = 0
        self.count = 0

    def put(self, value: int, count: int) -> None:
        """Append a number."""
        self.value |= value << self.count
        self.count += count

    def put_code(self, value: int, count: int) -> None:
        """Append a code word, whose highest bit comes first."""
        self.put(int(f"{value:0{count}b}"[::-1], 2), count)

    def put_one_symbol(self, symbol: int, width: int) -> None:
        """Append a simple prefix code of one symbol (RFC 7932 3.4)."""
        self.put(0b0001, 4)
        self.put(symbol, width)

    def put_lengths(self, lengths: list[int], code: dict[int, tuple[int, int]]) -> None:
        """Append a complex prefix code (RFC 7932 3.5): its code lengths, written in another code."""
        self.put(0, 2)
        space = 32
        for length in ORDER:
            if space > 0:
                width = code[length][1] if length in code else 0
                self.put(*LENGTHS[width])
                space -= 32 >> width if width else 0
        for length in lengths:
            self.put_code(*code[length])


def tables(window: int, size: int = 12 << 20) -> bytes:
    """Give a stream with a window of 2 to the power of 22 or 23 that inflates to `size` bytes."""
    bits = Bits()
    bits.put({22: 0b1011, 23: 0b1101}[window], 4)
    bits.put(0, 1)  # not the last block
    bits.put(2, 2)  # six nibbles of size
    bits.put(size - 1, 24)
    bits.put(0, 1)  # compressed
    most = 0b1111111_111_1  # 256 as RFC 7932 9.2 writes it: one bit, three, seven
    for _ in range(3):  # block types of literals, commands and distances, in blocks that never end
        bits.put(most, 11)
        bits.put_one_symbol(0, 9)
        bits.put_one_symbol(25, 5)
        bits.put((1 << 24) - 1, 24)
    bits.put(0b1111_11, 6)  # distance parameters
    bits.put(0, 2 * MOST)  # modes of the literal contexts
    for _ in range(2):  # context maps of literals and distances: all zero, for 256 codes
        bits.put(most, 11)
        bits.put(0, 1)
        bits.put_one_symbol(0, 8)
        bits.put(0, 1)
    for _ in range(MOST):  # literals
        bits.put_lengths([7] * 85 + [8] + [9] * 170, {7: (0, 1), 8: (0b10, 2), 9: (0b11, 2)})
    for _ in range(MOST):  # commands
        bits.put_lengths([10] * 384 + [9] * 320, {9: (0, 1), 10: (1, 1)})
    for _ in range(MOST):  # distances
        bits.put_lengths([9] * 504 + [10] * 16, {9: (0, 1), 10: (1, 1)})
    bits.put_code(63, 9)  # insert eight literals and copy all the rest
    bits.put(0, 1)
    bits.put(size - 8 - 2118, 24)
    for _ in range(8):
        bits.put_code(0, 7)
    bits.put_code(0, 9)
    bits.put(0b11, 2)  # the last block, and empty
    return bits.value.to_bytes((bits.count + 7) // 8, "little")
