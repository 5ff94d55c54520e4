"""The instruction sets of FORMAT.md, for `reference_decoder.py`; written from that page alone."""


U32 = 0xFFFFFFFF


class Refused(Exception):
    pass


def need(condition, word):
    if not condition:
        raise Refused(word)


def sx(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def u16(b, i):
    return b[i] | b[i + 1] << 8


def u32(b, i):
    return u16(b, i) | u16(b, i + 2) << 16


# Section 4: logarithms by table.


class NoCode:
    ram = None

    def find(self, b, place):
        return None

    def aim(self, b, place, target):
        return None

    def variable(self, b, place, aligned):
        if self.ram and aligned:
            address = (u32(b, 0) - self.ram[0]) & U32
            if address < self.ram[1]:
                return (address, 4, True)
        return None

    def move(self, b, address):
        return ((address + self.ram[0]) & U32).to_bytes(4, "little") + b[4:]


def halves(first, second, rest):
    return first.to_bytes(2, "little") + second.to_bytes(2, "little") + rest


class Thumb(NoCode):
    ram = (0x1FFF0000, 0x110000)

    def find(self, b, place):
        if place % 2:
            return None
        f, s = u16(b, 0), u16(b, 2)
        start = place + 4
        if f & 0xF800 == 0xF000 and s & 0xD000 in (0xD000, 0x9000):
            sign = f >> 10 & 1
            i1 = 1 ^ (s >> 13 & 1) ^ sign
            i2 = 1 ^ (s >> 11 & 1) ^ sign
            d = sx(sign << 24 | i1 << 23 | i2 << 22 | (f & 0x3FF) << 12 | (s & 0x7FF) << 1, 25)
            return (0 if s & 0x4000 else 1, True, 4, (start + d) & U32)
        if f & 0xF800 == 0xF000 and s & 0xD000 == 0x8000 and f >> 7 & 7 != 7:
            d = sx((f >> 10 & 1) << 20 | (s >> 11 & 1) << 19 | (s >> 13 & 1) << 18 | (f & 0x3F) << 12 | (s & 0x7FF) << 1, 21)
            return (1, False, 4, (start + d) & U32)
        if f & 0xFF7F == 0xF85F:
            d = s & 0xFFF
            return (3, False, 4, ((start & ~3) + (d if f & 0x80 else -d)) & U32)
        if f & 0xF800 == 0x4800:
            return (3, False, 2, ((start & ~3) + 4 * (f & 0xFF)) & U32)
        if f & 0xF800 == 0xE000:
            return (2, False, 2, (start + sx(2 * (f & 0x7FF), 12)) & U32)
        if f & 0xF000 == 0xD000 and f & 0x0E00 != 0x0E00:
            return (2, False, 2, (start + sx(2 * (f & 0xFF), 9)) & U32)
        if f & 0xF500 == 0xB100:
            return (2, False, 2, (start + ((f >> 9 & 1) << 6 | (f >> 3 & 0x1F) << 1)) & U32)
        return None

    def aim(self, b, place, target):
        f, s = u16(b, 0), u16(b, 2)
        start = place + 4
        d = sx(target - start, 32)
        u = d & U32

        def fits(bits):
            return sx(d, bits) == d and d % 2 == 0

        pool = sx(target - (start & ~3), 32)
        if f & 0xF800 == 0xF000 and s & 0xD000 in (0xD000, 0x9000):
            if not fits(25):
                return None
            sign = u >> 24 & 1
            j1 = 1 ^ (u >> 23 & 1) ^ sign
            j2 = 1 ^ (u >> 22 & 1) ^ sign
            f = f & 0xF800 | sign << 10 | u >> 12 & 0x3FF
            s = s & 0xD000 | j1 << 13 | j2 << 11 | u >> 1 & 0x7FF
        elif f & 0xF800 == 0xF000 and s & 0xD000 == 0x8000 and f >> 7 & 7 != 7:
            if not fits(21):
                return None
            f = f & ~0x43F | (u >> 20 & 1) << 10 | u >> 12 & 0x3F
            s = s & ~0x2FFF | (u >> 18 & 1) << 13 | (u >> 19 & 1) << 11 | u >> 1 & 0x7FF
        elif f & 0xFF7F == 0xF85F:
            if abs(pool) > 0xFFF:
                return None
            f = f & ~0x80 | (0x80 if pool >= 0 else 0)
            s = s & 0xF000 | abs(pool)
        elif f & 0xF800 == 0x4800:
            if not 0 <= pool <= 0x3FC or pool % 4:
                return None
            f = f & 0xFF00 | pool >> 2
        elif f & 0xF800 == 0xE000:
            if not fits(12):
                return None
            f = f & 0xF800 | u >> 1 & 0x7FF
        elif f & 0xF000 == 0xD000:
            if not fits(9):
                return None
            f = f & 0xFF00 | u >> 1 & 0xFF
        else:
            if not 0 <= d <= 0x7E or d % 2:
                return None
            f = f & ~0x2F8 | (d >> 6 & 1) << 9 | (d >> 1 & 0x1F) << 3
        return halves(f, s, b[4:])


class Avr(NoCode):
    def find(self, b, place):
        if place % 2:
            return None
        f, s = u16(b, 0), u16(b, 2)
        start = place + 2
        if f & 0xFE0C == 0x940C:
            return (0, True, 4, 2 * ((f >> 3 & 0x3E | f & 1) << 16 | s))
        if f & 0xE000 == 0xC000:
            call = f & 0x1000 != 0
            return (1 if call else 2, call, 2, (start + 2 * sx(f & 0xFFF, 12)) & U32)
        if f & 0xF800 == 0xF000:
            return (2, False, 2, (start + 2 * sx(f >> 3 & 0x7F, 7)) & U32)
        return None

    def aim(self, b, place, target):
        f, s = u16(b, 0), u16(b, 2)
        if target % 2:
            return None
        if f & 0xFE0C == 0x940C:
            word = target >> 1
            if word >> 16 >= 64:
                return None
            return halves(f & 0xFE0E | (word >> 16 & 0x3E) << 3 | word >> 16 & 1, word & 0xFFFF, b[4:])
        if (target - place) % 2:
            return None
        words = sx(target - (place + 2), 32) >> 1
        if f & 0xE000 == 0xC000:
            return halves(f & 0xF000 | words & 0xFFF, s, b[4:]) if -2048 <= words < 2048 else None
        return halves(f & 0xFC07 | (words & 0x7F) << 3, s, b[4:]) if -64 <= words < 64 else None

    def variable(self, b, place, aligned):
        if place % 2:
            return None
        f, s = u16(b, 0), u16(b, 2)
        if f & 0xFC0F == 0x9000:
            return (s, 4, True)
        if f & 0xF000 == 0xE000 and s & 0xF000 == 0xE000 and not f & 0x10 and s & 0xF0 == (f & 0xF0) + 0x10:
            address = (f >> 4 & 0xF0 | f & 15) | (s >> 4 & 0xF0 | s & 15) << 8
            if address >= 0x100:
                return (address, 4, False)
        return None

    def move(self, b, address):
        f, s = u16(b, 0), u16(b, 2)
        if f & 0xFC0F == 0x9000:
            return halves(f, address & 0xFFFF, b[4:])

        def load(x, v):
            return x & 0xF0F0 | (v & 0xF0) << 4 | v & 15

        return halves(load(f, address & 0xFF), load(s, address >> 8 & 0xFF), b[4:])


class RiscV(NoCode):
    ram = (0x3FC80000, 0x380000)

    def pair(self, f, s):
        if f & 0x7F != 0x17 or s >> 15 & 31 != f >> 7 & 31:
            return None
        if s & 0x7F == 0x67:
            return (1, False)
        if s & 0x707F == 0x13 or s & 0x7F == 3:
            return (2, False)
        if s & 0x7F == 0x23:
            return (2, True)
        return None

    def find(self, b, place):
        if place % 2:
            return None
        f, s = u32(b, 0), u32(b, 4)
        if f & 0x7F == 0x6F and f >> 7 & 31 <= 1:
            d = sx((f >> 31) << 20 | f & 0xFF000 | (f >> 20 & 1) << 11 | (f >> 21 & 0x3FF) << 1, 21)
            return (0, True, 4, (place + d) & U32)
        pair = self.pair(f, s)
        if not pair:
            return None
        low = sx(s >> 25 << 5 | s >> 7 & 31, 12) if pair[1] else sx(s >> 20, 12)
        return (pair[0], True, 8, (place + (f & 0xFFFFF000) + low) & U32)

    def aim(self, b, place, target):
        f, s = u32(b, 0), u32(b, 4)
        u = (target - place) & U32
        if f & 0x7F == 0x6F:
            d = sx(u, 32)
            if sx(d, 21) != d or d % 2:
                return None
            f = f & 0xFFF | (u >> 20 & 1) << 31 | (u >> 1 & 0x3FF) << 21 | (u >> 11 & 1) << 20 | u & 0xFF000
        else:
            store = self.pair(f, s)[1]
            f = f & 0xFFF | (u + 0x800) & 0xFFFFF000
            if store:
                s = s & 0x1FFF07F | (u >> 5 & 0x7F) << 25 | (u & 31) << 7
            else:
                s = s & 0xFFFFF | (u & 0xFFF) << 20
        return f.to_bytes(4, "little") + s.to_bytes(4, "little")


class Tc32(NoCode):
    ram = (0x840000, 0x10000)

    def find(self, b, place):
        f, s = u16(b, 0), u16(b, 2)
        if place % 2 or f & 0xF800 != 0x9000 or s & 0xF800 != 0x9800:
            return None
        return (0, True, 4, (place + 4 + sx((f & 0x7FF) << 12 | (s & 0x7FF) << 1, 23)) & U32)

    def aim(self, b, place, target):
        f, s = u16(b, 0), u16(b, 2)
        d = sx(target - place - 4, 32)
        if sx(d, 23) != d or d % 2:
            return None
        return halves(f & 0xF800 | d >> 12 & 0x7FF, s & 0xF800 | d >> 1 & 0x7FF, b[4:])


class Xtensa(NoCode):
    ram = (0x3FC80000, 0x380000)

    def find(self, b, place):
        w = b[0] | b[1] << 8 | b[2] << 16
        if w & 15 == 5:
            return (0, True, 3, ((place & ~3) + 4 + 4 * sx(w >> 6, 18)) & U32)
        if w & 15 == 1:
            return (1, True, 3, ((place + 3 & ~3) + 0xFFFC0000 + 4 * (w >> 8)) & U32)
        if w & 63 == 6:
            return (2, False, 3, (place + 4 + sx(w >> 6, 18)) & U32)
        return None

    def aim(self, b, place, target):
        w = b[0] | b[1] << 8 | b[2] << 16
        if w & 15 == 5:
            d = sx(target - (place & ~3) - 4, 32)
            if d % 4 or sx(d >> 2, 18) != d >> 2:
                return None
            w = w & 63 | (d >> 2 & 0x3FFFF) << 6
        elif w & 15 == 1:
            d = (target - (place + 3 & ~3)) & U32
            if d % 4 or d < 0xFFFC0000:
                return None
            w = w & 255 | (d >> 2 & 0xFFFF) << 8
        else:
            d = sx(target - place - 4, 32)
            if sx(d, 18) != d:
                return None
            w = w & 63 | (d & 0x3FFFF) << 6
        return w.to_bytes(3, "little") + b[3:]


SETS = [NoCode, Thumb, Avr, RiscV, Tc32, Xtensa]
