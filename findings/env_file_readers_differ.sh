#!/usr/bin/env bash
# One file, as `env_file` of Compose and as .env of the program itself. Compose puts a variable in for `$NAME`, python-dotenv for
# `${NAME}` only, django-environ for neither; after a quoted value Compose drops what follows, python-dotenv drops the variable,
# and django-environ keeps quotes and comment. Moved from the program to the service, a password is another one.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages python-dotenv==1.2.4 django-environ==0.14.0
cat >a.env <<'ENV'
NAME=x
DOLLAR=pa$NAME.word
BRACES=${NAME}y
COMMENT='a b' # a comment
REST="a" b
ENV
cat >compose.yaml <<'YAML'
name: finding
services: {a: {image: a, env_file: a.env}}
YAML
unset NAME
cat >read.py <<'PYTHON'
import json, logging, subprocess, sys

logging.disable()

def by_compose():
    return json.load(sys.stdin)["services"]["a"]["environment"]

def by_dotenv():
    from dotenv import dotenv_values
    return dotenv_values("a.env")

def by_environ():
    import environ
    environ.Env.ENVIRON = {}
    environ.Env.read_env("a.env")
    return environ.Env.ENVIRON

values = globals()[f"by_{sys.argv[1]}"]()
print(*(values.get(name, "none") for name in ("DOLLAR", "BRACES", "COMMENT", "REST")), sep=" | ")
PYTHON
# shellcheck disable=SC2016 # as the file has them
{
    seen "Compose" 'pax.word | xy | a b | a' "$(compose config --format json | python3 read.py compose)"
    seen "python-dotenv" 'pa$NAME.word | xy | a b | none' "$(python3 read.py dotenv)"
    seen "django-environ" 'pa$NAME.word | ${NAME}y | '"'a b' # a comment"' | "a" b' "$(python3 read.py environ)"
}
