#!/usr/bin/env bash
# A server says in its first lines how long to wait before the next connection, and sends an `id:` between events, as a place to
# go on from. The standard makes no event of either, as neither has data. For httpx-sse and aiosseclient each is an event of an
# empty text, on which `json.loads` fails; for requests-sse and sseclient-py there is none.
. "$(dirname "$0")/lib/finding.sh"
python_packages httpx-sse==0.4.3 httpx==0.28.1 aiosseclient==0.1.8 aiohttp==3.14.5 requests-sse==0.5.3 sseclient-py==1.9.0 requests==2.34.2
read_by() {
    python3 -c 'import event_stream, sys
print(event_stream.read(sys.argv[1], b"retry: 5000\n\ndata: {}\n\nid: 7\n\n", event_stream.END))' "$1"
}
seen "requests-sse" "['{}']" "$(read_by requests_sse)"
seen "sseclient-py" "['{}']" "$(read_by sseclient_py)"
seen "httpx-sse" "['', '{}', '']" "$(read_by httpx_sse)"
seen "aiosseclient" "['', '{}', '']" "$(read_by aiosseclient)"
