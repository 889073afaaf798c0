//! Who asks, from an ARN or a name.

use policy::{Principal, PrincipalKind};

use crate::fault::Fault;

/// The path of the roles that services make for themselves.
const SERVICE_ROLES: &str = "aws-service-role/";

/// Reads a user, a root user, a role, a session, a service, a provider, or `anonymous`.
///
/// The ARN of a session does not have the path of its role; that of a role stands for a session of
/// it.
pub(crate) fn read(text: &str) -> Result<Principal, Fault> {
    let nobody = |kind| Principal { kind, account: None, arn: text.to_owned(), tags: Vec::new() };
    if text == "anonymous" || text == "*" {
        return Ok(nobody(PrincipalKind::Anonymous));
    }
    if !text.starts_with("arn:") && text.contains('.') && !text.contains(['/', ':']) {
        let name = text.to_owned();
        let is_service = text.contains(".amazonaws.com") || text.ends_with(".amazon.com");
        return Ok(nobody(if is_service {
            PrincipalKind::Service { name }
        } else {
            PrincipalKind::Federated { provider: name }
        }));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let refused = || {
        Fault::usage(format!(
            "`{text}` is nobody who can ask: use the ARN of a user, a role, a session or an \
             account's root, the name of a service such as ec2.amazonaws.com, or `anonymous`"
        ))
    };
    let ["arn", partition, service, "", account, name] = *parts else { return Err(refused()) };
    let (kind, path) = name.split_once('/').unwrap_or((name, ""));
    if kind.ends_with("-provider") && service == "iam" {
        return Ok(nobody(PrincipalKind::Federated { provider: text.to_owned() }));
    }
    let id = account.parse().map_err(|_| refused())?;
    let role = |path: &str| format!("arn:{partition}:iam::{account}:role/{path}");
    let own = path.rsplit('/').next().unwrap_or(path);
    let (kind, arn) = match (service, kind) {
        ("iam", "root") if path.is_empty() => (PrincipalKind::Root, text.to_owned()),
        _ if path.is_empty() || own.is_empty() || name.contains(['*', '?']) => {
            return Err(refused());
        }
        ("iam", "user") => (PrincipalKind::User { name: own.to_owned() }, text.to_owned()),
        ("iam", "role") => {
            let session = format!("arn:{partition}:sts::{account}:assumed-role/{own}/session");
            (session_of(role(path), path), session)
        }
        ("sts", "assumed-role") => {
            let (name, _) = path.split_once('/').ok_or_else(refused)?;
            (session_of(role(name), name), text.to_owned())
        }
        _ => return Err(refused()),
    };
    Ok(Principal { kind, account: Some(id), arn, tags: Vec::new() })
}

fn session_of(role: String, path: &str) -> PrincipalKind {
    if path.starts_with(SERVICE_ROLES) {
        PrincipalKind::ServiceLinkedSession { role }
    } else {
        PrincipalKind::RoleSession { role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_form() {
        let role = |path: &str| format!("arn:aws:iam::123456789012:role/{path}");
        let name = |text: &str| text.to_owned();
        for (text, kind) in [
            ("arn:aws:iam::123456789012:root", PrincipalKind::Root),
            ("arn:aws:iam::123456789012:user/a/dev", PrincipalKind::User { name: name("dev") }),
            (
                "arn:aws:iam::123456789012:role/a/b",
                PrincipalKind::RoleSession { role: role("a/b") },
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/app/i-1",
                PrincipalKind::RoleSession { role: role("app") },
            ),
            (
                "arn:aws:iam::123456789012:role/aws-service-role/x.amazonaws.com/R",
                PrincipalKind::ServiceLinkedSession {
                    role: role("aws-service-role/x.amazonaws.com/R"),
                },
            ),
            ("ec2.amazonaws.com", PrincipalKind::Service { name: name("ec2.amazonaws.com") }),
            (
                "accounts.example.com",
                PrincipalKind::Federated { provider: name("accounts.example.com") },
            ),
            ("anonymous", PrincipalKind::Anonymous),
        ] {
            assert_eq!(read(text).unwrap().kind, kind, "{text}");
        }
    }

    #[test]
    fn the_role_of_a_session_is_its_lasting_arn() {
        let session = read("arn:aws:iam::123456789012:role/a/app").unwrap();
        assert_eq!(session.arn, "arn:aws:sts::123456789012:assumed-role/app/session");
        assert_eq!(session.lasting_arn(), "arn:aws:iam::123456789012:role/a/app");
    }

    #[test]
    fn nobody_else_can_ask() {
        for text in [
            "",
            "dev",
            "123456789012",
            "arn:aws:iam::123456789012:user",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::12345:user/dev",
            "arn:aws:iam:us-east-1:123456789012:user/dev",
            "arn:aws:iam::123456789012:group/dev",
            "arn:aws:sts::123456789012:assumed-role/app",
            "arn:aws:sts::123456789012:assumed-role/app/",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
