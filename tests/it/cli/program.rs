//! The real binary, run as a person runs it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DEADLINE, eventually};

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The binary with nothing of this process's environment but PATH.
pub fn tabletalk<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabletalk"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    for (name, to) in [("PATH", "PATH"), ("TABLETALK_TEST_POSTGRES_BIN", "TABLETALK_POSTGRES_BIN")] {
        if let Some(value) = std::env::var_os(name) {
            command.env(to, value);
        }
    }
    command
}

/// Runs it to its end.
pub fn run(mut command: Command) -> Ran {
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A `tabletalk serve` under way. Killed when dropped.
pub struct Serving {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
}

impl Serving {
    /// Starts it, and waits until it has said all that it says.
    pub async fn start(command: Command) -> Self {
        Self::try_start(command).await.unwrap_or_else(|log| panic!("it ended: {log}"))
    }

    /// The same, or what it said before it ended.
    pub async fn try_start(mut command: Command) -> Result<Self, String> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let out = gather(child.stdout.take().expect("its output"));
        let err = gather(child.stderr.take().expect("its log"));
        let mut serving = Self { child, out, err };
        let mut ended = None;
        eventually("the server says that it serves", || {
            ended = serving.child.try_wait().expect("its state");
            let said = ended.is_some() || serving.out().contains("Ctrl-C");
            async move { said }
        })
        .await;
        match ended {
            Some(ended) => Err(format!("{ended:?}\n{}", serving.err())),
            None => Ok(serving),
        }
    }

    pub fn out(&self) -> String {
        self.out.lock().expect("its output").clone()
    }

    pub fn err(&self) -> String {
        self.err.lock().expect("its log").clone()
    }

    /// Where it says that it serves.
    pub fn url(&self) -> String {
        let out = self.out();
        let url = out.split("serves on ").nth(1).and_then(|rest| rest.split_whitespace().next());
        url.unwrap_or_else(|| panic!("no address: {out}")).to_owned()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process number"))
    }

    /// What it has of the machine's memory, in bytes: its proportional set.
    pub fn memory(&self) -> u64 {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).expect("its memory");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")).expect("a figure");
        pss.trim().parse::<u64>().expect("a number") << 10
    }

    /// How many connections to where it serves are open.
    pub fn connections(&self) -> usize {
        let port = self.url().rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
        let (its, established) = (format!(":{port:04X}"), "01");
        let all = std::fs::read_to_string("/proc/net/tcp").expect("connections");
        let fields = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        fields.filter(|fields| fields[1].ends_with(&its) && fields[3] == established).count()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal");
    }

    /// Waits for its end, and says its exit code.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let wait = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("its state") {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let code = tokio::time::timeout(DEADLINE, wait).await.expect("it ends in time");
        (code, self.err())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gather(pipe: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            kept.lock().expect("the text").push_str(&line);
            line.clear();
        }
        let _ = reader.read_to_end(&mut Vec::new());
    });
    text
}
