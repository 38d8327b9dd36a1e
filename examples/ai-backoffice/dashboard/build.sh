# Builds src/ into dist/: each module's code, and its page, /MODULE.html.
set -eu
mkdir -p dist/modules dist/public
for module in src/modules/*/; do
    name=$(basename "$module")
    cp -R "src/modules/$name" "dist/modules/$name"
    cp "src/modules/$name/page.html" "dist/public/$name.html"
done
