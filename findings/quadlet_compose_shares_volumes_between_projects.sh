#!/usr/bin/env bash
# quadlet-compose turns a Compose file into systemd units. It declares a project's volume under the project's name, and mounts one
# without: two projects with a volume `data` write into the same. The dependency on a healthy database becomes no order of the
# units, the limit of memory under `deploy` is left out, and a service of a profile that nobody enabled is there. It says nothing.
. "$(dirname "$0")/lib/compose.sh"
install_compose
python_packages quadlet-compose==0.3.0
project() { # NAME
    mkdir "$1"
    cat >"$1/compose.yaml" <<'YAML'
services:
  db: {image: db, volumes: ["data:/data"], deploy: {resources: {limits: {memory: 512m}}}}
  web: {image: web, depends_on: {db: {condition: service_healthy}}}
  job: {image: job, profiles: [never]}
volumes: {data: }
YAML
}
convert() { quadlet-compose --project-name "$1" --file "$1/compose.yaml" convert 2>&1; }
project one
project two
for name in one two; do
    convert "$name" >"$name.units"
    volume=$(cd "$name" && compose config --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["volumes"]["data"]["name"])')
    seen "volume of $name, Compose" "${name}_data" "$volume"
    seen "volume of $name, declared" "VolumeName=$name-data" "$(grep VolumeName= "$name.units")"
    seen "volume of $name, mounted" "Volume=data:/data" "$(grep ^Volume= "$name.units")"
done
seen "order or limit" 0 "$(grep -cE 'After=|Requires=|Wants=|Memory=' one.units || true)"
seen "services of Compose" "db web" "$(cd one && compose config --services | sort | xargs)"
seen "services of quadlet-compose" "one-db one-job one-web" "$(sed -n 's/^ContainerName=//p' one.units | sort | xargs)"
