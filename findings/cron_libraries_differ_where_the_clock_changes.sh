#!/usr/bin/env bash
# One line of a crontab in Berlin's time, in three libraries. Where 02:30 does not exist, it is 03:00 or 03:30. Where 02:30 comes
# twice, croniter fires twice and the others once; the library named crontab fires an hourly job once as well, two hours
# apart. A watcher with one of them misses a run, or sees one too many, of a scheduler with another.
. "$(dirname "$0")/lib/finding.sh"
python_packages croniter==7.0.0 cronsim==2.8 crontab==1.0.5 tzdata==2025.2
cat >fires.py <<'PYTHON'
import datetime, sys
from zoneinfo import ZoneInfo

zone = ZoneInfo("Europe/Berlin")

def by_croniter(line, start):
    from croniter import croniter
    times = croniter(line, start)
    while True:
        yield times.get_next(datetime.datetime)

def by_cronsim(line, start):
    from cronsim import CronSim
    yield from CronSim(line, start)

def by_crontab(line, start):
    from crontab import CronTab
    while True:
        seconds = CronTab(line).next(now=start, default_utc=False)
        start = (start.astimezone(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).astimezone(zone)
        yield start

library, line, start, end = sys.argv[1:]
start, end = (datetime.datetime.fromisoformat(text).replace(tzinfo=zone) for text in (start, end))
shown = []
for fires in globals()[f"by_{library}"](line, start):
    if fires.timestamp() >= end.timestamp():
        break
    shown.append(fires.strftime("%H:%M%z")[:-2])
print(*shown)
PYTHON
fires() { python3 -W ignore fires.py "$@"; }
spring=("30 2 * * *" 2026-03-29T00:00 2026-03-30T00:00)
seen "at 02:30, spring, by croniter" "03:00+02" "$(fires croniter "${spring[@]}")"
seen "at 02:30, spring, by cronsim" "03:00+02" "$(fires cronsim "${spring[@]}")"
seen "at 02:30, spring, by crontab" "03:30+02" "$(fires crontab "${spring[@]}")"
autumn=("30 2 * * *" 2026-10-25T00:00 2026-10-26T00:00)
seen "at 02:30, autumn, by croniter" "02:30+02 02:30+01" "$(fires croniter "${autumn[@]}")"
seen "at 02:30, autumn, by cronsim" "02:30+02" "$(fires cronsim "${autumn[@]}")"
seen "at 02:30, autumn, by crontab" "02:30+02" "$(fires crontab "${autumn[@]}")"
hourly=("15 * * * *" 2026-10-25T02:00 2026-10-25T04:00)
seen "each hour, autumn, by croniter" "02:15+02 02:15+01 03:15+01" "$(fires croniter "${hourly[@]}")"
seen "each hour, autumn, by cronsim" "02:15+02 02:15+01 03:15+01" "$(fires cronsim "${hourly[@]}")"
seen "each hour, autumn, by crontab" "02:15+02 03:15+01" "$(fires crontab "${hourly[@]}")"
