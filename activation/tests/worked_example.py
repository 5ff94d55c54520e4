"""Checks FORMAT.md's worked example from the page alone, with other people's cryptography.

Run: python3 activation/tests/worked_example.py (needs the PyPI package `cryptography`).
Prints one line and exits 0 when the example holds. Knows nothing of the Rust code.
"""

import hashlib
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U"


def example():
    page = (pathlib.Path(__file__).parent.parent / "FORMAT.md").read_text()
    lines = page.split("## Worked example")[1].split("```text\n")[1].split("```")[0].splitlines()
    fields, name = {}, None
    for line in lines:
        name = line[:13].strip() or name
        fields[name] = fields.get(name, "") + line[13:]
    return fields


def context(words):
    return words.encode().ljust(32, b"\0")


def prefixed(*parts):
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def code_for(product, family, uid):
    text = context("flashline activation code") + prefixed(product.encode(), family.encode(), uid)
    number = int.from_bytes(hashlib.sha256(text).digest()[:10], "big")
    digits = "".join(CROCKFORD[number >> shift & 31] for shift in range(75, -1, -5))
    digits += CROCKFORD[number % 37]
    return "-".join(digits[at : at + 4] for at in range(0, 17, 4))


def main():
    fields = example()
    product, family = fields["product"], fields["family"]
    uid, block = bytes.fromhex(fields["uid"]), bytes.fromhex(fields["block"])
    certificate = bytes.fromhex(fields["certificate"])
    product_key = bytes.fromhex(fields["product key"])

    (magic, version, scheme, length, family_bytes, uid_bytes, zero, family_field, uid_field, index,
     code, zeros, inner, signature) = struct.unpack("<4sBBHBBH16s16sI17s3s156s64s", block)
    assert (magic, version, scheme, length, zero, zeros) == (b"FLAB", 1, 1, len(block), 0, b"\0\0\0")
    assert family_field == family.encode().ljust(16, b"\0") and family_bytes == len(family)
    assert uid_field == uid.ljust(16, b"\0") and uid_bytes == len(uid)
    assert index == int(fields["index"]) and inner == certificate
    assert code_for(product, family, uid) == fields["code"]
    assert code.decode() == fields["code"].replace("-", "")

    (magic, version, scheme, hint, digest, allotment, quota, station_key,
     certified) = struct.unpack("<4sBB2s32s16sI32s64s", certificate)
    assert (magic, version, scheme, hint) == (b"FLAC", 1, 1, product_key[:2])
    assert digest == hashlib.sha256(
        context("flashline product") + prefixed(product.encode())).digest()
    assert allotment.hex() == fields["allotment"] and quota == int(fields["quota"]) > index
    assert station_key.hex() == fields["station key"]

    Ed25519PublicKey.from_public_bytes(product_key).verify(
        certified, context("flashline allotment certificate") + certificate[:92])
    Ed25519PublicKey.from_public_bytes(station_key).verify(
        signature, context("flashline activation block") + block[:224])
    print("the worked example of activation/FORMAT.md holds")


if __name__ == "__main__":
    sys.exit(main())
