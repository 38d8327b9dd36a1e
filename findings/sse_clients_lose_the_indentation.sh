#!/usr/bin/env bash
# A file of YAML is sent as an event, a line for each `data:`. The standard takes one space after the colon away; requests-sse and
# aiohttp-sse-client2 take all of them, and the file says something else: its services are none.
. "$(dirname "$0")/lib/finding.sh"
python_packages httpx-sse==0.4.3 httpx==0.28.1 requests-sse==0.5.3 aiohttp-sse-client2==0.3.0 aiohttp==3.14.5
read_by() {
    python3 -c 'import event_stream, sys
print(event_stream.read(sys.argv[1], b"data: services:\ndata:   db:\ndata:     image: db\n\n", event_stream.END))' "$1"
}
seen "httpx-sse" "['services:\n  db:\n    image: db']" "$(read_by httpx_sse)"
seen "requests-sse" "['services:\ndb:\nimage: db']" "$(read_by requests_sse)"
seen "aiohttp-sse-client2" "['services:\ndb:\nimage: db']" "$(read_by aiohttp_sse_client2)"
