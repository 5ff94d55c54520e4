"""Judges a running hub with other people's programs: python-tuf, cryptography, pyhpke.

First call (`enrol`): enrols as a station by protocol/FORMAT.md and keeps keys and certificate in a
folder. Second call (`download`): python-tuf starts from the pinned root, refreshes from the hub and
verifies the named release; the lease is checked by the lease keys that TUF vouches for, the content
key unwrapped, every chunk fetched, checked and opened, and the plain image compared with the Intel
HEX file that R&D packed. Prints one line of JSON. Shares no code with ours but the reader of
release/FORMAT.md's examples.

A hub keeps the newest edition of each document: what TUF asks for as `3.targets.json` or by hash is
fetched by its plain name, and python-tuf finds out whether it is the right one.
"""

import argparse
import base64
import hashlib
import http.client
import json
import pathlib
import re
import ssl
import sys
import zlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tuf.api.exceptions import DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "release" / "tests"))
import worked_example as page  # noqa: E402

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def parts_of(code):
    """The enrolment code's fields, by protocol/FORMAT.md."""
    prefix, text = code[:4], code[4:].replace("-", "")
    assert prefix == "FL1-"
    bits = "".join(f"{ALPHABET.index(letter):05b}" for letter in text)
    whole = bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits) - 7, 8))
    body, check = whole[:-4], int.from_bytes(whole[-4:], "big")
    assert zlib.crc32(body) == check and body[0] == 1 and len(body) == 82 + body[81]
    return body[1:33], body[33:65], body[65:81], body[82:].decode()


class Hub:
    """The hub's station listener over TLS 1.3, its CA pinned by the code's hash."""

    def __init__(self, address, ca_pem, identity=None):
        self.host, port = address.rsplit(":", 1)
        context = ssl.create_default_context(cadata=ca_pem)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if identity:
            context.load_cert_chain(*identity)
        self.connection = http.client.HTTPSConnection(self.host, int(port), context=context)

    def ask(self, method, path, body=None):
        headers = {"content-type": "application/json"} if body else {}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def get(self, path):
        status, body = self.ask("GET", path)
        if status != 200:
            raise DownloadHTTPError(f"{path}: {status} {body[:200]!r}", status)
        return body


class Documents(FetcherInterface):
    """Where python-tuf gets a hub's documents from."""

    def __init__(self, hub):
        self.hub = hub

    def _fetch(self, url):
        name = url.split("/", 3)[3]
        if name.startswith("metadata/"):
            name = name.removeprefix("metadata/")
            if not name.endswith(".root.json"):
                name = re.sub(r"^\d+\.", "", name)
            path = name
        else:
            digest, plain = re.fullmatch(r"targets/(?:.+/)?([0-9a-f]{64})\.(.+)", name).groups()
            path = plain if plain == "lease-keys.json" else f"manifest/{digest}"
        yield self.hub.get(f"/v1/documents/{path}")


def enrol(args):
    ca_sha256, root_sha256, secret, address = parts_of(args.code)
    ca_pem = args.ca.read_text()
    ca = x509.load_pem_x509_certificate(ca_pem.encode())
    assert ca.fingerprint(hashes.SHA256()) == ca_sha256
    tls, hpke = ec.generate_private_key(ec.SECP256R1()), X25519PrivateKey.generate()
    journal = Ed25519PrivateKey.generate()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = request.sign(tls, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    body = {
        "secret": secret.hex(), "tls_csr_pem": csr.decode(),
        "hpke_key": hpke.public_key().public_bytes_raw().hex(),
        "journal_key": journal.public_key().public_bytes_raw().hex(), "key_protection": "none",
    }
    status, answer = Hub(address, ca_pem).ask("POST", "/v1/enrol", json.dumps(body))
    assert status == 200, answer
    answer = json.loads(answer)
    root = base64.b64decode(answer["root_json"])
    assert hashlib.sha256(root).digest() == root_sha256, "another root than the code's"
    statement = answer["statement"]
    message = b"flashline enrolment statement v1\n" + statement["payload"].encode()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(answer["hub_cosign_key"]))
    key.verify(bytes.fromhex(statement["signature"]), message)
    assert json.loads(statement["payload"])["hpke_key"] == body["hpke_key"]

    args.keep.mkdir()
    pem = tls.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    (args.keep / "tls.key").write_bytes(pem)
    (args.keep / "tls.pem").write_text(answer["certificate_pem"])
    (args.keep / "ca.pem").write_text(ca_pem)
    (args.keep / "root.json").write_bytes(root)
    kept = {"hub": address, "hpke": hpke.private_bytes_raw().hex(), "tenant": answer["tenant"]}
    (args.keep / "kept.json").write_text(json.dumps(kept))
    return {"journal_key": body["journal_key"], "tenant": answer["tenant"]}


def updater_for(args, hub, name):
    folder = args.keep / name
    folder.mkdir()
    (args.keep / f"{name}-targets").mkdir()
    return Updater(
        metadata_dir=str(folder), metadata_base_url="hub://hub/metadata/",
        target_dir=str(args.keep / f"{name}-targets"), target_base_url="hub://hub/targets/",
        fetcher=Documents(hub), config=UpdaterConfig(),
        bootstrap=(args.keep / "root.json").read_bytes())


def plain_of(hex_file):
    """Address and byte of an Intel HEX file's data records."""
    base, plain = 0, {}
    for line in hex_file.read_text().split():
        record = bytes.fromhex(line[1:])
        assert sum(record) % 256 == 0
        count, at, kind, data = record[0], int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        if kind == 0:
            plain.update({base + at + i: data[i] for i in range(count)})
        elif kind in (2, 4):
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
    return plain


def download(args):
    kept = json.loads((args.keep / "kept.json").read_text())
    identity = (str(args.keep / "tls.pem"), str(args.keep / "tls.key"))
    hub = Hub(kept["hub"], (args.keep / "ca.pem").read_text(), identity)

    updater = updater_for(args, hub, "tuf")
    updater.refresh()
    target = updater.get_targetinfo(f"{args.product}/{args.version}.json")
    assert target is not None and target.custom == {"v": 1, "withdrawn": False}
    manifest_bytes = pathlib.Path(updater.download_target(target)).read_bytes()
    manifest = json.loads(manifest_bytes)
    assert page.canonical(manifest).encode() == manifest_bytes
    assert (manifest["product"], manifest["version"]) == (args.product, args.version)
    target = updater.get_targetinfo("lease-keys.json")
    lease_keys = json.loads(pathlib.Path(updater.download_target(target)).read_bytes())
    # A name that no product's people signed for is found nowhere.
    assert updater.get_targetinfo("other/1.0.0.json") is None
    assert updater.get_targetinfo(f"{args.product}/9.9.9.json") is None

    # A root that was changed on the way is not where python-tuf starts from.
    (args.keep / "root.json").write_bytes(
        (args.keep / "root.json").read_bytes().replace(b'"version":1', b'"version":2'))
    try:
        updater_for(args, hub, "changed").refresh()
        raise AssertionError("a changed root was believed")
    except RepositoryError:
        pass

    lease = json.loads(hub.get("/v1/documents/lease"))
    keys = [bytes.fromhex(key) for key in lease_keys["keys"]]
    assert page.good_signatures(lease, keys) >= lease_keys["threshold"]
    private, terms = bytes.fromhex(kept["hpke"]), lease["signed"]
    public = page.public_of(private)
    assert terms["station_key_sha256"] == page.sha256(public).hex()
    digest = page.sha256(manifest_bytes).hex()
    wraps = {page.sha256(bytes.fromhex(wrap)).hex(): wrap for wrap in lease["wraps"]}
    leased = next(each for each in terms["releases"] if each["manifest_sha256"] == digest)
    bound = page.binding(kept["tenant"], digest, leased["channel"], "station", public,
                         terms["version"])
    content_key = page.unwrap(bytes.fromhex(wraps[leased["wrapped_key_sha256"]]), private, bound)

    def chunk(name):
        return hub.get(f"/v1/chunks/{name}")

    plain = {}
    for image in range(len(manifest["images"])):
        for address, piece in page.open_image(
                manifest, leased["channel"], image, content_key, chunk):
            plain.update({address + i: byte for i, byte in enumerate(piece)})
    assert plain == plain_of(args.hex), "another image than the one that was packed"
    return {"verified": f"{args.product}/{args.version}.json", "manifest_sha256": digest,
            "bytes": len(plain), "root": updater_version(args)}


def updater_version(args):
    return json.loads((args.keep / "tuf" / "root.json").read_text())["signed"]["version"]


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("enrol")
    verb.add_argument("--code", required=True)
    verb.add_argument("--ca", type=pathlib.Path, required=True)
    verb.set_defaults(run=enrol)
    verb = verbs.add_parser("download")
    verb.add_argument("--product", required=True)
    verb.add_argument("--version", required=True)
    verb.add_argument("--hex", type=pathlib.Path, required=True)
    verb.set_defaults(run=download)
    for verb in verbs.choices.values():
        verb.add_argument("--keep", type=pathlib.Path, required=True)
    args = parser.parse_args()
    print(json.dumps(args.run(args)))


if __name__ == "__main__":
    sys.exit(main())
