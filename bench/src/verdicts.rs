//! What a verdict of the policy engine costs: in this process, on one core, without a server.
//!
//! The promise is about ten documents of ten statements. Each shape makes such a set cost something
//! else: no statement about the action at all, each with a condition to be asked, wildcards.

use std::hint::black_box;
use std::time::Duration;

use policy::{
    Context, DocumentKind, Layers, Policy, Principal, PrincipalKind, Request, Value, decide,
};
use rustix::time::{ClockId, clock_gettime};

use crate::Fault;
use crate::stats::{median, number};

/// The promise, in nanoseconds, for ten documents of ten statements.
pub(crate) const BAR: f64 = 5000.0;

const DOCUMENTS: usize = 10;
const STATEMENTS: usize = 10;
const ROUNDS: usize = 31;
/// Verdicts between two looks at the clock.
const VERDICTS: u32 = 2000;

/// What one shape costs.
#[derive(Debug)]
pub(crate) struct Verdicts {
    pub(crate) shape: &'static str,
    pub(crate) statements: usize,
    /// Nanoseconds a verdict, a value a round.
    pub(crate) nanos: Vec<f64>,
}

impl Verdicts {
    /// Whether the promise is about it.
    pub(crate) fn has_bar(&self) -> bool {
        self.statements == DOCUMENTS * STATEMENTS
    }
}

/// Tests of a condition that hold for no request here, so that the next statement is asked as well.
const TESTS: [&str; STATEMENTS] = [
    r#""StringNotEquals": {"ec2:MetadataHttpTokens": "required"}"#,
    r#""NumericGreaterThan": {"ec2:MetadataHttpPutResponseHopLimit": "3"}"#,
    r#""StringNotEquals": {"ec2:InstanceType": ["t3.micro", "t3.small", "m5.large"]}"#,
    r#""StringNotLike": {"aws:PrincipalARN": "arn:aws:iam::*:role/ec2-*"}"#,
    r#""NumericLessThan": {"ec2:RoleDelivery": "2.0"}"#,
    r#""NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}"#,
    r#""StringNotEquals": {"aws:Ec2InstanceSourceVPC": "${aws:SourceVpc}"}"#,
    r#""Bool": {"aws:SecureTransport": "false"}"#,
    r#""DateGreaterThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}"#,
    r#""ArnNotLike": {"ec2:SourceInstanceARN": "arn:aws:ec2:*:123456789012:instance/i-*"}"#,
];

const DOCUMENTED: [&str; 10] = [
    include_str!("../../crates/policy/tests/policies/P1.json"),
    include_str!("../../crates/policy/tests/policies/P2.json"),
    include_str!("../../crates/policy/tests/policies/P3.json"),
    include_str!("../../crates/policy/tests/policies/P4.json"),
    include_str!("../../crates/policy/tests/policies/P5.json"),
    include_str!("../../crates/policy/tests/policies/P6.json"),
    include_str!("../../crates/policy/tests/policies/P7.json"),
    include_str!("../../crates/policy/tests/policies/P8.json"),
    include_str!("../../crates/policy/tests/policies/P9.json"),
    include_str!("../../crates/policy/tests/policies/P10.json"),
];

/// Decides with each shape, shapes taking turns.
pub(crate) fn measure() -> Result<Vec<Verdicts>, Fault> {
    let request = request()?;
    let mut shapes = shapes()?;
    for _ in 0..ROUNDS {
        for (verdicts, policies) in &mut shapes {
            let identity: Vec<_> = policies.iter().collect();
            let layers = Layers { identity: &identity, ..Layers::EMPTY };
            verdicts.nanos.push(nanos(&layers, &request));
        }
    }
    Ok(shapes.into_iter().map(|(verdicts, _)| verdicts).collect())
}

/// Each shape, not measured yet, and its policies.
fn shapes() -> Result<Vec<(Verdicts, Vec<Policy>)>, Fault> {
    const ANY_INSTANCE: &str = "arn:aws:ec2:*:*:instance/*";
    let of = |action: &'static str, resource: &'static str, tests: &'static [&'static str]| {
        documents(move |n| {
            let test = tests.get(n % tests.len().max(1)).copied().unwrap_or_default();
            statement(&action.replace('#', &n.to_string()), resource, test)
        })
    };
    let shapes = [
        ("every statement about another service", of("s3:Get#*", "*", &[])),
        ("every statement about another action", of("ec2:Describe#*", ANY_INSTANCE, &[])),
        ("every statement about the action, with a condition", of("ec2:*", "*", &TESTS)),
        ("the same, about all instances", of("ec2:RunInstances", ANY_INSTANCE, &TESTS)),
        ("P1 to P10 of AWS's documentation", DOCUMENTED.map(str::to_owned).to_vec()),
    ];
    let mut found = Vec::new();
    for (shape, documents) in shapes {
        let compile = |text: &String| Policy::compile(shape, DocumentKind::Managed, text);
        let mut policies = documents.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let statements = policies.iter().map(|policy| policy.statements().len()).sum();
        policies.push(Policy::compile("administrator", DocumentKind::Managed, ADMINISTRATOR)?);
        found.push((Verdicts { shape, statements, nanos: Vec::new() }, policies));
    }
    Ok(found)
}

/// The dearest shape that the promise is about.
pub(crate) fn dearest(verdicts: &[Verdicts]) -> Option<&Verdicts> {
    let cost = |verdicts: &&Verdicts| median(&verdicts.nanos).unwrap_or_default();
    let bound = verdicts.iter().filter(|verdicts| verdicts.has_bar());
    bound.max_by(|one, other| cost(one).total_cmp(&cost(other)))
}

fn nanos(layers: &Layers<'_>, request: &Request) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            time.tv_sec.unsigned_abs(),
            time.tv_nsec.unsigned_abs().try_into().unwrap_or(0),
        )
    };
    let began = now();
    for _ in 0..VERDICTS {
        black_box(decide(black_box(layers), black_box(request)));
    }
    now().saturating_sub(began).as_secs_f64() * 1e9 / number(VERDICTS.into())
}

const ADMINISTRATOR: &str = r#"{"Version": "2012-10-17",
    "Statement": {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

/// Documents of which the statements are numbered from 0.
fn documents(statement: impl Fn(usize) -> String) -> Vec<String> {
    let document = |document: usize| {
        let numbers = document * STATEMENTS..(document + 1) * STATEMENTS;
        let statements: Vec<_> = numbers.map(&statement).collect();
        format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(","))
    };
    (0..DOCUMENTS).map(document).collect()
}

fn statement(action: &str, resource: &str, test: &str) -> String {
    format!(
        r#"{{"Effect": "Deny", "Action": "{action}", "Resource": "{resource}",
        "Condition": {{{test}}}}}"#
    )
}

/// A launch by a role of an instance, with the keys that EC2 has for it.
fn request() -> Result<Request, Fault> {
    let account = "123456789012".parse()?;
    let principal = Principal {
        kind: PrincipalKind::RoleSession {
            role: "arn:aws:iam::123456789012:role/ec2-imds-admins".to_owned(),
        },
        account: Some(account),
        arn: "arn:aws:sts::123456789012:assumed-role/ec2-imds-admins/i-0abc".to_owned(),
        tags: vec![("team".to_owned(), "platform".to_owned())],
    };
    let mut context = Context::default();
    for (key, value) in [
        ("aws:Ec2InstanceSourceVpc", "vpc-0123456789abcdef0"),
        ("aws:RequestTag/Name", "web"),
        ("aws:RequestedRegion", "us-east-1"),
        ("aws:SourceVpc", "vpc-0123456789abcdef0"),
        ("aws:TagKeys", "Name"),
        ("aws:UserAgent", "aws-cli/2.15.0 Python/3.11.6 Linux/6.1 exe/x86_64"),
        ("aws:userid", "AROAEXAMPLEEXAMPLE:i-0abc"),
        ("ec2:AvailabilityZone", "us-east-1a"),
        ("ec2:InstanceMetadataTags", "disabled"),
        ("ec2:InstanceType", "t3.micro"),
        ("ec2:MetadataHttpEndpoint", "enabled"),
        ("ec2:MetadataHttpTokens", "required"),
        ("ec2:Region", "us-east-1"),
        ("ec2:RoleDelivery", "2.0"),
        ("ec2:RootDeviceType", "ebs"),
        ("ec2:SourceInstanceARN", "arn:aws:ec2:us-east-1:123456789012:instance/i-0abc"),
        ("ec2:Tenancy", "default"),
    ] {
        context.insert(key, vec![Value::text(value)])?;
    }
    for (key, address) in [
        ("aws:Ec2InstanceSourcePrivateIPv4", [10, 0, 0, 5]),
        ("aws:SourceIp", [192, 0, 2, 7]),
        ("aws:VpcSourceIp", [10, 0, 0, 5]),
    ] {
        context.insert(key, vec![Value::address(address.into())])?;
    }
    context.insert("aws:SecureTransport", vec![Value::bool(true)])?;
    context.insert("aws:ViaAWSService", vec![Value::bool(false)])?;
    context.insert("ec2:MetadataHttpPutResponseHopLimit", vec![Value::number(2)])?;
    context.insert_time(model::Timestamp::from_seconds(1_790_000_000))?;
    let resource = "arn:aws:ec2:us-east-1:123456789012:instance/i-0abc0def";
    Ok(Request::new(principal, "ec2:RunInstances", resource, account, context)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_of_a_shape_is_held_against_the_request() {
        let request = request().unwrap();
        let shapes = shapes().unwrap();
        assert_eq!(shapes.iter().filter(|(verdicts, _)| verdicts.has_bar()).count(), 4);
        for (verdicts, policies) in &shapes {
            let identity: Vec<_> = policies.iter().collect();
            let layers = Layers { identity: &identity, ..Layers::EMPTY };
            let verdict = decide(&layers, &request);
            // One that denies would end it; of the documented ones, the last does.
            assert_eq!(verdict.is_allowed(), verdicts.has_bar(), "{}: {verdict}", verdicts.shape);
        }
    }
}
