//! The verifiers that take any number of cases in one run, and where they are.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sha2::{Digest as _, Sha256};

use undrift::tlog::key::VerifierKey;

use crate::{
    cases::{Case, Looseness},
    samples::good_key,
};

/// Where Debian has Go, and where its packages of Go's libraries are.
const GO: [&str; 2] = ["go", "/usr/lib/go-1.24/bin/go"];
const GO_PATH: &str = "/usr/share/gocode";

/// A program that reads cases and answers them.
pub(crate) struct Verifier {
    pub(crate) name: &'static str,
    /// What it lets pass.
    pub(crate) looseness: &'static [Looseness],
    argv: Vec<PathBuf>,
}

/// Those that answer cases of this kind.
pub(crate) fn verifiers_of(case: &Case) -> Vec<Verifier> {
    let python = |name, looseness| Verifier {
        name,
        looseness,
        argv: vec![venv().join("bin/python"), sources().join("verify.py")],
    };
    match case {
        Case::Statement { .. } => vec![python("securesystemslib", &[Looseness::UnusedBits])],
        _ => vec![
            python("aics-tlog", &[Looseness::LastLineBreak]),
            Verifier { name: "golang.org/x/mod", looseness: &[Looseness::UnusedBits], argv: vec![go()] },
        ],
    }
}

impl Verifier {
    /// What it says of each case under the samples' key: accepted, or why not.
    pub(crate) fn verdicts(&self, cases: &[Case]) -> Vec<Result<(), String>> {
        self.verdicts_under(good_key().verifier(), cases)
    }

    /// The same under another key.
    pub(crate) fn verdicts_under(&self, key: &VerifierKey, cases: &[Case]) -> Vec<Result<(), String>> {
        let mut file = tempfile::NamedTempFile::new_in(folder()).unwrap();
        for case in cases {
            writeln!(file, "{}", case.to_json(key)).unwrap();
        }
        let output = run(Command::new(&self.argv[0]).args(&self.argv[1..]).arg(file.path()));
        let verdicts: Vec<_> = output
            .lines()
            .map(|line| match line.split_once(": ") {
                None if line == "accepted" => Ok(()),
                Some(("refused", why)) => Err(why.to_owned()),
                _ => panic!("{} says {line:?}", self.name),
            })
            .collect();
        assert_eq!(verdicts.len(), cases.len(), "{}", self.name);
        verdicts
    }
}

/// What a command prints, if it succeeds.
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Fails a test for which a verifier is missing.
pub(crate) fn missing(what: &str) -> ! {
    panic!("{what} is missing, with which this test verifies: run scripts/host verifiers, which installs it");
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers")
}

/// A folder below the target folder for what these tests make.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verifiers");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The virtual environment that `scripts/host verifiers` makes of requirements.txt.
fn venv() -> PathBuf {
    let venv = folder().join("venv");
    let made_of = fs::read_to_string(venv.join("requirements.txt")).unwrap_or_default();
    if made_of != fs::read_to_string(sources().join("requirements.txt")).unwrap() {
        missing("the Python environment of tests/verifiers/requirements.txt");
    }
    venv
}

/// The program of verify.go. It is built once for its text, from Debian's packages and without a network.
fn go() -> PathBuf {
    let source = sources().join("verify.go");
    let text = fs::read(&source).unwrap();
    let program = folder().join(format!("verify-{}", hex::encode(&Sha256::digest(&text)[..8])));
    let lock = File::create(folder().join("go.lock")).unwrap();
    lock.lock().unwrap();
    if !program.exists() {
        for package in ["golang.org/x/mod/sumdb/tlog", "github.com/transparency-dev/formats/log"] {
            if !Path::new(GO_PATH).join("src").join(package).exists() {
                missing(&format!("Go's package {package}"));
            }
        }
        let compiler = GO.iter().find(|go| Command::new(go).arg("version").output().is_ok());
        let compiler = compiler.unwrap_or_else(|| missing("Go"));
        run(Command::new(compiler)
            .args(["build", "-o"])
            .args([&program, &source])
            .env("GO111MODULE", "off")
            .env("GOPATH", GO_PATH)
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", folder().join("go-cache")));
    }
    program
}

/// The same program, wherever it is on the path.
pub(crate) fn installed(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| missing(program))
}
