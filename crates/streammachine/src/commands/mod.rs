//! What the program can be told to do, one file each. `serve` is the server; the others are small programs of their own.

mod completions;
mod config;
mod import;
mod listen;
mod logging;
mod output;
mod rewind;
mod runner;
mod serve;
mod source;

use std::process::ExitCode;

use crate::cli::{self, Command};
use crate::config::Sources;

/// Does what the command line says.
pub fn run() -> anyhow::Result<ExitCode> {
    let invocation = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let sources = Sources::of_process(invocation.cli.config, invocation.settings);
    let mut out = std::io::stdout().lock();
    match invocation.cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            drop(out);
            serve::run(sources)?;
        }
        Command::Runner(args) => {
            drop(out);
            runner::run(&args, sources)?;
        }
        Command::Source(args) => source::run(&args)?,
        Command::Listen(args) => {
            drop(out);
            listen::run(&args)?;
        }
        Command::Config(args) => return Ok(config::run(&args.action, &sources, &mut out)?),
        Command::Rewind(args) => return Ok(rewind::run(&args.action, &mut out)),
        Command::Completions { shell } => completions::completions(shell, &mut out),
        Command::Man => completions::manual(&mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}
