"""The EC2 API as programs on boto3 use it: clients, resources, paginators, waiters, errors.

Ends with status 1 at the first thing that is not as it should be; prints what went well.
"""

import concurrent.futures
import datetime
import os
import sys

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

OLD_IMAGE = "ami-0ce107ae7af2e92b5"
NEW_IMAGE = "ami-0abcdef1234567890"
# The waiters of EC2 look every 15 seconds; what they wait for is here at once.
SOON = {"Delay": 1, "MaxAttempts": 20}

BLOCK = {
    "HttpTokens": "optional",
    "HttpPutResponseHopLimit": 1,
    "HttpEndpoint": "enabled",
    "HttpProtocolIpv6": "disabled",
    "InstanceMetadataTags": "disabled",
}


def equal(what, seen, expected):
    if seen != expected:
        raise SystemExit(f"{what}: expected {expected!r}, saw {seen!r}")


def refused(what, code, status, call, **parameters):
    """The call is refused with a code and an HTTP status."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        equal(what, error.response["Error"]["Code"], code)
        equal(f"status of {what}", error.response["ResponseMetadata"]["HTTPStatusCode"], status)
        return error.response["Error"]["Message"]
    raise SystemExit(f"{what}: expected {code}, saw {answer!r}")


def options(client, instance_id):
    answer = client.describe_instances(InstanceIds=[instance_id])
    return answer["Reservations"][0]["Instances"][0]["MetadataOptions"]


def clients(ec2):
    """Launch, describe, modify, end, by the client and its waiters."""
    launched = ec2.run_instances(
        ImageId=OLD_IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=3,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "boto"}]}],
    )
    request_id = launched["ResponseMetadata"]["RequestId"]
    equal("the id of the request in its header",
          launched["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"], request_id)
    ids = [instance["InstanceId"] for instance in launched["Instances"]]
    equal("instances", len(set(ids)), 3)
    for index, instance in enumerate(launched["Instances"]):
        equal("index", instance["AmiLaunchIndex"], index)
        equal("state", instance["State"], {"Code": 0, "Name": "pending"})
        equal("options", instance["MetadataOptions"], {"State": "pending", **BLOCK})
        now = datetime.datetime.now(datetime.timezone.utc)
        if not datetime.timedelta(0) <= now - instance["LaunchTime"] < datetime.timedelta(minutes=1):
            raise SystemExit(f"launched at {instance['LaunchTime']}, and now it is {now}")
    ec2.get_waiter("instance_exists").wait(InstanceIds=ids, WaiterConfig=SOON)
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=SOON)
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=ids, WaiterConfig=SOON)
    equal("options that are in force", options(ec2, ids[0]), {"State": "applied", **BLOCK})

    modified = ec2.modify_instance_metadata_options(InstanceId=ids[0], HttpTokens="required")
    equal("options that were modified", modified["InstanceMetadataOptions"],
          {"State": "pending", **BLOCK, "HttpTokens": "required"})
    equal("the same in force", options(ec2, ids[0]),
          {"State": "applied", **BLOCK, "HttpTokens": "required"})

    ec2.stop_instances(InstanceIds=ids)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=ids, WaiterConfig=SOON)
    ec2.modify_instance_attribute(InstanceId=ids[0], UserData={"Value": b"#!/bin/sh\n"})
    data = ec2.describe_instance_attribute(InstanceId=ids[0], Attribute="userData")
    equal("user data", data["UserData"], {"Value": "IyEvYmluL3NoCg=="})
    ec2.start_instances(InstanceIds=ids)
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=SOON)

    ec2.modify_instance_attribute(InstanceId=ids[1], DisableApiTermination={"Value": True})
    refused("an end that is forbidden", "OperationNotPermitted", 400,
            ec2.terminate_instances, InstanceIds=[ids[1]])
    ec2.modify_instance_attribute(InstanceId=ids[1], DisableApiTermination={"Value": False})
    refused("an end of one that is not there", "InvalidInstanceID.NotFound", 400,
            ec2.terminate_instances, InstanceIds=[*ids, "i-0bad0bad0bad0bad0"])
    ended = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    equal("those that end", sorted(one["InstanceId"] for one in ended), sorted(ids))
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=SOON)
    equal("ended twice", len(ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]), 3)
    print("launch, wait, modify, stop, start, end")


def paginators(ec2):
    """Every page, each instance once."""
    ids = set()
    for count in (7, 6):
        launched = ec2.run_instances(
            ImageId=NEW_IMAGE, InstanceType="t3.nano", MinCount=count, MaxCount=count,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "fleet", "Value": "a"}]}],
        )
        ids.update(instance["InstanceId"] for instance in launched["Instances"])
    pages = list(ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "tag:fleet", "Values": ["a"]}], PaginationConfig={"PageSize": 5}))
    equal("pages", len(pages), 3)
    seen = [one["InstanceId"] for page in pages for of in page["Reservations"] for one in of["Instances"]]
    equal("instances of all pages", sorted(seen), sorted(ids))
    tags = ec2.get_paginator("describe_tags").paginate(
        Filters=[{"Name": "key", "Values": ["fleet"]}], PaginationConfig={"PageSize": 5})
    equal("tags of all pages", {tag["ResourceId"] for page in tags for tag in page["Tags"]}, ids)
    for operation, result in (
        ("describe_images", "Images"), ("describe_launch_templates", "LaunchTemplates"),
        ("describe_launch_template_versions", "LaunchTemplateVersions"),
        ("describe_subnets", "Subnets"), ("describe_vpcs", "Vpcs"),
        ("describe_security_groups", "SecurityGroups"),
        ("describe_network_interfaces", "NetworkInterfaces"),
        ("describe_instance_status", "InstanceStatuses"),
        ("describe_iam_instance_profile_associations", "IamInstanceProfileAssociations"),
    ):
        parameters = {"Versions": ["$Latest"]} if "versions" in operation else {}
        pages = ec2.get_paginator(operation).paginate(**parameters)
        for page in pages:
            if not isinstance(page[result], list):
                raise SystemExit(f"{operation}: {page!r}")
    ec2.terminate_instances(InstanceIds=sorted(ids))
    print("paginators")


def once(ec2):
    """The same client token launches once, also where it comes many times at a time."""
    parameters = {"ImageId": OLD_IMAGE, "MinCount": 2, "MaxCount": 2, "ClientToken": "once"}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ec2.run_instances(**parameters), range(8)))
    made = {one["InstanceId"] for answer in answers for one in answer["Instances"]}
    equal("instances of eight launches with one token", len(made), 2)
    equal("their reservations", len({answer["ReservationId"] for answer in answers}), 1)
    refused("another launch with that token", "IdempotentParameterMismatch", 400,
            ec2.run_instances, **{**parameters, "InstanceType": "t3.large"})
    refused("a token that is too long", "InvalidParameterValue", 400,
            ec2.run_instances, **{**parameters, "ClientToken": "x" * 65})
    ec2.terminate_instances(InstanceIds=sorted(made))
    print("client tokens")


def resources(session, config):
    """Instances, images and tags as objects."""
    ec2 = session.resource("ec2", config=config)
    group = next(iter(ec2.security_groups.filter(Filters=[{"Name": "group-name", "Values": ["default"]}])))
    instance, = ec2.create_instances(
        ImageId=OLD_IMAGE, InstanceType="t2.nano", MinCount=1, MaxCount=1,
        SecurityGroupIds=[group.id], UserData="#!/bin/sh\n",
    )
    instance.wait_until_running(WaiterConfig=SOON)
    instance.reload()
    equal("state", instance.state, {"Code": 16, "Name": "running"})
    equal("options", instance.metadata_options, {"State": "applied", **BLOCK})
    equal("image", instance.image.id, OLD_IMAGE)
    equal("network", instance.vpc.id, instance.subnet.vpc_id)
    equal("interface", instance.network_interfaces_attribute[0]["PrivateIpAddress"],
          instance.private_ip_address)
    equal("data", instance.describe_attribute(Attribute="userData")["UserData"],
          {"Value": "IyEvYmluL3NoCg=="})

    instance.create_tags(Tags=[{"Key": "a", "Value": "b"}, {"Key": "empty", "Value": ""}])
    instance.reload()
    equal("tags", sorted((tag["Key"], tag["Value"]) for tag in instance.tags), [("a", "b"), ("empty", "")])
    instance.delete_tags(Tags=[{"Key": "empty"}])
    found = ec2.instances.filter(Filters=[{"Name": "tag:a", "Values": ["b"]}])
    equal("found by its tag", [one.id for one in found], [instance.id])

    equal("monitored", instance.monitor()["InstanceMonitorings"][0]["Monitoring"], {"State": "pending"})
    instance.stop()
    instance.wait_until_stopped(WaiterConfig=SOON)
    instance.modify_attribute(InstanceType={"Value": "t2.micro"})
    instance.start()
    instance.wait_until_running(WaiterConfig=SOON)
    instance.reload()
    equal("type", instance.instance_type, "t2.micro")
    instance.reboot()
    image = instance.create_image(Name="of an instance", NoReboot=True)
    equal("name of its image", image.name, "of an instance")
    instance.terminate()
    instance.wait_until_terminated(WaiterConfig=SOON)
    print("resources")


def defaults(ec2):
    """Defaults of the account, in their region alone."""
    equal("none", ec2.get_instance_metadata_defaults()["AccountLevel"], {"ManagedBy": "account"})
    answer = ec2.modify_instance_metadata_defaults(HttpTokens="required", HttpTokensEnforced="enabled")
    equal("set", answer["Return"], True)
    equal("what is set", ec2.get_instance_metadata_defaults()["AccountLevel"],
          {"HttpTokens": "required", "ManagedBy": "account", "HttpTokensEnforced": "enabled"})
    message = refused("a launch without tokens", "UnsupportedOperation", 400, ec2.run_instances,
                      ImageId=OLD_IMAGE, MinCount=1, MaxCount=1, MetadataOptions={"HttpTokens": "optional"})
    if "httpTokensEnforced" not in message:
        raise SystemExit(message)
    ec2.modify_instance_metadata_defaults(HttpTokens="no-preference", HttpTokensEnforced="no-preference")
    equal("none again", ec2.get_instance_metadata_defaults()["AccountLevel"], {"ManagedBy": "account"})
    print("defaults")


def refusals(session, ec2, config):
    """What is refused, as programs see it."""
    refused("a dry run", "DryRunOperation", 412, ec2.run_instances,
            ImageId=OLD_IMAGE, MinCount=1, MaxCount=1, DryRun=True)
    refused("an id that is none", "InvalidInstanceID.Malformed", 400,
            ec2.describe_instances, InstanceIds=["i-2"])
    equal("several that are not there",
          refused("two", "InvalidInstanceID.NotFound", 400, ec2.describe_instances,
                  InstanceIds=["i-0bad0bad0bad0bad0", "i-0bad0bad0bad0bad1"]),
          "The instance IDs 'i-0bad0bad0bad0bad0, i-0bad0bad0bad0bad1' do not exist")
    other = session.client("ec2", config=config, aws_secret_access_key="wrong",
                           aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"])
    refused("another secret", "AuthFailure", 401, other.describe_instances)
    anyone = session.client("ec2", config=config.merge(Config(signature_version=botocore.UNSIGNED)))
    refused("no signature", "MissingAuthenticationToken", 403, anyone.describe_instances)
    identity = session.client("sts", config=config).get_caller_identity()
    equal("who asks", identity["Arn"], "arn:aws:iam::123456789012:user/admin")
    print("refusals")


def main():
    print(f"boto3 {boto3.__version__}")
    # A refusal must not be tried again: it would hide one that should not have been.
    config = Config(retries={"total_max_attempts": 1})
    session = boto3.Session()
    ec2 = session.client("ec2", config=config)
    clients(ec2)
    paginators(ec2)
    once(ec2)
    resources(session, config)
    defaults(ec2)
    refusals(session, ec2, config)


if __name__ == "__main__":
    sys.exit(main())
