//! Installed packages, from whichever package manager the machine has.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::process::Command;

/// One installed package, or the operating system.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) cpe: Option<String>,
}

/// Reads the package database; `None` when there is none that is known.
pub(super) fn read() -> Option<BTreeMap<String, Package>> {
    let dpkg = || {
        read_to_string("/var/lib/dpkg/status")
            .ok()
            .map(|t| parse_dpkg(&t))
    };
    let apk = || {
        read_to_string("/lib/apk/db/installed")
            .ok()
            .map(|t| parse_apk(&t))
    };
    dpkg().or_else(apk).or_else(rpm)
}

/// Asks rpm, whose database is not text.
fn rpm() -> Option<BTreeMap<String, Package>> {
    let format = "%{NAME}\t%{VERSION}-%{RELEASE}\t%{SUMMARY}\n";
    let output = Command::new("rpm")
        .args(["-qa", "--queryformat", format])
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(parse_rpm(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_rpm(text: &str) -> BTreeMap<String, Package> {
    let package = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        Some(Package {
            name: columns.next().filter(|name| !name.is_empty())?,
            version: columns.next(),
            description: columns.next(),
            cpe: None,
        })
    };
    by_name(text.lines().filter_map(package).map(|p| (p, String::new())))
}

fn parse_dpkg(text: &str) -> BTreeMap<String, Package> {
    let package = |paragraph: &str| {
        let value = |name: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        value("Status:")?.ends_with(" installed").then_some(())?;
        let package = Package {
            name: value("Package:")?,
            version: value("Version:"),
            description: value("Description:"),
            cpe: None,
        };
        Some((package, value("Architecture:").unwrap_or_default()))
    };
    by_name(text.split("\n\n").filter_map(package))
}

fn parse_apk(text: &str) -> BTreeMap<String, Package> {
    let package = |paragraph: &str| {
        let value = |name: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::to_owned)
        };
        let package = Package {
            name: value("P:")?,
            version: value("V:"),
            description: value("T:"),
            cpe: None,
        };
        Some((package, value("A:").unwrap_or_default()))
    };
    by_name(text.split("\n\n").filter_map(package))
}

/// A package that is installed for two architectures (or in two versions) gets two names, since
/// the name is how the next inventory finds it again.
fn by_name(packages: impl Iterator<Item = (Package, String)>) -> BTreeMap<String, Package> {
    let mut all: BTreeMap<String, Package> = BTreeMap::new();
    for (mut package, architecture) in packages {
        if all.contains_key(&package.name) {
            let more = if architecture.is_empty() {
                package.version.clone().unwrap_or_default()
            } else {
                architecture
            };
            package.name = format!("{}:{more}", package.name);
        }
        all.insert(package.name.clone(), package);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_lists_what_is_installed_and_keeps_architectures_apart() {
        let text = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n\
                    Version: 2.36\nDescription: C library\n more text\n\n\
                    Package: libc6\nStatus: install ok installed\nArchitecture: i386\n\n\
                    Package: gone\nStatus: deinstall ok config-files\n";
        let packages = parse_dpkg(text);
        let names: Vec<&str> = packages.keys().map(String::as_str).collect();
        assert_eq!(names, ["libc6", "libc6:i386"]);
        assert_eq!(packages["libc6"].description.as_deref(), Some("C library"));
    }

    #[test]
    fn apk_and_rpm_lists_are_read() {
        let apk = parse_apk("C:x\nP:musl\nV:1.2\nT:the libc\n\nP:zlib\nV:1.3\n");
        assert_eq!(apk["musl"].version.as_deref(), Some("1.2"));
        assert_eq!(apk.len(), 2);
        let rpm = parse_rpm("bash\t5.2-1\tThe shell\nkernel\t6.1-1\tK\nkernel\t6.2-1\tK\n");
        assert_eq!(rpm["bash"].description.as_deref(), Some("The shell"));
        assert!(rpm.contains_key("kernel:6.2-1"));
    }
}
