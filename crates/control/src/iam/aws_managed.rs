//! The managed policies of AWS that are here: those that scripts attach, in as few words as say what
//! they are for. Of services that are not here they say as much as instances' own software needs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use model::{
    AccountId, IamKind, IamName, IamPath, ManagedPolicy, PolicyArn, PolicyDocument, PolicyVersion,
    Timestamp, spread, unique_id,
};
use policy::{DocumentKind, Policy};

/// Name, what it is for, and the statements' actions, each list on everything.
struct Described {
    name: &'static str,
    description: &'static str,
    document: &'static str,
}

macro_rules! allowing {
    ($name:literal, $description:literal, $($action:literal),+) => {
        Described {
            name: $name,
            description: $description,
            document: concat!(
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[""#,
                allowing!(@join $($action),+),
                r#""],"Resource":"*"}]}"#
            ),
        }
    };
    (@join $first:literal) => { $first };
    (@join $first:literal, $($rest:literal),+) => {
        concat!($first, "\",\"", allowing!(@join $($rest),+))
    };
}

const DESCRIBED: &[Described] = &[
    allowing!("AdministratorAccess", "Everything, everywhere.", "*"),
    Described {
        name: "PowerUserAccess",
        description: "Everything but users, roles and the organization.",
        document: r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},
            {"Effect":"Allow","Action":["iam:CreateServiceLinkedRole","iam:ListRoles",
                "organizations:DescribeOrganization"],"Resource":"*"}]}"#,
    },
    allowing!(
        "ReadOnlyAccess",
        "Reads and lists what there is.",
        "cloudwatch:Describe*",
        "cloudwatch:Get*",
        "cloudwatch:List*",
        "ec2:Describe*",
        "ec2:Get*",
        "ec2:List*",
        "ec2:Search*",
        "iam:Generate*",
        "iam:Get*",
        "iam:List*",
        "iam:Simulate*",
        "organizations:Describe*",
        "organizations:List*",
        "s3:Get*",
        "s3:List*",
        "sts:GetAccessKeyInfo",
        "sts:GetCallerIdentity",
        "sts:GetSessionToken"
    ),
    allowing!(
        "ViewOnlyAccess",
        "Lists what there is.",
        "cloudwatch:Describe*",
        "cloudwatch:List*",
        "ec2:Describe*",
        "iam:Get*",
        "iam:List*",
        "organizations:List*",
        "s3:ListAllMyBuckets"
    ),
    allowing!(
        "SecurityAudit",
        "Reads how things are configured.",
        "cloudwatch:Describe*",
        "ec2:Describe*",
        "ec2:Get*",
        "iam:GenerateCredentialReport",
        "iam:Get*",
        "iam:List*",
        "iam:Simulate*",
        "organizations:Describe*",
        "organizations:List*",
        "sts:GetCallerIdentity"
    ),
    allowing!(
        "IAMFullAccess",
        "Everything of IAM.",
        "iam:*",
        "organizations:DescribeAccount",
        "organizations:DescribeOrganization",
        "organizations:DescribeOrganizationalUnit",
        "organizations:DescribePolicy",
        "organizations:ListChildren",
        "organizations:ListParents",
        "organizations:ListPolicies",
        "organizations:ListPoliciesForTarget",
        "organizations:ListRoots",
        "organizations:ListTargetsForPolicy"
    ),
    allowing!(
        "IAMReadOnlyAccess",
        "Reads what IAM keeps.",
        "iam:Generate*",
        "iam:Get*",
        "iam:List*",
        "iam:Simulate*"
    ),
    Described {
        name: "IAMUserChangePassword",
        description: "Lets a user change the user's own password.",
        document: r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"iam:ChangePassword",
                "Resource":"arn:aws:iam::*:user/${aws:username}"},
            {"Effect":"Allow","Action":"iam:GetAccountPasswordPolicy","Resource":"*"}]}"#,
    },
    allowing!(
        "AmazonEC2FullAccess",
        "Everything of EC2, with what watches and balances it.",
        "ec2:*",
        "elasticloadbalancing:*",
        "cloudwatch:*",
        "autoscaling:*"
    ),
    allowing!(
        "AmazonEC2ReadOnlyAccess",
        "Reads what EC2 has.",
        "ec2:Describe*",
        "ec2:Get*",
        "elasticloadbalancing:Describe*",
        "cloudwatch:Describe*",
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:ListMetrics",
        "autoscaling:Describe*"
    ),
    allowing!(
        "CloudWatchFullAccess",
        "Everything of CloudWatch.",
        "autoscaling:Describe*",
        "cloudwatch:*",
        "logs:*",
        "sns:*"
    ),
    allowing!(
        "CloudWatchReadOnlyAccess",
        "Reads what CloudWatch has.",
        "autoscaling:Describe*",
        "cloudwatch:Describe*",
        "cloudwatch:Get*",
        "cloudwatch:List*",
        "logs:Describe*",
        "logs:FilterLogEvents",
        "logs:Get*",
        "logs:List*",
        "sns:Get*",
        "sns:List*"
    ),
    allowing!(
        "CloudWatchAgentServerPolicy",
        "What the CloudWatch agent of an instance needs.",
        "cloudwatch:PutMetricData",
        "ec2:DescribeVolumes",
        "ec2:DescribeTags",
        "logs:PutLogEvents",
        "logs:PutRetentionPolicy",
        "logs:DescribeLogStreams",
        "logs:DescribeLogGroups",
        "logs:CreateLogStream",
        "logs:CreateLogGroup"
    ),
    allowing!(
        "AmazonSSMManagedInstanceCore",
        "What the Systems Manager agent of an instance needs.",
        "ssm:DescribeAssociation",
        "ssm:DescribeDocument",
        "ssm:GetDocument",
        "ssm:GetManifest",
        "ssm:GetParameter",
        "ssm:GetParameters",
        "ssm:ListAssociations",
        "ssm:ListInstanceAssociations",
        "ssm:Put*",
        "ssm:Update*",
        "ssmmessages:*",
        "ec2messages:*"
    ),
    allowing!(
        "AmazonS3ReadOnlyAccess",
        "Reads buckets and objects.",
        "s3:Get*",
        "s3:List*",
        "s3:Describe*"
    ),
    allowing!("AmazonS3FullAccess", "Everything of S3.", "s3:*"),
];

/// When AWS made `AdministratorAccess`, and many others on that day.
const CREATED: Timestamp = Timestamp::from_seconds(1_423_247_986);

/// A policy of AWS's.
#[derive(Debug)]
pub(crate) struct AwsManaged {
    /// As it is shown. Its account is nobody's.
    pub(crate) shown: ManagedPolicy,
    compiled: Policy,
}

static ALL: LazyLock<BTreeMap<IamName, AwsManaged>> = LazyLock::new(|| {
    let all = DESCRIBED.iter().filter_map(|Described { name, description, document }| {
        let number = u128::from(spread(name)) << 64 | u128::from(spread(description));
        let document = PolicyDocument::new(document);
        let compiled = Policy::compile_or_deny(name, DocumentKind::Managed, document.as_str());
        let name: IamName = name.parse().ok()?;
        let account_id: AccountId = "000000000000".parse().ok()?;
        let shown = ManagedPolicy {
            name: name.clone(),
            account_id,
            path: IamPath::default(),
            id: Some(unique_id(IamKind::Policy, number)),
            description: description.parse().ok(),
            created: CREATED,
            versions: BTreeMap::from([(1, PolicyVersion { document, created: CREATED })]),
            default_version: 1,
            last_version: None,
            tags: BTreeMap::new(),
        };
        Some((name, AwsManaged { shown, compiled }))
    });
    all.collect()
});

/// Finds a policy of AWS's.
pub(crate) fn find(arn: &PolicyArn) -> Option<&'static Policy> {
    find_shown(arn).map(|found| &found.compiled)
}

/// Finds a policy of AWS's, with what is shown of it.
pub(crate) fn find_shown(arn: &PolicyArn) -> Option<&'static AwsManaged> {
    let found = ALL.get(arn.name()).filter(|_| arn.account_id().is_none())?;
    let is_at = super::attachments::path_of(arn) == found.shown.path.as_str();
    is_at.then_some(found)
}

/// All of them, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static AwsManaged> {
    ALL.values()
}

impl AwsManaged {
    /// The ARN, in a partition.
    pub(crate) fn arn(&self, partition: &str) -> String {
        format!("arn:{partition}:iam::aws:policy{}{}", self.shown.path, self.shown.name)
    }
}

/// The text of a policy of AWS's.
pub(crate) fn document(arn: &PolicyArn) -> Option<&'static str> {
    find_shown(arn).map(|found| found.shown.document())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_can_be_read() {
        assert_eq!(ALL.len(), DESCRIBED.len());
        for policy in ALL.values() {
            assert_eq!(policy.compiled.refusal(), None, "{}", policy.shown.name);
            assert_eq!(policy.compiled.doubts().count(), 0, "{}", policy.shown.name);
        }
    }

    #[test]
    fn one_is_found_by_its_own_arn() {
        for (arn, is_there) in [
            ("arn:aws:iam::aws:policy/AdministratorAccess", true),
            ("arn:aws-cn:iam::aws:policy/AdministratorAccess", true),
            ("arn:aws:iam::aws:policy/job-function/AdministratorAccess", false),
            ("arn:aws:iam::123456789012:policy/AdministratorAccess", false),
            ("arn:aws:iam::aws:policy/Nothing", false),
        ] {
            assert_eq!(find(&arn.parse().unwrap()).is_some(), is_there, "{arn}");
        }
    }
}
