# Builds src/ into dist/: each module's code, and the response of its route, /api/MODULE.
set -eu
mkdir -p dist/modules dist/public/api
for module in src/modules/*/; do
    name=$(basename "$module")
    cp -R "src/modules/$name" "dist/modules/$name"
    printf '{"module":"%s","state":"ready"}\n' "$name" >"dist/public/api/$name"
done
