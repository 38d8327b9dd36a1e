#!/usr/bin/env bash
# One setting holds a limit of memory, for Compose and for a program that reads it as well. `512m` and `100kb` count by 1024 for Compose
# and for the library docker, by 1000 for humanfriendly and pydantic. bitmath does not know `512m`, and takes `100kb` for bits:
# an eighth. Asked to be lenient it counts by 1024, and `10b`, ten bytes for the rest, is still bits.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages docker==7.2.0 humanfriendly==10.0 pydantic==2.14.4 bitmath==2.1.1
readonly sizes=(512m 100kb 10b)
by_compose() {
    for size in "${sizes[@]}"; do
        printf 'name: finding\nservices: {a: {image: a, mem_limit: %s}}\n' "$size" |
            "$work/docker-compose" --file - config --format json |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["services"]["a"]["mem_limit"])'
    done | xargs
}
by() { # CODE that defines `read`
    python3 -c '
import sys
exec(sys.argv[1])
def shown(size):
    try: return str(float(read(size))).removesuffix(".0")
    except ValueError: return "refused"
print(*map(shown, sys.argv[2:]))' "$1" "${sizes[@]}"
}
seen "Compose" "536870912 102400 10" "$(by_compose)"
seen "docker" "536870912 102400 10" "$(by 'from docker.utils import parse_bytes as read')"
seen "humanfriendly" "512000000 100000 10" "$(by 'from humanfriendly import parse_size as read')"
seen "pydantic" "512000000 100000 10" "$(by 'import pydantic; read = pydantic.TypeAdapter(pydantic.ByteSize).validate_python')"
seen "bitmath" "refused 12500 1.25" "$(by 'import bitmath; read = lambda size: bitmath.parse_string(size).bytes')"
seen "bitmath, lenient" "536870912 102400 1.25" "$(by 'import bitmath; read = lambda size: bitmath.parse_string(size, strict=False).bytes')"
