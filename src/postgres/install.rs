//! How to get a Postgres server on this system, and on Debian and its kin, getting it.
//!
//! Debian's server package makes a cluster `main` and starts it, which nobody here asked for. The setting that prevents
//! it is `create_main_cluster`, read when the package is configured. A drop-in file holds it for just as long, so that no
//! file of the person's is changed. It concerns only versions of which they have no cluster; those they have stay.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::process::Command;

use super::binaries::OLDEST_MAJOR;
use super::error::Error;

/// For a person to answer.
const ASK_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// For packages to arrive over a slow line.
const INSTALL_DEADLINE: Duration = Duration::from_secs(30 * 60);
const DIALOGUE: &str = "Postgres is not installed";

/// `$1`: the major version that is needed, or empty; `$2`: the oldest that will do.
const INSTALL_SCRIPT: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
get() { apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@"; }
# Old lists may still do: whether they did, the installation shows.
get update || true
if [ -n "$1" ]; then
    major=$1
else
    major=$(apt-cache search --names-only '^postgresql-[0-9]+$' | sed -n 's/^postgresql-\([0-9]*\) .*/\1/p' | sort -n | tail -n 1)
fi
if [ -z "$major" ] || [ "$major" -lt "$2" ]; then
    echo "This system's packages offer Postgres ${major:-in no version}, but $2 or newer is needed." >&2
    echo "https://wiki.postgresql.org/wiki/Apt says how to add packages of newer versions." >&2
    exit 1
fi
folder=/etc/postgresql-common/createcluster.d
file=$folder/zz-tabletalk-installs.conf
trap 'rm -f "$file"; rmdir "$folder" /etc/postgresql-common 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$folder"
echo "create_main_cluster = false  # there only while tabletalk installs Postgres for its own use" > "$file"
# First what reads the setting, so that it can be asked before it counts.
get --no-install-recommends install postgresql-common
answer=$(pg_conftool /etc/postgresql-common/createcluster.conf show -bs create_main_cluster || true)
if [ "$answer" != off ]; then
    echo "/etc/postgresql-common/createcluster.conf does not include createcluster.d; the package would start a server of its own." >&2
    echo "Install postgresql-$major yourself." >&2
    exit 1
fi
get --no-install-recommends install "postgresql-$major"
"#;

/// What a person can do, in a sentence or two.
pub fn advice(major: Option<u32>) -> String {
    if cfg!(target_os = "macos") {
        return format!("Get it by: brew install postgresql@{}", major.unwrap_or(17));
    }
    advice_for(&os_release(), major)
}

fn os_release() -> String {
    ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}

fn advice_for(os_release: &str, major: Option<u32>) -> String {
    let versioned = |before: &str| major.map_or_else(|| before.to_owned(), |major| format!("{before}{major}"));
    let is = |names: &[&str]| families(os_release).iter().any(|family| names.contains(family));
    if is(&["debian", "ubuntu"]) {
        let package = major.map_or_else(|| "postgresql".to_owned(), |major| format!("postgresql-{major}"));
        format!(
            "Let Tabletalk install it: start with --install. Or do it yourself: apt-get install {package} (older systems: see https://wiki.postgresql.org/wiki/Apt)"
        )
    } else if is(&["fedora", "rhel", "centos"]) {
        let package = major.map_or_else(|| "postgresql-server".to_owned(), |major| format!("postgresql{major}-server"));
        format!("Get it by: dnf install {package} (older systems: see https://www.postgresql.org/download/linux/redhat)")
    } else if is(&["arch"]) {
        "Get it by: pacman -S postgresql".to_owned()
    } else if is(&["alpine"]) {
        format!("Get it by: apk add postgresql{}", major.unwrap_or(17))
    } else if is(&["suse", "opensuse"]) {
        format!("Get it by: zypper install {}-server", versioned("postgresql"))
    } else {
        format!("Install the PostgreSQL server, version {}, as your system does it.", major.unwrap_or(OLDEST_MAJOR))
    }
}

/// The values of ID and ID_LIKE.
fn families(os_release: &str) -> Vec<&str> {
    let values = os_release.lines().filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
    values.flat_map(|value| value.trim_matches('"').split_whitespace()).collect()
}

fn can_install() -> bool {
    let os_release = os_release();
    let debian = families(&os_release).iter().any(|family| ["debian", "ubuntu"].contains(family));
    debian && std::path::Path::new("/usr/bin/apt-get").exists()
}

/// Installs the server if that was asked for or a person says yes. False: it shall not or cannot be installed from here.
pub async fn offer(major: Option<u32>, install: bool, missing: &Error) -> Result<bool, Error> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !can_install() || !(install || (terminal && person_agrees(missing).await)) {
        return Ok(false);
    }
    tracing::info!("installing the Postgres server with apt-get");
    let mut command = if Uid::effective().is_root() {
        Command::new("sh")
    } else {
        let mut sudo = Command::new("sudo");
        // Without a person there is nobody to type a password: fail instead of waiting for one.
        sudo.args(if terminal { &[][..] } else { &["-n"][..] }).arg("sh");
        sudo
    };
    command.args(["-c", INSTALL_SCRIPT, "tabletalk-install"]);
    command.arg(major.map(|major| major.to_string()).unwrap_or_default()).arg(OLDEST_MAJOR.to_string());
    // Our own output may be read by a program: what apt says goes where logs go.
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| Error::Install(error.to_string()))?;
    command.current_dir("/").stdin(if terminal { Stdio::inherit() } else { Stdio::null() }).stdout(stderr);
    let mut child = command.spawn().map_err(|error| {
        Error::Install(format!("{error} (root or sudo is needed). Install it yourself: apt-get install postgresql"))
    })?;
    // Past the deadline it is left to end by itself: a package manager that is killed leaves a broken system.
    match tokio::time::timeout(INSTALL_DEADLINE, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(true),
        Ok(Ok(status)) => Err(Error::Install(format!("the installation ended with {status}; what it said stands above."))),
        Ok(Err(error)) => Err(Error::Install(error.to_string())),
        Err(_) => Err(Error::Install(format!("it has not ended after {} minutes.", INSTALL_DEADLINE.as_secs() / 60))),
    }
}

/// On a thread of its own: a read from the terminal cannot be cancelled, and one of the runtime's would hold up our exit.
async fn person_agrees(missing: &Error) -> bool {
    let what = match missing {
        Error::MajorMissing { needed, .. } => {
            format!("{DIALOGUE} in version {needed}, which made the cluster.")
        }
        _ => format!("{DIALOGUE}."),
    };
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut stderr = std::io::stderr();
        let _ =
            write!(stderr, "{what} Install it now with apt-get, for Tabletalk's own use (no other server is started)? [y/N] ");
        let _ = stderr.flush();
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let _ = answer.send(read.is_ok() && ["y", "yes"].contains(&line.trim().to_lowercase().as_str()));
    });
    matches!(tokio::time::timeout(ASK_DEADLINE, answered).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_told_its_own_way() {
        let advice = |os_release: &str| advice_for(os_release, None);
        assert!(advice("ID=debian\n").contains("apt-get install postgresql "));
        assert!(advice("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").contains("apt-get"));
        assert!(advice("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n").contains("dnf install postgresql-server"));
        assert!(advice("ID=arch\n").contains("pacman"));
        assert!(advice("ID=alpine\n").contains("apk add"));
        assert!(advice("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n").contains("zypper install postgresql-server"));
        assert!(advice("").contains("Install the PostgreSQL server"));
        assert!(advice_for("ID=debian\n", Some(17)).contains("postgresql-17"));
    }
}
