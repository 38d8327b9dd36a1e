#!/usr/bin/env bash
# The line of a log holds a form feed, and a message in JSON the line separator of Unicode, which may stand there as it is. Neither
# ends a line of an event stream. For aiosseclient both do: it delivers what stands before, and the rest is an invalid line.
. "$(dirname "$0")/lib/finding.sh"
python_packages aiosseclient==0.1.8 aiohttp==3.14.5 httpx-sse==0.4.3 httpx==0.28.1
read_by() {
    python3 -c 'import event_stream, sys
print(event_stream.read(sys.argv[1], b"data: page 1\fpage 2\n\n", "data: {\"log\": \"a\u2028b\"}\n\n".encode(), event_stream.END))' "$1" 2>/dev/null
}
seen "httpx-sse" "['page 1\x0cpage 2', '{\"log\": \"a\u2028b\"}']" "$(read_by httpx_sse)"
seen "aiosseclient" "['page 1', '{\"log\": \"a']" "$(read_by aiosseclient)"
