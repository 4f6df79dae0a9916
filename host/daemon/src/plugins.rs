//! Loads the configured plugins and says of each what is wrong with it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use wasmail_policy::{Binding, FaultRule, Grant, Grants, Hook};
use wasmail_services::Capabilities;
use wasmail_services::inject::Outlet;
use wasmail_wasm::{
    Bind, BindError, Bound, Budget, Cache, CompileLimits, Component, Engine, EngineConfig, Info, Life, Limits,
    LoadError,
};

use crate::capabilities::Services;
use crate::cli::compile;
use crate::config::{self, Instance, KeyPath, Loaded, Mechanism, Mistakes, OnFault, Plugin, Settings, Size, nearest};
use crate::hosting::Workshop;
use crate::paths;
use crate::wiring::Outfit;

/// What a module that comes with the server begins with.
const BUILTIN: &str = "builtin:";

/// The plugins that were loaded, in the order of the configuration.
#[derive(Default)]
pub(crate) struct Plugins {
    plugins: Vec<LoadedPlugin>,
    /// Where messages that they send go, once the server is there.
    pub(crate) outlet: Outlet,
    /// What those of tenants are started with.
    pub(crate) workshop: Option<Workshop>,
}

/// A plugin that can be asked.
pub(crate) struct LoadedPlugin {
    /// Its name in the configuration.
    pub(crate) name: Arc<str>,
    bound: Arc<Bound>,
    /// Where it stands, before the order of the list counts.
    pub(crate) priority: i8,
    /// Whether it is asked after the plugins of tenants.
    pub(crate) after_tenants: bool,
    grants: Grants,
    on_fault: FaultRule,
}

impl Plugins {
    /// All of them.
    pub(crate) fn loaded(&self) -> &[LoadedPlugin] {
        &self.plugins
    }

    /// The plugins of a chain, in the order in which they are asked: by priority, then as named, or as they stand.
    pub(crate) fn in_order(&self, names: Option<&[String]>) -> Vec<&LoadedPlugin> {
        let mut chain: Vec<_> = match names {
            None => self.plugins.iter().collect(),
            Some(names) => {
                let find = |name: &String| self.plugins.iter().find(|plugin| *plugin.name == **name);
                names.iter().filter_map(find).collect()
            }
        };
        chain.sort_by_key(|plugin| plugin.priority);
        chain
    }

    /// The bindings of a chain.
    pub(crate) fn bindings(&self, names: Option<&[String]>) -> Vec<Binding> {
        self.in_order(names).into_iter().map(LoadedPlugin::binding).collect()
    }
}

impl LoadedPlugin {
    /// What there is to know about its component.
    pub(crate) fn info(&self) -> &Info {
        self.bound.info()
    }

    /// It in a chain.
    pub(crate) fn binding(&self) -> Binding {
        let (name, plugin) = (Arc::clone(&self.name), Arc::clone(&self.bound) as Arc<_>);
        Binding { name, plugin, grants: self.grants, on_fault: self.on_fault }
    }
}

/// Loads every plugin only to find what is wrong, and warns of what is dangerous.
pub(crate) fn check(loaded: &mut Loaded) {
    let Some(settings) = loaded.settings.clone() else { return };
    // A cache that is there saves minutes with large guests; a check makes none.
    let cache = Some(paths::cache(&settings)).filter(|dir| dir.exists());
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => drop(runtime.block_on(load(loaded, cache.as_deref(), None))),
        Err(error) => loaded.mistakes.add(&KeyPath::of(&["engine"]), format!("no thread can be started: {error}")),
    }
    Outfit::load(&settings, false, &mut loaded.mistakes);
    config::warn(&settings, &mut loaded.mistakes);
}

/// Loads every plugin, all at the same time; what is wrong is added to the mistakes. What plugins keep is in the file
/// `store`; without one, as for a check, in memory.
pub(crate) async fn load(loaded: &mut Loaded, cache: Option<&Path>, store: Option<PathBuf>) -> Plugins {
    let none = Plugins::default();
    let Some(settings) = loaded.settings.clone() else { return none };
    let engine = match Engine::new(engine_config(&settings)) {
        Ok(engine) => engine,
        Err(error) => {
            let help = "a limit on virtual memory (`ulimit -v`) must allow 8 GiB an instance; lower engine.instances";
            loaded.mistakes.add_with_help(&KeyPath::of(&["engine"]), error, help);
            return none;
        }
    };
    let services = Services::start(&settings, &loaded.base, store, &mut loaded.mistakes);
    let cache = cache.filter(|_| settings.engine.cache).and_then(|dir| open_cache(dir, loaded));
    let mut work = JoinSet::new();
    let mut modules: HashMap<&str, Module> = HashMap::new();
    for (index, plugin) in settings.plugin.iter().enumerate().filter(|(_, plugin)| plugin.enabled) {
        let module = Arc::clone(modules.entry(&plugin.module).or_default());
        let budget = budget(&settings, plugin);
        let (base, capabilities) = (loaded.base.clone(), services.of(plugin));
        let job = Job { index, plugin: plugin.clone(), budget, base, module, capabilities };
        work.spawn(job.run(engine.clone(), cache.clone()));
    }
    let mut done = work.join_all().await;
    done.sort_by_key(|done| done.index);
    done.iter().for_each(|done| done.complain(loaded));
    let all = done.iter().all(|done| done.plugin.is_some());
    let outlet = services.outlet();
    let memory = engine_config(&settings).limits.memory;
    let workshop = Workshop { engine, cache, services, memory };
    let plugins = done.into_iter().filter_map(|done| done.plugin).collect();
    let plugins = Plugins { plugins, outlet, workshop: Some(workshop) };
    if all {
        nobody_vouches(&settings, &plugins, &mut loaded.mistakes);
    }
    plugins
}

/// Where clients may authenticate, somebody has to vouch for them.
fn nobody_vouches(settings: &Settings, plugins: &Plugins, mistakes: &mut Mistakes) {
    let vouches =
        |plugin: &LoadedPlugin| plugin.info().hooks.contains(Hook::Auth) && plugin.grants.has(Grant::Credentials);
    let mechanisms = &settings.auth.mechanisms;
    let tokens = mechanisms.iter().any(|mechanism| mechanism.is_token());
    // Those who have issued a certificate have vouched for it.
    let enough = settings.auth.users.is_some() || mechanisms.contains(&Mechanism::External);
    for (index, listener) in settings.listener.iter().enumerate().filter(|(_, listener)| listener.auth()) {
        if plugins.in_order(listener.plugins.as_deref()).into_iter().any(vouches) {
            continue;
        }
        let at = KeyPath::of(&["listener"]).index(index).key("auth");
        let by_plugin = "add a plugin with the hook `auth` and grants = [\"credentials\"]";
        if !enough {
            let what = "nobody here vouches for clients: every password is refused";
            mistakes.add_with_help(&at, what, format!("name a file in auth.users, or {by_plugin}"));
        } else if tokens {
            mistakes.add_with_help(&at, "nobody here judges tokens: every one is refused", by_plugin);
        }
    }
}

fn engine_config(settings: &Settings) -> EngineConfig {
    let engine = &settings.engine;
    // Every instance has room for what the largest may take; each is held to its own.
    let memory =
        settings.plugin.iter().filter_map(|plugin| plugin.memory).map(Size::len).fold(engine.memory.len(), usize::max);
    let limits = Limits { memory, cpu: engine.cpu, wall_clock: engine.wall_clock, ..Limits::default() };
    let compile = CompileLimits {
        cpu: engine.compile_cpu,
        wall_clock: engine.compile_wall_clock,
        memory: engine.compile_memory.0,
    };
    let compiler = compile::in_child(compile);
    EngineConfig { limits, max_instances: engine.instances, compiler, ..EngineConfig::default() }
}

/// What a plugin may use.
fn budget(settings: &Settings, plugin: &Plugin) -> Budget {
    let memory = plugin.memory.unwrap_or(settings.engine.memory).len();
    Budget { memory: Some(memory), cpu: plugin.cpu, wall_clock: plugin.wall_clock }
}

fn open_cache(dir: &Path, loaded: &mut Loaded) -> Option<Cache> {
    let help = "mend the directory, or set engine.cache = false";
    let opened = Cache::open(dir);
    opened.map_err(|error| loaded.mistakes.add_with_help(&KeyPath::of(&["engine", "cache"]), error, help)).ok()
}

/// A module that several plugins may be bindings of: it is compiled once.
type Module = Arc<OnceCell<Result<Component, Complaint>>>;

/// One plugin to load.
struct Job {
    index: usize,
    plugin: Plugin,
    budget: Budget,
    base: PathBuf,
    module: Module,
    capabilities: Capabilities,
}

/// A plugin that was loaded, or what is wrong with it: by key, with help.
struct Done {
    index: usize,
    plugin: Option<LoadedPlugin>,
    mistakes: Vec<Complaint>,
}

type Complaint = (&'static str, String, String);

impl Done {
    fn complain(&self, loaded: &mut Loaded) {
        let at = KeyPath::of(&["plugin"]).index(self.index);
        for (key, what, help) in &self.mistakes {
            loaded.mistakes.add_with_help(&at.key(key), what, help);
        }
    }
}

impl Job {
    async fn run(self, engine: Engine, cache: Option<Cache>) -> Done {
        let mut done = Done { index: self.index, plugin: None, mistakes: Vec::new() };
        match self.load(&engine, cache.as_ref(), &mut done).await {
            Ok(plugin) => done.plugin = Some(plugin),
            Err(complaint) => done.mistakes.push(complaint),
        }
        done
    }

    async fn load(&self, engine: &Engine, cache: Option<&Cache>, done: &mut Done) -> Result<LoadedPlugin, Complaint> {
        let component = self.module.get_or_init(|| self.component(engine, cache)).await.clone()?;
        self.compare_grants(component.info(), done);
        let bind = Bind {
            name: self.plugin.name.clone(),
            config: Value::Object(self.plugin.config.clone()),
            life: match self.plugin.instance {
                Instance::Pooled => Life::Pooled,
                Instance::Call => Life::Call,
            },
            capabilities: self.capabilities.clone(),
            budget: self.budget,
        };
        let bound = component.bind(bind).await.map_err(|error| self.refused(&error))?;
        Ok(LoadedPlugin {
            name: self.plugin.name.as_str().into(),
            bound: Arc::new(bound),
            priority: self.plugin.priority.0,
            after_tenants: self.plugin.after_tenants,
            grants: self.grants().collect(),
            on_fault: match self.plugin.on_fault {
                OnFault::Defer => FaultRule::Defer,
                OnFault::Skip => FaultRule::Skip,
                OnFault::Reject => FaultRule::Reject,
            },
        })
    }

    async fn component(&self, engine: &Engine, cache: Option<&Cache>) -> Result<Component, Complaint> {
        let octets = octets(&self.plugin.module, &self.base).map_err(|(what, help)| ("module", what, help))?;
        engine.load(&octets, cache).await.map_err(|error| self.unacceptable(&error))
    }

    fn unacceptable(&self, error: &LoadError) -> Complaint {
        let module = &self.plugin.module;
        let file = if module.starts_with(BUILTIN) { module.into() } else { self.base.join(module) };
        let help = format!("`wasmail plugin inspect {}` examines it alone", file.display());
        ("module", format!("{module} is no plugin: {error}"), help)
    }

    fn refused(&self, error: &BindError) -> Complaint {
        let module = &self.plugin.module;
        let help = match module.strip_prefix(BUILTIN) {
            Some(name) => format!("plugins/{name}/README.md says which keys it has"),
            None => "the plugin's own documentation says which keys it has".to_owned(),
        };
        ("config", error.to_string(), help)
    }

    /// The grants that were given; unknown ones have been reported when the settings were read.
    fn grants(&self) -> impl Iterator<Item = Grant> {
        self.plugin.grants.iter().filter_map(|grant| grant.parse().ok())
    }

    /// What the plugin cannot work without must be granted.
    fn compare_grants(&self, info: &Info, done: &mut Done) {
        let needs = &info.manifest.needs;
        let names: Vec<_> = needs.iter().map(|need| format!("\"{need}\"")).collect();
        let help = format!("write grants = [{}] if you trust it with that", names.join(", "));
        for need in needs.iter().filter(|need| !self.grants().any(|grant| grant == **need)) {
            let what = format!("`{}` needs the grant `{need}`, which is not given", info.manifest.name);
            done.mistakes.push(("grants", what, help.clone()));
        }
    }
}

/// The octets of a module: a bundled plugin's, or a file's. What is wrong, and what to do, otherwise.
pub(crate) fn octets(module: &str, base: &Path) -> Result<Vec<u8>, (String, String)> {
    if let Some(name) = module.strip_prefix(BUILTIN) {
        return wasmail_shelf::get(name).map(|bundled| bundled.component.to_vec()).ok_or_else(|| no_bundled(name));
    }
    let path = base.join(module);
    let help = || "name a component by its path, counted from the configuration file, or builtin:NAME".to_owned();
    // A directory, a device: not to be read to its end.
    if path.exists() && !path.is_file() {
        return Err((format!("{} is no file", path.display()), help()));
    }
    std::fs::read(&path).map_err(|error| (format!("{} cannot be read: {error}", path.display()), help()))
}

fn no_bundled(name: &str) -> (String, String) {
    let known: Vec<_> = wasmail_shelf::all().iter().map(|bundled| bundled.name).collect();
    let help = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the bundled plugins are {}", known.join(", ")),
    };
    (format!("there is no bundled plugin `{name}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_sandbox() {
        let settings = Loaded::read(None, &[]).settings.expect("the reference is good");
        let compiler = compile::in_child(CompileLimits::default());
        assert_eq!(engine_config(&settings), EngineConfig { compiler, ..EngineConfig::default() });
    }

    #[test]
    fn a_bundled_plugin_that_is_not_there_is_named() {
        let (what, help) = octets("builtin:rely", Path::new("")).expect_err("there is none");
        assert_eq!((what.as_str(), help.as_str()), ("there is no bundled plugin `rely`", "did you mean `relay`?"));
    }
}
