//! What a check came to: for people, and for programs.

use std::fmt::Write as _;

use policy::{
    Cause, Denial, Explanation, Failure, Grant, Layer, Request, Says, Source, Trial, Verdict,
};
use serde::Serialize;

use crate::fault::Fault;

/// Writes the verdicts for people.
pub(crate) fn text(
    requests: &[Request],
    explanations: &[Explanation<'_>],
    is_explained: bool,
) -> String {
    let mut text = String::new();
    for (at, (request, explanation)) in requests.iter().zip(explanations).enumerate() {
        if is_explained {
            let gap = if at == 0 { "" } else { "\n" };
            let _ = write!(text, "{gap}{explanation}");
            continue;
        }
        let word = if explanation.verdict.is_allowed() { "allowed" } else { "denied" };
        let (action, resource) = (request.action(), request.resource());
        let _ = writeln!(text, "{word:<8} {action} on {resource}");
        let _ = writeln!(text, "         {}", reason(&explanation.verdict));
        // What an allowance was missing, or what made a denial apply.
        let is_missing = matches!(explanation.verdict, Verdict::ImplicitDeny(_));
        let is_denied = !explanation.verdict.is_allowed();
        let told = |trial: &&Trial<'_>| is_denied && trial.failure.is_some() == is_missing;
        for trial in deciding(explanation).iter().filter(told) {
            let _ = writeln!(text, "         {trial}");
        }
    }
    plain(&text)
}

/// Keeps what a document or a flag holds from steering a terminal.
fn plain(text: &str) -> String {
    let is_harmless = |c: char| c == '\n' || !c.is_control();
    text.chars().map(|c| if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Says what decided, in a sentence.
fn reason(verdict: &Verdict<'_>) -> String {
    let at = |level: Option<&str>| level.map(|level| format!(" at `{level}`")).unwrap_or_default();
    match verdict {
        Verdict::Allowed(Grant::NoPermissionNeeded) => "the action needs no permission".to_owned(),
        Verdict::Allowed(Grant::RootUser) => {
            "the root user needs no identity-based policy".to_owned()
        }
        Verdict::Allowed(Grant::Statement { layer, source }) => {
            format!("by {source}, {}", layer.names().0)
        }
        Verdict::ExplicitDeny(Denial { layer, level, source }) => {
            format!("by {source}, {}{}", layer.names().0, at(*level))
        }
        Verdict::ImplicitDeny(shortfall) => {
            let (layer, level) = (shortfall.layer.names().1, at(shortfall.level));
            let cause = match shortfall.cause {
                Cause::Condition { source, .. } => format!("{source} would, but for its condition"),
                Cause::NoPolicy => "there is none".to_owned(),
                Cause::NoStatement => "no statement is about this action and resource".to_owned(),
            };
            format!("no {layer}{level} allows it: {cause}")
        }
    }
}

/// Returns the statement that decided, or would have allowed but for its condition.
fn source<'p>(verdict: &Verdict<'p>) -> Option<Source<'p>> {
    match verdict {
        Verdict::Allowed(Grant::Statement { source, .. })
        | Verdict::ExplicitDeny(Denial { source, .. }) => Some(*source),
        Verdict::Allowed(Grant::NoPermissionNeeded | Grant::RootUser) => None,
        Verdict::ImplicitDeny(shortfall) => match shortfall.cause {
            Cause::Condition { source, .. } => Some(source),
            Cause::NoPolicy | Cause::NoStatement => None,
        },
    }
}

/// Returns the lines of the condition of that statement.
fn deciding<'e>(explanation: &'e Explanation<'_>) -> &'e [Trial<'e>] {
    let Some(statement) = source(&explanation.verdict).and_then(|source| source.statement) else {
        return &[];
    };
    let mut leaves = explanation.branches.iter().flat_map(|branch| &branch.leaves);
    let is_it = |leaf: &&policy::Leaf<'_>| {
        leaf.source.statement.is_some_and(|other| std::ptr::eq(other, statement))
    };
    leaves.find(is_it).map_or(&[], |leaf| &leaf.trials)
}

/// One verdict, for programs. What does not apply is null.
#[derive(Debug, Serialize)]
struct Line<'e> {
    principal: &'e str,
    action: &'e str,
    resource: &'e str,
    allowed: bool,
    /// `allowed`, `explicit_deny` or `implicit_deny`.
    decision: &'static str,
    reason: String,
    /// How AWS words a refusal.
    aws_reason: Option<String>,
    /// What decided: the layer, the level of the organization, the document and its statement.
    layer: Option<&'static str>,
    level: Option<&'e str>,
    policy: Option<&'e str>,
    statement: Option<StatementLine<'e>>,
    /// What is missing: `condition`, `policy` or `statement`.
    missing: Option<&'static str>,
    /// The lines of the condition of that statement.
    condition: Vec<ConditionLine<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<BranchLine<'e>>>,
}

#[derive(Debug, Serialize)]
struct StatementLine<'e> {
    index: usize,
    sid: Option<&'e str>,
}

/// A line of a condition, and what the request has.
#[derive(Debug, Serialize)]
struct ConditionLine<'e> {
    operator: String,
    key: &'e str,
    wanted: Vec<&'e str>,
    found: &'e [String],
    holds: bool,
    /// `key_missing`, `key_present` or `values`.
    failure: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct BranchLine<'e> {
    layer: &'static str,
    level: Option<&'e str>,
    /// `allows`, `denies`, `exempt`, `no_policy` or `nothing`.
    says: &'static str,
    statements: Vec<LeafLine<'e>>,
}

#[derive(Debug, Serialize)]
struct LeafLine<'e> {
    policy: &'e str,
    statement: Option<StatementLine<'e>>,
    effect: &'static str,
    /// `action`, `applies`, `condition`, `principal` or `resource`.
    outcome: &'static str,
    condition: Vec<ConditionLine<'e>>,
}

/// Writes the verdicts for programs, one a line.
pub(crate) fn lines(
    requests: &[Request],
    explanations: &[Explanation<'_>],
    is_explained: bool,
) -> Result<String, Fault> {
    let mut lines = String::new();
    for (request, explanation) in requests.iter().zip(explanations) {
        let line = line(request, explanation, is_explained);
        lines += &serde_json::to_string(&line).map_err(|fault| Fault::failed(&fault))?;
        lines.push('\n');
    }
    Ok(lines)
}

fn line<'e>(request: &'e Request, of: &'e Explanation<'e>, is_explained: bool) -> Line<'e> {
    let (decision, place) = match &of.verdict {
        Verdict::Allowed(Grant::Statement { layer, .. }) => ("allowed", Some((*layer, None))),
        Verdict::Allowed(Grant::NoPermissionNeeded | Grant::RootUser) => ("allowed", None),
        Verdict::ExplicitDeny(denial) => ("explicit_deny", Some((denial.layer, denial.level))),
        Verdict::ImplicitDeny(short) => ("implicit_deny", Some((short.layer, short.level))),
    };
    let source = source(&of.verdict);
    let missing = match &of.verdict {
        Verdict::ImplicitDeny(shortfall) => Some(match shortfall.cause {
            Cause::Condition { .. } => "condition",
            Cause::NoPolicy => "policy",
            Cause::NoStatement => "statement",
        }),
        Verdict::Allowed(_) | Verdict::ExplicitDeny(_) => None,
    };
    Line {
        principal: &request.principal().arn,
        action: request.action(),
        resource: request.resource(),
        allowed: of.verdict.is_allowed(),
        decision,
        reason: reason(&of.verdict),
        aws_reason: of.verdict.aws_reason(request.action()).map(|reason| reason.to_string()),
        layer: place.map(|(layer, _)| layer_name(layer)),
        level: place.and_then(|(_, level)| level),
        policy: source.map(|source| source.policy.name()),
        statement: source.and_then(statement),
        missing,
        condition: deciding(of).iter().map(condition).collect(),
        layers: is_explained.then(|| branches(of)),
    }
}

fn statement(source: Source<'_>) -> Option<StatementLine<'_>> {
    let statement = source.statement?;
    Some(StatementLine { index: statement.index(), sid: statement.sid() })
}

fn condition<'e>(trial: &'e Trial<'e>) -> ConditionLine<'e> {
    let failure = trial.failure.map(|failure| match failure {
        Failure::KeyMissing => "key_missing",
        Failure::KeyPresent => "key_present",
        Failure::Values => "values",
    });
    ConditionLine {
        operator: trial.test.operator().to_string(),
        key: trial.test.key(),
        wanted: trial.test.values().collect(),
        found: &trial.found,
        holds: failure.is_none(),
        failure,
    }
}

fn branches<'e>(explanation: &'e Explanation<'e>) -> Vec<BranchLine<'e>> {
    let branch = |branch: &'e policy::Branch<'e>| BranchLine {
        layer: layer_name(branch.layer),
        level: branch.level,
        says: match branch.says {
            Says::Allows => "allows",
            Says::Denies => "denies",
            Says::Exempt(_) => "exempt",
            Says::NoPolicy => "no_policy",
            Says::Nothing => "nothing",
        },
        statements: branch.leaves.iter().map(leaf).collect(),
    };
    explanation.branches.iter().map(branch).collect()
}

fn leaf<'e>(leaf: &'e policy::Leaf<'e>) -> LeafLine<'e> {
    LeafLine {
        policy: leaf.source.policy.name(),
        statement: statement(leaf.source),
        effect: match leaf.effect() {
            policy::Effect::Allow => "allow",
            policy::Effect::Deny => "deny",
        },
        outcome: match leaf.outcome {
            None | Some(policy::Match::Applies(_)) => "applies",
            Some(policy::Match::Action) => "action",
            Some(policy::Match::Condition(..)) => "condition",
            Some(policy::Match::Principal) => "principal",
            Some(policy::Match::Resource) => "resource",
        },
        condition: leaf.trials.iter().map(condition).collect(),
    }
}

const fn layer_name(layer: Layer) -> &'static str {
    match layer {
        Layer::Boundary => "permissions_boundary",
        Layer::Identity => "identity_policy",
        Layer::Resource => "resource_policy",
        Layer::ResourceControl => "resource_control_policy",
        Layer::ServiceControl => "service_control_policy",
        Layer::Session => "session_policy",
    }
}
