#!/usr/bin/env bash
# A port is published, and nobody in the container listens on it. The engine's proxy takes the connection on this host, and closes
# it without a byte. wait-for-it calls the port available at once: so does whoever only connects.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
python_packages wait-for-it==2.3.0
cat >compose.yaml <<YAML
name: $project
services:
  a: {image: "$image", stop_grace_period: 0s, ports: ["127.0.0.1::9"]}
YAML
compose up -d >/dev/null 2>&1
address=$(compose port a 9)
seen "exit code of wait-for-it" 0 "$(exit_code wait-for-it --service "$address" --timeout 5)"
answer() {
    python3 -c '
import socket, sys
host, port = sys.argv[1].split(":")
with socket.create_connection((host, int(port)), timeout=5) as connection:
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    try: print(len(connection.recv(100)), "bytes")
    except ConnectionResetError: print("0 bytes")' "$address"
}
seen "answer" "0 bytes" "$(answer)"
