//! What a test says before it connects.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Runtime;
use wasmail_mail::Remote;
use wasmail_policy::{Binding, Chain, FaultRule, Grant, Grants};
use wasmail_smtp::own::OwnMessage;
use wasmail_smtp::{Limits, LineEndings, SessionConfig};
use wasmail_wasm::{Bind, Info};

use crate::session::{self, Session};
use crate::workshop::{Source, Workshop};
use crate::world::World;

/// Our name in sessions of the kit.
const HOSTNAME: &str = "mx.example.test";
/// The client's address, from a documentation net, if a test does not say otherwise.
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A plugin, and the surroundings in which it is tested.
///
/// Methods that take the kit by value return it changed. What goes wrong is a panic with a sentence about it, as a test
/// wants it.
#[derive(Debug, Clone)]
pub struct Kit {
    /// Where dialogues are looked for.
    base: PathBuf,
    own: Source,
    config: Value,
    grants: Vec<Grant>,
    others: BTreeMap<String, Source>,
    /// Plugins that are asked besides this one, in order.
    beside: Vec<(String, Value)>,
    pub(crate) world: World,
    pub(crate) client: Client,
}

/// The client and what the session makes of it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) ip: IpAddr,
    pub(crate) relaying: bool,
    pub(crate) line_endings: LineEndings,
    pub(crate) limits: Limits,
}

impl Default for Client {
    fn default() -> Self {
        Self { ip: CLIENT, relaying: false, line_endings: LineEndings::Strict, limits: Limits::default() }
    }
}

impl Kit {
    /// A kit for the plugin whose crate is in this directory; [`kit!`](crate::kit!) says it for you.
    ///
    /// The crate is compiled for wasm32-wasip2 when the plugin is first needed.
    #[must_use]
    pub fn of_crate(dir: impl AsRef<Path>) -> Self {
        Self::new(dir.as_ref(), Source::Crate(dir.as_ref().to_owned()))
    }

    /// A kit for a component that is there already, with dialogues below `base`.
    #[must_use]
    pub fn of_component(octets: &[u8], base: impl AsRef<Path>) -> Self {
        Self::new(base.as_ref(), Source::Octets(octets.into()))
    }

    fn new(base: &Path, own: Source) -> Self {
        Self {
            base: base.to_owned(),
            own,
            config: Value::Null,
            grants: Vec::new(),
            others: BTreeMap::new(),
            beside: Vec::new(),
            world: World::default(),
            client: Client::default(),
        }
    }

    /// The same with this configuration of the plugin. A dialogue's own `@ plugin` line goes before it.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// The same with a grant more than the plugin's manifest asks for.
    #[must_use]
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// The same with another plugin that is asked after this one, such as `local-domains`.
    #[must_use]
    pub fn beside(mut self, name: &str, config: Value) -> Self {
        self.beside.push((name.to_owned(), config));
        self
    }

    /// The same with another plugin's crate, to be named in [`Kit::beside`] and in dialogues.
    #[must_use]
    pub fn with(mut self, name: &str, dir: impl AsRef<Path>) -> Self {
        self.others.insert(name.to_owned(), Source::Crate(self.base.join(dir)));
        self
    }

    /// The same with a record in the DNS as the plugins see it, written as `NAME TYPE DATA`; `NAME TYPE fails` is a question
    /// that the name servers cannot answer. What is not listed does not exist.
    ///
    /// # Panics
    /// When it is not written so.
    #[must_use]
    pub fn dns(mut self, record: &str) -> Self {
        self.world.add_record(record).unwrap_or_else(|why| panic!("{record}: {why}"));
        self
    }

    /// The same with a response to plugins' requests over HTTP, written as `METHOD URL STATUS BODY`; `METHOD URL fails` is one
    /// that nobody answers, as is whatever is not listed.
    ///
    /// # Panics
    /// When it is not written so.
    #[must_use]
    pub fn http(mut self, response: &str) -> Self {
        self.world.add_response(response).unwrap_or_else(|why| panic!("{response}: {why}"));
        self
    }

    /// The same with a service that plugins can speak with, written as `ENDPOINT TEXT`: whatever it hears, it says this text, in
    /// which `\0`, `\r` and `\n` may stand, and hangs up. `ENDPOINT fails` is one that nobody reaches, as is whatever is not
    /// listed.
    ///
    /// # Panics
    /// When it is not written so.
    #[must_use]
    pub fn tcp(mut self, service: &str) -> Self {
        self.world.add_service(service).unwrap_or_else(|why| panic!("{service}: {why}"));
        self
    }

    /// The same with what is known of the addresses of a network, written as `NETWORK JSON`: a record as MaxMind's databases have
    /// it, such as `192.0.2.0/24 {"country": {"iso_code": "DE"}, "autonomous_system_number": 64496}`.
    ///
    /// # Panics
    /// When it is not written so.
    #[must_use]
    pub fn geo(mut self, record: &str) -> Self {
        self.world.add_place(record).unwrap_or_else(|why| panic!("{record}: {why}"));
        self
    }

    /// The same with a client at another address.
    #[must_use]
    pub fn from(mut self, ip: IpAddr) -> Self {
        self.client.ip = ip;
        self
    }

    /// What there is to know about the plugin's component: its manifest, hooks, size.
    ///
    /// # Panics
    /// When the plugin does not compile or is not acceptable.
    #[must_use]
    pub fn info(&self) -> Info {
        let component = Workshop::get().load(&session::runtime(), &self.own);
        component.unwrap_or_else(|why| panic!("{why}")).info().clone()
    }

    /// The plugin's component, compiled if it has to be.
    ///
    /// # Panics
    /// When the plugin does not compile.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        self.own.octets().unwrap_or_else(|why| panic!("{why}")).to_vec()
    }

    /// Connects a client to a session whose chain asks this plugin, then those beside it.
    ///
    /// # Panics
    /// When a plugin does not compile, is not acceptable, or refuses its configuration.
    #[must_use]
    pub fn connect(&self) -> Session {
        self.try_connect(None).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts the plugin, and returns what it says against its configuration.
    ///
    /// # Errors
    /// The text with which the plugin, or the host, refuses.
    pub fn check_config(&self) -> Result<(), String> {
        self.try_connect(None).map(|_| ())
    }

    /// Connects with the plugins of a dialogue, or with the kit's own.
    pub(crate) fn try_connect(&self, plugins: Option<&[(String, Value)]>) -> Result<Session, String> {
        let runtime = session::runtime();
        let bindings = match plugins {
            Some(plugins) => plugins.iter().map(|(name, config)| self.bind(&runtime, name, config)).collect(),
            None => self.own_bindings(&runtime),
        };
        let limits = self.client.limits.clone();
        let config = SessionConfig { line_endings: self.client.line_endings, ..session_config(limits) };
        let remote = Remote::new(self.client.ip, 40_000);
        Ok(Session::new(runtime, config, remote, self.client.relaying, Chain::new(bindings?)))
    }

    fn own_bindings(&self, runtime: &Runtime) -> Result<Vec<Binding>, String> {
        let own = self.bind_source(runtime, None, &self.own, &self.config)?;
        let beside = self.beside.iter().map(|(name, config)| self.bind(runtime, name, config));
        std::iter::once(Ok(own)).chain(beside).collect()
    }

    fn bind(&self, runtime: &Runtime, name: &str, config: &Value) -> Result<Binding, String> {
        let source = self.source(runtime, name)?;
        let config = if source == self.own && config.is_null() { &self.config } else { config };
        self.bind_source(runtime, Some(name), &source, config)
    }

    /// Where a name leads: to this plugin itself, to one that was given, or to the server's own.
    fn source(&self, runtime: &Runtime, name: &str) -> Result<Source, String> {
        if let Some(source) = self.others.get(name) {
            return Ok(source.clone());
        }
        if Workshop::get().load(runtime, &self.own)?.info().manifest.name == name {
            return Ok(self.own.clone());
        }
        match wasmail_shelf::get(name) {
            Some(bundled) => Ok(Source::Bundled(bundled.name)),
            None => Err(format!("no plugin is called `{name}`: neither this one, nor one that comes with the server")),
        }
    }

    fn bind_source(
        &self,
        runtime: &Runtime,
        name: Option<&str>,
        source: &Source,
        config: &Value,
    ) -> Result<Binding, String> {
        let component = Workshop::get().load(runtime, source)?;
        let manifest = &component.info().manifest;
        let name = name.unwrap_or(&manifest.name);
        let more = self.grants.iter().filter(|_| *source == self.own);
        let grants: Grants = manifest.needs.iter().chain(more).copied().collect();
        let capabilities = self.world.capabilities(name, grants);
        let bind = Bind { name: name.to_owned(), config: config.clone(), capabilities, ..Bind::default() };
        let bound = runtime.block_on(component.bind(bind)).map_err(|error| format!("{name}: {error}"))?;
        Ok(Binding { name: name.into(), plugin: Arc::new(bound), grants, on_fault: FaultRule::Defer })
    }

    /// What plugins have sent of their own in all sessions so far, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<OwnMessage> {
        self.world.sent.messages()
    }

    /// A path below the plugin's directory.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }
}

/// How sessions of the kit speak.
pub(crate) fn session_config(limits: Limits) -> SessionConfig {
    SessionConfig {
        srs: None,
        starttls: false,
        auth: None,
        limits,
        line_endings: LineEndings::Strict,
        kind: wasmail_smtp::Kind::Smtp,
        chunking: wasmail_smtp::Chunking::Off,
        hostname: HOSTNAME.to_owned(),
        software: concat!("wasmail/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}
