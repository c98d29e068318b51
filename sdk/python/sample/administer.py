"""Makes a user of the name given, says what is known of the user besides, and names everybody."""

import os
import sys

from authfi.admin import Admin, Changed

admin = Admin()  # AUTHFI_URL, AUTHFI_TOKEN and AUTHFI_CACERT
org_id = os.environ["AUTHFI_ORG"]

user = admin.create_user(org_id=org_id, email=sys.argv[1])
try:
    admin.update_user(id=user["id"], title="Dr.", if_version=user["version"])
except Changed:
    sys.exit("somebody else has changed the user meanwhile")
for user in admin.all_users(org_id=org_id, sort="email"):
    print(user["email"], user["title"])
