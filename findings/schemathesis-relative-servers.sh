#!/usr/bin/env bash
# schemathesis asks a relative server of an OpenAPI document beside the host's root.
#
# Guess:   `servers: [{url: v1}]` in http://HOST/docs/openapi.json means http://HOST/docs/v1: OpenAPI
#          3.1, "Server Object", says that it is relative to where the document is served.
# Happens: http://HOST/v1 is asked. A server below a sub-path is then tested at addresses that it does
#          not have; 404 may be a documented answer, so the run can pass.
# Version: schemathesis 4.32.5.
# Source:  run here.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5

cd "$folder"
found=$("$folder/venv/bin/python" - <<'PYTHON'
import http.server
import importlib.metadata
import json
import threading
from urllib.parse import urljoin

import schemathesis

asked = []
document = {
    "openapi": "3.1.0",
    "info": {"title": "one address", "version": "1"},
    "servers": [{"url": ""}],
    "paths": {"/ping": {"get": {"responses": {"200": {"description": "pong"}}}}},
}


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/docs/openapi.json"

print("schemathesis", importlib.metadata.version("schemathesis"))
for url in ("v1", "./v1", "/v1"):
    document["servers"][0]["url"] = url
    operation = schemathesis.openapi.from_url(address)["/ping"]["GET"]
    asked.clear()
    operation.Case().call()
    meant = urljoin("/docs/openapi.json", url) + "/ping"
    print(f"server {url}: {meant} is meant, {asked[0]} is asked")
PYTHON
)
echo "$found"
expected='server v1: /docs/v1/ping is meant, /v1/ping is asked
server ./v1: /docs/v1/ping is meant, /v1/ping is asked
server /v1: /v1/ping is meant, /v1/ping is asked'
if [ "$(tail -n 3 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
