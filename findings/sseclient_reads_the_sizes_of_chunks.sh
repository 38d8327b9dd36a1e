#!/usr/bin/env bash
# A server sends its events in HTTP's chunks, and one event in two of them. sseclient reads below the chunks: the size of the second
# stands in the text for it, what comes after is lost, and the event is half of what was sent. httpx-sse puts it together.
. "$(dirname "$0")/lib/finding.sh"
python_packages sseclient==0.0.27 httpx-sse==0.4.3 httpx==0.28.1 requests==2.34.2 urllib3==2.8.0
read_by() {
    python3 -c 'import event_stream, sys
print([data for data in event_stream.read(sys.argv[1], b"data: deploy of a fa", b"iled\n\n", event_stream.END) if data])' "$1"
}
seen "httpx-sse" "['deploy of a failed']" "$(read_by httpx_sse)"
seen "sseclient" "['deploy of a fa']" "$(read_by sseclient)"
