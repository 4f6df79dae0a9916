//! The binary `wasmail`: command line, configuration, and the wiring of the rooms below.

mod api;
mod banner;
mod capabilities;
mod cli;
mod config;
mod decisions;
mod dkim;
mod hosting;
mod lock;
mod logs;
mod out;
mod outbound;
mod paths;
mod plugins;
mod serve;
mod srs;
mod tls;
mod wiring;

use std::process::ExitCode;

use clap::Parser;
use miette::MietteHandlerOpts;

use cli::{Cli, Command, ConfigArgs, ConfigCommand, PluginCommand};

fn main() -> ExitCode {
    // Lines stay whole: whoever searches them finds them.
    let handler = |_: &_| -> Box<dyn miette::ReportHandler> {
        Box::new(MietteHandlerOpts::new().wrap_lines(false).break_words(false).build())
    };
    // Nobody has set another one before.
    let _ = miette::set_hook(Box::new(handler));
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(report) => {
            out::say_error!("{report:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> miette::Result<ExitCode> {
    let serve = || Command::Serve(ConfigArgs { config: std::env::var_os("WASMAIL_CONFIG").map(Into::into) });
    match cli.command.unwrap_or_else(serve) {
        Command::Serve(args) => return serve::run(&args),
        Command::Check(args) => cli::check::run(&args)?,
        Command::Config(ConfigCommand::Reference) => out::say!("{}", config::REFERENCE.trim_end()),
        Command::Plugin(PluginCommand::New(args)) => cli::plugin_new::run(&args)?,
        Command::Plugin(PluginCommand::Build(args)) => cli::plugin_build::run(&args)?,
        Command::Plugin(PluginCommand::Test(args)) => return cli::plugin_test::run(&args),
        Command::Plugin(PluginCommand::Inspect(args)) => cli::inspect::run(&args)?,
        Command::Plugin(PluginCommand::Order(args)) => cli::plugin_order::run(&args)?,
        Command::Queue(command) => cli::queue::run(&command)?,
        Command::Dkim(args) => cli::dkim::run(&args)?,
        Command::User(command) => cli::user::run(&command)?,
        Command::Tenant { command, api } => cli::hosting::tenant(&command, &api)?,
        Command::Module { command, api } => cli::hosting::module(&command, &api)?,
        Command::Binding { command, api } => cli::hosting::binding(&command, &api)?,
        Command::Secret { command, api } => cli::hosting::secret(&command, &api)?,
        Command::Token { command, api } => cli::hosting::token(&command, &api)?,
        Command::CompileComponent(args) => return Ok(cli::compile::run(&args)),
    }
    Ok(ExitCode::SUCCESS)
}
