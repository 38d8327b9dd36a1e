#!/usr/bin/env bash
# `0 0 13 * 5` is midnight of each 13th and of each Friday: cron takes either where both fields are given, and so does
# croniter. The library named crontab, and APScheduler's `from_crontab`, take both: Friday the 13th. For APScheduler 0 is
# Monday besides, so that the job of Friday runs on Saturday.
. "$(dirname "$0")/lib/finding.sh"
python_packages croniter==7.0.0 crontab==1.0.5 apscheduler==3.11.3
cat >fires.py <<'PYTHON'
import datetime, sys

now = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)

def by_croniter(line):
    from croniter import croniter
    return croniter(line, now).get_next(datetime.datetime)

def by_crontab(line):
    from crontab import CronTab
    return now + datetime.timedelta(seconds=CronTab(line).next(now=now, default_utc=True))

def by_apscheduler(line):
    from apscheduler.triggers.cron import CronTrigger
    return CronTrigger.from_crontab(line, timezone="UTC").get_next_fire_time(None, now)

print(globals()[f"by_{sys.argv[1]}"](sys.argv[2]).strftime("%a %Y-%m-%d"))
PYTHON
fires() { python3 -W ignore fires.py "$@"; }
seen "0 0 13 * 5, by croniter" "Fri 2026-11-06" "$(fires croniter '0 0 13 * 5')"
seen "0 0 13 * 5, by crontab" "Fri 2026-11-13" "$(fires crontab '0 0 13 * 5')"
seen "0 0 13 * 5, by APScheduler" "Sat 2027-02-13" "$(fires apscheduler '0 0 13 * 5')"
seen "0 0 * * 5, by croniter" "Fri 2026-11-06" "$(fires croniter '0 0 * * 5')"
seen "0 0 * * 5, by APScheduler" "Sat 2026-11-07" "$(fires apscheduler '0 0 * * 5')"
