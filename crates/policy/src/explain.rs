//! How a verdict came about, as a tree: built when somebody asks, never while deciding.

use crate::condition::{Failure, Test};
use crate::decide::{Guardrail, Layers, ResourcePolicies, decide, is_bound_by_service_control};
use crate::policy::{Policy, Source};
use crate::request::Request;
use crate::statement::{Before, Effect, Match};
use crate::verdict::{Layer, Verdict};

/// Everything that was looked at for a verdict. Its text is a tree, for people.
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
    /// What its policies say together.
    pub says: Says,
    /// The statements of its policies, in order.
    pub leaves: Vec<Leaf<'p>>,
}

/// What the policies of a layer, or of a level of one, say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// One allows and none denies.
    Allows,
    /// One denies.
    Denies,
    /// The layer does not bind who asks, for this reason.
    Exempt(&'static str),
    /// There is no policy.
    NoPolicy,
    /// None allows and none denies.
    Nothing,
}

/// A statement, held against the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf<'p> {
    /// The statement.
    pub source: Source<'p>,
    /// What came of it; `None` for a policy that cannot be read.
    pub outcome: Option<Match<'p>>,
    /// Every line of its condition, if it is about this action on this resource by this principal.
    pub trials: Vec<Trial<'p>>,
}

/// A line of a condition, held against the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial<'p> {
    /// The line.
    pub test: &'p Test,
    /// Why it does not hold, if it does not.
    pub failure: Option<Failure>,
    /// The values that the request has for its key.
    pub found: Vec<String>,
}

/// Decides a request, and keeps everything that was looked at.
pub fn explain<'p>(layers: &Layers<'p>, request: &Request) -> Explanation<'p> {
    let mut branches = Vec::new();
    guardrail(Layer::ResourceControl, layers.resource_control, request, &mut branches);
    if is_bound_by_service_control(request) {
        guardrail(Layer::ServiceControl, layers.service_control, request, &mut branches);
    } else if !matches!(layers.service_control, Guardrail::NotInForce) {
        branches.push(Branch::exempt(Layer::ServiceControl, "none binds this principal"));
    }
    match &layers.resource {
        ResourcePolicies::Attached(policies) => {
            branches.push(Branch::of(Layer::Resource, None, policies, request));
        }
        ResourcePolicies::Decisive(policy) => {
            branches.push(Branch::of(Layer::Resource, None, &[policy], request));
        }
        ResourcePolicies::None => {}
    }
    branches.push(Branch::of(Layer::Identity, None, layers.identity, request));
    if let Some(policy) = layers.boundary {
        branches.push(Branch::of(Layer::Boundary, None, &[policy], request));
    }
    if let Some(policies) = layers.session {
        branches.push(Branch::of(Layer::Session, None, policies, request));
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
        branches.push(Branch::exempt(layer, "none binds the management account"));
    }
    let of =
        |level: &crate::Level<'p>| Branch::of(layer, Some(level.name), level.policies, request);
    branches.extend(guardrail.levels().iter().map(of));
}

impl<'p> Branch<'p> {
    fn exempt(layer: Layer, why: &'static str) -> Self {
        Self { layer, level: None, says: Says::Exempt(why), leaves: Vec::new() }
    }

    fn of(
        layer: Layer,
        level: Option<&'p str>,
        policies: &[&'p Policy],
        request: &Request,
    ) -> Self {
        let mut leaves = Vec::new();
        for &policy in policies {
            if policy.refusal().is_some() {
                let source = Source { policy, statement: None };
                leaves.push(Leaf { source, outcome: None, trials: Vec::new() });
            }
            let mut before = Before::default();
            for statement in policy.statements() {
                let outcome = statement.hold(request, &mut before);
                let tests = match outcome {
                    Match::Applies(_) | Match::Condition(..) => statement.tests(),
                    Match::Action | Match::Principal | Match::Resource => &[],
                };
                let trials = tests.iter().map(|test| Trial::of(test, request)).collect();
                let source = Source { policy, statement: Some(statement) };
                leaves.push(Leaf { source, outcome: Some(outcome), trials });
            }
        }
        let applies = |effect| leaves.iter().any(|leaf| leaf.effect() == effect && leaf.applies());
        let says = match policies {
            [] => Says::NoPolicy,
            _ if applies(Effect::Deny) => Says::Denies,
            _ if applies(Effect::Allow) => Says::Allows,
            _ => Says::Nothing,
        };
        Self { layer, level, says, leaves }
    }
}

impl Leaf<'_> {
    /// Returns what the statement does where it applies. What cannot be read denies.
    pub fn effect(&self) -> Effect {
        self.source.statement.map_or(Effect::Deny, crate::Statement::effect)
    }

    /// Whether it applies to the request.
    pub fn applies(&self) -> bool {
        matches!(self.outcome, None | Some(Match::Applies(_)))
    }
}

impl<'p> Trial<'p> {
    fn of(test: &'p Test, request: &Request) -> Self {
        let values = test.found(request.context()).iter();
        let found = values.map(|value| value.as_text().to_owned()).collect();
        Self { test, failure: test.check(request.context()).err(), found }
    }
}
