//! How a verdict came about, as a tree: built when somebody asks, never while deciding.

use std::fmt;

use crate::condition::Test;
use crate::decide::{Guardrail, Layers, ResourcePolicies, decide, is_bound_by_service_control};
use crate::policy::{Policy, Source};
use crate::request::Request;
use crate::statement::{Effect, Match};
use crate::verdict::{Layer, Verdict};

/// Everything that was looked at for a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'p> {
    /// The verdict.
    pub verdict: Verdict<'p>,
    /// What was asked, in one line.
    pub question: String,
    /// The layers that bind the request, in order.
    pub branches: Vec<Branch<'p>>,
}

/// A layer, or a level of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch<'p> {
    /// The layer.
    pub layer: Layer,
    /// The level of the organization, for control policies.
    pub level: Option<&'p str>,
    /// Why it has no leaves, if it has none.
    pub note: Option<&'static str>,
    /// The statements of its policies, in order.
    pub leaves: Vec<Leaf<'p>>,
}

/// A statement, held against the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf<'p> {
    /// The statement.
    pub source: Source<'p>,
    /// What came of it; `None` for a policy that cannot be read.
    pub outcome: Option<Match<'p>>,
    /// The values that the request has for the key of the test that does not hold.
    pub found: Vec<String>,
}

/// Decides a request, and keeps everything that was looked at.
pub fn explain<'p>(layers: &Layers<'p>, request: &Request) -> Explanation<'p> {
    let mut branches = Vec::new();
    guardrail(Layer::ResourceControl, layers.resource_control, request, &mut branches);
    if is_bound_by_service_control(request) {
        guardrail(Layer::ServiceControl, layers.service_control, request, &mut branches);
    } else {
        let note = Some("no such policy binds this principal");
        let layer = Layer::ServiceControl;
        branches.push(Branch { layer, level: None, note, leaves: Vec::new() });
    }
    match &layers.resource {
        ResourcePolicies::Attached(policies) => {
            branches.push(branch(Layer::Resource, None, policies, request));
        }
        ResourcePolicies::Decisive(policy) => {
            branches.push(branch(Layer::Resource, None, &[policy], request));
        }
        ResourcePolicies::None => {}
    }
    branches.push(branch(Layer::Identity, None, layers.identity, request));
    if let Some(policy) = layers.boundary {
        branches.push(branch(Layer::Boundary, None, &[policy], request));
    }
    if let Some(policies) = layers.session {
        branches.push(branch(Layer::Session, None, policies, request));
    }
    let (who, action) = (&request.principal().arn, request.action());
    let question = format!("{who} asks for {action} on {}", request.resource());
    Explanation { verdict: decide(layers, request), question, branches }
}

fn guardrail<'p>(
    layer: Layer,
    guardrail: Guardrail<'p>,
    request: &Request,
    branches: &mut Vec<Branch<'p>>,
) {
    if matches!(guardrail, Guardrail::ManagementAccount) {
        let note = Some("none binds the management account");
        branches.push(Branch { layer, level: None, note, leaves: Vec::new() });
    }
    let levels = guardrail.levels().iter();
    branches.extend(levels.map(|level| branch(layer, Some(level.name), level.policies, request)));
}

fn branch<'p>(
    layer: Layer,
    level: Option<&'p str>,
    policies: &[&'p Policy],
    request: &Request,
) -> Branch<'p> {
    let mut leaves = Vec::new();
    for &policy in policies {
        if policy.refusal().is_some() {
            let source = Source { policy, statement: None };
            leaves.push(Leaf { source, outcome: None, found: Vec::new() });
        }
        for statement in policy.statements() {
            let outcome = statement.hold(request);
            let found = match outcome {
                Match::Condition(test, _) => found(test, request),
                Match::Action | Match::Applies(_) | Match::Principal | Match::Resource => {
                    Vec::new()
                }
            };
            let source = Source { policy, statement: Some(statement) };
            leaves.push(Leaf { source, outcome: Some(outcome), found });
        }
    }
    let note = policies.is_empty().then_some("there is none");
    Branch { layer, level, note, leaves }
}

fn found(test: &Test, request: &Request) -> Vec<String> {
    test.found(request.context()).iter().map(|value| value.as_text().to_owned()).collect()
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.question)?;
        writeln!(f, "{}", self.verdict)?;
        for branch in &self.branches {
            write!(f, "├─ {}", branch.layer.names().1)?;
            if let Some(level) = branch.level {
                write!(f, " at `{level}`")?;
            }
            match branch.note {
                Some(note) => writeln!(f, ": {note}")?,
                None => writeln!(f)?,
            }
            for leaf in &branch.leaves {
                writeln!(f, "│  ├─ {leaf}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = self.source.statement.map_or(Effect::Deny, crate::Statement::effect);
        let effect = match effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        write!(f, "{effect}, {}: ", self.source)?;
        match self.outcome {
            None => f.write_str("applies to everything"),
            Some(Match::Action) => f.write_str("about another action"),
            Some(Match::Applies(_)) => f.write_str("applies"),
            Some(Match::Principal) => f.write_str("about another principal"),
            Some(Match::Resource) => f.write_str("about another resource"),
            Some(Match::Condition(test, failure)) => {
                write!(f, "{test} does not hold: {failure}")?;
                if self.found.is_empty() { Ok(()) } else { write!(f, " ({:?})", self.found) }
            }
        }
    }
}
