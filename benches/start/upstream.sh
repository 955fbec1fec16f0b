#!/bin/bash
# A server for the proxy's figure: answers 1 KiB to everything, on the address that the hub names.
set -eu
address=${JUPYTERHUB_SERVICE_URL#http://}
address=${address%%/*}
body=$(printf 'x%.0s' {1..1024})
cat > nginx.conf <<CONF
daemon off;
worker_processes 1;
pid $PWD/pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fastcgi;
  uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi;
  server { listen $address; location / { default_type text/plain; return 200 "$body"; } }
}
CONF
exec /usr/sbin/nginx -p "$PWD" -c "$PWD/nginx.conf"
