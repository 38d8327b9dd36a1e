#!/usr/bin/env bash
# The events of the engine have a `timeNano`, a number beyond what a double holds. jcs (RFC 8785) rounds it without a word: two
# records of different times have the same canonical bytes, and so the same hash. rfc8785 refuses the number.
. "$(dirname "$0")/lib/finding.sh"
python_packages jcs==0.2.1 rfc8785==0.1.4
jcs() { python3 -c 'import jcs, sys; print(jcs.canonicalize({"timeNano": int(sys.argv[1])}).decode())' "$1"; }
seen "1764415467123456789" '{"timeNano":1764415467123456800}' "$(jcs 1764415467123456789)"
seen "1764415467123456790" '{"timeNano":1764415467123456800}' "$(jcs 1764415467123456790)"
refused=$(python3 -c '
import rfc8785
try: print(rfc8785.dumps({"timeNano": 1764415467123456789}))
except rfc8785.IntegerDomainError as error: print(type(error).__name__)')
seen "by rfc8785" IntegerDomainError "$refused"
