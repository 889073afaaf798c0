//! A case in words: who asks for what under which policies, for both evaluators.

use policy::{
    Context, DocumentKind, Guardrail, Layers, Level, Policy, Principal, PrincipalKind, Request,
    ResourcePolicies, Value, Verdict,
};

use crate::naive::{Answer, Ask, World};

/// A case, as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) title: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) account: Option<String>,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) resource_account: String,
    pub(crate) keys: Vec<(String, Vec<String>)>,
    pub(crate) identity: Vec<String>,
    pub(crate) boundary: Option<String>,
    pub(crate) session: Option<Vec<String>>,
    pub(crate) attached: Vec<String>,
    pub(crate) trust: Option<String>,
    pub(crate) scp: Option<Vec<(String, Vec<String>)>>,
    pub(crate) rcp: Option<Vec<(String, Vec<String>)>>,
    pub(crate) is_managed_by: Vec<&'static str>,
    pub(crate) expected: String,
}

const KINDS: [&str; 7] = ["user", "root", "session", "linked", "service", "federated", "anonymous"];

impl Scene {
    pub(crate) fn parse(text: &str) -> Self {
        let mut scene = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (field, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            let names = || rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            match field {
                "case" => rest.clone_into(&mut scene.title),
                "who" => scene.who(rest),
                "ask" => {
                    let (action, on) = rest.split_once(" on ").unwrap();
                    let (resource, of) = on.split_once(" of ").unwrap_or((on, ""));
                    action.clone_into(&mut scene.action);
                    resource.clone_into(&mut scene.resource);
                    of.clone_into(&mut scene.resource_account);
                }
                "with" => {
                    let (key, values) = rest.split_once(" = ").unwrap();
                    let values = values.split(" | ").map(str::to_owned).collect();
                    scene.keys.push((key.to_owned(), values));
                }
                "identity" => scene.identity = names(),
                "boundary" => scene.boundary = Some(rest.to_owned()),
                "session" => scene.session = Some(names()),
                "resource" => scene.attached = names(),
                "trust" => scene.trust = Some(rest.to_owned()),
                "scp" | "rcp" if rest == "management" => {
                    scene.is_managed_by.push(if field == "scp" { "scp" } else { "rcp" });
                }
                "scp" | "rcp" => {
                    let levels = if field == "scp" { &mut scene.scp } else { &mut scene.rcp };
                    let (level, policies) = rest.split_once(' ').unwrap_or((rest, ""));
                    let policies = policies.split_whitespace().map(str::to_owned).collect();
                    levels.get_or_insert_default().push((level.to_owned(), policies));
                }
                "=>" => rest.clone_into(&mut scene.expected),
                other => panic!("`{other}` is no field"),
            }
        }
        if scene.resource_account.is_empty() {
            scene.resource_account = scene.account.clone().unwrap();
        }
        scene
    }

    fn who(&mut self, text: &str) {
        let (who, account) = text.split_once('@').unwrap_or((text, ""));
        let (kind, name) = who.split_once(' ').unwrap_or((who, ""));
        self.kind = KINDS.iter().find(|known| **known == kind).unwrap();
        name.clone_into(&mut self.name);
        self.account = (!account.is_empty()).then(|| account.to_owned());
    }

    pub(crate) fn policy_names(&self) -> Vec<String> {
        let levels = self.scp.iter().chain(&self.rcp).flatten().flat_map(|(_, names)| names);
        let lists = [&self.identity, &self.attached].into_iter().flatten();
        let all = lists.chain(&self.boundary).chain(&self.trust);
        all.chain(self.session.iter().flatten()).chain(levels).cloned().collect()
    }

    fn principal(&self) -> Principal {
        let account = self.account.clone().unwrap_or_default();
        let name = self.name.clone();
        let role = format!("arn:aws:iam::{account}:role/{}", name.split('/').next().unwrap());
        let (kind, arn) = match self.kind {
            "user" => {
                (PrincipalKind::User { name: name.clone() }, format!("iam::{account}:user/{name}"))
            }
            "root" => (PrincipalKind::Root, format!("iam::{account}:root")),
            "session" => {
                (PrincipalKind::RoleSession { role }, format!("sts::{account}:assumed-role/{name}"))
            }
            "linked" => (
                PrincipalKind::ServiceLinkedSession { role },
                format!("sts::{account}:assumed-role/{name}"),
            ),
            "service" => (PrincipalKind::Service { name: name.clone() }, String::new()),
            "federated" => (PrincipalKind::Federated { provider: name.clone() }, String::new()),
            "anonymous" => (PrincipalKind::Anonymous, String::new()),
            other => panic!("{other}"),
        };
        let account = self.account.as_ref().map(|account| account.parse().unwrap());
        Principal { kind, account, arn: format!("arn:aws:{arn}"), tags: Vec::new() }
    }

    pub(crate) fn request(&self) -> Request {
        let mut context = Context::default();
        for (key, values) in &self.keys {
            let values = values.iter().map(|value| Value::text(value)).collect();
            context.insert(key, values).unwrap();
        }
        let account = self.resource_account.parse().unwrap();
        Request::new(self.principal(), &self.action, &self.resource, account, context).unwrap()
    }

    /// The same request for the judge. The keys of the principal are those that were set for it.
    pub(crate) fn ask(&self, request: &Request) -> Ask {
        let mut keys = std::collections::BTreeMap::new();
        for (key, values) in request.context().iter() {
            let texts = values.iter().map(|value| value.as_text().to_owned()).collect();
            keys.insert(key.to_owned(), texts);
        }
        let principal = self.principal();
        let behind = match &principal.kind {
            PrincipalKind::RoleSession { role } | PrincipalKind::ServiceLinkedSession { role } => {
                role.clone()
            }
            PrincipalKind::Anonymous
            | PrincipalKind::Federated { .. }
            | PrincipalKind::Root
            | PrincipalKind::Service { .. }
            | PrincipalKind::User { .. } => self.name.clone(),
        };
        Ask {
            kind: self.kind,
            account: self.account.clone().unwrap_or_default(),
            arn: principal.arn,
            behind,
            action: self.action.clone(),
            resource: self.resource.clone(),
            resource_account: self.resource_account.clone(),
            keys,
        }
    }

    /// The same policies for the judge.
    pub(crate) fn world(&self, read: impl Fn(&str) -> serde_json::Value) -> World {
        let all = |names: &Vec<String>| names.iter().map(|name| read(name)).collect::<Vec<_>>();
        let levels = |levels: &Option<Vec<(String, Vec<String>)>>| {
            levels.as_ref().map(|levels| levels.iter().map(|(_, names)| all(names)).collect())
        };
        World {
            rcp: levels(&self.rcp),
            scp: levels(&self.scp),
            resource: all(&self.attached),
            trust: self.trust.as_deref().map(&read),
            identity: all(&self.identity),
            boundary: self.boundary.as_deref().map(&read),
            session: self.session.as_ref().map(all),
        }
    }

    /// Compiles the policies, each as what it is attached to.
    pub(crate) fn compile(&self, read: impl Fn(&str) -> String) -> Compiled {
        let one = |kind: DocumentKind, name: &str| Policy::compile_or_deny(name, kind, &read(name));
        let all = |kind, names: &[String]| names.iter().map(|name| one(kind, name)).collect();
        let levels = |kind, levels: &Option<Vec<(String, Vec<String>)>>| {
            let level = |(name, names): &(String, Vec<String>)| (name.clone(), all(kind, names));
            levels.as_ref().map(|levels| levels.iter().map(level).collect())
        };
        Compiled {
            identity: all(DocumentKind::Managed, &self.identity),
            boundary: self.boundary.as_deref().map(|name| one(DocumentKind::Managed, name)),
            session: self.session.as_ref().map(|names| all(DocumentKind::Session, names)),
            attached: all(DocumentKind::Resource, &self.attached),
            trust: self.trust.as_deref().map(|name| one(DocumentKind::Trust, name)),
            scp: levels(DocumentKind::ServiceControl, &self.scp),
            rcp: levels(DocumentKind::ResourceControl, &self.rcp),
            is_managed_by: self.is_managed_by.clone(),
        }
    }
}

type CompiledLevels = Option<Vec<(String, Vec<Policy>)>>;

/// The policies of a case.
pub(crate) struct Compiled {
    identity: Vec<Policy>,
    boundary: Option<Policy>,
    session: Option<Vec<Policy>>,
    attached: Vec<Policy>,
    trust: Option<Policy>,
    scp: CompiledLevels,
    rcp: CompiledLevels,
    is_managed_by: Vec<&'static str>,
}

impl Compiled {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Policy> {
        let levels = self.scp.iter().chain(&self.rcp).flatten().flat_map(|(_, all)| all);
        let single = self.boundary.iter().chain(&self.trust);
        let listed = self.identity.iter().chain(&self.attached);
        listed.chain(self.session.iter().flatten()).chain(single).chain(levels)
    }

    pub(crate) fn with_layers<T>(&self, then: impl FnOnce(&Layers<'_>) -> T) -> T {
        let identity: Vec<_> = self.identity.iter().collect();
        let attached: Vec<_> = self.attached.iter().collect();
        let session: Option<Vec<_>> = self.session.as_ref().map(|all| all.iter().collect());
        let (scp, rcp) = (refs(&self.scp), refs(&self.rcp));
        let scp = levels(self.scp.as_ref(), &scp);
        let rcp = levels(self.rcp.as_ref(), &rcp);
        then(&Layers {
            resource_control: force(&self.is_managed_by, "rcp", rcp.as_deref()),
            service_control: force(&self.is_managed_by, "scp", scp.as_deref()),
            resource: match &self.trust {
                Some(policy) => ResourcePolicies::Decisive(policy),
                None if attached.is_empty() => ResourcePolicies::None,
                None => ResourcePolicies::Attached(&attached),
            },
            identity: &identity,
            boundary: self.boundary.as_ref(),
            session: session.as_deref(),
        })
    }
}

fn refs(levels: &CompiledLevels) -> Vec<Vec<&Policy>> {
    levels.iter().flatten().map(|(_, all)| all.iter().collect()).collect()
}

fn levels<'p>(
    named: Option<&'p Vec<(String, Vec<Policy>)>>,
    policies: &'p [Vec<&'p Policy>],
) -> Option<Vec<Level<'p>>> {
    let level = |((name, _), policies): (&'p (String, _), &'p Vec<_>)| Level { name, policies };
    named.map(|named| named.iter().zip(policies).map(level).collect())
}

fn force<'p>(
    managed: &[&str],
    name: &'static str,
    levels: Option<&'p [Level<'p>]>,
) -> Guardrail<'p> {
    match levels {
        _ if managed.contains(&name) => Guardrail::ManagementAccount,
        Some(levels) => Guardrail::Levels(levels),
        None => Guardrail::NotInForce,
    }
}

/// What a verdict says, without its reason.
pub(crate) fn answer(verdict: &Verdict<'_>) -> Answer {
    match verdict {
        Verdict::Allowed(_) => Answer::Allowed,
        Verdict::ExplicitDeny(_) => Answer::ExplicitDeny,
        Verdict::ImplicitDeny(_) => Answer::ImplicitDeny,
    }
}
