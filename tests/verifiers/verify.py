"""Verifies checkpoints, proofs that a record is in a trail, consistency proofs and statements with code that is not undrift's:
aics-tlog and securesystemslib. It reads one case a line from the file that it is given, as JSON, and writes one line for each:
"accepted", or "refused: " and why."""

import base64
import json
import sys

from aics_tlog import parse_note, verify_checkpoint, verify_consistency, verify_leaf_inclusion
from aics_tlog.note import b64_decode, parse_vkey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey


class Refused(Exception):
    pass


def must(condition, why):
    if not condition:
        raise Refused(why)


def opened(text, key):
    key = parse_vkey(key)
    result = verify_checkpoint(parse_note(text), key, expected_origin=key.name)
    must(result.ok, result.error)
    return result


def checkpoint(case):
    opened(case["checkpoint"], case["key"])


# aics-tlog has another file for a proof: the text of c2sp.org/tlog-proof@v1 is taken apart here, and nothing more.
def record(case):
    head, separator, note = case["proof"].partition(b"\n\n")
    lines = head.decode().split("\n")
    must(separator and lines[0] == "c2sp.org/tlog-proof@v1", "no proof")
    must(lines[1:2] == [f"index {case['index']}"], "another index")
    hashes = [b64_decode(line) for line in lines[2:]]
    tree = opened(note, case["key"])
    proven = verify_leaf_inclusion(case["record"], case["index"], tree.size, hashes, tree.root)
    must(proven, "the record is not in the tree")


def consistency(case):
    older, newer = opened(case["older"], case["key"]), opened(case["checkpoint"], case["key"])
    hashes = [b64_decode(text) for text in case["hashes"]]
    must(verify_consistency(older.size, newer.size, older.root, newer.root, hashes), "not consistent")


def statement(case):
    key = SSlibKey.from_crypto(load_pem_public_key(case["key"].encode()), keyid=case["keyid"])
    envelope = Envelope.from_dict(json.loads(case["envelope"]))
    envelope.verify([key], 1)
    must(envelope.payload_type == "application/vnd.in-toto+json", "another type")
    json.loads(envelope.payload)


KINDS = {"checkpoint": checkpoint, "record": record, "consistency": consistency, "statement": statement}
BYTES = {"checkpoint", "older", "proof", "record", "envelope"}

with open(sys.argv[1], encoding="ascii") as cases:
    for line in cases:
        case = {name: base64.b64decode(it) if name in BYTES else it for name, it in json.loads(line).items()}
        try:
            KINDS[case["kind"]](case)
            print("accepted")
        # Whatever a parser raises about a text is a refusal. A fault of this program would refuse the good ones, too.
        except Exception as error:
            print("refused:", ascii(str(error)))
