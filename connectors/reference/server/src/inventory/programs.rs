//! Which installed package listens on which port: from the socket to the process that holds it, to
//! its program file, to the package that the file came with.
//!
//! Processes of other users are visible to root only; their ports are then listed without an
//! application.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_link};
use std::path::{Path, PathBuf};

/// Program files by the number of the socket that a process of theirs holds.
pub(super) fn by_socket(sockets: &BTreeSet<u64>) -> BTreeMap<u64, PathBuf> {
    let mut programs = BTreeMap::new();
    let processes = read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let name = process.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let program = read_link(process.path().join("exe"));
        let files = read_dir(process.path().join("fd"));
        let (Ok(program), Ok(files)) = (program, files) else {
            continue;
        };
        for file in files.flatten() {
            let target = read_link(file.path());
            let socket = target.ok().and_then(|target| socket_number(&target));
            if let Some(socket) = socket.filter(|socket| sockets.contains(socket)) {
                programs.insert(socket, program.clone());
            }
        }
    }
    programs
}

fn socket_number(target: &Path) -> Option<u64> {
    let inner = target.to_str()?.strip_prefix("socket:[")?;
    inner.strip_suffix(']')?.parse().ok()
}

/// Names of the packages that the files came with, from the lists that dpkg keeps in `folder`.
pub(super) fn packages(files: &BTreeSet<PathBuf>, folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut packages = BTreeMap::new();
    if files.is_empty() {
        return packages;
    }
    // Packages from before /bin became a link to /usr/bin still list their files there.
    let mut wanted: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    for file in files {
        if let Some(text) = file.to_str() {
            wanted.insert(text, file);
            if let Some(old) = text.strip_prefix("/usr").filter(|old| old.starts_with('/')) {
                wanted.insert(old, file);
            }
        }
    }
    for list in read_dir(folder).into_iter().flatten().flatten() {
        let name = list.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".list"));
        let (Some(name), Ok(text)) = (name, std::fs::read_to_string(list.path())) else {
            continue;
        };
        let package = name.split(':').next().unwrap_or(name);
        for file in text.lines().filter_map(|line| wanted.get(line)) {
            packages.insert((*file).clone(), package.to_owned());
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_lists_of_packages() {
        let folder = tempfile::tempdir().unwrap();
        let list = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        list("openssh-server.list", "/.\n/usr\n/usr/sbin/sshd\n");
        list("old:amd64.list", "/bin/old\n");
        list("old:amd64.md5sums", "/usr/bin/other\n");
        let files = ["/usr/sbin/sshd", "/usr/bin/old", "/usr/bin/other"];
        let files: BTreeSet<PathBuf> = files.iter().map(PathBuf::from).collect();
        let found = packages(&files, folder.path());
        assert_eq!(
            found.get(Path::new("/usr/sbin/sshd")).unwrap(),
            "openssh-server"
        );
        assert_eq!(found.get(Path::new("/usr/bin/old")).unwrap(), "old");
        assert_eq!(found.len(), 2);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_leads_to_the_program_that_holds_it() {
        use std::os::fd::AsRawFd as _;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let socket = socket_number(&read_link(own).unwrap()).unwrap();
        let found = by_socket(&BTreeSet::from([socket, u64::MAX]));
        assert_eq!(
            found,
            BTreeMap::from([(socket, std::env::current_exe().unwrap())])
        );
    }
}
