#!/usr/bin/env bash
# A program fills in the variables of a Compose file itself. In Compose `$$` is a dollar sign. expandvars puts its process id there,
# as a shell does, so that a password ends in another number each time. It takes a variable that is set to nothing for one that is
# not set; envsubst does not, and leaves `${A:+…}` and a default within a default as they are.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages expandvars==1.1.2 envsubst==0.1.5
cat >compose.yaml <<'YAML'
name: finding
services:
  a:
    image: a
    environment:
      DOLLAR: "pass$$"
      EMPTY: "${NOTHING-default}"
      SET: "${SET:+yes}"
      NESTED: "${UNSET:-${SET}}"
YAML
export SET=set NOTHING=
unset UNSET
cat >fill.py <<'PYTHON'
import importlib, os, sys
fill = getattr(importlib.import_module(sys.argv[1]), sys.argv[1])
lines = open("compose.yaml").read().split("environment:\n")[1].splitlines()
filled = [fill(line.split('"')[1]) for line in lines]
print(" | ".join("pass and the process id" if value == f"pass{os.getpid()}" else value for value in filled))
PYTHON
# shellcheck disable=SC2016 # as they are printed
{
    seen "Compose" 'pass$ |  | yes | set' "$(compose config --format json | python3 -c '
import json, sys
environment = json.load(sys.stdin)["services"]["a"]["environment"]
print(*(environment[name].replace("$$", "$") for name in ("DOLLAR", "EMPTY", "SET", "NESTED")), sep=" | ")')"
    seen "expandvars" 'pass and the process id | default | yes | set' "$(python3 fill.py expandvars)"
    seen "envsubst" 'pass$$ |  | ${SET:+yes} | ${SET}' "$(python3 fill.py envsubst)"
}
