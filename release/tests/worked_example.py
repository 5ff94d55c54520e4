"""Checks FORMAT.md's worked examples from the page alone, with other people's cryptography.

Run: python release/tests/worked_example.py (needs the PyPI packages `cryptography` and `pyhpke`).
Prints one line and exits 0 when the examples hold. Knows nothing of the Rust code. What must be
refused (a changed byte, another binding, another place of a chunk) is tried as well.
"""

import hashlib
import hmac
import json
import pathlib
import re
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from pyhpke import AEADId, CipherSuite, KDFId, KEMId
from pyhpke.exceptions import OpenError

ROOM = pathlib.Path(__file__).parent.parent
PAGE = (ROOM / "FORMAT.md").read_text()
HPKE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
INFO = b"flashline content key wrap v1"


def sha256(data):
    return hashlib.sha256(data).digest()


def key_of(purpose):
    """The page: every example key is the SHA-256 of its purpose."""
    return sha256(purpose.encode())


def canonical(value):
    """The OLPC form: sorted keys, no white space, only `\\` and `"` escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    return "{" + ",".join(f"{canonical(k)}:{canonical(value[k])}" for k in sorted(value)) + "}"


def lines_of(section):
    """The lines of a section's text blocks."""
    text = re.split(rf"^## {section}\. ", PAGE, flags=re.M)[1]
    text = re.split(r"^## ", text, flags=re.M)[0]
    blocks = re.findall(r"```text\n(.*?)```", text, flags=re.S)
    return [line for block in blocks for line in block.splitlines()]


def documents(section):
    """The JSON documents among them, each of which must be in its one spelling."""
    found = [line for line in lines_of(section) if line.startswith("{")]
    for line in found:
        assert canonical(json.loads(line)) == line, line
    return found


def key_id(public):
    entry = {"keytype": "ed25519", "keyval": {"public": public.hex()}, "scheme": "ed25519"}
    return sha256(canonical(entry).encode()).hex()


def good_signatures(document, keys):
    """How many of these public keys signed."""
    message, good = canonical(document["signed"]).encode(), 0
    given = {each["keyid"]: bytes.fromhex(each["sig"]) for each in document["signatures"]}
    for public in keys:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(given[key_id(public)], message)
            good += 1
        except (InvalidSignature, KeyError):
            pass
    return good


def must_refuse(what, attempt, *errors):
    try:
        attempt()
    except errors:
        return
    raise AssertionError(f"not refused: {what}")


# Sealed chunks.


def nonce(image, chunk, last):
    return bytes(5) + struct.pack(">HI", image, chunk) + bytes([last])


def seal_header(manifest, channel, image):
    entry = manifest["images"][image]
    return canonical({
        "channel": channel, "chunk_bytes": manifest["chunk_bytes"], "format": "flashline-seal",
        "image": entry["name"], "image_bytes": entry["bytes"], "image_number": image,
        "product": manifest["product"], "tenant": manifest["tenant"], "v": 1,
        "version": manifest["version"],
    }).encode()


def open_image(manifest, channel, image, key, read_chunk):
    """The plain stream of an image: length, digest, authentication, digests of its segments."""
    entry = manifest["images"][image]
    sealed = next(each for each in manifest["sealed"] if each["channel"] == channel)
    digests = sealed["images"][image]["chunks"]
    additional, size, plain = sha256(seal_header(manifest, channel, image)), 0, b""
    assert len(digests) == -(-entry["bytes"] // manifest["chunk_bytes"])
    for number, digest in enumerate(digests):
        size = min(manifest["chunk_bytes"], entry["bytes"] - len(plain))
        chunk = read_chunk(digest)
        assert len(chunk) == size + 16 and sha256(chunk).hex() == digest
        last = number + 1 == len(digests)
        plain += AESGCM(key).decrypt(nonce(image, number, last), chunk, additional)
    pieces, at = [], 0
    for segment in entry["segments"]:
        piece = plain[at:at + segment["bytes"]]
        assert sha256(piece).hex() == segment["sha256"]
        pieces.append((segment["address"], piece))
        at += segment["bytes"]
    assert at == len(plain) == entry["bytes"]
    return pieces


# Wrapped content keys.


def binding(tenant, release, channel, receiver, public, lease_version):
    return canonical({
        "channel": channel, "format": "flashline-wrap", "lease_version": lease_version,
        "receiver": receiver, "receiver_key_sha256": sha256(public).hex(), "release": release,
        "tenant": tenant, "v": 1,
    }).encode()


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def clamped(private):
    """An X25519 private key as RFC 7748 uses it."""
    return bytes([private[0] & 248]) + private[1:31] + bytes([private[31] & 127 | 64])


def unwrap(wrapped, private, additional, info=INFO):
    assert len(wrapped) == 80
    key = HPKE.kem.deserialize_private_key(private)
    return HPKE.create_recipient_context(wrapped[:32], key, info=info).open(
        wrapped[32:], aad=additional)


def check_manifests():
    """Seals the example image anew: every chunk must have the digest the manifest gives it."""
    one, several = (line for line in documents(2))
    digests = [line for line in lines_of(2) if re.fullmatch("[0-9a-f]{64}", line)]
    assert digests == [sha256(one.encode()).hex(), sha256(several.encode()).hex()]
    manifest = json.loads(one)
    plain = bytes((7 * i + 3) % 256 for i in range(300))
    for place, channel in enumerate(["production", "rework"]):
        key = sha256(struct.pack(">Q", place))
        chunks = {}
        for number in range(5):
            part = plain[64 * number:64 * (number + 1)]
            additional = sha256(seal_header(manifest, channel, 0))
            chunk = AESGCM(key).encrypt(nonce(0, number, number == 4), part, additional)
            chunks[sha256(chunk).hex()] = chunk
        assert open_image(manifest, channel, 0, key, chunks.__getitem__) == [(0, plain)]
        other = sha256(b"another key")
        must_refuse("another key", lambda: open_image(
            manifest, channel, 0, other, chunks.__getitem__), InvalidTag)
        must_refuse("a missing chunk", lambda: open_image(
            manifest, channel, 0, key, {}.__getitem__), KeyError)
    return one


def check_chunks():
    header, header_sha256, *pairs = lines_of(3)
    assert canonical(json.loads(header)) == header
    assert sha256(header.encode()).hex() == header_sha256
    key, additional = key_of("content key"), bytes.fromhex(header_sha256)
    first, first_sealed, last, last_sealed = (bytes.fromhex(line) for line in pairs)
    assert (first, last) == (nonce(0, 0, False), nonce(0, 1, True))
    assert AESGCM(key).decrypt(first, first_sealed, additional) == b"sixteen bytes :)"
    assert AESGCM(key).decrypt(last, last_sealed, additional) == b"four"
    cut = nonce(0, 1, False)
    must_refuse("a chunk that is not the last", lambda: AESGCM(key).decrypt(
        cut, last_sealed, additional), InvalidTag)


def check_wraps(manifest):
    private, public, additional, wrapped = lines_of(4)[:4]
    private, wrapped = bytes.fromhex(private), bytes.fromhex(wrapped)
    assert private == clamped(key_of("station"))
    assert public == public_of(private).hex() == public_of(key_of("station")).hex()
    release = sha256(b"release").hex()
    ours = binding("acme", release, "production", "station", bytes.fromhex(public), 7)
    assert ours == additional.encode()
    assert unwrap(wrapped, private, ours) == key_of("content key")
    later = binding("acme", release, "production", "station", bytes.fromhex(public), 8)
    must_refuse("another lease", lambda: unwrap(wrapped, private, later), OpenError)
    must_refuse("another station", lambda: unwrap(wrapped, key_of("x"), ours), OpenError)

    additional, sealed = lines_of(4)[4:6]
    sealed = bytes.fromhex(sealed)
    key = HPKE.kem.deserialize_private_key(private)
    parcel = HPKE.create_recipient_context(sealed[:32], key, info=b"flashline secret parcel v1")
    assert parcel.open(sealed[32:], aad=additional.encode()) == bytes.fromhex("02006869")
    assert json.loads(additional)["receiver_key_sha256"] == sha256(bytes.fromhex(public)).hex()

    hub_wrap, hub_keys = (json.loads(line) for line in documents(4)[2:])
    hub, digest = key_of("hub release"), sha256(manifest.encode()).hex()
    assert hub_keys["release"] == public_of(hub).hex()
    assert hub_wrap["hub_key_sha256"] == sha256(public_of(hub)).hex()
    assert hub_wrap["manifest_sha256"] == digest
    for place, each in enumerate(hub_wrap["wraps"]):
        bound = binding("acme", digest, each["channel"], "hub", public_of(hub), 0)
        key = unwrap(bytes.fromhex(each["wrapped_key"]), hub, bound)
        assert key == sha256(struct.pack(">Q", place))


def signing(purpose):
    private = Ed25519PrivateKey.from_private_bytes(key_of(purpose))
    return private.public_key().public_bytes_raw()


def check_trust(manifest):
    root, lease_keys, targets, product, snapshot, timestamp = documents(5)
    digest, words = lines_of(5)[1:3]
    assert sha256(root.encode()).hex() == digest
    known = re.findall(r'^    "([a-z]+)",$', (ROOM / "src/words.rs").read_text(), flags=re.M)
    assert len(known) == 256
    assert words == " ".join(known[byte] for byte in bytes.fromhex(digest)[:8])
    signers = [(root, "root"), (targets, "targets"), (product, "lamp"),
               (snapshot, "hub snapshot"), (timestamp, "hub timestamp")]
    for document, purpose in signers:
        document = json.loads(document)
        assert good_signatures(document, [signing(purpose)]) == 1, purpose
        document["signed"]["version"] += 1
        assert good_signatures(document, [signing(purpose)]) == 0, purpose
    for above, name, below in [(snapshot, "targets.json", targets),
                               (snapshot, "demo-lamp.json", product),
                               (timestamp, "snapshot.json", snapshot)]:
        pin = json.loads(above)["signed"]["meta"][name]
        assert pin["length"] == len(below)
        assert pin["hashes"]["sha256"] == sha256(below.encode()).hex()
    target = json.loads(product)["signed"]["targets"]["demo-lamp/1.0.0.json"]
    assert target["hashes"]["sha256"] == sha256(manifest.encode()).hex()
    assert target["length"] == len(manifest)
    target = json.loads(targets)["signed"]["targets"]["lease-keys.json"]
    assert target["hashes"]["sha256"] == sha256(lease_keys.encode()).hex()
    return json.loads(lease_keys)


def check_lease(lease_keys, manifest):
    (lease,) = (json.loads(line) for line in documents(6))
    keys = [bytes.fromhex(key) for key in lease_keys["keys"]]
    assert good_signatures(lease, keys) == lease_keys["threshold"] == 1
    private, terms = key_of("station"), lease["signed"]
    assert terms["station_key_sha256"] == sha256(public_of(private)).hex()
    (leased,), (wrap,) = terms["releases"], lease["wraps"]
    assert leased["manifest_sha256"] == sha256(manifest.encode()).hex()
    assert leased["wrapped_key_sha256"] == sha256(bytes.fromhex(wrap)).hex()
    bound = binding(terms["tenant"], leased["manifest_sha256"], leased["channel"], "station",
                    public_of(private), terms["version"])
    assert unwrap(bytes.fromhex(wrap), private, bound) == sha256(struct.pack(">Q", 0))
    terms["not_after_ms"] += 1
    assert good_signatures(lease, keys) == 0


def check_roster(lease_keys):
    pepper, additional, roster = lines_of(7)
    pepper, roster = bytes.fromhex(pepper), json.loads(documents(7)[1])
    keys = [bytes.fromhex(key) for key in lease_keys["keys"]]
    assert good_signatures(roster, keys) == 1
    private, terms = key_of("station"), roster["signed"]
    station = sha256(public_of(private)).hex()
    assert terms["station_key_sha256"] == json.loads(additional)["station_key_sha256"] == station
    sealed, info = bytes.fromhex(terms["pepper"]), b"flashline pepper seal v1"
    opened = unwrap(sealed, private, additional.encode(), info)
    assert opened == pepper == key_of("pepper")
    must_refuse("a content key's purpose", lambda: unwrap(
        sealed, private, additional.encode()), OpenError)
    people = {person["number"]: person for person in terms["operators"]}
    badge = hmac.digest(pepper, b"flashline badge v1\nB-0012", "sha256")
    assert people[12]["badge"] == badge.hex()
    for number, digits in [(12, b"271828"), (40, b"314159")]:
        counted = struct.pack(">I", number)
        pin = people[number]["pin"]
        assert pin["salt"] == sha256(counted)[:16].hex()
        argon2 = Argon2id(salt=bytes.fromhex(pin["salt"]), length=32, iterations=2, lanes=1,
                          memory_cost=19456)
        password = hmac.digest(pepper, b"flashline pin v1\n" + counted + digits, "sha256")
        assert argon2.derive(password).hex() == pin["hash"]
    assert "pin" not in people[7]
    people[7]["disabled"] = True
    assert good_signatures(roster, keys) == 0


def main():
    check_chunks()
    manifest = check_manifests()
    check_wraps(manifest)
    lease_keys = check_trust(manifest)
    check_lease(lease_keys, manifest)
    check_roster(lease_keys)
    print("the worked examples of release/FORMAT.md hold")


if __name__ == "__main__":
    sys.exit(main())
