//! Reads role credentials, the region and a leaf as programs on the AWS SDK for Rust do.
//!
//! The SDK speaks `IMDSv2` only. What it reads must equal the `EXPECT_*` variables that the runner
//! sets; the first difference ends the program with status 1.

use std::env;
use std::error::Error;
use std::time::SystemTime;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("version: aws-config {}", sdk_version()?);

    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = ProviderConfig::without_region().with_http_client(http);
    let imds = aws_config::imds::Client::builder()
        .configure(&config)
        .build();

    let leaf = imds.get("/latest/meta-data/instance-id").await?;
    equal("instance-id", leaf.as_ref(), &expected("INSTANCE_ID")?)?;
    println!("fetched: leaf");

    let document = imds
        .get("/latest/dynamic/instance-identity/document")
        .await?;
    holds(
        "document",
        document.as_ref().contains(&expected("INSTANCE_ID")?),
    )?;
    println!("fetched: identity document");

    let role = imds
        .get("/latest/meta-data/iam/security-credentials/")
        .await?;
    equal("role", role.as_ref(), &expected("ROLE")?)?;

    let provider = ImdsCredentialsProvider::builder()
        .configure(&config)
        .imds_client(imds.clone())
        .build();
    let credentials = provider.provide_credentials().await?;
    let key = credentials.access_key_id();
    holds("access key id", key.starts_with("ASIA") && key.len() == 20)?;
    holds("secret key", credentials.secret_access_key().len() == 40)?;
    holds(
        "session token",
        credentials
            .session_token()
            .is_some_and(|token| !token.is_empty()),
    )?;
    holds(
        "expiry",
        credentials
            .expiry()
            .is_some_and(|at| at > SystemTime::now()),
    )?;
    println!("fetched: credentials");

    let region = ImdsRegionProvider::builder()
        .configure(&config)
        .imds_client(imds)
        .build()
        .region()
        .await;
    equal(
        "region",
        region.as_ref().map_or("", |r| r.as_ref()),
        &expected("REGION")?,
    )?;
    println!("fetched: region");
    Ok(())
}

/// The version of the SDK that this program was built with, from its lock file.
fn sdk_version() -> Result<&'static str, &'static str> {
    include_str!("../Cargo.lock")
        .split("[[package]]\nname = \"aws-config\"\nversion = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .ok_or("Cargo.lock names no aws-config")
}

/// What the runner says the default instance has.
fn expected(name: &str) -> Result<String, String> {
    env::var(format!("EXPECT_{name}")).map_err(|error| format!("EXPECT_{name}: {error}"))
}

fn equal(what: &str, seen: &str, expected: &str) -> Result<(), String> {
    if seen == expected {
        return Ok(());
    }
    Err(format!("{what}: expected `{expected}`, saw `{seen}`"))
}

fn holds(what: &str, truth: bool) -> Result<(), String> {
    if truth {
        Ok(())
    } else {
        Err(format!("{what} is not as EC2 gives it"))
    }
}
