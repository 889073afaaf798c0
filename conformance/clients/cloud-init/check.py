"""cloud-init's EC2 datasource, crawling everything as it does at an instance's first boot.

The runner gives this a network of its own, where the service owns 169.254.169.254 and fd00:ec2::254
and a network interface has the instance's MAC address. One thing is pretended: the firmware's
answers by which cloud-init knows that it is on EC2. Everything after that is cloud-init's own.
"""

import json
import logging
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["CLIENT_DIR"], "root/usr/lib/python3/dist-packages"))

from cloudinit import distros, dmi, helpers, version
from cloudinit.sources import DataSourceEc2 as ec2

SMBIOS = {
    "system-uuid": "ec2e1916-9099-7caf-fd21-012345abcdef",
    "system-serial-number": "ec2e1916-9099-7caf-fd21-012345abcdef",
    "system-manufacturer": "Amazon EC2",
}
dmi.read_dmi_data = SMBIOS.get


class Log(logging.Handler):
    """Keeps every record: what is wanted is a crawl without a complaint or a name not found."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.records = []

    def emit(self, record):
        self.records.append((record.levelno, f"{record.levelname}: {record.getMessage()}"))

    def has(self, text):
        return any(text in line for _, line in self.records)


def equal(what, seen, expected):
    if seen != expected:
        raise SystemExit(f"{what}: expected {expected!r}, saw {seen!r}")


def holds(what, truth):
    if not truth:
        raise SystemExit(f"{what} is not as EC2 gives it")


expect = {name[7:].lower(): text for name, text in os.environ.items() if name.startswith("EXPECT_")}
log = Log()
logging.getLogger().addHandler(log)
logging.getLogger().setLevel(logging.DEBUG)

print(f"version: cloud-init {version.version_string()}")

scratch = os.environ["HOME"]
paths = helpers.Paths({"cloud_dir": f"{scratch}/cloud", "run_dir": f"{scratch}/run"})
os.makedirs(paths.run_dir)
distro = distros.fetch("debian")("debian", {}, paths)
source = ec2.DataSourceEc2({}, distro, paths)
try:
    found = source.get_data()
    network = source.network_config if found else None
    failure = None if found else "the crawl found nothing"
except Exception as error:
    failure = f"the crawl ended with {error!r}"

# The HTTP library logs each answer as `"GET /path HTTP/1.1" 404 339`.
not_found = re.compile(r' HTTP/1\.[01]" 404 ')
complaints = [
    line for level, line in log.records if level >= logging.WARNING or not_found.search(line)
]
if failure or complaints:
    raise SystemExit("\n".join([failure or "the crawl complained", *complaints]))
holds("the HTTP library's log", log.has(' HTTP/1.1" 200 '))

equal("cloud", source.cloud_name, "aws")
holds("the token", log.has("Fetching Ec2 IMDSv2 API Token") and source._api_token)
equal("the service's address", source.metadata_address in source.metadata_urls[:2], True)
holds("the newest API version", source.get_metadata_api_version() == source.extended_metadata_versions[0])
print("fetched: token")

metadata = source.metadata
interface = metadata["network"]["interfaces"]["macs"][expect["mac"]]
equal("instance id", source.get_instance_id(), expect["instance_id"])
equal("instance-id", metadata["instance-id"], expect["instance_id"])
equal("zone", source.availability_zone, expect["zone"])
equal("region", source.region, expect["region"])
equal("local-ipv4", metadata["local-ipv4"], expect["private_ip"])
equal("public-ipv4", metadata["public-ipv4"], expect["public_ip"])
equal("local-ipv4s", interface["local-ipv4s"], expect["private_ip"])
equal("ipv4-associations", interface["ipv4-associations"], {expect["public_ip"]: expect["private_ip"]})
equal("iam", metadata["iam"]["info"]["Code"], "Success")
holds("iam without secrets", "security-credentials" not in metadata["iam"])
keys = source.get_public_ssh_keys()
equal("number of public keys", len(keys), 1)
holds("the public key", keys[0].startswith("ssh-") and keys[0].endswith(expect["key_name"]))
holds("instance type", metadata["instance-type"] == source.identity["instanceType"])
holds("hostname", source.get_hostname(fqdn=False))
print("fetched: meta-data")

equal("user data", source.get_userdata_raw(), expect["user_data"].encode())
print("fetched: user-data")

identity = source._crawled_metadata["dynamic"]["instance-identity"]
equal("identity document", identity["document"]["instanceId"], expect["instance_id"])
equal("names in instance-identity", sorted(identity), ["document", "pkcs7", "rsa2048", "signature"])
holds("signatures", all(identity[name] for name in ("pkcs7", "rsa2048", "signature")))
print("fetched: instance-identity")

cards = list(network["ethernets"].values())
equal("network cards configured", len(cards), 1)
equal("MAC of the card", cards[0]["match"]["macaddress"], expect["mac"])
holds("DHCP on the card", cards[0]["dhcp4"])
print("fetched: network configuration")

with open(paths.get_runpath("instance_data"), encoding="utf-8") as file:
    standard = json.load(file)["v1"]
for name, value in (("instance_id", "instance_id"), ("region", "region"), ("availability_zone", "zone")):
    equal(f"v1.{name}", standard[name], expect[value])
equal("v1.cloud_name", standard["cloud_name"], "aws")
print("fetched: instance-data.json")
