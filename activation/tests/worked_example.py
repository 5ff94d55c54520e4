"""Checks FORMAT.md's worked examples from the page alone, with other people's cryptography.

Run: python3 activation/tests/worked_example.py (needs the PyPI package `cryptography`).
Prints one line and exits 0 when the examples hold. Knows nothing of the Rust code. Every judge is
also given the example with one byte changed and for another chip, and must refuse both.
"""

import hashlib
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import constant_time, hashes, hmac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U"


class Refused(Exception):
    """These bytes are not good for this chip."""


def demand(condition, what):
    if not condition:
        raise Refused(what)


def examples():
    page = (pathlib.Path(__file__).parent.parent / "FORMAT.md").read_text()
    fields, name = {}, None
    for block in page.split("## Worked example")[1].split("```text\n")[1:]:
        for line in block.split("```")[0].splitlines():
            name = line[:13].strip() or name
            fields[name] = fields.get(name, "") + line[13:]
    return fields


def context(words):
    return words.encode().ljust(32, b"\0")


def prefixed(*parts):
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def code_for(product, family, uid):
    text = context("flashline activation code") + prefixed(product.encode(), family.encode(), uid)
    number = int.from_bytes(hashlib.sha256(text).digest()[:10], "big")
    digits = "".join(CROCKFORD[number >> shift & 31] for shift in range(75, -1, -5))
    return digits + CROCKFORD[number % 37]


def product_digest(product):
    return sha256(context("flashline product"), prefixed(product.encode()))


def verify(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise Refused("signature") from None


class Chip:
    """What a reader knows: product, family, UID, product key."""

    def __init__(self, product, family, uid, product_key):
        self.product, self.family, self.uid = product, family, uid
        self.product_key = product_key

    def header(self, block, magic, mode):
        """Checks the first 48 bytes; gives the index."""
        demand(len(block) >= 48, "length")
        (found, version, found_mode, length, family_bytes, uid_bytes, zero, family, uid,
         index) = struct.unpack("<4sBBHBBH16s16sI", block[:48])
        demand((found, version, found_mode) == (magic, 1, mode), "magic, version or mode")
        demand(length == len(block) and zero == 0, "length")
        demand(family_bytes == len(self.family), "family")
        demand(family == self.family.encode().ljust(16, b"\0"), "family")
        demand(uid_bytes == len(self.uid) and uid == self.uid.ljust(16, b"\0"), "UID")
        return index

    def certificate(self, certificate, index):
        """Checks 156 bytes; gives the station's key."""
        demand(len(certificate) == 156, "length")
        (magic, version, scheme, hint, digest, _, quota, station_key,
         signature) = struct.unpack("<4sBB2s32s16sI32s64s", certificate)
        demand((magic, version, scheme) == (b"FLAC", 1, 1), "certificate")
        demand(hint == self.product_key[:2], "key hint")
        demand(digest == product_digest(self.product), "product")
        demand(index < quota, "quota")
        message = context("flashline allotment certificate") + certificate[:92]
        verify(self.product_key, signature, message)
        return station_key

    def signed(self, block, mode):
        """Modes ed25519 and stored."""
        demand(len(block) == 288, "length")
        index = self.header(block, b"FLAB", mode)
        demand(block[48:68] == code_for(self.product, self.family, self.uid).encode() + bytes(3),
               "code")
        station_key = self.certificate(block[68:224], index)
        verify(station_key, block[224:], context("flashline activation block") + block[:224])

    def mac(self, block, secret):
        """Mode hmac-sha256."""
        demand(len(block) == 160, "length")
        self.header(block, b"FLAB", 3)
        demand(block[48:68] == code_for(self.product, self.family, self.uid).encode() + bytes(3),
               "code")
        demand(block[68:100] == product_digest(self.product), "product")
        demand(block[116:128] == bytes(12), "zeros")
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(context("flashline activation mac block") + block[:128])
        demand(constant_time.bytes_eq(mac.finalize(), block[128:]), "MAC")

    def pool(self, block):
        """Mode pool; gives the columns as (secret?, bytes), and which is the code."""
        demand(len(block) % 32 == 0 and 292 <= len(block) <= 4096, "length")
        index = self.header(block, b"FLAB", 4)
        demand(block[48:68] == bytes(20), "zeros")
        count, code, area = struct.unpack("<BBH", block[224:228])
        demand(-(228 + area + 64) % 32 == len(block) - (228 + area + 64), "padding")
        demand(not any(block[228 + area:-64]), "padding")
        columns, at = [], 228
        for _ in range(count):
            demand(at + 4 <= 228 + area, "columns")
            length, secret, zero = struct.unpack("<HBB", block[at:at + 4])
            demand(secret in (0, 1) and zero == 0, "column")
            columns.append((secret, block[at + 4:at + 4 + length]))
            at += 4 + length
        demand(at == 228 + area and code < count and columns[code][0] == 0, "columns")
        station_key = self.certificate(block[68:224], index)
        verify(station_key, block[-64:], context("flashline pool block") + sha256(block[:-64]))
        return columns, code

    def receipt(self, receipt):
        """Gives the code and what names the credential."""
        demand(len(receipt) == 364, "length")
        index = self.header(receipt, b"FLAR", 4)
        station_key = self.certificate(receipt[144:300], index)
        verify(station_key, receipt[300:], context("flashline pool receipt") + receipt[:300])
        return receipt[48:112].rstrip(b"\0"), receipt[112:144]


def refuses(judge, chip, good):
    """The judge must refuse every changed byte, and the same bytes on another chip."""
    def refused(chip, block):
        try:
            judge(chip, block)
        except Refused:
            return True
        return False

    assert not refused(chip, good)
    for at in range(len(good)):
        assert refused(chip, good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]), at
    other = Chip(chip.product, chip.family, chip.uid[:-1] + b"\xee", chip.product_key)
    assert refused(other, good)
    assert refused(Chip("demo-fan", chip.family, chip.uid, chip.product_key), good)


def main():
    fields = examples()
    of = lambda name: bytes.fromhex(fields[name])
    chip = Chip(fields["product"], fields["family"], of("uid"), of("product key"))
    code = code_for(chip.product, chip.family, chip.uid)
    assert "-".join(code[at:at + 4] for at in range(0, 17, 4)) == fields["code"]
    block, certificate = of("block"), of("certificate")
    assert block[68:224] == certificate and block[44:48] == struct.pack("<I", int(fields["index"]))
    assert certificate[40:56] == of("allotment") and certificate[60:92] == of("station key")
    assert certificate[56:60] == struct.pack("<I", int(fields["quota"]))

    refuses(lambda chip, block: chip.signed(block, 1), chip, block)
    refuses(lambda chip, block: chip.signed(block, 2), chip, of("stored"))
    refuses(lambda chip, block: chip.mac(block, of("mac secret")), chip, of("mac block"))
    refuses(Chip.pool, chip, of("pool block"))
    refuses(Chip.receipt, chip, of("receipt"))

    columns, which = chip.pool(of("pool block"))
    values = fields["row"].split(",")
    expected = [(0, values[0].encode()), (0, values[1].encode()), (1, bytes.fromhex(values[2]))]
    assert (columns, which) == (expected, 1)
    public = [value for secret, value in columns if not secret]
    secrets = [value for secret, value in columns if secret]
    named = sha256(context("flashline pool credential"), prefixed(*public))
    assert named == of("credential")
    assert b"".join(struct.pack("<H", len(s)) + s for s in secrets) == of("secrets")
    assert chip.receipt(of("receipt")) == (public[which], named)
    print("the worked examples of activation/FORMAT.md hold, in every mode")


if __name__ == "__main__":
    sys.exit(main())
