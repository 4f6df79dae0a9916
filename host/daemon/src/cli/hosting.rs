//! `wasmail tenant`, `module`, `binding`, `secret` and `token`: what the API does, from the command line. They speak with a running server.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use miette::{Diagnostic, IntoDiagnostic};
use serde_json::{Map, Value, json};
use thiserror::Error;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::check::report;
use crate::config::Loaded;
use crate::out::say;
use crate::paths;

#[derive(Debug, Error, Diagnostic)]
enum HostingError {
    #[error("the configuration has no api.listen, so there is no API to ask")]
    #[diagnostic(help(
        "add [api] with listen = \"127.0.0.1:8025\" and start the server anew, or name another's with --api"
    ))]
    NoApi,
    #[error("{path} cannot be read: {source}")]
    #[diagnostic(help("the server writes it at its first start with an API; or set WASMAIL_TOKEN"))]
    NoToken { path: PathBuf, source: std::io::Error },
    #[error("{url} does not answer: {why}")]
    #[diagnostic(help("is the server running, with [api]? --api names another address"))]
    NoAnswer { url: String, why: String },
    #[error("{status}: {detail}")]
    Refused {
        status: u16,
        detail: String,
        #[help]
        help: Option<String>,
    },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
}

/// Which server, and who asks.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// Where the API answers, such as `http://127.0.0.1:8025`; by default where the configuration says.
    #[arg(long, global = true, env = "WASMAIL_API", value_name = "URL")]
    api: Option<String>,
    /// The token to show; by default the operator's first one, from the data directory.
    #[arg(long, global = true, env = "WASMAIL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Authorities, in PEM, that the API's certificate is checked by; by default Mozilla's.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Configuration file, for where the API and the token are.
    #[arg(long, short, global = true, env = "WASMAIL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Customers and their domains.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Lists the tenants.
    List,
    /// Shows a tenant.
    Show { tenant: String },
    /// Makes a tenant.
    Add {
        tenant: String,
        /// What people call it.
        #[arg(long, default_value = "")]
        title: String,
        /// What its plugins may be granted at most; may be given several times.
        #[arg(long, value_name = "GRANT")]
        grant: Vec<String>,
        /// A domain of it; may be given several times.
        #[arg(long, value_name = "DOMAIN")]
        domain: Vec<String>,
    },
    /// Alters a tenant, by a JSON object as in the API: title, quotas, grants, signers.
    Alter { tenant: String, json: String },
    /// Defers its mail until further notice.
    Suspend { tenant: String },
    /// Takes its mail again.
    Resume { tenant: String },
    /// Removes a tenant with all that it owns.
    Remove { tenant: String },
    /// Lists its domains.
    Domains { tenant: String },
    /// Gives it a domain.
    AddDomain { tenant: String, domain: String },
    /// Takes a domain away.
    RemoveDomain { tenant: String, domain: String },
    /// Shows what it has used of its quotas.
    Usage { tenant: String },
    /// Shows who did what, the newest first.
    Audit { tenant: String },
}

/// Uploaded components.
#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    /// Lists a tenant's modules.
    List { tenant: String },
    /// Uploads a component.
    Upload { tenant: String, file: PathBuf },
    /// Removes a module that no binding needs.
    Remove { tenant: String, module: String },
}

/// A module with its configuration.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    tenant: String,
    binding: String,
    /// The module: its SHA-256, or a component's file, which is uploaded.
    #[arg(long, value_name = "SHA-256|FILE")]
    module: String,
    /// Its configuration, a JSON object.
    #[arg(long = "set", value_name = "JSON", default_value = "{}")]
    settings: String,
    /// What it may do beyond judging; may be given several times.
    #[arg(long, value_name = "GRANT")]
    grant: Vec<String>,
}

/// Modules in a tenant's chain.
#[derive(Debug, Subcommand)]
pub(crate) enum BindingCommand {
    /// Lists a tenant's bindings, in the order in which they are asked.
    List { tenant: String },
    /// Shows a binding.
    Show { tenant: String, binding: String },
    /// Binds a module.
    Add {
        #[command(flatten)]
        version: VersionArgs,
        /// -100 to 100: who is asked earlier.
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        priority: i8,
        /// What becomes of a question that it fails to answer: defer, skip or reject.
        #[arg(long, default_value = "defer")]
        on_fault: String,
    },
    /// Has another version run; the one before is kept.
    Activate(VersionArgs),
    /// Has the version before run again.
    Rollback { tenant: String, binding: String },
    /// Tries a version: in the shadow, or for a share of the senders.
    Try {
        #[command(flatten)]
        version: VersionArgs,
        /// 1 to 99.
        #[arg(long)]
        percent: Option<u8>,
    },
    /// Tries it no longer.
    EndTry { tenant: String, binding: String },
    /// Shows what the shadow would have said otherwise.
    Compare { tenant: String, binding: String },
    /// Removes a binding.
    Remove { tenant: String, binding: String },
}

/// What tenants' plugins use and never see.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Lists the names of a tenant's secrets.
    List { tenant: String },
    /// Sets a secret, which is read from standard input, as it is.
    Set { tenant: String, secret: String },
    /// Removes a secret.
    Remove { tenant: String, secret: String },
}

/// Who may use the API.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Lists tokens: all, or a tenant's.
    List {
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Makes a token, which is shown once.
    New {
        /// What it is for.
        label: String,
        /// The tenant that it is limited to.
        #[arg(long)]
        tenant: Option<String>,
        /// It may read only.
        #[arg(long)]
        read_only: bool,
    },
    /// Revokes a token.
    Revoke { id: String },
}

/// The API of a server.
pub(crate) struct Client {
    base: String,
    token: String,
    agent: ureq::Agent,
}

impl Client {
    /// The API that is meant.
    pub(crate) fn new(args: &ApiArgs) -> miette::Result<Self> {
        let loaded = Loaded::read_here(args.config.as_deref());
        let settings = loaded.settings.as_ref().filter(|_| args.api.is_none() || args.token.is_none());
        if args.api.is_none() || args.token.is_none() {
            report(&loaded)?;
        }
        let here = || {
            let api = &settings?.api;
            let scheme = if api.certificate.is_some() { "https" } else { "http" };
            Some(format!("{scheme}://{}", api.listen?))
        };
        let base = args.api.clone().or_else(here).ok_or(HostingError::NoApi)?;
        let token = match (&args.token, settings) {
            (Some(token), _) => token.clone(),
            (None, Some(settings)) => read_token(&paths::api_token(settings))?,
            (None, None) => return Err(HostingError::NoApi.into()),
        };
        let roots = match &args.ca {
            Some(path) => {
                let pem = std::fs::read(path).map_err(|source| HostingError::File { path: path.clone(), source })?;
                let parsed = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                });
                RootCerts::from(parsed.collect::<Vec<Certificate<'static>>>())
            }
            None => RootCerts::WebPki,
        };
        let tls = TlsConfig::builder().root_certs(roots).build();
        // A proxy is for the world; this is our own server.
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).tls_config(tls).build();
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token: token.trim().to_owned(), agent: config.into() })
    }

    fn send(&self, method: Method, path: &str, body: Vec<u8>) -> miette::Result<Value> {
        let url = format!("{}/v1{path}", self.base);
        let no_answer = |why: String| HostingError::NoAnswer { url: self.base.clone(), why };
        let request = Request::builder().method(method).uri(&url);
        let request = request.header("Authorization", format!("Bearer {}", self.token)).body(body).into_diagnostic()?;
        let mut answer = self.agent.run(request).map_err(|error| no_answer(error.to_string()))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().map_err(|error| no_answer(error.to_string()))?;
        let value =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        if status < 300 {
            return Ok(value);
        }
        let part = |key: &str| value[key].as_str().map(str::to_owned);
        let detail = part("detail").unwrap_or_else(|| value.to_string());
        Err(HostingError::Refused { status, detail, help: part("help") }.into())
    }

    fn ask(&self, method: Method, path: &str) -> miette::Result<Value> {
        self.send(method, path, Vec::new())
    }

    fn tell(&self, method: Method, path: &str, body: &Value) -> miette::Result<Value> {
        self.send(method, path, body.to_string().into_bytes())
    }

    fn upload(&self, tenant: &str, file: &Path) -> miette::Result<Value> {
        let octets = std::fs::read(file).map_err(|source| HostingError::File { path: file.to_owned(), source })?;
        self.send(Method::POST, &format!("/tenants/{tenant}/modules"), octets)
    }

    /// What a version is made of; a component's file is uploaded first.
    fn version(&self, version: &VersionArgs) -> miette::Result<Map<String, Value>> {
        let is_hash = version.module.len() == 64 && version.module.bytes().all(|octet| octet.is_ascii_hexdigit());
        let module = if is_hash {
            json!(version.module)
        } else {
            self.upload(&version.tenant, Path::new(&version.module))?["hash"].take()
        };
        let config: Value = serde_json::from_str(&version.settings).into_diagnostic()?;
        let all = [("module", module), ("config", config), ("grants", json!(version.grant))];
        Ok(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

fn read_token(path: &Path) -> Result<String, HostingError> {
    std::fs::read_to_string(path).map_err(|source| HostingError::NoToken { path: path.to_owned(), source })
}

/// Prints what was answered: each thing of a list on a line of its own, everything else as it is.
fn show(value: &Value) {
    match (value, value["items"].as_array()) {
        (Value::Null, _) => say!("done"),
        (_, Some(items)) if items.is_empty() => say!("none"),
        (_, Some(items)) => items.iter().for_each(|item| say!("{item}")),
        (value, None) => say!("{value:#}"),
    }
}

fn binding_path(tenant: &str, binding: &str) -> String {
    format!("/tenants/{tenant}/bindings/{binding}")
}

/// Runs `wasmail tenant`.
pub(crate) fn tenant(command: &TenantCommand, api: &ApiArgs) -> miette::Result<()> {
    use TenantCommand as T;
    let client = Client::new(api)?;
    let at = |tenant: &str| format!("/tenants/{tenant}");
    let suspend =
        |tenant: &str, suspended: bool| client.tell(Method::PATCH, &at(tenant), &json!({ "suspended": suspended }));
    let value = match command {
        T::List => client.ask(Method::GET, "/tenants?limit=200")?,
        T::Show { tenant } => client.ask(Method::GET, &at(tenant))?,
        T::Add { tenant, title, grant, domain } => {
            let made = client.tell(Method::PUT, &at(tenant), &json!({ "title": title, "grants": grant }))?;
            for domain in domain {
                client.ask(Method::PUT, &format!("/tenants/{tenant}/domains/{domain}"))?;
            }
            made
        }
        T::Alter { tenant, json } => client.send(Method::PATCH, &at(tenant), json.clone().into_bytes())?,
        T::Suspend { tenant } => suspend(tenant, true)?,
        T::Resume { tenant } => suspend(tenant, false)?,
        T::Remove { tenant } => client.ask(Method::DELETE, &at(tenant))?,
        T::Domains { tenant } => client.ask(Method::GET, &format!("/tenants/{tenant}/domains"))?,
        T::AddDomain { tenant, domain } => client.ask(Method::PUT, &format!("/tenants/{tenant}/domains/{domain}"))?,
        T::RemoveDomain { tenant, domain } => {
            client.ask(Method::DELETE, &format!("/tenants/{tenant}/domains/{domain}"))?
        }
        T::Usage { tenant } => client.ask(Method::GET, &format!("/tenants/{tenant}/usage"))?,
        T::Audit { tenant } => client.ask(Method::GET, &format!("/tenants/{tenant}/audit?limit=200"))?,
    };
    show(&value);
    Ok(())
}

/// Runs `wasmail module`.
pub(crate) fn module(command: &ModuleCommand, api: &ApiArgs) -> miette::Result<()> {
    let client = Client::new(api)?;
    let value = match command {
        ModuleCommand::List { tenant } => client.ask(Method::GET, &format!("/tenants/{tenant}/modules"))?,
        ModuleCommand::Upload { tenant, file } => client.upload(tenant, file)?,
        ModuleCommand::Remove { tenant, module } => {
            client.ask(Method::DELETE, &format!("/tenants/{tenant}/modules/{module}"))?
        }
    };
    show(&value);
    Ok(())
}

/// Runs `wasmail binding`.
pub(crate) fn binding(command: &BindingCommand, api: &ApiArgs) -> miette::Result<()> {
    use BindingCommand as B;
    let client = Client::new(api)?;
    let version_path = |version: &VersionArgs| binding_path(&version.tenant, &version.binding);
    let value = match command {
        B::List { tenant } => client.ask(Method::GET, &format!("/tenants/{tenant}/bindings"))?,
        B::Show { tenant, binding } => client.ask(Method::GET, &binding_path(tenant, binding))?,
        B::Add { version, priority, on_fault } => {
            let mut body = client.version(version)?;
            body.insert("priority".to_owned(), json!(priority));
            body.insert("on-fault".to_owned(), json!(on_fault));
            client.tell(Method::PUT, &version_path(version), &body.into())?
        }
        B::Activate(version) => {
            let body = client.version(version)?;
            client.tell(Method::POST, &format!("{}/activate", version_path(version)), &body.into())?
        }
        B::Rollback { tenant, binding } => {
            client.ask(Method::POST, &format!("{}/rollback", binding_path(tenant, binding)))?
        }
        B::Try { version, percent } => {
            let mut body = client.version(version)?;
            body.extend(percent.map(|percent| ("percent".to_owned(), json!(percent))));
            client.tell(Method::PUT, &format!("{}/rollout", version_path(version)), &body.into())?
        }
        B::EndTry { tenant, binding } => {
            client.ask(Method::DELETE, &format!("{}/rollout", binding_path(tenant, binding)))?
        }
        B::Compare { tenant, binding } => {
            client.ask(Method::GET, &format!("{}/comparison", binding_path(tenant, binding)))?
        }
        B::Remove { tenant, binding } => client.ask(Method::DELETE, &binding_path(tenant, binding))?,
    };
    show(&value);
    Ok(())
}

/// Runs `wasmail secret`.
pub(crate) fn secret(command: &SecretCommand, api: &ApiArgs) -> miette::Result<()> {
    let client = Client::new(api)?;
    let at = |tenant: &str, secret: &str| format!("/tenants/{tenant}/secrets/{secret}");
    let value = match command {
        SecretCommand::List { tenant } => client.ask(Method::GET, &format!("/tenants/{tenant}/secrets"))?,
        SecretCommand::Set { tenant, secret } => {
            let mut value = Vec::new();
            std::io::stdin().read_to_end(&mut value).into_diagnostic()?;
            client.send(Method::PUT, &at(tenant, secret), value)?
        }
        SecretCommand::Remove { tenant, secret } => client.ask(Method::DELETE, &at(tenant, secret))?,
    };
    show(&value);
    Ok(())
}

/// Runs `wasmail token`.
pub(crate) fn token(command: &TokenCommand, api: &ApiArgs) -> miette::Result<()> {
    let client = Client::new(api)?;
    let of = |tenant: &Option<String>| match tenant {
        Some(tenant) => format!("/tenants/{tenant}/tokens"),
        None => "/tokens".to_owned(),
    };
    let value = match command {
        TokenCommand::List { tenant } => client.ask(Method::GET, &of(tenant))?,
        TokenCommand::New { label, tenant, read_only } => {
            let made = client.tell(Method::POST, &of(tenant), &json!({ "label": label, "read-only": read_only }))?;
            say!("{}", made["token"].as_str().unwrap_or_default());
            return Ok(());
        }
        TokenCommand::Revoke { id } => client.ask(Method::DELETE, &format!("/tokens/{id}"))?,
    };
    show(&value);
    Ok(())
}
