#!/usr/bin/env bash
# yamlfix is a formatter, as a commit hook runs it. It also formats the lines of a text in a block, which are the content of a
# config here: an empty line and the end of the last line go, a comment gets a space, and `yes: no` becomes `yes: false`.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages yamlfix==1.19.1 ruyaml==0.91.0 maison==2.0.2
cat >compose.yaml <<'YAML'
name: finding
services:
  a:
    image: a
    configs: [c]
configs:
  c:
    content: |
      #key = 1

      yes: no
YAML
content() { compose config --format json | python3 -c 'import json, sys; print(repr(json.load(sys.stdin)["configs"]["c"]["content"]))'; }
seen "before" "'#key = 1\n\nyes: no\n'" "$(content)"
seen "exit code of yamlfix" 0 "$(exit_code yamlfix compose.yaml)"
seen "after" "'# key = 1\nyes: false'" "$(content)"
