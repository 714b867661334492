//! The `ipvsctl` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ipvsctl::main(std::env::args_os())
}
