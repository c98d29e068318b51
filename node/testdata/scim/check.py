"""Runs the conformance suite of the scim2 project and prints its results, a JSON object a line."""

import json
import os
import ssl

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server

http = httpx2.Client(
    base_url=os.environ["SCIM_URL"],
    headers={"Authorization": "Bearer " + os.environ["SCIM_TOKEN"]},
    verify=ssl.create_default_context(cafile=os.environ["AUTHFI_CACERT"]),
    timeout=30,
)
client = SyncSCIMClient(http)
client.discover()
for result in check_server(client):
    print(json.dumps({"title": result.title, "status": result.status.name, "reason": str(result.reason)}))
