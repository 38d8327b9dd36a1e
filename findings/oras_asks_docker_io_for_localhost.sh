#!/usr/bin/env bash
# `localhost/app:1` is an image of the registry on this host for the engine, and Podman names all images that it builds so. For
# oras it is one of docker.io; and of docker.io itself it takes `app`, where the engine takes `library/app`.
. "$(dirname "$0")/lib/finding.sh"
python_packages oras==0.2.43 docker-image-py==0.2.0
oras() { python3 -c 'import sys; from oras.container import Container; print(Container(sys.argv[1]).uri)' "$1"; }
engine() { # by a library that follows the engine's own code
    python3 -c '
import sys
from docker_image.reference import Reference
print(Reference.parse_normalized_named(sys.argv[1]).string())' "$1"
}
seen "localhost/app:1, as the engine" localhost/app:1 "$(engine localhost/app:1)"
seen "localhost/app:1, by oras" docker.io/localhost/app:1 "$(oras localhost/app:1)"
seen "app:1, as the engine" docker.io/library/app:1 "$(engine app:1)"
seen "app:1, by oras" docker.io/app:1 "$(oras app:1)"
