#!/usr/bin/env bash
# A project uses a language model. `docker compose --dry-run up` runs `docker model configure` for it all the same, on a stand-in
# for that plugin here. What the project prints as JSON names the model of no service: `config --models` does.
. "$(dirname "$0")/lib/compose.sh"
install_compose
make_image
export DOCKER_CONFIG=$work/docker
mkdir -p "$DOCKER_CONFIG/cli-plugins"
cat >"$DOCKER_CONFIG/cli-plugins/docker-model" <<STANDIN
#!/bin/sh
case "\$*" in
    *docker-cli-plugin-metadata*) echo '{"SchemaVersion":"0.1.0","Vendor":"none","Version":"1"}'; exit ;;
    *ls*) echo '[{"id":"1","tags":["ai/small"],"created":0}]' ;;
    *status*) echo '{"running":true,"endpoint":"http://models.invalid/"}' ;;
esac
echo "\$1" >>"$work/asked"
STANDIN
chmod 755 "$DOCKER_CONFIG/cli-plugins/docker-model"
cat >compose.yaml <<YAML
name: $project
services:
  api: {image: "$image", models: [llm]}
models: {llm: {model: ai/small, context_size: 1024}}
YAML
seen "exit code of the dry run" 0 "$(exit_code compose --dry-run up -d)"
seen "the dry run had models configured" 1 "$(grep --count --line-regexp configure "$work/asked")"
seen "models in the project as JSON" 0 "$(compose config --format json | grep --count ai/small || true)"
seen "models by config --models" ai/small "$(compose config --models)"
