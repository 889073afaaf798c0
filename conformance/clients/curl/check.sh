#!/bin/bash
# Shell scripts on EC2 read metadata like this: one PUT for a token, then GETs that carry it.
set -euo pipefail

base=${AWS_EC2_METADATA_SERVICE_ENDPOINT%/}

equal() { # WHAT SEEN EXPECTED
    [[ $2 == "$3" ]] || { echo "$1: expected '$3', saw '$2'" >&2; exit 1; }
}
matches() { # WHAT SEEN REGEX
    [[ $2 =~ $3 ]] || { echo "$1: expected a match of $3, saw '$2'" >&2; exit 1; }
}
# The `x` keeps a final newline, which `$(…)` would hide and which no answer but user data has.
get() { # PATH [CURL OPTION…]
    curl -sS --fail --max-time 5 -H "X-aws-ec2-metadata-token: $token" "${@:2}" "$base$1" && printf x
}
field() { # JSON NAME
    sed -n "s/^  \"$2\" : \"\(.*\)\",\{0,1\}$/\1/p" <<<"$1"
}

echo "version: curl $(curl --version | sed -n '1s/^curl \([^ ]*\).*/\1/p')"

token=$(curl -sS --fail --max-time 5 -X PUT \
    -H "X-aws-ec2-metadata-token-ttl-seconds: 21600" "$base/latest/api/token")
matches "token" "$token" '^AQAEA[A-Za-z0-9_-]{49}==$'
echo "fetched: token"

listing=$(get /latest/meta-data/)
for name in ami-id iam/ instance-id network/ placement/ public-keys/; do
    grep -qx "$name" <<<"$listing" || { echo "listing: $name is missing from: $listing" >&2; exit 1; }
done
echo "fetched: listing"

equal "instance-id" "$(get /latest/meta-data/instance-id)" "${EXPECT_INSTANCE_ID}x"
equal "region" "$(get /latest/meta-data/placement/region)" "${EXPECT_REGION}x"
head=$(get /latest/meta-data/instance-id --head)
matches "headers of a leaf" "$head" $'\nServer: EC2ws\r\n'
echo "fetched: leaf"

equal "user data" "$(get /latest/user-data)" "${EXPECT_USER_DATA}x"
echo "fetched: user data"

equal "role" "$(get /latest/meta-data/iam/security-credentials/)" "${EXPECT_ROLE}x"
credentials=$(get "/latest/meta-data/iam/security-credentials/$EXPECT_ROLE")
equal "Code" "$(field "$credentials" Code)" "Success"
matches "AccessKeyId" "$(field "$credentials" AccessKeyId)" '^ASIA[A-Z0-9]{16}$'
matches "SecretAccessKey" "$(field "$credentials" SecretAccessKey)" '^[A-Za-z0-9/+]{40}$'
matches "Token" "$(field "$credentials" Token)" '^[A-Za-z0-9/+]+=*$'
matches "Expiration" "$(field "$credentials" Expiration)" \
    '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$'
echo "fetched: credentials"

refused=$(curl -sS --max-time 5 -o /dev/null -w '%{http_code} %{size_download}' \
    "$base/latest/meta-data/instance-id")
equal "status and size of a tokenless answer" "$refused" "401 0"
echo "fetched: 401 without a token"
