"""boto3 in an instance, across the end of its credentials.

A role's credentials live for a minute here. botocore would keep credentials that live so short for
longer than they last, so that a failing service is asked less often: its windows are made as short as
they are. Else it is the client as it comes: it reads credentials with a token, signs with them, and
reads new ones before they end.

Ends with status 1 at the first thing that is not as it should be; prints what went well.
"""

import os
import sys
import time

for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)
os.environ["AWS_EC2_METADATA_DISABLED"] = "false"
os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = sys.argv[1]

import boto3
import botocore
import botocore.credentials
import botocore.utils

LIFE_SECONDS = 60
botocore.credentials._DEFAULT_ADVISORY_REFRESH_TIMEOUT = 20
botocore.credentials.RefreshableCredentials._mandatory_refresh_timeout = 10
botocore.utils.InstanceMetadataFetcher._evaluate_expiration = lambda self, credentials: None

session = boto3.Session()
sts = session.client("sts", region_name="us-east-1")
keys = []
deadline = time.monotonic() + 2 * LIFE_SECONDS + 10
while len(set(keys)) < 3:
    if time.monotonic() > deadline:
        raise SystemExit(f"expected three keys within {2 * LIFE_SECONDS + 10} s, saw {set(keys)}")
    # A client that held on to ended credentials would be refused here.
    arn = sts.get_caller_identity()["Arn"]
    if not arn.startswith("arn:aws:sts::123456789012:assumed-role/short/i-"):
        raise SystemExit(f"expected a session of the role, saw {arn}")
    keys.append(session.get_credentials().get_frozen_credentials().access_key)
    time.sleep(1)
print(f"boto3 {boto3.__version__}, three keys of a role whose credentials live {LIFE_SECONDS} s, "
      f"{len(keys)} requests, none refused")
