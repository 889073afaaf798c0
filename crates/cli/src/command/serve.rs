//! `imds serve`: the main job.

mod check;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgAction, ArgMatches, Command};
use control::LaunchSettings;
use control::start::{Configured, Fresh, Started, start};
use model::{OptionsChange, Secret};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use server::{Bounds, Clock, Passed, ServerSettings, ServiceSettings};
use store::{Administrator, Backend, Change, Memory, Redb, Snapshot, Store};

use crate::command::{notice, service, state_directory};
use crate::fault::Fault;
use crate::settings::file::ConfigFile;
use crate::settings::kind::{LaunchDriver, Positive, StoreKind, Word};
use crate::settings::register::{Arity, REGISTER, Settings};
use crate::settings::written::Written;
use crate::sys;

/// Name of the administrator's key in the state directory, in the form of AWS credential files.
const ADMINISTRATOR_FILE: &str = "administrator";

/// LIMIT: files kept free for the store, the signer, operators and credential programs.
const FILES_BESIDE_GUESTS: u64 = 128 + 256;

pub(crate) fn definition() -> Command {
    let settings = REGISTER.iter().map(|setting| {
        let arg = Arg::new(setting.name).long(setting.flag()).value_name(setting.value_name);
        let mut lines = setting.help.trim().lines().map(str::trim);
        let first = lines.next().unwrap_or_default().trim_end_matches('.').to_owned();
        let default = setting.default.map(|value| format!(" [default: {value}]"));
        let more: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let short = format!("{first}{}", default.as_deref().unwrap_or_default());
        let long = match more.as_slice() {
            [] => short.clone(),
            more => format!("{short}\n{}", more.join("\n")),
        };
        let arg = arg.help(short).long_help(long);
        match setting.arity {
            Arity::Many => arg.action(ArgAction::Append),
            Arity::One => arg.action(ArgAction::Set),
            Arity::Switch => arg.action(ArgAction::SetTrue),
        }
    });
    Command::new("serve")
        .about("Run the metadata service")
        .long_about(
            "Run the metadata service and its management plane, until SIGTERM or SIGINT.\n\nEach \
             setting can also stand in the file named by --config, or in a variable: --data-dir is \
             the key data_dir and the variable IMDS_DATA_DIR. Flags win over variables, variables \
             over the file.",
        )
        .args(settings)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("Settings, and what is described, in TOML [variable: IMDS_CONFIG]"),
        )
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Check the settings, print them with where each came from, and end"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    // Before any file is opened.
    let passed = Passed::take().map_err(|fault| usage(&fault))?;
    let files_max = harden();
    let variables = variables()?;
    let variable = |name: &str| variables.get(name).cloned();
    let path = matches.get_one::<String>("config").cloned().or_else(|| variable("IMDS_CONFIG"));
    let file = match path {
        Some(path) => ConfigFile::read(Path::new(&path)).map_err(|fault| usage(&fault))?,
        None => ConfigFile::default(),
    };
    let written = Written::gather(&file, variable, matches);
    let mut settings = Settings::read(&written).map_err(|fault| usage(&fault))?;
    service::take_up(&passed, &mut settings, &written)?;
    if !settings.manage.ip().is_loopback() && !settings.insecure_manage.is_on() {
        return Err(Fault::usage(format!(
            "`manage` is {}: others can reach that address, and the management plane is neither \
             encrypted nor restricted there. Use a loopback address, or --insecure-manage",
            settings.manage
        )));
    }
    if settings.launch_driver == LaunchDriver::Exec && settings.launch_command.is_empty() {
        return Err(Fault::usage(
            "`launch.driver` is exec, and `launch.command` names no program: name one, such as \
             launch.command = [\"/usr/local/bin/machine\"]",
        ));
    }
    let data_dir = state_directory(settings.data_dir.clone())?;
    let (configured, file) = configured(&settings, file);
    if matches.get_flag("check") {
        // What would be planned for a first start is what can be wrong about it.
        let empty = Store::open(Box::new(Memory::default())).map_err(|f| Fault::failed(&f))?;
        let (_, started) = plan(&empty.snapshot(), configured.clone(), &file)?;
        refuse_to_serve_nobody(&settings, &started)?;
        return print_out(&check::report(&written, &configured, &data_dir));
    }
    make_directory(&data_dir)?;
    let store = Arc::new(open_store(settings.store, &data_dir)?);
    let (changes, started) = plan(&store.snapshot(), configured, &file)?;
    // Of a large fleet even the line numbers are worth freeing.
    drop((file, written));
    refuse_to_serve_nobody(&settings, &started)?;
    serve(&settings, passed, store, (changes, started), &data_dir, files_max)
}

/// Reads the variables that are ours.
fn variables() -> Result<BTreeMap<String, String>, Fault> {
    let named = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("IMDS_"))?;
        let refused = |_| Fault::usage(format!("${name}: the value is not UTF-8 text"));
        Some(value.into_string().map_err(refused).map(|value| (name.clone(), value)))
    };
    std::env::vars_os().filter_map(named).collect()
}

fn usage(fault: &dyn std::error::Error) -> Fault {
    Fault::usage(fault.to_string())
}

/// Takes the descriptions out of the file, whose lines are still needed.
fn configured(settings: &Settings, mut file: ConfigFile) -> (Configured, ConfigFile) {
    let configured = Configured {
        instances: std::mem::take(&mut file.instances),
        iam: std::mem::take(&mut file.iam),
        organization: std::mem::take(&mut file.organization),
        default_instance: settings.default_instance,
        default_options: OptionsChange {
            http_tokens: settings.http_tokens,
            ..OptionsChange::default()
        },
        listen: settings.listen.clone(),
        shared_listen: settings.shared_listen.clone(),
    };
    (configured, file)
}

/// Plans the start. A refusal is told with its place in the file.
fn plan(
    snapshot: &Snapshot,
    configured: Configured,
    file: &ConfigFile,
) -> Result<(Vec<Change>, Started), Fault> {
    let now = Clock::start().now().wall;
    start(snapshot, configured, fresh()?, now).map_err(|refusal| {
        Fault::usage(format!("{}{refusal}", file.place_of(&refusal).unwrap_or_default()))
    })
}

fn refuse_to_serve_nobody(settings: &Settings, started: &Started) -> Result<(), Fault> {
    let serves_someone = !settings.listen.is_empty()
        || !settings.shared_listen.is_empty()
        || settings.link_local.is_on()
        || !started.listeners.is_empty()
        || started.others > 0;
    if serves_someone {
        return Ok(());
    }
    Err(Fault::usage(
        "`listen` names no address, and no instance has an attachment: nobody could be served",
    ))
}

fn serve(
    settings: &Settings,
    passed: Passed,
    store: Arc<Store>,
    (changes, started): (Vec<Change>, Started),
    data_dir: &Path,
    files_max: u64,
) -> Result<(), Fault> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = settings.workers.map_or(cores, |workers| workers.get() as usize);
    let link_local = 2;
    let at_each_worker =
        settings.listen.len() + settings.shared_listen.len() + started.listeners.len() + link_local;
    // What is of one instance is at one worker, with a socket for each protocol.
    let sockets = at_each_worker * workers + started.others * 2;
    let server = ServerSettings {
        listen: settings.listen.clone(),
        shared_listen: settings.shared_listen.clone(),
        listeners: started.listeners,
        link_local: settings.link_local.is_on(),
        manage: settings.manage,
        passed,
        data_dir: data_dir.to_owned(),
        workers,
        service: ServiceSettings {
            profile: settings.profile,
            wire: settings.wire,
            requests_per_second: settings.requests_per_second.map(Positive::get),
        },
        bounds: Bounds {
            connections: bounded_connections(settings, files_max, sockets)?,
            connections_per_source: settings.max_connections_per_source.get(),
        },
        token_key_period_seconds: settings.token_key_rotation.as_seconds(),
        default_instance: started.default_instance,
        launch: launch_settings(settings),
        machine_program: machine_program(settings),
        watchdog: service::watchdog(),
    };
    // What the start changes is stored once nothing can keep the server from serving: a start that
    // fails leaves the state as it was.
    let committed = Arc::clone(&store);
    let commit = move || {
        let plan = |_: &Snapshot| -> Result<_, Infallible> { Ok((changes, ())) };
        committed.transact(plan).map_err(|fault| control::native::describe_fault(&fault))?;
        sys::give_back_free_memory();
        match committed.snapshot().administrator() {
            Some(administrator) => keep_administrator(data_dir, administrator),
            None => Ok(()),
        }
    };
    server::run(&server, store, commit, service::announce, notice::tell)
        .map_err(|fault| Fault::failed(&fault))
}

fn launch_settings(settings: &Settings) -> LaunchSettings {
    LaunchSettings {
        driver: settings.launch_driver.with(settings.launch_container.is_on()),
        references: settings.launch_references,
        tokens_required_types: settings.launch_tokens_required_types.clone(),
    }
}

fn machine_program(settings: &Settings) -> Vec<String> {
    settings.launch_command.iter().map(|Word(word)| word.clone()).collect()
}

/// Leaves room among the files that the process may open for those that are not guests'.
fn bounded_connections(settings: &Settings, files_max: u64, sockets: usize) -> Result<u32, Fault> {
    let others = FILES_BESIDE_GUESTS + u64::try_from(sockets).unwrap_or(u64::MAX);
    let room = u32::try_from(files_max.saturating_sub(others)).unwrap_or(u32::MAX);
    let asked = settings.max_connections.get();
    if room == 0 {
        return Err(Fault::told(format!(
            "the process may open {files_max} files, and needs {others} before it serves anyone: \
             raise the limit (ulimit -n), or lower --workers"
        )));
    }
    if room < asked {
        say!(
            "imds: at most {room} connections may wait, and not {asked}, because the process may \
             open {files_max} files: raise the limit (ulimit -n) for more"
        );
    }
    Ok(asked.min(room))
}

/// Keeps secrets out of core files and privileges from credential programs, and makes room for many
/// connections. Returns how many files the process may open.
fn harden() -> u64 {
    // Where any of it is not allowed, the server is no worse than other programs.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // What the server has stays in force; programs that it runs do not get it.
    let _ = rustix::thread::clear_ambient_capability_set();
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Makes the state directory, or sees that the one there is can be trusted with keys.
fn make_directory(path: &Path) -> Result<(), Fault> {
    let wrong = |reason: &dyn std::fmt::Display| {
        Fault::told(format!(
            "the state directory `{}` cannot be used: {reason}. Name another with --data-dir, or \
             mend this one",
            path.display()
        ))
    };
    let is_new = !path.exists();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|f| wrong(&f))?;
    let parent = path.parent().filter(|parent| is_new && !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::File::open(parent).and_then(|directory| directory.sync_all()).map_err(|f| wrong(&f))?;
    }
    let found = fs::metadata(path).map_err(|fault| wrong(&fault))?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        return Err(wrong(&format!("it belongs to user {}, and this is user {own}", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(wrong(&"others may write to it"));
    }
    // Said now, rather than by the database in words of its own.
    let probe = path.join(".writable");
    let _ = fs::remove_file(&probe);
    let made = fs::OpenOptions::new().create_new(true).write(true).open(&probe);
    made.and_then(|_| fs::remove_file(&probe)).map_err(|fault| wrong(&fault))
}

fn open_store(kind: StoreKind, data_dir: &Path) -> Result<Store, Fault> {
    let backend: Box<dyn Backend> = match kind {
        StoreKind::Memory => Box::new(Memory::default()),
        StoreKind::Redb => {
            let path: PathBuf = data_dir.join("state.redb");
            Box::new(Redb::open(&path).map_err(|fault| Fault::failed(&fault))?)
        }
    };
    Store::open(backend).map_err(|fault| Fault::failed(&fault))
}

/// Random material for a first start.
fn fresh() -> Result<Fresh, Fault> {
    let mut bytes = [0; 32 + 32 + 16 + 30];
    getrandom::fill(&mut bytes)
        .map_err(|fault| Fault::told(format!("the system gives no random bytes: {fault}")))?;
    let mut rest = &bytes[..];
    let mut take = |count: usize| {
        let (taken, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        rest = after;
        taken
    };
    let mut fresh = Fresh {
        token_key: [0; 32],
        issuer_key: [0; 32],
        access_key_id: [0; 16],
        secret_access_key: Secret::new(String::new()),
    };
    fresh.token_key.copy_from_slice(take(32));
    fresh.issuer_key.copy_from_slice(take(32));
    fresh.access_key_id.copy_from_slice(take(16));
    fresh.secret_access_key = Secret::new(STANDARD.encode(take(30)));
    Ok(fresh)
}

/// Writes the administrator's key where AWS tools can read it, for its owner alone.
fn keep_administrator(data_dir: &Path, administrator: &Administrator) -> Result<(), String> {
    let path = data_dir.join(ADMINISTRATOR_FILE);
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        administrator.access_key_id,
        administrator.secret_access_key.expose()
    );
    let is_private = fs::metadata(&path).is_ok_and(|found| found.mode() & 0o777 == 0o600);
    if is_private && fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut options = fs::OpenOptions::new();
        let mut file = options.create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, &path)
    };
    write().map_err(|fault| {
        format!("the administrator's key cannot be kept in `{}`: {fault}", path.display())
    })
}

/// Prints a result.
pub(crate) fn print_out(text: &str) -> Result<(), Fault> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|fault| Fault::failed(&fault))
}
