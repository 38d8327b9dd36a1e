# Serves dist/public. Every module that was built in asks for credentials; the password is the environment's, not the image's.
set -eu
umask 077
for module in /app/dist/modules/*/; do
    echo "/api/$(basename "$module"):ops:$BACKOFFICE_PASSWORD"
done >/tmp/httpd.conf
exec httpd -f -p 3000 -h /app/dist/public -c /tmp/httpd.conf
