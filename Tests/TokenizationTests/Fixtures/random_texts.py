"""Random strings for comparisons of tokenizers: scripts, white space, control characters, emoji, combining marks, tokens."""

import random
import unicodedata

SCALARS = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cs", "Cn", "Co")]
# Letters, marks and digits added in Unicode 15 and 16.
NEWER = [chr(c) for low, high in [(0x31350, 0x3135F), (0x11F00, 0x11F5A), (0x1E4D0, 0x1E4F9), (0x1C89, 0x1C8A), (0x1E08F, 0x1E08F),
                                  (0x10D40, 0x10D85), (0x2EBF0, 0x2EBFF), (0xECE, 0xECE), (0x897, 0x897)] for c in range(low, high + 1)]
WORDS = "the of and to in is that was he for it with as his on be at by I this had not are but from or have an they "
WORDS = (WORDS + "don't I'll we've you're it's 'S 'LL ſ 12 345 6789 1e-5 0x1F foo_bar naïve Straße 北京 こんにちは "
         "\\frac{a}{b} $x^2$ == != -> /* */ <think> </think> <|im_start|> <short> ... --- ''' \"\" ()[]{}").split(" ")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", ""]
RANGES = [(0x20, 0x7E), (0, 0x1F), (0x80, 0xFF), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0xDFF),
          (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x20A0, 0x2BFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
          (0xAC00, 0xD7A3), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1F300, 0x1FAFF), (0x1D400, 0x1D7FF)]


class Generator:
    """Draws records: texts {"t"}, bytes {"b"} and ids {"i"}."""

    def __init__(self, seed, added=(), size=0):
        self.rng = random.Random(seed)
        self.added = list(added)
        self.size = size

    def part(self):
        rng, added = self.rng, self.added
        kind = rng.randrange(8)
        if kind < 2:
            return rng.choice(WORDS)
        if kind == 2:
            return rng.choice(SPACES)
        if kind == 3:
            low, high = rng.choice(RANGES)
            drawn = [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))]
            return "".join(c for c in drawn if unicodedata.category(c) != "Cn")
        if kind == 4:
            return rng.choice(SCALARS if rng.random() < 0.9 else NEWER)
        if kind == 5:
            return rng.choice(added) if added and rng.random() < 0.3 else rng.choice(SPACES) * rng.randint(1, 4)
        if kind == 6:
            return "".join(chr(rng.randint(0x20, 0x7E)) for _ in range(rng.randint(1, 12)))
        return rng.choice(WORDS) + " " + rng.choice(WORDS)

    def text(self):
        return "".join(self.part() for _ in range(self.rng.randint(0, 12)))

    def record(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.05:
            drawn = [rng.randrange(256) if rng.random() < 0.5 else rng.randint(0x20, 0x7E) for _ in range(rng.randint(0, 40))]
            return {"b": drawn}
        if kind < 0.1 and self.size:
            return {"i": [rng.randrange(self.size) for _ in range(rng.randint(0, 12))]}
        return {"t": self.text()}
