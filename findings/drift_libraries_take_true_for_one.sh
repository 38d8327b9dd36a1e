#!/usr/bin/env bash
# What is declared and what was found are compared by a library. Where one says `1` and the other `true`, which are two values in
# JSON and in YAML, dictdiffer and jsondiff find no difference. deepdiff finds one in a mapping and none in a list. jsonpatch
# finds both.
. "$(dirname "$0")/lib/finding.sh"
python_packages dictdiffer==0.10.0 jsondiff==2.2.1 deepdiff==9.1.0 jsonpatch==1.48
cat >declared.json <<'JSON'
{"init": 1, "flags": [1, 0]}
JSON
cat >found.json <<'JSON'
{"init": true, "flags": [true, false]}
JSON
differences() { # CODE that defines `differ`
    python3 -W ignore -c '
import json, sys
exec(sys.argv[1])
print(differ(*(json.load(open(name)) for name in ("declared.json", "found.json"))))' "$1"
}
seen "dictdiffer" "[]" "$(differences 'import dictdiffer; differ = lambda *both: list(dictdiffer.diff(*both))')"
seen "jsondiff" "{}" "$(differences 'from jsondiff import diff as differ')"
seen "deepdiff" "[\"root['init']\"]" "$(differences '
import deepdiff
differ = lambda *both: [path for paths in deepdiff.DeepDiff(*both).values() for path in paths]')"
seen "jsonpatch" "['/init', '/flags/0', '/flags/1']" "$(differences '
import jsonpatch
differ = lambda *both: [change["path"] for change in jsonpatch.make_patch(*both)]')"
