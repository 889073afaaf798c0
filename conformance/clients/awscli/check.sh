#!/bin/bash
# The AWS CLI, version 1, on an instance with a role and no configuration of its own.
#
# This version takes no default region from the metadata service (version 2 does). It reads the
# instance's region only to resolve the defaults mode `auto`, which is checked below.
set -euo pipefail

aws=$CLIENT_DIR/venv/bin/aws

fail() { # WHAT SEEN
    printf '%s; saw:\n%s\n' "$1" "$2" >&2
    exit 1
}

version=$("$aws" --version)
echo "version: awscli $(sed 's/^aws-cli\/\([^ ]*\).*/\1/' <<<"$version")"

list=$("$aws" configure list)
for key in access_key secret_key; do
    grep -Eq "^ *$key +\*+[A-Za-z0-9/+]{4} +iam-role " <<<"$list" ||
        fail "$key does not come from iam-role" "$list"
done
echo "fetched: credentials (iam-role)"

# Signing a URL needs credentials and a region, and sends nothing to any service.
log=$HOME/presign.log
url=$(AWS_DEFAULTS_MODE=auto "$aws" s3 presign s3://bucket/key --region "$EXPECT_REGION" --debug 2>"$log") ||
    fail "presign failed" "$(tail -5 "$log")"
grep -Eq '[?&](AWSAccessKeyId=|X-Amz-Credential=)ASIA[A-Z0-9]{16}[&%]' <<<"$url" ||
    fail "the URL is not signed with the role's key" "$(cut -c1-200 <<<"$url")"
grep -Eqi '[?&]x-amz-security-token=[^&]+' <<<"$url" ||
    fail "the URL carries no session token" "$(cut -c1-200 <<<"$url")"
echo "fetched: a URL signed with them"

zone='"GET /latest/meta-data/placement/availability-zone/ HTTP/1.1" 200 '${#EXPECT_ZONE}
grep -qF "$zone" "$log" ||
    fail "the region was not read" "$(grep -F placement "$log" || echo 'no request for it')"
echo "fetched: region (defaults mode auto)"
