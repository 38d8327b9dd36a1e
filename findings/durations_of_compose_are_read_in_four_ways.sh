#!/usr/bin/env bash
# A program reads the durations of a Compose file as well. Of those that Compose takes, humanfriendly refuses `1m30s`; pytimeparse
# gives nothing for `500ms`, without an error; pytimeparse2 gives nothing for `1h1h`, which is two hours; durationpy reads all. A
# number alone, which Compose refuses, is seconds for humanfriendly and pytimeparse2.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages humanfriendly==10.0 pytimeparse==1.1.8 pytimeparse2==1.7.1 durationpy==0.11
readonly durations=(1m30s 500ms 1h1h 90)
by_compose() {
    for duration in "${durations[@]}"; do
        printf 'name: finding\nservices: {a: {image: a, stop_grace_period: "%s"}}\n' "$duration" |
            "$work/docker-compose" --file - config --format json 2>/dev/null |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["services"]["a"]["stop_grace_period"])' 2>/dev/null ||
            echo refused
    done | xargs
}
by() { # CODE that defines `read`
    python3 -c '
import sys
exec(sys.argv[1])
def shown(duration):
    try: return str(read(duration)).removesuffix(".0")
    except Exception: return "refused"
print(*map(shown, sys.argv[2:]))' "$1" "${durations[@]}"
}
seen "Compose" "1m30s 500ms 2h0m0s refused" "$(by_compose)"
seen "humanfriendly" "refused 0.5 refused 90" "$(by 'from humanfriendly import parse_timespan as read')"
seen "pytimeparse" "90 None None None" "$(by 'from pytimeparse import parse as read')"
seen "pytimeparse2" "90 0.5 None 90" "$(by 'from pytimeparse2 import parse as read')"
seen "durationpy" "90 0.5 7200 refused" "$(by 'import durationpy; read = lambda text: durationpy.from_str(text).total_seconds()')"
