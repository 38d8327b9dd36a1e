#!/usr/bin/env bash
# A counter in the text format needs no `_total` in its name. The parser of prometheus_client adds it: the sample that the page
# shows as `restarts` is `restarts_total` in what is read, and a check for `restarts` finds nothing.
. "$(dirname "$0")/lib/finding.sh"
python_packages prometheus-client==0.26.0
cat >page <<'TEXT'
# TYPE restarts counter
restarts{service="a"} 3
# TYPE running gauge
running{service="a"} 1
TEXT
names=$(python3 -c '
from prometheus_client.parser import text_string_to_metric_families as families
print(*(sample.name for family in families(open("page").read()) for sample in family.samples))')
seen "samples" "restarts_total running" "$names"
