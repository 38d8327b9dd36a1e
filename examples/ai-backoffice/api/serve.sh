# Serves dist/public. Every module in the image asks for credentials; the password comes from the environment, not from the image.
set -eu
umask 077
for module in /app/dist/modules/*/; do
    echo "/api/$(basename "$module"):ops:$BACKOFFICE_PASSWORD"
done >/tmp/httpd.conf
exec httpd -f -p 3000 -h /app/dist/public -c /tmp/httpd.conf
