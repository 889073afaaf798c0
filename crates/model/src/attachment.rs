//! How an instance reaches the service.
//!
//! Who asks comes from the kernel and never from a header. Each kind has one text, which is also
//! its table in the config file and its object in JSON:
//!
//! ```text
//! listener=127.0.0.1:1340             { listener = "127.0.0.1:1340" }
//! source=10.0.0.5                     { source = "10.0.0.5" }
//! source=10.0.0.5,mac=02:…:2d         { source = "10.0.0.5", mac = "02:…:2d" }
//! interface=tap0                      { interface = "tap0" }
//! netns=blue                          { netns = "blue" }
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::MacAddress;
use crate::id::quoted;
use crate::serial::written_as_text;

/// One way in which an instance is attached, and so recognized.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Attachment {
    /// The instance is whoever comes in on this network interface with a MAC and an address of its
    /// own: a TAP or the host's end of a link.
    Interface(InterfaceName),
    /// The instance is whoever reaches this address and port. Port 0 lets the kernel choose.
    Listener(SocketAddr),
    /// The instance is whoever reaches EC2's addresses in this network namespace.
    Netns(NetnsName),
    /// The instance is whoever asks from this address at a shared listener.
    Source {
        /// The address.
        address: IpAddr,
        /// The MAC that it must come from, where it is on the same link.
        mac: Option<MacAddress>,
    },
}

impl Attachment {
    /// Returns whether no other instance may have the same: all but a listener whose port the
    /// kernel chooses.
    pub fn is_exclusive(&self) -> bool {
        !matches!(self, Self::Listener(address) if address.port() == 0)
    }

    /// Returns what is claimed, without what narrows it down: one source address is one claim,
    /// whatever its MAC.
    #[must_use]
    pub fn claim(&self) -> Self {
        match self {
            Self::Source { address, .. } => {
                Self::Source { address: address.to_canonical(), mac: None }
            }
            Self::Interface(_) | Self::Listener(_) | Self::Netns(_) => self.clone(),
        }
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "interface={name}"),
            Self::Listener(address) => write!(f, "listener={address}"),
            Self::Netns(name) => write!(f, "netns={name}"),
            Self::Source { address, mac: None } => write!(f, "source={address}"),
            Self::Source { address, mac: Some(mac) } => write!(f, "source={address},mac={mac}"),
        }
    }
}

impl FromStr for Attachment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut written = Written::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let place = match key {
                "interface" => &mut written.interface,
                "listener" => &mut written.listener,
                "mac" => &mut written.mac,
                "netns" => &mut written.netns,
                "source" => &mut written.source,
                _ => return Err(format!("`{}` is not an attachment: use {FORMS}", quoted(text))),
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(format!("`{}` says `{key}` twice", quoted(text)));
            }
        }
        written.try_into()
    }
}

const FORMS: &str = "listener=ADDR:PORT, source=ADDR[,mac=MAC], interface=NAME or netns=NAME";

/// The written form: one key says the kind.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

impl TryFrom<Written> for Attachment {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { interface, listener, netns, source, mac } = written;
        match (interface, listener, netns, source, mac) {
            (Some(name), None, None, None, None) => name.parse().map(Self::Interface),
            (None, Some(address), None, None, None) => listener_address(&address),
            (None, None, Some(name), None, None) => name.parse().map(Self::Netns),
            (None, None, None, Some(address), mac) => {
                let mac = mac.map(|mac| mac.parse()).transpose()?;
                Ok(Self::Source { address: source_address(&address)?, mac })
            }
            _ => Err(format!("an attachment is one of: {FORMS}")),
        }
    }
}

impl From<Attachment> for Written {
    fn from(attachment: Attachment) -> Self {
        let mut written = Self::default();
        match attachment {
            Attachment::Interface(name) => written.interface = Some(name.to_string()),
            Attachment::Listener(address) => written.listener = Some(address.to_string()),
            Attachment::Netns(name) => written.netns = Some(name.to_string()),
            Attachment::Source { address, mac } => {
                written.source = Some(address.to_string());
                written.mac = mac.map(|mac| mac.to_string());
            }
        }
        written
    }
}

fn listener_address(text: &str) -> Result<Attachment, String> {
    text.parse().map(Attachment::Listener).map_err(|_| {
        let text = quoted(text);
        format!("listener: `{text}` is not an address and port: use 127.0.0.1:1340 or [::1]:0")
    })
}

fn source_address(text: &str) -> Result<IpAddr, String> {
    let refused = |why: &str| format!("source: `{}` is {why}", quoted(text));
    let address: IpAddr = text.parse().map_err(|_| refused("not an address: use 10.0.0.5"))?;
    let address = address.to_canonical();
    if address.is_unspecified() || address.is_multicast() {
        return Err(refused("nobody's address: use the one that the instance sends from"));
    }
    Ok(address)
}

/// The name of a network interface: 1 to 15 bytes, as the kernel takes them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(ArrayString<15>);

impl InterfaceName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for InterfaceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
        ArrayString::from(text)
            .ok()
            .filter(|_| !matches!(text, "" | "." | "..") && text.bytes().all(is_plain))
            .map(Self)
            .ok_or_else(|| {
                let text = quoted(text);
                format!("`{text}` is not the name of an interface: use up to 15 characters: tap0")
            })
    }
}

/// A network namespace: its name under [`NetnsName::DIRECTORY`], or the absolute path of another
/// file that stands for it, such as `/proc/4711/ns/net`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsName(Box<str>);

impl NetnsName {
    /// Where `ip netns` keeps names.
    pub const DIRECTORY: &'static str = "/run/netns";

    /// LIMIT: the longest file name that Linux takes.
    const NAME_BYTES_MAX: usize = 255;

    /// LIMIT: the longest path that Linux takes.
    const PATH_BYTES_MAX: usize = 4095;

    /// Returns the name or path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is a path, and so no name under [`Self::DIRECTORY`].
    pub fn is_path(&self) -> bool {
        self.0.starts_with('/')
    }

    /// Returns the file that stands for the namespace.
    pub fn path(&self) -> String {
        if self.is_path() { self.0.to_string() } else { format!("{}/{}", Self::DIRECTORY, self.0) }
    }
}

impl FromStr for NetnsName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = text.len() <= Self::NAME_BYTES_MAX && !text.contains('/');
        let is_path = text.len() <= Self::PATH_BYTES_MAX && text.starts_with('/');
        let is_plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if (is_name || is_path) && is_plain && !matches!(text, "" | "." | "..") {
            return Ok(Self(text.into()));
        }
        let text = quoted(text);
        Err(format!(
            "`{text}` is not a network namespace: use a name that `ip netns list` shows, or an \
             absolute path"
        ))
    }
}

macro_rules! shown_as_str {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        written_as_text!($type);
    };
}

shown_as_str!(InterfaceName);
shown_as_str!(NetnsName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_text() {
        for text in [
            "interface=tap0",
            "listener=127.0.0.1:1340",
            "listener=[::1]:0",
            "netns=blue",
            "netns=/proc/4711/ns/net",
            "source=10.0.0.5",
            "source=fd00::5,mac=02:29:96:8f:6a:2d",
        ] {
            let attachment: Attachment = text.parse().unwrap();
            assert_eq!(attachment.to_string(), text);
            let written = serde_json::to_string(&attachment).unwrap();
            assert_eq!(serde_json::from_str::<Attachment>(&written).unwrap(), attachment);
        }
        let source: Attachment = "source=10.0.0.5,mac=02:29:96:8f:6a:2d".parse().unwrap();
        assert_eq!(
            serde_json::to_string(&source).unwrap(),
            r#"{"source":"10.0.0.5","mac":"02:29:96:8f:6a:2d"}"#
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "tap0",
            "vsock=3",
            "interface=",
            "interface=a/b",
            "interface=sixteen-letters.",
            "interface=tap0,mac=02:29:96:8f:6a:2d",
            "interface=tap0,netns=blue",
            "listener=127.0.0.1",
            "listener=localhost:80",
            "mac=02:29:96:8f:6a:2d",
            "netns=..",
            "netns=a/b",
            "netns=a b",
            "source=0.0.0.0",
            "source=10.0.0.5,source=10.0.0.6",
            "source=10.0.0.5,mac=2d",
        ] {
            assert!(text.parse::<Attachment>().is_err(), "{text}");
        }
        let mixed = r#"{"netns":"blue","interface":"tap0"}"#;
        assert!(serde_json::from_str::<Attachment>(mixed).is_err());
    }

    #[test]
    fn one_address_is_one_claim() {
        let claim = |text: &str| text.parse::<Attachment>().unwrap().claim();
        assert_eq!(claim("source=10.0.0.5"), claim("source=10.0.0.5,mac=02:29:96:8f:6a:2d"));
        assert_eq!(claim("source=10.0.0.5"), claim("source=::ffff:10.0.0.5"));
        assert!("netns=blue".parse::<Attachment>().unwrap().is_exclusive());
        assert!(!"listener=127.0.0.1:0".parse::<Attachment>().unwrap().is_exclusive());
    }
}
