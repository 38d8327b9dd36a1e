#!/usr/bin/env bash
# BuildKit reads the lines of a heredoc as content. dockerfile-parse reads them as instructions: a line in a file that is
# copied becomes the base image, a line of a script becomes the command.
. "$(dirname "$0")/lib/finding.sh"
python_packages dockerfile-parse==2.0.1
cat >Dockerfile <<'DOCKERFILE'
FROM debian:12
COPY <<NOTES /notes
FROM here on this is a text
CMD is a word like any other
NOTES
CMD ["server"]
DOCKERFILE
ask() { python3 -c 'import sys; from dockerfile_parse import DockerfileParser; print(getattr(DockerfileParser(path="."), sys.argv[1]))' "$1"; }
seen "base image" here "$(ask baseimage)"
seen "all base images" "['debian:12', 'here']" "$(ask parent_images)"
