// The AWS SDK for JavaScript v3 on an instance with a role. `@aws-sdk/credential-provider-imds` is
// the name that programs know; its code lives on as `@smithy/credential-provider-imds`, which today's
// SDK clients use. Both are run. Version 1 is switched off wherever a package knows how to.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import * as named from "@aws-sdk/credential-provider-imds";
import { MetadataService } from "@aws-sdk/ec2-metadata-service";
import * as current from "@smithy/credential-provider-imds";

const expected = (name) => {
  const value = process.env[`EXPECT_${name}`];
  assert.ok(value, `EXPECT_${name} is not set`);
  return value;
};

const lock = JSON.parse(readFileSync(new URL("package-lock.json", import.meta.url)));
for (const name of Object.keys(lock.packages[""].dependencies)) {
  console.log(`version: ${name} ${lock.packages[`node_modules/${name}`].version}`);
}
console.log(`version: Node.js ${process.versions.node}`);

for (const [name, sdk] of Object.entries({ named, current })) {
  const provider = sdk.fromInstanceMetadata({ ec2MetadataV1Disabled: true });
  const credentials = await provider();
  assert.match(credentials.accessKeyId, /^ASIA[A-Z0-9]{16}$/, name);
  assert.equal(credentials.secretAccessKey.length, 40, name);
  assert.ok(credentials.sessionToken, name);
  assert.ok(credentials.expiration > new Date(), name);
}
console.log("fetched: credentials (both providers)");

const imds = new MetadataService({ ec2MetadataV1Disabled: true });
assert.match(await imds.fetchMetadataToken(), /^AQAEA[A-Za-z0-9_-]{49}==$/);
assert.equal(await imds.request("/latest/meta-data/instance-id", {}), expected("INSTANCE_ID"));
console.log("fetched: leaf");

assert.equal(await imds.request("/latest/meta-data/placement/region", {}), expected("REGION"));
console.log("fetched: region");

const document = JSON.parse(await imds.request("/latest/dynamic/instance-identity/document", {}));
assert.equal(document.instanceId, expected("INSTANCE_ID"));
assert.equal(document.region, expected("REGION"));
console.log("fetched: identity document");
