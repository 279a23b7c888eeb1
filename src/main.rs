//! Arguments, configuration, command.

use std::process::ExitCode;

fn main() -> ExitCode {
    paliadin::cli::main()
}
