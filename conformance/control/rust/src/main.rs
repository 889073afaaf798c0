//! Launches, describes and modifies as programs on the AWS SDK for Rust do, and compares the typed
//! values that the SDK makes of the answers; the first difference ends the program with status 1.

use std::env;
use std::error::Error;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{Config, Region};
use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_ec2::types::{
    DefaultInstanceMetadataEndpointState, DefaultInstanceMetadataTagsState, Filter,
    HttpTokensState, Instance, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceMetadataOptionsResponse, InstanceMetadataOptionsState, InstanceMetadataProtocolState,
    InstanceMetadataTagsState, InstanceStateName, InstanceType, LaunchTemplateHttpTokensState,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateSpecification,
    MetadataDefaultHttpTokensState, RequestLaunchTemplateData, ResourceType, Tag, TagSpecification,
};

const OLD_IMAGE: &str = "ami-0ce107ae7af2e92b5";

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    println!("aws-sdk-ec2 {}", aws_sdk_ec2::meta::PKG_VERSION);
    let client = client()?;
    let id = launch(&client).await?;
    modify(&client, &id).await?;
    from_a_template(&client).await?;
    defaults(&client).await?;
    refusals(&client).await?;
    terminate(&client, &id).await
}

fn client() -> Outcome<Client> {
    let key = env::var("AWS_ACCESS_KEY_ID")?;
    let secret = env::var("AWS_SECRET_ACCESS_KEY")?;
    let config = Config::builder()
        .credentials_provider(Credentials::from_keys(key, secret, None))
        .endpoint_url(env::var("AWS_ENDPOINT_URL")?)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(env::var("AWS_DEFAULT_REGION")?))
        .retry_config(RetryConfig::disabled());
    Ok(Client::from_conf(config.build()))
}

/// Launches an instance, and returns its id once it runs.
async fn launch(client: &Client) -> Outcome<String> {
    let name = Tag::builder().key("Name").value("rust").build();
    let specification =
        TagSpecification::builder().resource_type(ResourceType::Instance).tags(name).build();
    let launched = client
        .run_instances()
        .image_id(OLD_IMAGE)
        .instance_type(InstanceType::T3Micro)
        .min_count(1)
        .max_count(1)
        .tag_specifications(specification)
        .send()
        .await
        .map_err(told)?;
    equal("owner", launched.owner_id(), Some("123456789012"))?;
    let instance = launched.instances().first().ok_or("no instance was launched")?;
    equal("type", instance.instance_type(), Some(&InstanceType::T3Micro))?;
    equal("state", state(instance), Some(&InstanceStateName::Pending))?;
    let options = instance.metadata_options().ok_or("no metadata options")?;
    equal(
        "options",
        options,
        &block(InstanceMetadataOptionsState::Pending, HttpTokensState::Optional, 1),
    )?;
    let since = instance.launch_time().ok_or("no launch time")?;
    let age = SystemTime::now().duration_since(SystemTime::try_from(*since)?)?;
    holds("launched just now", age < Duration::from_mins(1))?;
    let id = instance.instance_id().ok_or("no id")?.to_owned();

    let instance = described(client, &id, InstanceStateName::Running).await?;
    let options = instance.metadata_options().ok_or("no metadata options")?;
    equal(
        "in force",
        options,
        &block(InstanceMetadataOptionsState::Applied, HttpTokensState::Optional, 1),
    )?;
    println!("launched and described");
    Ok(id)
}

async fn modify(client: &Client, id: &str) -> Outcome<()> {
    let modified = client
        .modify_instance_metadata_options()
        .instance_id(id)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(2)
        .send()
        .await
        .map_err(told)?;
    equal("id", modified.instance_id(), Some(id))?;
    let options = modified.instance_metadata_options().ok_or("no metadata options")?;
    equal(
        "modified",
        options,
        &block(InstanceMetadataOptionsState::Pending, HttpTokensState::Required, 2),
    )?;

    let required =
        Filter::builder().name("metadata-options.http-tokens").values("required").build();
    let mut pages =
        client.describe_instances().filters(required).into_paginator().page_size(5).items().send();
    let mut found = Vec::new();
    while let Some(reservation) = pages.next().await {
        found.extend(
            reservation
                .map_err(told)?
                .instances()
                .iter()
                .filter_map(|one| one.instance_id().map(str::to_owned)),
        );
    }
    equal("those with tokens", &found, &vec![id.to_owned()])?;
    println!("modified");
    Ok(())
}

async fn from_a_template(client: &Client) -> Outcome<()> {
    let options = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_put_response_hop_limit(3)
        .build();
    let data = RequestLaunchTemplateData::builder()
        .image_id(OLD_IMAGE)
        .instance_type(InstanceType::T2Nano)
        .metadata_options(options)
        .build();
    let created = client
        .create_launch_template()
        .launch_template_name("rust")
        .launch_template_data(data)
        .send()
        .await
        .map_err(told)?;
    let template = created.launch_template().ok_or("no launch template")?;
    equal("version", template.latest_version_number(), Some(1))?;
    let specification = LaunchTemplateSpecification::builder()
        .set_launch_template_id(template.launch_template_id().map(str::to_owned))
        .version("$Latest")
        .build();
    let hops = InstanceMetadataOptionsRequest::builder().http_put_response_hop_limit(4).build();
    let launched = client
        .run_instances()
        .launch_template(specification)
        .metadata_options(hops)
        .min_count(1)
        .max_count(1)
        .send()
        .await
        .map_err(told)?;
    let instance = launched.instances().first().ok_or("no instance was launched")?;
    equal("type", instance.instance_type(), Some(&InstanceType::T2Nano))?;
    let options = instance.metadata_options().ok_or("no metadata options")?;
    equal(
        "options",
        options,
        &block(InstanceMetadataOptionsState::Pending, HttpTokensState::Required, 4),
    )?;

    let versions = client
        .describe_launch_template_versions()
        .launch_template_name("rust")
        .send()
        .await
        .map_err(told)?;
    let version = versions.launch_template_versions().first().ok_or("no version")?;
    equal("default", version.default_version(), Some(true))?;
    let data = version.launch_template_data().ok_or("no data")?;
    let options = data.metadata_options().ok_or("no metadata options")?;
    equal("tokens", options.http_tokens(), Some(&LaunchTemplateHttpTokensState::Required))?;
    equal("what nobody set", options.http_endpoint(), None)?;
    let id = instance.instance_id().ok_or("no id")?;
    terminate(client, id).await?;
    println!("launched from a template");
    Ok(())
}

async fn defaults(client: &Client) -> Outcome<()> {
    let set = client
        .modify_instance_metadata_defaults()
        .http_tokens(MetadataDefaultHttpTokensState::Required)
        .http_put_response_hop_limit(2)
        .http_endpoint(DefaultInstanceMetadataEndpointState::NoPreference)
        .instance_metadata_tags(DefaultInstanceMetadataTagsState::Disabled)
        .send()
        .await
        .map_err(told)?;
    equal("set", set.r#return(), Some(true))?;
    let found = client.get_instance_metadata_defaults().send().await.map_err(told)?;
    let account = found.account_level().ok_or("no account level")?;
    equal("tokens", account.http_tokens(), Some(&HttpTokensState::Required))?;
    equal("hops", account.http_put_response_hop_limit(), Some(2))?;
    equal("endpoint", account.http_endpoint(), None)?;
    equal("tags", account.instance_metadata_tags(), Some(&InstanceMetadataTagsState::Disabled))?;
    println!("defaults");
    Ok(())
}

async fn refusals(client: &Client) -> Outcome<()> {
    let unknown = client.describe_instances().instance_ids("i-0bad0bad0bad0bad0").send().await;
    let fault = unknown.err().ok_or("an instance that is not there was described")?;
    equal("code", fault.code(), Some("InvalidInstanceID.NotFound"))?;
    equal(
        "message",
        fault.message(),
        Some("The instance ID 'i-0bad0bad0bad0bad0' does not exist"),
    )?;
    let dry = client.terminate_instances().instance_ids("i-0bad0bad0bad0bad0").dry_run(true).send();
    let fault = dry.await.err().ok_or("a dry run ended an instance")?;
    equal("code", fault.code(), Some("DryRunOperation"))?;
    println!("refusals");
    Ok(())
}

async fn terminate(client: &Client, id: &str) -> Outcome<()> {
    let ended = client.terminate_instances().instance_ids(id).send().await.map_err(told)?;
    let change = ended.terminating_instances().first().ok_or("nothing ends")?;
    let state = change.current_state().and_then(|state| state.name());
    equal("state", state, Some(&InstanceStateName::ShuttingDown))
}

/// Describes an instance once it is in a state; ends the program if it is not soon.
async fn described(client: &Client, id: &str, expected: InstanceStateName) -> Outcome<Instance> {
    let deadline = SystemTime::now() + Duration::from_secs(20);
    loop {
        let answer = client.describe_instances().instance_ids(id).send().await.map_err(told)?;
        let instance = answer.reservations().first().and_then(|of| of.instances().first());
        let instance = instance.ok_or("the instance is not described")?;
        if state(instance) == Some(&expected) {
            return Ok(instance.clone());
        }
        holds("the state comes soon", SystemTime::now() < deadline)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn state(instance: &Instance) -> Option<&InstanceStateName> {
    instance.state().and_then(|state| state.name())
}

fn block(
    state: InstanceMetadataOptionsState,
    tokens: HttpTokensState,
    hops: i32,
) -> InstanceMetadataOptionsResponse {
    InstanceMetadataOptionsResponse::builder()
        .state(state)
        .http_tokens(tokens)
        .http_put_response_hop_limit(hops)
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_protocol_ipv6(InstanceMetadataProtocolState::Disabled)
        .instance_metadata_tags(InstanceMetadataTagsState::Disabled)
        .build()
}

fn equal<T: Debug + PartialEq>(what: &str, seen: T, expected: T) -> Outcome<()> {
    if seen == expected {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, saw {seen:?}").into())
}

fn holds(what: &str, holds: bool) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("it does not hold: {what}").into()) }
}

/// Says the whole of a fault: the SDK's own words name its kind alone.
fn told(fault: impl Error) -> Box<dyn Error> {
    DisplayErrorContext(fault).to_string().into()
}
