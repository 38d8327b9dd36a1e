#!/usr/bin/env bash
# jsoncanon writes canonical JSON by RFC 8785. Numbers below 0.0001 it writes as Python does, not as the RFC has them: the hash of a
# record with a duration of ten microseconds is another one than elsewhere. A number beyond 64 bits it makes a text, so that
# the number and the text have one hash.
. "$(dirname "$0")/lib/finding.sh"
python_packages jsoncanon==0.2.4 rfc8785==0.1.4 jcs==0.2.1
canonical() { python3 -c 'import json, sys; exec(sys.argv[1]); print(write(json.loads(sys.argv[2])).decode())' "$@"; }
by_rfc8785() { canonical 'from rfc8785 import dumps as write' "$1"; }
by_jcs() { canonical 'from jcs import canonicalize as write' "$1"; }
by_jsoncanon() { canonical 'from jsoncanon import canonicalize as write' "$1"; }
seen "0.00001, rfc8785" 0.00001 "$(by_rfc8785 0.00001)"
seen "0.00001, jcs" 0.00001 "$(by_jcs 0.00001)"
seen "0.00001, jsoncanon" 1e-05 "$(by_jsoncanon 0.00001)"
seen "1e-7, rfc8785" 1e-7 "$(by_rfc8785 1e-7)"
seen "1e-7, jsoncanon" 1e-07 "$(by_jsoncanon 1e-7)"
seen "a number, jsoncanon" '"18446744073709551616"' "$(by_jsoncanon 18446744073709551616)"
seen "a text, jsoncanon" '"18446744073709551616"' "$(by_jsoncanon '"18446744073709551616"')"
