#!/usr/bin/env bash
# A server may offer several ways to log in, in one WWW-Authenticate. Werkzeug's parser knows one: the second's name becomes a
# parameter of the first, and of `Negotiate, Basic …` the scheme is `negotiate,`. Whoever looks for Bearer or Basic finds none.
. "$(dirname "$0")/lib/finding.sh"
python_packages werkzeug==3.1.9
challenge() {
    python3 -c '
import sys
from werkzeug.datastructures import WWWAuthenticate
challenge = WWWAuthenticate.from_header(sys.argv[1])
print(challenge.type, dict(challenge.parameters))' "$1"
}
seen 'Basic realm="a", Bearer realm="b"' "basic {'realm': 'a', 'Bearer realm': 'b'}" "$(challenge 'Basic realm="a", Bearer realm="b"')"
seen 'Negotiate, Basic realm="a"' "negotiate, {'Basic realm': 'a'}" "$(challenge 'Negotiate, Basic realm="a"')"
