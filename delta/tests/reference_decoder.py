"""A reader of delta patches, written from FORMAT.md alone. Usage: reference_decoder.py PRIOR OLD PATCH NEW

Clear before fast. Exits with 1 and a word on standard error if the patch is refused.
"""

import hashlib
import math
import re
import sys
import zlib

from reference_isa import SETS, U32, Refused, need, sx, u16, u32

LN = [round(4096 * math.log(1 + i / 64)) for i in range(65)]
SQUASH = [min(65535, round(65536 / (1 + math.exp(-i / 8)))) for i in range(93)]


def ln(v):
    top = v.bit_length() - 1
    f = (v << (15 - top)) & 0x7FFF
    i = f >> 9
    return top * 2839 + LN[i] + ((LN[i + 1] - LN[i]) * (f & 511) >> 9)


def stretch(p):
    return (ln(p) - ln(65536 - p)) >> 4


def squash(x):
    s = min(abs(x), 2943)
    j = s >> 5
    q = SQUASH[j] + ((SQUASH[j + 1] - SQUASH[j]) * (s & 31) >> 5)
    return q if x >= 0 else 65536 - q


STRETCH = [stretch((c & 0xFFF0) + 8) for c in range(0, 65536, 16)]


def hash_(c, n):
    return (c * 0x9E3779B1 & U32) >> (32 - n)


def nodehash(c, m, n):
    return hash_((c * 0x85EBCA6B & U32) ^ (m * 0xC2B2AE35 & U32), n)


RATE = [40960, 25206, 18204, 14247, 11703, 8623, 6827, 4819, 3724, 2560, 1951, 1321, 999, 672, 506, 339]
STAY = [0, 0, 0, 0, 1, 1, 3, 3, 7, 7, 15, 15, 31, 31, 63, 63]

FLAG = [0, 256, 384, 512, 640, 768]
DIFFERENCE = [896, 960, 1024, 1088, 1152]
LITERAL = [1216, 1280, 1344, 1408, 1472, 1536]
REFERENCE, HIGH, LOW, SWAP, SPELT, ACTION, MAP, COPY = 1600, 1856, 1920, 1936, 1952, 1976, 1980, 1982


class Model:
    def __init__(self, body, prior):
        self.slab, self.weights, self.numbers = prior
        self.dither = 1
        self.body = body
        self.next = 4
        self.range = U32
        self.code = int.from_bytes((body + bytes(4))[:4], "big")

    def decision(self, p):
        bound = self.range * p >> 16
        if self.code < bound:
            bit = 1
            self.range = bound
        else:
            bit = 0
            self.code -= bound
            self.range -= bound
        while self.range < 1 << 24:
            self.range = self.range << 8 & U32
            byte = self.body[self.next] if self.next < len(self.body) else 0
            self.code = (self.code << 8 | byte) & U32
            self.next += 1
            need(self.next <= len(self.body) + 4, "cut short")
        return bit

    def learn(self, table, i, bit, limit):
        counter = table[i]
        self.dither = (self.dither * 25173 + 13849) & 0xFFFF
        state = counter & 15
        p = counter & 0xFFF0
        p += ((65535 if bit else 0) - p - 8) * (RATE[state] >> 1) >> 15
        p += self.dither >> 12
        p = max(0, min(65535, p)) & 0xFFF0
        if state < limit and (self.dither >> 4) & STAY[state] == 0:
            state += 1
        table[i] = p | state

    def counted(self, table, i, limit):
        bit = self.decision((table[i] & 0xFFF0) + 8)
        self.learn(table, i, bit, limit)
        return bit

    def bit(self, slot, limit):
        return self.counted(self.slab, slot, limit)

    def mixed(self, slots, w, rate, limit):
        x = [STRETCH[self.slab[s] >> 4] for s in slots]
        p = squash(sum(a * self.weights[w + i] for i, a in enumerate(x)) >> 12)
        bit = self.decision(p)
        error = 65536 * bit - p
        for i, (a, s) in enumerate(zip(x, slots)):
            moved = self.weights[w + i] + (((a * error >> 10) * rate + 8192) >> 14)
            self.weights[w + i] = max(-32767, min(32767, moved))
            self.learn(self.slab, s, bit, limit)
        return bit

    def number(self, c):
        t = self.numbers[c]
        k = 0
        while k < 23 and self.counted(t, k, 10):
            k += 1
        v = 1
        for i in range(k - 1, -1, -1):
            if k - i <= 2:
                b = self.counted(t, 24 + 3 * min(k, 11) + (0 if k - i == 1 else 1 + (v & 1)), 10)
            else:
                b = self.decision(32768)
            v = 2 * v + b
        return v - 1

    def turn(self, slot, c):
        if self.bit(slot, 10):
            return 0
        down = self.bit(slot + 1, 10)
        n = self.number(c) + 1
        return -n if down else n


# Section 10. A find is (kind, always, bytes, target); a variable is (address, bytes, always).


class Reader:
    def __init__(self, isa, old, new_len, base, map_entries, model):
        self.number, self.isa = isa, SETS[isa]()
        self.old, self.new, self.new_len, self.base, self.model = old, bytearray(), new_len, base, model
        self.map_entries = map_entries
        self.past = self.second = self.run = self.wrong = self.missed = self.difference = 0
        self.actions = self.diagonal = self.source = self.left = self.swap_results = self.victim = 0
        self.results = [0] * 8
        self.nearby = [(0, 0), (0, 0)]
        self.targets = [(0xFFFFFF, 0)] * 32
        self.swaps = [(0, 0)] * 32
        self.variables = []

    def decode(self):
        m = self.model
        old = new = 0
        entries = []
        for i in range(self.map_entries):
            after = new + m.number(0) + (1 if i else 0)
            old = (after + (old - new) + m.turn(MAP, 1)) & U32
            new = after
            need(new < self.new_len and old < len(self.old), "map")
            entries.append((old, new))
        self.map = sorted(entries, key=lambda e: e[0])
        ahead = [n for _, n in entries]
        by_new = {n: o for o, n in entries}
        while len(self.new) < self.new_len:
            at = len(self.new)
            end = ahead[0] if ahead else self.new_len
            if at < end:
                self.gap(end - at)
                continue
            need(at == end, "map order")
            ahead.pop(0)
            old = by_new[at]
            room = min((ahead[0] if ahead else self.new_len) - at, len(self.old) - old)
            tail = m.number(2)
            need(tail <= room, "tail")
            self.diagonal = (old - at) & U32
            self.copy(old, room - tail, False)
        return bytes(self.new)

    def gap(self, room):
        m, at, old_len = self.model, len(self.new), len(self.old)
        a = m.bit(ACTION + (self.actions & 3), 10)
        self.actions = self.actions << 1 | a
        if not a:
            self.literal_unit(room)
            return
        if m.bit(COPY, 10):
            back = m.number(4) + 1
            need(back <= at, "back")
            source = old_len + at - back
        else:
            source = (at + self.diagonal + m.turn(COPY + 2, 3)) & U32
            need(source < old_len, "source")
            self.diagonal = (source - at) & U32
        length = m.number(5) + 1
        need(length <= room, "length")
        need(source >= old_len or length <= old_len - source, "length")
        self.copy(source, length, m.bit(COPY + 4, 10))

    def at_source(self, i):
        return self.old[i] if i < len(self.old) else self.new[i - len(self.old)]

    def end(self):
        return len(self.old) if self.source < len(self.old) else len(self.old) + len(self.new)

    def put(self, byte, copied=True):
        at = len(self.new)
        self.new.append(byte)
        self.past = (self.past << 8 | byte) & U32
        if at & 1:
            self.second = int(not self.second and byte >= 0xE8)
        if copied:
            self.source += 1
            self.left -= 1

    def copy(self, source, length, exact):
        aimed = not exact and self.number != 0 and self.model.bit(COPY + 5, 10)
        self.source, self.left, self.instruction = source, length, source
        while self.left:
            if exact:
                self.put(self.at_source(self.source))
                self.run += 1
                continue
            unsure = None
            if aimed:
                done, unsure = self.reference()
                if done:
                    continue
            at = len(self.new)
            if 1 <= self.number <= 4 and not (at | self.source) & 1 and self.left >= 2 and self.source + 1 < self.end():
                self.half()
                if unsure and unsure[2] == 2:
                    now = self.isa.find(bytes(self.new[at:at + 2]) + bytes(6), at)
                    if now and now[0] == unsure[0]:
                        if self.wrong & 1:
                            self.keep_target(unsure[3], now[3])
                        self.keep_nearby(unsure, now[3])
            else:
                self.byte()

    # Section 8.1.

    def shift(self, a):
        last = 0
        for old, new in self.map:
            if old > a:
                break
            last = new - old
        return last

    def went(self, t):
        if t >= len(self.old):
            return t, 0
        key, value = self.targets[hash_(t, 5)]
        if key == t:
            return value, 1
        return (t + self.shift(t)) & U32, 0

    def keep_target(self, t, value):
        if t < 0xFFFFFF and value <= 0xFFFFFF:
            self.targets[hash_(t, 5)] = (t, value)

    def keep_nearby(self, found, to):
        if self.number == 1 and found[0] in (2, 3):
            self.nearby[found[0] - 2] = (found[3], (to - found[3] - self.shift(found[3])) & U32)

    def variable_shift(self, a):
        best = (0, 0)
        for address, s in self.variables:
            if address > a:
                break
            best = (s, int(address == a))
        return best

    def keep_variable(self, a, s):
        known, exact = self.variable_shift(a)
        if known == s:
            return
        if exact:
            self.variables = [(k, s if k == a else v) for k, v in self.variables]
            return
        if len(self.variables) == 48:
            del self.variables[self.victim]
            self.victim = (self.victim + 37) % 48
        self.variables = sorted(self.variables + [(a, s)], key=lambda e: e[0])

    def reference(self):
        """Whether a reference was coded here, and the unsure find."""
        old_len, at = len(self.old), len(self.new)
        window = bytes(self.at_source(i) for i in range(self.source, min(self.source + 8, self.end())))
        b = window + bytes(8 - len(window))
        from_old = self.source < old_len
        if self.base is not None and self.number in (1, 3, 4, 5) and at % 4 == 0 and self.left >= 4 and from_old:
            word = u32(b, 0)
            target = ((word & ~1) - self.base) & U32
            if target < old_len and word >= 64:
                to, known = self.went(target)
                expected = ((word + to - target) & U32).to_bytes(4, "little") + b[4:]

                def learn(got):
                    self.keep_target(target, (target + u32(got, 0) - word) & U32)

                return self.expect(7, 4, expected, known, int(expected == b), 1, True, learn), None
        variable = self.isa.variable(b, self.source, at % 4 == 0) if from_old else None
        if variable and variable[1] <= self.left:
            address, length, always = variable
            s, known = self.variable_shift(address)
            if s or always:

                def learn(got):
                    now = self.isa.variable(got, at, True)
                    if now:
                        moved = now[0] - address
                        if (moved + 0x20000) & U32 < 0x40000:
                            self.keep_variable(address, moved)

                expected = self.isa.move(b, (address + s) & U32)
                kind = 5 if always else 6
                return self.expect(kind, length, expected, known, int(s == 0), 2, always, learn), None
        unsure = None
        found = self.branch(b, from_old)
        if found:
            kind, always, length, target = found
            to, known = self.went(target) if from_old else (target, 0)
            if from_old and not known and self.number == 1 and kind in (2, 3):
                last, beside = self.nearby[kind - 2]
                if (last - target + 64) & U32 < 128:
                    to = (to + beside) & U32
            expected = self.isa.aim(b, at, to)
            if expected == b and not always:
                unsure = found
            elif expected is not None:

                def learn(got):
                    now = self.isa.find(got, at)
                    if target < old_len and now and now[0] == kind:
                        self.keep_target(target, now[3])
                        self.keep_nearby(found, now[3])

                kind_or_new = kind if from_old else 4
                done = self.expect(kind_or_new, length, expected, known, int(expected == b), 0, always, learn)
                return done, found
        if self.number == 2 and from_old and self.left >= 2 and (self.run < 32 or self.results[3] & 1 == 0):
            word = u16(b, 0)
            if 2 * word < old_len:
                to, known = self.went(2 * word)
                expected = (to >> 1 & 0xFFFF).to_bytes(2, "little") + b[2:]
                if expected != b:

                    def learn(got):
                        self.keep_target(2 * word, 2 * u16(got, 0))

                    return self.expect(3, 2, expected, known, 0, 1, False, learn), unsure
        return False, unsure

    def branch(self, b, from_old):
        if self.number == 1 and self.second:
            return None
        if self.number == 5:
            if self.source < self.instruction:
                return None
            self.instruction = self.source + (2 if b[0] & 8 else 3)
        found = self.isa.find(b, self.source if from_old else self.source - len(self.old))
        return found if found and found[2] <= self.left else None

    def expect(self, kind, length, expected, known, same, group, firm, learn):
        """Whether the bytes were put."""
        m = self.model
        slot = REFERENCE + 32 * kind + 8 * (self.results[kind] & 3) + 4 * known + 2 * same + self.missed
        h = m.bit(slot, 13)
        self.results[kind] = 2 * self.results[kind] + 1 - h
        if not h and not firm:
            return False
        self.missed = 1 - h
        self.wrong = (2 * self.wrong + 1 - h) & 0xFF
        if h:
            for byte in expected[:length]:
                self.put(byte)
            self.run += length
            learn(expected)
            return True
        self.run = 0
        got = b""
        for i in range(length):
            w = int(got != expected[:i])
            if m.bit(SPELT + 8 * group + 2 * min(i, 3) + w, 13):
                byte = expected[i]
            else:
                byte = self.differing(3, expected[i], 0)
            self.put(byte)
            got += bytes([byte])
        learn(got + bytes(8 - length))
        return True

    # Section 8.2.

    def flag(self, key, opcode, other, phase, side, kind):
        w = self.wrong
        c = [
            1 << 24 | (w & 63) << 2 | phase,
            2 << 24 | key << 8 | (w & 3) << 2 | phase,
            3 << 24 | opcode << 8 | min(kind, 7) << 2 | side << 1 | w & 1,
            4 << 24 | opcode << 8 | other,
            5 << 24 | (self.past & 0xFF) << 8 | opcode,
        ]
        slots = [FLAG[0] + (w & 15) * 16 + kind] + [t + hash_(x, 7) for t, x in zip(FLAG[1:], c)]
        return self.model.mixed(slots, 6 * kind, 82, 13)

    def compared(self, right, length):
        self.missed = 0
        self.wrong = (2 * self.wrong + 1 - right) & 0xFF
        self.run = self.run + length if right else 0

    def differing(self, part, old, opcode):
        c = [0, 1 << 24 | self.difference, 2 << 24 | old, 3 << 24 | part << 8 | opcode >> 3,
             4 << 24 | part << 16 | opcode << 8 | old >> 6]
        m = 1
        for i in range(7, -1, -1):
            slots = [t + nodehash(x, m, 6) for t, x in zip(DIFFERENCE, c)]
            m = 2 * m + self.model.mixed(slots, 90 + 5 * (8 * (part & 1) + i), 164, 10)
        self.difference = m & 0xFF
        return (old + self.difference) & 0xFF

    def byte(self):
        old = self.at_source(self.source)
        beside = self.source ^ 1
        beside = self.at_source(beside) if beside < self.end() else 0
        side = self.source & 1
        opcode, other = (old, beside) if side else (beside, old)
        right = self.flag(old, opcode, other, len(self.new) & 3, side, min(14, self.run.bit_length()))
        byte = old if right else self.differing(3, old, opcode)
        self.compared(right, 1)
        self.put(byte)

    def half(self):
        m, second = self.model, self.second
        low, high = self.at_source(self.source), self.at_source(self.source + 1)
        old = low | high << 8
        key = old | 0xF000 if second else old & 0xFFC0 if 0x6000 <= old < 0x9000 else old
        home = hash_(key, 5)
        k, change = self.swaps[home]
        new = None
        if k == key and change:
            hit = m.bit(SWAP + 2 * (self.swap_results & 7) + second, 13)
            self.swap_results = 2 * self.swap_results + hit
            if hit:
                self.compared(1, 2)
                new = (old + change) & 0xFFFF
            else:
                self.swaps[home] = (0, 0)
        if new is None:
            phase = second * 2 + (len(self.new) >> 1 & 1)
            right = self.flag(high, high, low, phase, second, min(14, (self.run >> 1).bit_length()))
            self.compared(right, 2)
            if right:
                new = old
        if new is None:
            h = m.bit(HIGH + 2 * (high >> 3) + second, 13)
            new_high = high if h else self.differing(1, high, high)
            if not h and m.bit(LOW + 2 * (high >> 5) + second, 13):
                new_low = low
            else:
                new_low = self.differing(0 if h else 2, low, new_high)
            new = new_low | new_high << 8
            self.swaps[home] = (key, (new - old) & 0xFFFF)
        self.put(new & 0xFF)
        self.put(new >> 8)

    # Section 8.3.

    def literal_unit(self, room):
        l2, h2, l1, h1 = self.past.to_bytes(4, "big")
        at, second = len(self.new), self.second
        if 1 <= self.number <= 4 and at % 2 == 0 and room >= 2:
            h = self.literal(0, [second, second << 8 | h1, h2 << 8 | h1, l1 << 8 | h1, h2 << 16 | l2 << 8 | h1, at >> 1 & 1])
            low = self.literal(1, [second << 5 | h >> 3, second << 8 | h, l1 << 8 | h, h1 << 8 | h, h1 << 16 | l1 << 8 | h, l2 << 16 | h2 << 8 | h])
            self.put(low, False)
            self.put(h, False)
        else:
            side = at & 1
            self.put(self.literal(2, [side, h1 << 1 | side, l1 << 8 | h1, l1 << 1 | side, h2 << 16 | l1 << 8 | h1, at & 3]), False)
        self.run = 0
        self.wrong = (2 * self.wrong + 1) & 0xFF

    def literal(self, part, c):
        m = 1
        for i in range(7, -1, -1):
            slots = [t + nodehash((x << 2 | part) << 3 | n, m, 6) for n, (t, x) in enumerate(zip(LITERAL, c))]
            m = 2 * m + self.model.mixed(slots, 170 + 6 * (8 * part + i), 120, 13)
        return m & 0xFF


def prior(path):
    with open(path, encoding="ascii") as file:
        text = file.read()
    tables = []
    for name in ("SLAB", "WEIGHTS", "NUMBERS"):
        body = re.search(name + r": [^=]*= (\[.*?\]);", text, re.S).group(1)
        tables.append([int(n) for n in re.findall(r"-?\d+", body)])
    slab, weights, numbers = tables
    return slab, weights, [numbers[i:i + 60] for i in range(0, 360, 60)]


def number(patch, at):
    value = 0
    for place in range(4):
        byte = patch[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise Refused("number")


def in_place(kind, patch, at):
    need(kind & 0x30 != 0x10, "kind")
    if kind & 0x20:
        at += kind >> 4 & 1
        crc = int.from_bytes(patch[at + 1:at + 5], "little")
        need(zlib.crc32(patch[:at + 1] + patch[at + 5:]) == crc, "sum of the patch")
        at += 5
    return at


def apply(prior_path, old, patch):
    need(patch[:3] == b"FD\x01", "magic")
    kind = patch[3]
    need(kind & 0x0F < len(SETS), "instruction set")
    old_len, at = number(patch, 4)
    grown, at = number(patch, at)
    new_len = old_len + (-(grown + 1) // 2 if grown & 1 else grown // 2)
    need(max(old_len, new_len) <= 0xFFFFFE and new_len >= 0, "lengths")
    digests = patch[at:at + 16], patch[at + 16:at + 32]
    at += 32
    need(len(old) == old_len and hashlib.sha256(old).digest()[:16] == digests[0], "old image")
    if kind & 0x80:
        need(kind & ~0x30 == 0x80, "kind")
        at = in_place(kind, patch, at)
        new = patch[at:]
    else:
        base = None
        if kind & 0x40:
            steps, at = number(patch, at)
            base = steps * 128
        entries, at = number(patch, at)
        need(entries <= 192, "map entries")
        at = in_place(kind, patch, at)
        model = Model(patch[at:], prior(prior_path))
        new = Reader(kind & 0x0F, old, new_len, base, entries, model).decode()
        need(model.next >= len(model.body), "trailing bytes")
        need(model.next - len(model.body) >= 4 or model.body[-1] != 0, "trailing zero")
    need(len(new) == new_len and hashlib.sha256(new).digest()[:16] == digests[1], "new image")
    return new


def main():
    prior_path, old_path, patch_path, new_path = sys.argv[1:]
    with open(old_path, "rb") as file:
        old = file.read()
    with open(patch_path, "rb") as file:
        patch = file.read()
    try:
        new = apply(prior_path, old, patch)
    except (Refused, IndexError) as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    with open(new_path, "wb") as file:
        file.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
