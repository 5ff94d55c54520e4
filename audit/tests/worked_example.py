"""Checks FORMAT.md's worked example from the page alone, with other people's cryptography.

Run: python3 audit/tests/worked_example.py (needs the PyPI package `cryptography`).
Prints one line and exits 0 when the example holds. Knows nothing of the Rust code.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def parts():
    page = (pathlib.Path(__file__).parent.parent / "FORMAT.md").read_text()
    blocks = page.split("## Worked example")[1].split("```text\n")[1:]
    return [block.split("```")[0] for block in blocks]


def sha256(data):
    return hashlib.sha256(data).digest()


def root_of(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return sha256(b"\x01" + root_of(leaves[:left]) + root_of(leaves[left:]))


def root_by(leaf, place, size, proof):
    """RFC 6962, 2.1.1: the root that an inclusion proof leads to."""
    last, node = size - 1, leaf
    for sibling in proof:
        assert last > 0, "too long a proof"
        if place % 2 == 1 or place == last:
            node = sha256(b"\x01" + sibling + node)
            while place % 2 == 0 and place != 0:
                place, last = place // 2, last // 2
        else:
            node = sha256(b"\x01" + node + sibling)
        place, last = place // 2, last // 2
    assert last == 0, "too short a proof"
    return node


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def signature_of(lines, name, kind, key):
    key_id = sha256(name.encode() + b"\n" + bytes([kind]) + key)[:4]
    for line in lines:
        dash, found, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)
        if (dash, found, signature[:4]) == ("\u2014", name, key_id):
            return signature[4:]
    raise AssertionError("no signature by " + name)


def main():
    keys, records, leaves, root, checkpoint, export, partial = parts()
    journal_key, hub_key = (bytes.fromhex(key) for key in keys.split())
    records = records.splitlines()
    for seq, record in enumerate(records):
        fields = json.loads(record)
        assert canonical(fields) == record and fields["v"] == 1 and fields["seq"] == seq
    hashes = [sha256(b"\0" + record.encode()) for record in records]
    assert [leaf.hex() for leaf in hashes] == leaves.split()
    assert root_of(hashes).hex() == root.strip()

    text, lines = checkpoint.rsplit("\n\n", 1)
    text, lines = text + "\n", lines.splitlines()
    origin, size, signed_root = text.splitlines()
    assert int(size) == len(records) and base64.b64decode(signed_root).hex() == root.strip()
    signature = signature_of(lines, origin, 1, journal_key)
    Ed25519PublicKey.from_public_bytes(journal_key).verify(signature, text.encode())
    stamped = signature_of(lines, "flashline/acme/hub", 4, hub_key)
    (seen_s,) = struct.unpack(">Q", stamped[:8])
    message = f"cosignature/v1\ntime {seen_s}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(hub_key).verify(stamped[8:], message)
    assert seen_s == 1795176060

    header, *rest = export.splitlines()
    assert json.loads(header) == {
        "format": "flashline-journal", "v": 1, "complete": True, "checkpoint": checkpoint}
    assert [canonical(json.loads(line)["record"]) for line in rest] == records
    assert [canonical(json.loads(line)) for line in [header, *rest]] == [header, *rest]

    header, line = partial.splitlines()
    assert json.loads(header) == {
        "format": "flashline-journal", "v": 1, "complete": False, "checkpoint": checkpoint}
    fields = json.loads(line)
    assert canonical(fields) == line and sorted(fields) == ["proof", "record"]
    record, proof = fields["record"], [bytes.fromhex(node) for node in fields["proof"]]
    leaf = sha256(b"\0" + canonical(record).encode())
    assert root_by(leaf, record["seq"], int(size), proof).hex() == root.strip()
    proof[0] = sha256(proof[0])
    assert root_by(leaf, record["seq"], int(size), proof).hex() != root.strip()
    print("the worked example of audit/FORMAT.md holds")


if __name__ == "__main__":
    sys.exit(main())
