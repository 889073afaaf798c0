//! What there is to read of an instance: everything that can be found by following its listings.

use std::collections::BTreeMap;
use std::sync::Arc;

use metadata::{
    Admitted, Allow, Content, ContentType, IssuerKey, Parsed, Profile, Refusal, Request,
    RoleCredentials, Signatures, Sources, TokenKey, TokenKeys, admit, authorize, render, resolve,
};
use model::{CredentialSource, Instance, Role, RoleDelivery, RoleName, Timestamp};

/// When reading takes place: 2025-03-04T10:00:00Z.
pub const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

/// What is at each path, by the names in the path.
pub type Table = BTreeMap<Vec<String>, (ContentType, Vec<u8>)>;

/// What reading a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A value.
    Content(ContentType, Vec<u8>),
    /// Something other than a value, or nothing.
    Nothing,
    /// The path that grants tokens, where nothing can be read.
    TokenPath,
}

/// What the readers of this module draw on besides the instance.
struct Fixed {
    issuer_key: IssuerKey,
    signatures: Arc<Signatures>,
}

impl Sources for Fixed {
    fn issuer_key(&self) -> &IssuerKey {
        &self.issuer_key
    }

    fn role_credentials(&self, role: &RoleName, _: RoleDelivery) -> RoleCredentials {
        let credentials = CredentialSource::BuiltIn { life_seconds: None };
        let role = Arc::new(Role::described(role.clone(), credentials));
        RoleCredentials::BuiltIn { role, life: None }
    }

    fn signatures(&self, _: &str) -> Option<Arc<Signatures>> {
        Some(Arc::clone(&self.signatures))
    }
}

/// Stand-ins for the signatures of an identity document.
pub fn signatures() -> Signatures {
    Signatures { signature: "one".into(), pkcs7: "two".into(), rsa2048: "three".into() }
}

/// Reads a target without a token through every phase of the protocol.
pub fn read(instance: &Instance, target: &[u8]) -> Found {
    let head = [b"GET ", target, b" HTTP/1.1\r\n\r\n"].concat();
    let Ok(Parsed::Complete(request, _)) = Request::parse(&head) else {
        return Found::Nothing;
    };
    let keys = TokenKeys::new(TokenKey::new(0, [0; 32]), Vec::new());
    let sources = Fixed { issuer_key: IssuerKey::new([0; 32]), signatures: Arc::new(signatures()) };
    let leaf = match admit(&request, instance, Profile::Ec2) {
        Ok(Admitted::Read(read)) => authorize(read, &keys, NOW).and_then(resolve),
        Ok(admitted) => panic!("a GET is neither of these: {admitted:?}"),
        Err(Refusal::MethodNotAllowed(Allow::Token)) => return Found::TokenPath,
        Err(refusal) => Err(refusal),
    };
    match leaf {
        Ok(leaf) => {
            let Content { content_type, body, .. } =
                render(leaf, &sources, NOW).expect("the signatures are there");
            Found::Content(content_type, body.into_owned())
        }
        Err(Refusal::PathUnknown { .. }) => Found::Nothing,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

/// Follows every listing of an instance that serves without tokens, below these roots.
///
/// Panics if a name that is listed cannot be fetched, or is listed twice.
pub fn crawl(instance: &Instance, roots: impl Fn(&str) -> bool) -> Table {
    let mut table = Table::new();
    for root in list(instance, &mut table, &[]) {
        let version = vec![root];
        if !roots(&version[0]) {
            continue;
        }
        for name in list(instance, &mut table, &version) {
            let path = [&version[..], std::slice::from_ref(&name)].concat();
            match &*name {
                "user-data" => keep(instance, &mut table, path),
                _ => crawl_below(instance, &mut table, &path),
            }
        }
    }
    table
}

fn crawl_below(instance: &Instance, table: &mut Table, path: &[String]) {
    for name in list(instance, table, path) {
        let (name, is_directory) = match (name.strip_suffix('/'), name.split_once('=')) {
            (Some(directory), _) => (directory, true),
            (None, Some((index, _))) if path.last().is_some_and(|p| p == "public-keys") => {
                (index, true)
            }
            (None, _) => (&*name, false),
        };
        let below = [path, &[name.to_owned()]].concat();
        if is_directory {
            crawl_below(instance, table, &below);
        } else {
            keep(instance, table, below.clone());
            assert!(table.contains_key(&below), "{below:?} is listed, but not there");
        }
    }
}

/// Reads a listing.
fn list(instance: &Instance, table: &mut Table, path: &[String]) -> Vec<String> {
    keep(instance, table, path.to_vec());
    let Some((_, listing)) = table.get(path) else {
        panic!("{path:?} is listed, but not there");
    };
    let listing = std::str::from_utf8(listing).expect("a listing is text");
    let names: Vec<_> = listing.split('\n').map(str::to_owned).collect();
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "{path:?} lists a name twice");
    assert!(!unique.contains(&String::new()), "{path:?} lists nothing");
    names
}

fn keep(instance: &Instance, table: &mut Table, path: Vec<String>) {
    if let Found::Content(content_type, body) = read(instance, spell(&path).as_bytes()) {
        table.insert(path, (content_type, body));
    }
}

const HEX: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// Writes the names of a path in the plainest way that every name allows.
pub fn spell(path: &[String]) -> String {
    let mut text = "/".to_owned();
    for name in path {
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.:=+,@".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.extend(["%", HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        text.push('/');
    }
    text
}
