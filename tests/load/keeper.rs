//! Processes that end with this program, however it ends: each is kept by another process of this program, which stops it when its own
//! standard input closes.

use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The first argument of a process that keeps a program.
pub const KEEP: &str = "keep";
/// The first argument of a process that keeps a cluster.
pub const KEEP_CLUSTER: &str = "keep-cluster";

/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// What is kept, until this is dropped.
pub struct Kept {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Kept {
    /// Starts this program anew as a keeper, with these arguments; what is kept writes its errors to `log`.
    pub fn start(arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let errors = std::fs::File::create(log).context("cannot open a log")?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C goes to the terminal's foreground group: this program hears it, and its end is the keeper's
            .process_group(0)
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("no output")?).lines();
        Ok(Self { process, input, output })
    }

    /// What follows `before` in the first line that has it.
    pub fn said(&mut self, before: &str) -> anyhow::Result<String> {
        for line in self.output.by_ref() {
            if let Some((_, after)) = line?.split_once(before) {
                return Ok(after.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
        anyhow::bail!("it ended without saying `{before}`")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// Runs a program until standard input closes. It says its process id first; its output is this one's.
pub fn keep(program: &[String]) -> anyhow::Result<()> {
    let (name, arguments) = program.split_first().context("keep what?")?;
    let mut child =
        Command::new(name).args(arguments).stdin(Stdio::null()).spawn().with_context(|| format!("cannot run {name}"))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    println!("pid: {pid}");
    wait_for_the_end();
    let _ = kill(pid, Signal::SIGCONT);
    let _ = kill(pid, Signal::SIGTERM);
    let asked = Instant::now();
    while child.try_wait()?.is_none() {
        if asked.elapsed() > GRACE {
            child.kill()?;
        }
        sleep(POLL);
    }
    Ok(())
}

/// Returns when whoever started this process is gone or does not want it any more.
pub fn wait_for_the_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Stops a process where it is, or lets it go on.
pub fn let_run(pid: i32, run: bool) -> anyhow::Result<()> {
    kill(Pid::from_raw(pid), if run { Signal::SIGCONT } else { Signal::SIGSTOP })?;
    Ok(())
}

/// A program that must be there to be run at all.
pub fn succeeds(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
