//! `streammachine completions` and `streammachine man`: what shells and `man` know of the command line.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes the completion script for `shell`.
pub fn completions(shell: Shell, out: &mut impl Write) {
    clap_complete::generate(shell, &mut Cli::command(), "streammachine", out);
}

/// Writes the manual page: the program's, then one for each subcommand.
///
/// # Errors
/// Those of `out`.
pub fn manual(out: &mut impl Write) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(out)?;
    for subcommand in command.get_subcommands().filter(|it| it.get_name() != "help") {
        clap_mangen::Man::new(subcommand.clone()).render(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_the_subcommands_and_their_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut out = Vec::new();
            completions(shell, &mut out);
            let script = String::from_utf8(out).unwrap();
            for word in ["listen", "password-file", "origins"] {
                assert!(script.contains(word), "{shell} lacks {word}");
            }
        }
    }

    #[test]
    fn the_manual_has_the_options_and_examples_of_every_subcommand() {
        let mut out = Vec::new();
        manual(&mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        for text in [
            "\\-\\-password\\-file",
            "\\-\\-offset",
            "streammachine source",
            "config show",
            "completions bash",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}
