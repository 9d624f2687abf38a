//! The program: reads the command line and hands over to [`tabletalk::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use tabletalk::cli;
use tabletalk::config::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(cli::run(Cli::parse())).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tabletalk: {error:#}");
            ExitCode::FAILURE
        }
    }
}
