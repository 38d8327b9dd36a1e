//! Manifests: thousands of generated ones, in one process whose memory is watched. The only test of its binary, so
//! that the memory is its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use undrift::manifest;

/// How much memory all of them together may need over what the process had before, in KiB. One file of 1 MiB is
/// allowed to need this much; ten thousand must not need more.
const LIMIT_KIB: u64 = 64 * 1024;

/// xorshift64*: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const TOKENS: [&str; 48] = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ": ",
    "- ",
    "? ",
    "| ",
    ">\n",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!x ",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "\n",
    "\n  ",
    "\t",
    "\r",
    "\0",
    "\u{feff}",
    "\u{7}",
    "名",
    "~",
    "null",
    "true",
    "yes",
    "-1",
    "0x1F",
    "1e999",
    ".nan",
    "99999999999999999999",
    "5s",
    "404",
    "/..",
    "http://u:p@h",
    "apiVersion",
    "services:",
    "routes:",
    "expect",
    "passwordFrom",
];

/// A valid manifest with some changes.
fn mutated(good: &str, random: &mut Random) -> String {
    let mut text: Vec<char> = good.chars().collect();
    for _ in 0..=random.below(8) {
        let at = random.below(text.len() + 1);
        let to = (at + random.below(40)).min(text.len());
        match random.below(5) {
            0 => drop(text.drain(at..to)),
            1 => {
                let copy: Vec<char> = text[at..to].to_vec();
                let target = random.below(text.len() + 1);
                text.splice(target..target, copy);
            }
            2 => text.truncate(at.max(1)),
            _ => drop(text.splice(at..at, random.pick(&TOKENS).chars())),
        }
    }
    text.into_iter().collect()
}

/// Tokens without any sense.
fn noise(random: &mut Random) -> String {
    (0..random.below(300)).map(|_| random.pick(&TOKENS)).collect()
}

/// Few, but as large as a manifest may be.
fn hostile() -> Vec<String> {
    let size = 1024 * 1024;
    let repeat = |part: &str| part.repeat(size / part.len());
    let bomb = |width: usize| {
        let first = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        (1..60).fold(first, |text, n| {
            text + &format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(width))
        })
    };
    let header = "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\n";
    let mut all: Vec<String> = [
        "[",
        "{",
        "{a: ",
        "- ",
        "? ",
        "[],",
        "a: ",
        "&a ",
        "*a ",
        "!a ",
        "---\n",
        "--- a\n",
        "--- [\n",
        "...\n",
        "\"",
        "a: 1\n",
        "a\n",
        "#\n",
        "\t",
        "\r",
        "\n",
        "- a\n",
        "password: x, ",
        "http://a:b@c ",
        "%A\n",
        "| \n",
        "\0",
        "a:\n ",
    ]
    .map(repeat)
    .into();
    all.extend([bomb(9), bomb(100)]);
    all.push(format!("a: &a {}\nb: [{}]", "x".repeat(size / 2), "*a,".repeat(900)));
    all.push(format!("a: &a [{}]\nb: [{}]", "x,".repeat(9_000), "*a,".repeat(900)));
    all.push(format!(
        "a: &a [{}]\nb: [{}]",
        format!("{}, ", "x".repeat(8_000)).repeat(20),
        "*a,".repeat(900)
    ));
    all.push(format!("{header}metadata: {{ {} }}", "name: x, ".repeat(9_000)));
    all.push(format!("{header}spec:\n  services:\n{}", "    - {}\n".repeat(15_000)));
    all.push(format!("{header}spec: {{ services: [{}] }}", "{ name: a, password: b }, ".repeat(3_000)));
    all.push(format!("{header}spec:\n  project:\n    directory: {}", "a/".repeat(size / 4)));
    all
}

/// The most memory that this process has had so far, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn parse(text: &str) -> (usize, usize) {
    let (objects, errors) = manifest::parse(text, "test", Path::new("tests/manifest/good"));
    assert!(errors.len() <= 110, "{} errors", errors.len());
    for error in &errors {
        let shown = error.to_string();
        assert!(shown.len() < 4_096, "{} bytes for one error: {}", shown.len(), &shown[..200]);
    }
    (objects.len(), errors.len())
}

#[test]
fn ten_thousand_generated_manifests_neither_panic_nor_eat_memory() {
    let good = fs::read_to_string("tests/manifest/good/everything.yaml").unwrap();
    assert_eq!(parse(&good), (1, 0));
    let before = peak();
    let mut random = Random(0x5EED);
    let (mut accepted, mut refused) = (0, 0);
    for n in 0..10_000 {
        let text = if n % 4 == 0 { noise(&mut random) } else { mutated(&good, &mut random) };
        match parse(&text) {
            (_, 0) => accepted += 1,
            _ => refused += 1,
        }
    }
    // Both sides of the parser were reached.
    assert!(accepted > 100 && refused > 5_000, "{accepted} accepted, {refused} refused");
    let grown = peak() - before;
    assert!(grown < LIMIT_KIB, "{grown} KiB for small manifests");
    for text in hostile() {
        let (objects, errors) = parse(&text);
        assert!(objects == 0 && errors > 0, "accepted: {}", &text[..40]);
        let grown = peak() - before;
        assert!(grown < LIMIT_KIB, "{grown} KiB for {:?}…", &text[..40]);
    }
}
