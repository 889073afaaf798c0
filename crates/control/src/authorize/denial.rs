//! How a denial is told (control plane, 5.7).

use model::AccountId;
use policy::{Denial, Effect, Request, Statement, Value, Verdict};
use serde::Serialize;
use store::Snapshot;

use crate::api::ApiFault;
use crate::api::route::Service;
use crate::caller::{Caller, Principal};

/// A request that is denied: what is said of it, and what only those learn who may decode it.
#[derive(Debug)]
pub(crate) struct Denied {
    /// Who asked for what, and why not, in the words of AWS.
    sentence: String,
    /// Whether it is about a resource.
    is_on_resource: bool,
    /// The account of who asked.
    account_id: AccountId,
    message: Message,
}

impl Denied {
    /// Takes down what a verdict says of a request by a caller. `keys` are those of the condition keys
    /// that are of this action, spelled as AWS does.
    pub(super) fn new(
        verdict: &Verdict<'_>,
        request: &Request,
        caller: &Caller,
        keys: &[(String, Vec<Value>)],
    ) -> Self {
        let is_on_resource = request.resource() != "*";
        let (who, action) = (&request.principal().arn, request.action());
        let mut sentence = format!("User: {who} is not authorized to perform: {action}");
        if is_on_resource {
            sentence.extend([" on resource: ", request.resource()]);
        }
        if let Some(reason) = verdict.aws_reason(action) {
            sentence.extend([" ", &reason.to_string()]);
        }
        Self {
            sentence,
            is_on_resource,
            account_id: caller.account_id,
            message: Message::new(verdict, request, caller, keys),
        }
    }

    /// Tells it as a service does.
    pub(crate) fn told(&self, snapshot: &Snapshot, service: Service) -> ApiFault {
        match service {
            Service::Ec2 => ApiFault::unauthorized(&self.told_by_ec2(snapshot)),
            Service::Iam | Service::Sts => ApiFault::access_denied(&self.sentence),
            Service::CloudWatch | Service::Organizations => {
                ApiFault::access_denied_exception(&self.sentence)
            }
        }
    }

    fn told_by_ec2(&self, snapshot: &Snapshot) -> String {
        let text = serde_json::to_string(&self.message).ok();
        let key = snapshot.issuer_key().filter(|_| self.is_on_resource);
        match key.zip(text) {
            Some((key, text)) => {
                // Whoever decodes it is of the account that it is about.
                let encoded = key.seal_message(&format!("{}\n{text}", self.account_id));
                format!("{}. Encoded authorization failure message: {encoded}", self.sentence)
            }
            None => self.sentence.clone(),
        }
    }
}

/// What `DecodeAuthorizationMessage` shows: the order is that of AWS.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    allowed: bool,
    explicit_deny: bool,
    matched_statements: Items<StatementShown>,
    failures: Items<()>,
    context: ContextShown,
}

#[derive(Debug, Serialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Debug, Serialize)]
struct Shown {
    value: String,
}

#[derive(Debug, Serialize)]
struct Condition {
    key: String,
    values: Items<Shown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatementShown {
    statement_id: String,
    effect: &'static str,
    principals: Items<Shown>,
    principal_groups: Items<()>,
    actions: Items<Shown>,
    resources: Items<Shown>,
    conditions: Items<Condition>,
}

#[derive(Debug, Serialize)]
struct ContextShown {
    principal: PrincipalShown,
    action: String,
    resource: String,
    conditions: Items<Condition>,
}

#[derive(Debug, Serialize)]
struct PrincipalShown {
    id: String,
    /// Of users alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arn: String,
}

impl Message {
    fn new(
        verdict: &Verdict<'_>,
        request: &Request,
        caller: &Caller,
        keys: &[(String, Vec<Value>)],
    ) -> Self {
        let (explicit_deny, statement) = match verdict {
            Verdict::ExplicitDeny(Denial { source, .. }) => (true, source.statement),
            Verdict::Allowed(_) | Verdict::ImplicitDeny(_) => (false, None),
        };
        let id = caller.user_id();
        let statement = statement.map(|statement| StatementShown::new(statement, &id));
        let name = match &caller.principal {
            Principal::User(user) => Some(user.name.to_string()),
            Principal::Instance(_) | Principal::Role(..) => None,
        };
        let (_, action) = request.action().split_once(':').unwrap_or_default();
        let condition = |(key, values): &(String, Vec<Value>)| Condition {
            key: key.clone(),
            values: shown(values.iter().map(Value::as_text)),
        };
        Self {
            allowed: verdict.is_allowed(),
            explicit_deny,
            matched_statements: Items { items: statement.into_iter().collect() },
            failures: Items { items: Vec::new() },
            context: ContextShown {
                principal: PrincipalShown { id, name, arn: caller.arn() },
                // AWS: without the service.
                action: action.to_owned(),
                resource: request.resource().to_owned(),
                conditions: Items { items: keys.iter().map(condition).collect() },
            },
        }
    }
}

impl StatementShown {
    fn new(statement: &Statement, principal_id: &str) -> Self {
        let condition = |test: &policy::Test| Condition {
            key: test.key().to_owned(),
            values: shown(test.values()),
        };
        Self {
            statement_id: statement.sid().unwrap_or_default().to_owned(),
            effect: match statement.effect() {
                Effect::Allow => "ALLOW",
                Effect::Deny => "DENY",
            },
            principals: shown([principal_id]),
            principal_groups: Items { items: Vec::new() },
            actions: shown(statement.actions()),
            resources: shown(statement.resources()),
            conditions: Items { items: statement.tests().iter().map(condition).collect() },
        }
    }
}

fn shown<'t>(texts: impl IntoIterator<Item = &'t str>) -> Items<Shown> {
    let items = texts.into_iter().map(|text| Shown { value: text.to_owned() });
    Items { items: items.collect() }
}
