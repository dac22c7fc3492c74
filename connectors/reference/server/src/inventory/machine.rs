//! Reads the machine that the program runs on: name, system, interfaces, listening ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use getifaddrs::InterfaceFlags;

use super::packages::{self, Package};
use super::programs;
use crate::error::Error;

/// What was found. Everything is sorted, so that equal machines give equal objects.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) host_name: String,
    pub(super) system: Package,
    /// Names of the interfaces per MAC address: a bridge and its first port share one.
    pub(super) macs: BTreeMap<String, BTreeSet<String>>,
    /// MAC addresses per IP address.
    pub(super) ips: BTreeMap<IpAddr, BTreeSet<String>>,
    pub(super) listeners: BTreeMap<(Protocol, u16), BTreeSet<IpAddr>>,
    pub(super) packages: BTreeMap<String, Package>,
    /// The listening ports of a package, by its name.
    pub(super) listening: BTreeMap<String, BTreeSet<(Protocol, u16)>>,
    /// What could not be read here, for the person who runs the program.
    pub(super) notes: Vec<String>,
}

/// Transport protocol of a listening port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Reads the machine. Blocks for as long as the package manager takes, if one has to be asked.
pub(super) fn read() -> Result<Machine, Error> {
    let mut machine = Machine {
        host_name: host_name()?,
        system: system(),
        ..Machine::default()
    };
    interfaces(&mut machine)?;
    listeners(&mut machine);
    match packages::read() {
        Some(packages) => machine.packages = packages,
        None => machine.notes.push(
            "no package database was found (dpkg, apk, rpm), so there are no applications but \
             the operating system"
                .to_owned(),
        ),
    }
    Ok(machine)
}

fn host_name() -> Result<String, Error> {
    let file = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let text = file.or_else(|_| {
        let output = std::process::Command::new("hostname").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let failed = |source| Error::Machine {
        what: "the host name".to_owned(),
        source,
    };
    let name = text.map_err(failed)?.trim().to_owned();
    if name.is_empty() {
        return Err(failed(std::io::Error::other("it is empty")));
    }
    Ok(name)
}

fn system() -> Package {
    let text = std::fs::read_to_string("/etc/os-release")
        .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"));
    match text {
        Ok(text) => parse_os_release(&text),
        Err(_) => Package {
            name: std::env::consts::OS.to_owned(),
            ..Package::default()
        },
    }
}

fn parse_os_release(text: &str) -> Package {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix('='))
            .map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
            .filter(|value| !value.is_empty())
    };
    Package {
        name: value("NAME").unwrap_or_else(|| std::env::consts::OS.to_owned()),
        version: value("VERSION_ID"),
        description: value("PRETTY_NAME"),
        cpe: value("CPE_NAME"),
    }
}

/// Loopback and link-local addresses name no machine, and are the same everywhere, so they are
/// left out.
fn interfaces(machine: &mut Machine) -> Result<(), Error> {
    let failed = |source| Error::Machine {
        what: "the network interfaces".to_owned(),
        source,
    };
    let mut macs: BTreeMap<String, String> = BTreeMap::new();
    let mut ips: Vec<(String, IpAddr)> = Vec::new();
    for interface in getifaddrs::getifaddrs().map_err(failed)? {
        if interface.flags.contains(InterfaceFlags::LOOPBACK) {
            continue;
        }
        if let Some(mac) = interface.address.mac_addr().filter(|mac| *mac != [0; 6]) {
            let text: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            macs.insert(interface.name.clone(), text.join(":"));
        }
        if let Some(ip) = interface
            .address
            .ip_addr()
            .filter(|ip| names_a_machine(*ip))
        {
            ips.push((interface.name, ip));
        }
    }
    for (name, mac) in &macs {
        let names = machine.macs.entry(mac.clone()).or_default();
        names.insert(name.clone());
    }
    for (name, ip) in ips {
        let of_ip = machine.ips.entry(ip).or_default();
        of_ip.extend(macs.get(&name).cloned());
    }
    Ok(())
}

fn names_a_machine(ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

fn listeners(machine: &mut Machine) {
    let mut found = false;
    let mut sockets: BTreeMap<u64, (Protocol, u16)> = BTreeMap::new();
    for (file, protocol) in [
        ("tcp", Protocol::Tcp),
        ("tcp6", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("udp6", Protocol::Udp),
    ] {
        let Ok(text) = std::fs::read_to_string(format!("/proc/net/{file}")) else {
            continue;
        };
        found = true;
        let lowest_passing = match protocol {
            Protocol::Tcp => u16::MAX,
            Protocol::Udp => first_ephemeral_port(),
        };
        for socket in parse_sockets(&text, protocol) {
            if socket.port < lowest_passing {
                let port = (protocol, socket.port);
                machine.listeners.entry(port).or_default().insert(socket.ip);
                sockets.insert(socket.number, port);
            }
        }
    }
    let programs = programs::by_socket(&sockets.keys().copied().collect());
    let files = programs.values().cloned().collect();
    let packages = programs::packages(&files, Path::new("/var/lib/dpkg/info"));
    for (socket, port) in sockets {
        let package = programs.get(&socket).and_then(|file| packages.get(file));
        if let Some(package) = package {
            machine
                .listening
                .entry(package.clone())
                .or_default()
                .insert(port);
        }
    }
    if !found {
        let note = "listening ports are read from /proc/net, which this system does not have";
        machine.notes.push(note.to_owned());
    }
}

/// A UDP socket of a client looks like that of a server; those of clients begin here.
fn first_ephemeral_port() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(32768)
}

/// A socket that waits for anybody.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    ip: IpAddr,
    port: u16,
    number: u64,
}

/// The sockets that wait for anybody: TCP in state LISTEN (0A), UDP without a
/// peer (07).
fn parse_sockets(text: &str, protocol: Protocol) -> Vec<Socket> {
    let waiting = match protocol {
        Protocol::Tcp => "0A",
        Protocol::Udp => "07",
    };
    let parse = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, number, ..] = columns.as_slice() else {
            return None;
        };
        let (address, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (*state == waiting && port > 0).then_some(())?;
        Some(Socket {
            ip: parse_address(address)?,
            port,
            number: number.parse().ok()?,
        })
    };
    text.lines().skip(1).filter_map(parse).collect()
}

/// The kernel prints each 32-bit word of an address in the byte order of the machine.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_are_read_from_the_kernels_table() {
        let socket = |ip: &str, port, number| Socket {
            ip: ip.parse().unwrap(),
            port,
            number,
        };
        let tcp = "  sl  local_address rem_address   st\n\
                   0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 71 1 x\n\
                   1: 0100007F:1F91 0100007F:1F90 01 0:0 0:0 0 0 0 72 1 x\n\
                   2: garbage\n\
                   3: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 73 1 x\n";
        assert_eq!(
            parse_sockets(tcp, Protocol::Tcp),
            [socket("127.0.0.1", 8080, 71), socket("0.0.0.0", 22, 73)]
        );
        let tcp6 = "head\n\
                    0: 00000000000000000000000001000000:0050 0:0 0A 0:0 0:0 0 0 0 8 1\n\
                    1: 0000000000000000FFFF00000100007F:0051 0:0 0A 0:0 0:0 0 0 0 9 1\n";
        assert_eq!(
            parse_sockets(tcp6, Protocol::Tcp),
            [socket("::1", 80, 8), socket("127.0.0.1", 81, 9)]
        );
    }

    #[test]
    fn the_system_is_read_from_os_release() {
        let system = parse_os_release("NAME=\"Some OS\"\nVERSION_ID='12'\nPRETTY_NAME=Pretty\n");
        assert_eq!(system.name, "Some OS");
        assert_eq!(system.version.as_deref(), Some("12"));
        assert_eq!(system.cpe, None);
    }
}
