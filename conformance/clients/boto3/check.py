"""boto3 and botocore on an instance with a role, with their way back to version 1 closed."""

import datetime
import os

import boto3
import botocore.session
from botocore.utils import IMDSRegionProvider, InstanceMetadataFetcher, InstanceMetadataRegionFetcher


def equal(what, seen, expected):
    if seen != expected:
        raise SystemExit(f"{what}: expected {expected!r}, saw {seen!r}")


def holds(what, truth):
    if not truth:
        raise SystemExit(f"{what} is not as EC2 gives it")


print(f"version: boto3 {boto3.__version__}, botocore {botocore.__version__}")

session = botocore.session.get_session()
equal("ec2_metadata_v1_disabled", session.get_config_variable("ec2_metadata_v1_disabled"), True)
config = {
    name: session.get_config_variable(name)
    for name in ("ec2_metadata_service_endpoint", "ec2_metadata_v1_disabled")
}

raw = InstanceMetadataFetcher(config=config).retrieve_iam_role_credentials()
equal("role", raw.get("role_name"), os.environ["EXPECT_ROLE"])
holds("access key id", raw["access_key"].startswith("ASIA") and len(raw["access_key"]) == 20)
holds("secret key", len(raw["secret_key"]) == 40)
holds("session token", raw["token"])
expiry = datetime.datetime.strptime(raw["expiry_time"], "%Y-%m-%dT%H:%M:%SZ")
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
holds("expiry", now < expiry <= now + datetime.timedelta(hours=12))
print("fetched: credentials (InstanceMetadataFetcher)")

credentials = boto3.Session().get_credentials()
holds("a session's credentials", credentials is not None)
equal("method", credentials.method, "iam-role")
frozen = credentials.get_frozen_credentials()
equal("a second read before rotation", frozen.access_key, raw["access_key"])
equal("a second read before rotation", frozen.token, raw["token"])
print("fetched: credentials (Session, iam-role)")

region = InstanceMetadataRegionFetcher(config=config).retrieve_region()
equal("region of the fetcher", region, os.environ["EXPECT_REGION"])
equal("region of the provider", IMDSRegionProvider(session).provide(), os.environ["EXPECT_REGION"])
print("fetched: region")
