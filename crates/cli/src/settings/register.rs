//! The register of settings of `imds serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use control::{References, TypePattern};
use metadata::Profile;
use model::{HttpTokens, InstanceId};
use server::Wire;

use super::kind::{Kind, LaunchDriver, Period, Positive, StoreKind, Switched, Threads, Word};
use super::written::{SettingRefusal, Written};

/// A setting, as it is declared.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The flag is `--` and this with hyphens; the variable is `IMDS_` and this in capitals. It is
    /// also the key in the config file, unless the setting is in a table.
    pub(crate) name: &'static str,
    /// The table of the config file that it is in: the name begins with the table's.
    pub(crate) table: Option<&'static str>,
    /// What a value looks like.
    pub(crate) value_name: &'static str,
    /// The value where nothing sets it; none if it is then unset.
    pub(crate) default: Option<&'static str>,
    /// What it is for: a first sentence, and more.
    pub(crate) help: &'static str,
    /// Whether it takes several values, or none.
    pub(crate) arity: Arity,
    /// Says why a text is no value.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

/// How many values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// One or more.
    Many,
    /// One.
    One,
    /// None on the command line, where the flag itself says yes; `true` or `false` elsewhere.
    Switch,
}

impl Setting {
    /// The key in the config file, with its table: `launch.driver`.
    pub(crate) fn key(&self) -> String {
        let in_table = |table| Some((table, self.name.strip_prefix(table)?.strip_prefix('_')?));
        match self.table.and_then(in_table) {
            Some((table, name)) => format!("{table}.{name}"),
            None => self.name.to_owned(),
        }
    }

    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    pub(crate) fn variable(&self) -> String {
        format!("IMDS_{}", self.name.to_uppercase())
    }
}

macro_rules! settings {
    ($(
        $(#[doc = $help:literal])+
        $name:ident $(in $table:ident)?: $type:ty,
            $value_name:literal $(, default $default:literal)?;
    )+) => {
        /// Every setting, in the order of the help.
        pub(crate) static REGISTER: &[Setting] = &[$(
            Setting {
                name: stringify!($name),
                table: settings!(@option $(stringify!($table))?),
                value_name: $value_name,
                default: settings!(@option $($default)?),
                help: concat!($($help, "\n"),+),
                arity: <$type as Kind>::ARITY,
                check: <$type as Kind>::check,
            },
        )+];

        /// What a server runs on; [`REGISTER`] says what each field is.
        #[derive(Debug)]
        pub(crate) struct Settings {
            $( pub(crate) $name: $type, )+
        }

        impl Settings {
            /// Reads what was written.
            ///
            /// # Errors
            ///
            /// [`SettingRefusal`] for the first value that is none, with the layer it came from.
            pub(crate) fn read(written: &Written) -> Result<Self, SettingRefusal> {
                Ok(Self {
                    $( $name: written.read(stringify!($name))?, )+
                })
            }
        }
    };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
}

settings! {
    /// Address that serves the default instance.
    ///
    /// May be given several times. Port 0 lets the system choose; the ready line tells which.
    listen: Vec<SocketAddr>, "ADDR:PORT", default "127.0.0.1:1338";
    /// Address that serves every instance attached by its source address.
    ///
    /// May be given several times. A caller whose source address is attached to no instance is
    /// turned away.
    shared_listen: Vec<SocketAddr>, "ADDR:PORT";
    /// Serve the default instance at 169.254.169.254:80 and [fd00:ec2::254]:80.
    ///
    /// Adds the addresses to the loopback interface and removes them at the end; needs root.
    /// Refuses to start where something answers there already.
    link_local: Switched, "true|false", default "false";
    /// Address of the management plane: metrics and health.
    ///
    /// It is private: an address other than loopback needs --insecure-manage.
    manage: SocketAddr, "ADDR:PORT", default "127.0.0.1:1339";
    /// Allow a management address that others can reach, without encryption.
    insecure_manage: Switched, "true|false", default "false";
    /// Directory of the state: keys, instances, the admin socket.
    ///
    /// By default $STATE_DIRECTORY, else $XDG_STATE_HOME/imds, else ~/.local/state/imds.
    data_dir: Option<PathBuf>, "DIR";
    /// Where the state is kept: `redb`, a file in the state directory, or `memory`, nowhere.
    store: StoreKind, "redb|memory", default "redb";
    /// What is refused: `ec2` refuses what EC2 refuses, `strict` also whatever betrays a proxy.
    ///
    /// `strict` refuses Via, Forwarded and X-Forwarded-* on any request, and hosts that are neither
    /// an address nor localhost.
    profile: Profile, "ec2|strict", default "ec2";
    /// What answers look like: those of `nitro` instances, or of `legacy` (Xen) ones.
    wire: Wire, "nitro|legacy", default "nitro";
    /// Threads that serve guests; by default one for each core.
    workers: Option<Threads>, "N";
    /// Set the default instance's HttpTokens at this start, like a modify.
    ///
    /// `optional` also serves IMDSv1, which needs no token. Later changes win and last.
    http_tokens: Option<HttpTokens>, "optional|required";
    /// The instance that the --listen addresses serve; by default i-1234567890abcdef0.
    default_instance: Option<InstanceId>, "ID";
    /// How long a key makes session tokens before the next one does, such as 30m, 24h or 7d.
    ///
    /// Tokens outlive their key's turn: earlier keys are kept for as long as a token can live.
    token_key_rotation: Period, "TIME", default "24h";
    /// Connections that may wait for something at a time; more are closed at once.
    max_connections: Positive, "N", default "8192";
    /// Connections of one source address that may wait for something at a time.
    max_connections_per_source: Positive, "N", default "256";
    /// Requests that an instance may make in a second; more are answered 503. No bound by default.
    requests_per_second: Option<Positive>, "N";
    /// What makes the machines of instances that the EC2 API launches.
    ///
    /// `none`: an operator attaches them. `listener`: nothing; each is served at an address of its
    /// own, which `imds instance show` prints. `source`: nothing; each is told by its private
    /// address, at --shared-listen. `netns`: a network namespace on this machine, which `imds exec`
    /// runs programs in; needs root. `exec`: the program of --launch-command.
    launch_driver in launch: LaunchDriver, "none|listener|source|netns|exec", default "listener";
    /// Give each machine of the `netns` driver a container, one network hop further away.
    launch_container in launch: Switched, "true|false", default "false";
    /// The machine program of the `exec` driver, and its arguments.
    ///
    /// It is run without a shell on every launch, start, stop, reboot and end, with the event as JSON
    /// on standard input, and may print {"attachments": ["interface=tap0"]}. A status other
    /// than 0 is a failure, and its first line on standard error says why.
    launch_command in launch: Vec<Word>, "PROGRAM";
    /// What becomes of references to images, key pairs, subnets and groups that nobody described.
    ///
    /// `adopt`: they are taken for what they say. `strict`: they are refused, as on EC2.
    launch_references in launch: References, "adopt|strict", default "adopt";
    /// Instance types that require tokens where nobody says otherwise, such as m8g.*.
    ///
    /// May be given several times. `*` stands for any characters.
    launch_tokens_required_types in launch: Vec<TypePattern>, "PATTERN";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_values() {
        for setting in REGISTER {
            if let Some(default) = setting.default {
                assert_eq!((setting.check)(default), Ok(()), "{}", setting.name);
            }
        }
    }

    #[test]
    fn help_begins_with_a_sentence() {
        for setting in REGISTER {
            let first = setting.help.lines().next().unwrap().trim();
            assert!(first.ends_with('.'), "{}: {first}", setting.name);
        }
    }

    #[test]
    fn names_are_told_once() {
        let mut names: Vec<_> = REGISTER.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REGISTER.len());
    }
}
