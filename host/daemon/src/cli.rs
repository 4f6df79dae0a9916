//! The command line.

pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod dkim;
pub(crate) mod hosting;
pub(crate) mod inspect;
pub(crate) mod plugin_build;
pub(crate) mod plugin_new;
pub(crate) mod plugin_order;
pub(crate) mod plugin_test;
pub(crate) mod queue;
pub(crate) mod user;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The mail server whose policy is WebAssembly.
///
/// Without a command it serves with the embedded configuration: SMTP on 127.0.0.1:2525, mail for example.test, data
/// under ./wasmail-data.
#[derive(Debug, Parser)]
#[command(name = "wasmail", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receives mail until SIGTERM or SIGINT.
    Serve(ConfigArgs),
    /// Reports every mistake in the configuration, with file, line, key and reason.
    Check(ConfigArgs),
    /// Prints the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Writes and examines plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Shows the messages that wait for delivery.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Prints the DNS records of the keys that sign mail.
    Dkim(ConfigArgs),
    /// Keeps the file of users who may authenticate.
    #[command(subcommand)]
    User(UserCommand),
    /// Customers of this server: makes, alters and removes them, and gives them domains.
    Tenant {
        #[command(subcommand)]
        command: hosting::TenantCommand,
        #[command(flatten)]
        api: hosting::ApiArgs,
    },
    /// Uploads components of a tenant's.
    Module {
        #[command(subcommand)]
        command: hosting::ModuleCommand,
        #[command(flatten)]
        api: hosting::ApiArgs,
    },
    /// Says which components judge a tenant's mail, tries newer ones, goes back.
    Binding {
        #[command(subcommand)]
        command: hosting::BindingCommand,
        #[command(flatten)]
        api: hosting::ApiArgs,
    },
    /// Keeps secrets of tenants.
    Secret {
        #[command(subcommand)]
        command: hosting::SecretCommand,
        #[command(flatten)]
        api: hosting::ApiArgs,
    },
    /// Makes and revokes tokens of the API.
    Token {
        #[command(subcommand)]
        command: hosting::TokenCommand,
        #[command(flatten)]
        api: hosting::ApiArgs,
    },
    /// Compiles the component on standard input; the server calls itself with it.
    #[command(hide = true, name = compile::COMMAND)]
    CompileComponent(CompileComponentArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CompileComponentArgs {
    /// Octets of memory of one instance.
    pub(crate) instance_memory: usize,
    /// Seconds of CPU time.
    pub(crate) cpu_seconds: u64,
    /// Octets of address space.
    pub(crate) address_space: u64,
}

#[derive(Debug, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML); without one the embedded defaults apply.
    #[arg(long, short, env = "WASMAIL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints every key with its default and its reason, ready to be edited.
    Reference,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Writes a project that builds a plugin and passes its test.
    New(NewArgs),
    /// Builds the plugin in a directory: bindings, compiler, component; then says what it is.
    Build(BuildArgs),
    /// Builds the plugin in a directory, and holds the SMTP dialogues in `dialogs/` against it, in the sandbox.
    Test(BuildArgs),
    /// Says what a component is, what it needs, and whether it is acceptable.
    Inspect(InspectArgs),
    /// Shows which plugins each listener asks at each hook, in order, and why in this order.
    Order(ConfigArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the plugin: lower-case letters, digits and hyphens.
    pub(crate) name: String,
    /// Language of the project.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) lang: plugin_new::Lang,
    /// Directory to write; NAME by default. It must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// For Rust a checkout of wasmail, for its guest SDK; by default the one that this program was built from.
    #[arg(long, value_name = "PATH", env = "WASMAIL_SDK")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The directory with wasmail-plugin.toml.
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A component, or `builtin:NAME`.
    #[arg(value_name = "FILE.wasm")]
    pub(crate) module: String,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Adds a user, or gives one a new password, which is read from standard input: its first line.
    Add(UserArgs),
    /// Removes a user.
    Remove(UserArgs),
    /// Lists the users.
    List(ConfigArgs),
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// The name that the user authenticates with.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Lists the messages: id, age, size, sender, recipients and what became of them so far.
    List(QueueListArgs),
    /// Shows one message: envelope, recipients' states and header section.
    Show(QueueShowArgs),
    /// Delivers messages that policy holds back.
    Release(QueueOrderArgs),
    /// Tries messages now, for recipients that were given up too.
    Retry(QueueOrderArgs),
    /// Holds messages: they are delivered no more before they are released.
    Hold(QueueOrderArgs),
    /// Sends messages by another route from now on, and tries them now.
    Route(QueueRouteArgs),
    /// Gives messages up now: their senders are told, as of any failure.
    Expire(QueueOrderArgs),
    /// Removes messages for good; nobody is told.
    Remove(QueueOrderArgs),
}

/// Which messages; all that is given must be so.
#[derive(Debug, Default, Args)]
pub(crate) struct QueueFilter {
    /// Those whose sender has this in it, in any case; `<>` for the null reverse-path.
    #[arg(long, value_name = "TEXT")]
    pub(crate) from: Option<String>,
    /// Those with a recipient that has this in it, in any case, such as `@example.org>`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) to: Option<String>,
    /// Those that came at least so long ago, such as `2h`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) older_than: Option<Duration>,
    /// Those with a recipient in this state.
    #[arg(long, value_enum)]
    pub(crate) state: Option<QueueState>,
}

/// Where a recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueueState {
    /// Not tried yet.
    Pending,
    /// Tried in vain, or held by its sender.
    Deferred,
    /// Held by policy or by you.
    Held,
    /// Given up, and nobody was told.
    Failed,
}

#[derive(Debug, Args)]
pub(crate) struct QueueOrderArgs {
    /// The messages' ids, as `queue list` and the log show them.
    #[arg(required_unless_present_any = ["all", "from", "to", "older_than", "state"])]
    pub(crate) ids: Vec<String>,
    /// All messages that wait.
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: QueueFilter,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueueRouteArgs {
    /// The route, by its name in the configuration; left out, the usual way.
    #[arg(long, value_name = "ROUTE")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) which: QueueOrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueueListArgs {
    #[command(flatten)]
    pub(crate) filter: QueueFilter,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueueShowArgs {
    /// The message's id, as `queue list` and the log show it.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
