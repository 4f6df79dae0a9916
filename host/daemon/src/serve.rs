//! `wasmail serve`: starts everything, says so, runs until told to stop.

use std::process::ExitCode;
use std::sync::Arc;

use miette::{Diagnostic, IntoDiagnostic, Report};
use thiserror::Error;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use wasmail_server::{AcmeRetry, Server, StartError};

use crate::cli::ConfigArgs;
use crate::cli::check::report;
use crate::config::{self, Loaded, Settings};
use crate::decisions::Decisions;
use crate::lock::DataDir;
use crate::out::say;
use crate::plugins::{self, Plugins};
use crate::wiring::Outfit;
use crate::{api, banner, capabilities, logs, paths, wiring};

/// Why the server does not start, with what to do about it.
#[derive(Debug, Error, Diagnostic)]
enum ServeError {
    #[error("{0}")]
    #[diagnostic(help(
        "another program has it, perhaps another mail server: `ss -ltnp` shows which. Stop that one, or set another `address` in this [[listener]], or WASMAIL__LISTENER__0__ADDRESS; for `acme` see acme.listen"
    ))]
    Busy(StartError),
    #[error("{0}")]
    #[diagnostic(help(
        "ports below 1024 are for root; give the service the capability CAP_NET_BIND_SERVICE, or set another `address` in this [[listener]]"
    ))]
    Privileged(StartError),
    #[error("{0}")]
    #[diagnostic(help(
        "this machine has no such address: set another `address` in this [[listener]]; 0.0.0.0 and [::] mean all of its addresses"
    ))]
    NotOurs(StartError),
    #[error("{0}")]
    #[diagnostic(help("look at what the operating system says; `wasmail check` examines the configuration"))]
    Other(StartError),
}

/// Runs the server.
pub(crate) fn run(args: &ConfigArgs) -> miette::Result<ExitCode> {
    let mut loaded = Loaded::read_here(args.config.as_deref());
    if !loaded.mistakes.none() {
        plugins::check(&mut loaded);
        report(&loaded)?;
    }
    let settings = loaded.settings.clone().expect("settings without mistakes are there");
    let decisions = settings.api.listen.map(|_| Decisions::new());
    logs::start(&settings.log, decisions.as_ref()).map_err(Report::msg)?;
    let data_dir = DataDir::take(&settings.server.data_dir)?;
    let runtime = runtime(&settings).into_diagnostic()?;
    let plugins =
        runtime.block_on(plugins::load(&mut loaded, Some(&paths::cache(&settings)), Some(paths::kv(&settings))));
    let outfit = Outfit::load(&settings, true, &mut loaded.mistakes);
    config::warn(&settings, &mut loaded.mistakes);
    report(&loaded)?;
    runtime.block_on(serve(&settings, plugins, outfit, decisions, args))?;
    // What still runs are lookups and closing connections; nothing that has to be waited for.
    runtime.shutdown_background();
    drop(data_dir);
    Ok(ExitCode::SUCCESS)
}

fn runtime(settings: &Settings) -> std::io::Result<Runtime> {
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(threads) = settings.server.worker_threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

async fn serve(
    settings: &Settings,
    mut plugins: Plugins,
    mut outfit: Outfit,
    decisions: Option<Decisions>,
    args: &ConfigArgs,
) -> miette::Result<()> {
    // Before the banner: whoever reads it may send a signal at once.
    let mut signals = Signals::listen().into_diagnostic()?;
    let api = api::open(settings, plugins.workshop.take().zip(decisions), &outfit.metrics).await?;
    outfit.hosting = api.as_ref().map(|api| Arc::clone(&api.hosting));
    let plugins = &plugins;
    let server = Server::bind(wiring::server(settings, plugins, &outfit)).map_err(explain)?;
    let mut reload = signal(SignalKind::user_defined1()).into_diagnostic()?;
    let acme = server.acme_retry();
    tokio::spawn(async move {
        while reload.recv().await.is_some() {
            outfit.tls.iter().for_each(|tls| tls.reload_and_tell());
            acme.iter().for_each(AcmeRetry::now);
        }
    });
    capabilities::open(&plugins.outlet, server.injector());
    let file = args.config.as_deref();
    let extra = banner::Extra { acme: server.acme_address(), api: api.as_ref().map(|api| api.address) };
    say!("{}", banner::text(settings, plugins, &server.addresses(), &extra, file));
    let shutdown = async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::warn!(signal = name, "stopped at once");
            // 250 was said only for what is on disk: nothing is lost by leaving now.
            std::process::exit(1);
        });
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = api.map(|api| tokio::spawn(api.serve(async { drop(stopped.await) })));
    server.run(shutdown).await;
    drop(stop);
    if let Some(serving) = serving {
        let _ = serving.await;
    }
    Ok(())
}

fn explain(error: StartError) -> ServeError {
    use std::io::ErrorKind;
    let kind = match &error {
        StartError::Listen { source, .. } => source.kind(),
        _ => return ServeError::Other(error),
    };
    match kind {
        ErrorKind::AddrInUse => ServeError::Busy(error),
        ErrorKind::PermissionDenied => ServeError::Privileged(error),
        ErrorKind::AddrNotAvailable => ServeError::NotOurs(error),
        _ => ServeError::Other(error),
    }
}

/// The signals that end the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone; a server that was started from it ends in order.
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one, and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
