//! A disk that can be made slower: server programs that are started with `slow_fsync.c` in front of their C library.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::cluster::search_path;
use crate::keeper::succeeds;
use crate::pgbench;

/// What is compiled.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/slow_fsync.c");
/// Digits of the file that says how slow.
const DIGITS: usize = 6;

/// A folder of server programs, and how slow their disk is.
pub struct SlowDisk {
    folder: PathBuf,
    delay: PathBuf,
}

impl SlowDisk {
    /// Makes such a folder in `parent`, of the programs in `bin` or beside pgbench; says so if it cannot be made here.
    pub fn make(parent: &Path, bin: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let path = search_path().unwrap_or_default();
        let programs = pgbench::program(bin).and_then(|pgbench| Some(pgbench.canonicalize().ok()?.parent()?.to_owned()));
        let why_not = match &programs {
            _ if !cfg!(target_os = "linux") => Some("that is made with LD_PRELOAD, on Linux"),
            _ if !std::env::split_paths(&path).any(|folder| folder.join("cc").is_file()) => {
                Some("there is no cc, which comes with the package gcc")
            }
            Some(programs) if programs.join("postgres").is_file() => None,
            _ => Some("the server's programs are not beside pgbench"),
        };
        let (None, Some(programs)) = (why_not, programs) else {
            println!("no slower disk: {}", why_not.unwrap_or_default());
            return Ok(None);
        };
        let folder = parent.join("slow");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let (library, delay) = (folder.join("slow_fsync.so"), folder.join("delay"));
        succeeds(Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(SOURCE))?;
        let disk = Self { folder, delay };
        disk.slow_down(Duration::ZERO)?;
        for program in ["initdb", "pg_ctl"] {
            symlink(programs.join(program), disk.folder.join(program))?;
        }
        // the server is started without anything of our environment
        let script = format!(
            "#!/bin/sh\nexec env LD_PRELOAD='{}' SLOW_FSYNC='{}' '{}' \"$@\"\n",
            library.display(),
            disk.delay.display(),
            programs.join("postgres").display()
        );
        let postgres = disk.folder.join("postgres");
        fs::write(&postgres, script)?;
        for (file, mode) in [(&disk.folder, 0o755), (&postgres, 0o755), (&library, 0o755), (&disk.delay, 0o644)] {
            fs::set_permissions(file, Permissions::from_mode(mode))?;
        }
        Ok(Some(disk))
    }

    /// Server programs to start a cluster with.
    pub fn programs(&self) -> &Path {
        &self.folder
    }

    /// From now on each flush to the disk takes so much longer.
    pub fn slow_down(&self, delay: Duration) -> anyhow::Result<()> {
        let text = format!("{:0DIGITS$}\n         ", delay.as_micros());
        ensure!(text.len() == DIGITS + 10, "too slow");
        // in place: the file is mapped
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&self.delay)?;
        Ok(file.write_all(text.as_bytes())?)
    }
}
