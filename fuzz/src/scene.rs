//! The world that the targets act in: instances with something of everything, and none at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use control::start::{Configured, Described, Fresh, start};
use metadata::{Profile, TokenFormat, TokenKeys};
use model::{
    HttpTokens, Instance, InstanceId, MetadataOptions, OptionsChange, Role, Secret, SpotAction,
    SpotInterruption, Switch, Timestamp, TokenTtl,
};
use server::{Service, ServiceSettings, Wire};
use store::{Memory, Store};

use crate::tree::{self, NOW, Table};

/// The kinds of instances there are; of each kind, one requires tokens and one does not.
const KINDS: u128 = 3;

/// Stores, services and tables, made once.
pub struct World {
    /// Holds the instances.
    pub store: Store,
    services: [Service; 4],
    tables: Vec<Table>,
}

/// What a connection finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    byte: u8,
}

/// The words that stand for a token in the bytes that a fuzzer makes, since it cannot make one.
const TOKEN_WORDS: [&[u8]; 4] = [b"$T", b"$O", b"$X", b"$K"];

impl Scene {
    /// Chooses a scene; an upper-case letter is as good a byte as any.
    pub fn new(byte: u8) -> Self {
        Self { byte }
    }

    /// Returns what is refused beyond what EC2 refuses.
    pub fn profile(self) -> Profile {
        if self.byte & 4 == 0 { Profile::Ec2 } else { Profile::Strict }
    }

    /// Returns what answers look like.
    pub fn wire(self) -> Wire {
        if self.byte & 2 == 0 { Wire::Nitro } else { Wire::Legacy }
    }

    /// Returns the address that a connection comes from.
    pub fn address(self) -> IpAddr {
        if self.byte & 8 == 0 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
    }

    /// Whether identity documents can be signed.
    pub fn signs(self) -> bool {
        self.byte & 64 != 0
    }

    /// Returns the number of the instance that asks; the last kind does not exist.
    fn number(self) -> u128 {
        u128::from(self.byte >> 4 & 3) * 2 + u128::from(self.byte & 1)
    }

    /// Returns the instance that asks.
    pub fn instance(self) -> InstanceId {
        InstanceId::from_number(self.number())
    }

    /// Returns what can be read of the instance.
    pub fn table(self) -> Option<&'static Table> {
        world().tables.get(usize::try_from(self.number()).ok()?)
    }

    /// Returns the service.
    pub fn service(self) -> &'static Service {
        &world().services[usize::from(self.byte >> 1 & 3)]
    }

    /// Returns the one text that this instance is let in with.
    pub fn good_token(self) -> Vec<u8> {
        mint(&keys(), self.instance(), NOW.plus_seconds(-100))
    }

    /// Puts tokens in place of the words that stand for them: `$T` a good one, `$O` one of another
    /// instance, `$X` one that ends just now, `$K` one of another server.
    pub fn with_tokens(self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((&first, behind)) = rest.split_first() {
            if let Some(word) = TOKEN_WORDS.iter().find(|word| rest.starts_with(word)) {
                out.extend(self.token_of(word));
                rest = &rest[word.len()..];
            } else {
                out.push(first);
                rest = behind;
            }
        }
        out
    }

    fn token_of(self, word: &[u8]) -> Vec<u8> {
        let ttl = i64::from(TokenTtl::MAX.as_seconds());
        match word {
            b"$O" => mint(&keys(), InstanceId::from_number(99), NOW),
            b"$X" => mint(&keys(), self.instance(), NOW.plus_seconds(-ttl)),
            b"$K" => {
                let key = metadata::TokenKey::new(0, [9; 32]);
                mint(&TokenKeys::new(key, Vec::new()), self.instance(), NOW)
            }
            _ => self.good_token(),
        }
    }
}

fn mint(keys: &TokenKeys, instance: InstanceId, at: Timestamp) -> Vec<u8> {
    let token = keys.mint(TokenFormat::Nitro, instance, TokenTtl::MAX, at, [1; 11]);
    token.expect("a token can be minted").to_vec()
}

fn keys() -> TokenKeys {
    let snapshot = world().store.current();
    let keys = snapshot.token_keys().expect("there are keys");
    (**keys).clone()
}

/// Returns the world.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let instances: Vec<_> = (0..KINDS * 2).map(instance).collect();
        let settings = |number: usize| ServiceSettings {
            wire: [Wire::Nitro, Wire::Legacy][number & 1],
            profile: [Profile::Ec2, Profile::Strict][number >> 1],
            requests_per_second: None,
        };
        World {
            store: started(&instances),
            services: [0, 1, 2, 3].map(|number| Service::new(settings(number))),
            tables: instances.iter().map(table).collect(),
        }
    })
}

/// What can be read of an instance by someone who may.
fn table(instance: &Instance) -> Table {
    let mut open = instance.clone();
    open.options.http_tokens = HttpTokens::Optional;
    open.options.http_endpoint = Switch::Enabled;
    tree::crawl(&open, |_| true)
}

fn instance(number: u128) -> Instance {
    let mut instance = full();
    instance.id = InstanceId::from_number(number);
    instance.options.http_tokens = match number % 2 {
        0 => HttpTokens::Optional,
        _ => HttpTokens::Required,
    };
    match number / 2 {
        0 => {}
        1 => {
            instance.options.http_protocol_ipv6 = Switch::Enabled;
            instance.options.instance_metadata_tags = Switch::Disabled;
            let profile = instance.instance_profile.as_mut();
            profile.expect("there is one").role = "app".parse().ok();
            instance.user_data = None;
        }
        _ => instance.options.http_endpoint = Switch::Disabled,
    }
    instance
}

/// Returns an instance with something of everything, which serves without tokens.
pub fn full() -> Instance {
    let mut instance = Instance::default_instance();
    instance.options.http_tokens = HttpTokens::Optional;
    instance.options.instance_metadata_tags = Switch::Enabled;
    for (key, value) in [("Name", "web 1"), ("Empty", ""), ("a:b", "c")] {
        let key = key.parse().expect("is a tag key");
        instance.tags.insert(key, value.into());
    }
    instance.hibernation = Some(Switch::Enabled);
    instance.kernel_id = "aki-0123abcd".parse().ok();
    instance.ramdisk_id = "ari-0123abcd".parse().ok();
    instance.ancestor_ami_ids = Vec::from_iter("ami-0aaaa0000aaaa0000".parse()).into();
    instance.product_codes = Vec::from_iter("3iplms73etrdhxdepv72l6ywj".parse()).into();
    instance.placement.group_name = "cluster".parse().ok();
    instance.placement.host_id = "h-0da999999f9999fb9".parse().ok();
    instance.placement.partition_number = Some(1);
    instance.events.rebalance = "2020-11-05T08:22:00Z".parse().ok();
    instance.events.target_lifecycle_state = "InService".parse().ok();
    instance.events.spot = Some(SpotInterruption { action: SpotAction::Terminate, time: NOW });
    for interface in &mut instance.interfaces {
        interface.network_card = Some(0);
        interface.ipv6 = Vec::from_iter("2001:db8:1234:1a00::10".parse()).into();
        interface.vpc_ipv4_cidrs.extend(interface.subnet_ipv4_cidr);
    }
    instance
}

/// Starts a store that holds these instances and the roles they name.
pub fn started(instances: &[Instance]) -> Store {
    let store = Store::open(Box::new(Memory::default())).expect("an empty store opens");
    let role =
        |text: &str| model::Iam::from(serde_json::from_str::<Role>(text).expect("is a role"));
    let configured = Configured {
        instances: instances.iter().map(described).collect(),
        iam: vec![
            role(r#"{"name":"example-role","source":"built-in"}"#),
            role(
                r#"{"name":"app","source":"static","access_key_id":"AKIAEXAMPLE",
                    "secret_access_key":"s","session_token":"t"}"#,
            ),
            role(r#"{"name":"none","source":"error","code":"Failed","message":"none"}"#),
        ],
        ..Configured::default()
    };
    let fresh = Fresh {
        token_key: [1; 32],
        issuer_key: [2; 32],
        access_key_id: [3; 16],
        secret_access_key: Secret::new("secret".to_owned()),
    };
    store
        .transact(|snapshot| start(snapshot, configured, fresh, NOW.plus_seconds(-1000)))
        .expect("the store starts");
    store
}

/// An instance whose description names every option.
fn described(instance: &Instance) -> Described {
    let MetadataOptions {
        http_tokens,
        http_put_response_hop_limit,
        http_endpoint,
        http_protocol_ipv6,
        instance_metadata_tags,
    } = instance.options;
    Described {
        instance: instance.clone(),
        options: OptionsChange {
            http_tokens: Some(http_tokens),
            http_put_response_hop_limit: Some(http_put_response_hop_limit),
            http_endpoint: Some(http_endpoint),
            http_protocol_ipv6: Some(http_protocol_ipv6),
            instance_metadata_tags: Some(instance_metadata_tags),
        },
    }
}
