#!/usr/bin/env bash
# A server goes while it sends an event. The standard discards what has no blank line behind it. sseclient-py delivers the half as
# if it were whole: a list of what has failed names the first only. httpx-sse delivers nothing.
. "$(dirname "$0")/lib/finding.sh"
python_packages sseclient-py==1.9.0 requests==2.34.2 httpx-sse==0.4.3 httpx==0.28.1
read_by() {
    python3 -c 'import event_stream, sys
print(event_stream.read(sys.argv[1], b"data: all is well\n\n", b"data: failed:\ndata: web\n"))' "$1"
}
seen "httpx-sse" "['all is well']" "$(read_by httpx_sse)"
seen "sseclient-py" "['all is well', 'failed:\nweb']" "$(read_by sseclient_py)"
