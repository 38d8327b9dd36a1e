//! Keys that are one value of the container.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Compared, texts};
use crate::reference;

pub(super) fn keys(compared: Compared<'_>) -> Vec<String> {
    let differs = |(key, differs): &(&str, bool)| differs.then(|| (*key).to_owned());
    let all =
        [&images(compared)[..], &switches(compared), &limits(compared), &lists(compared), &others(compared)];
    all.into_iter().flatten().filter_map(differs).collect()
}

/// The settings that a service takes from its image if it declares none.
fn images(compared: Compared<'_>) -> [(&'static str, bool); 7] {
    let (declared, config, image) = (compared.declared(), compared.config(), compared.image);
    let reference = declared["image"].as_str().map_or_else(
        || format!("{}-{}", compared.project["name"].as_str().unwrap_or_default(), compared.service),
        str::to_owned,
    );
    let found = config["Image"].as_str().unwrap_or_default();
    // A container that was created from an ID does not show the name.
    let other_image = !found.starts_with("sha256:") && reference::full(found) != reference::full(&reference);
    let own = |key: &str| !declared[key].is_null();
    let list = |key: &str, at: &str| {
        if own(key) {
            return texts(&declared[key]) != texts(&config[at]);
        }
        // With another entry point the image's command does not count.
        let expected = if key == "command" && own("entrypoint") { Vec::new() } else { texts(&image[at]) };
        !image.is_null() && !other_image && expected != texts(&config[at])
    };
    let text = |key: &str, at: &str| {
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if own(key) {
            return of(&declared[key]) != of(&config[at]);
        }
        !image.is_null() && !other_image && of(&image[at]) != of(&config[at])
    };
    [
        ("image", other_image),
        ("command", list("command", "Cmd")),
        ("entrypoint", list("entrypoint", "Entrypoint")),
        ("user", text("user", "User")),
        ("working_dir", text("working_dir", "WorkingDir")),
        ("stop_signal", text("stop_signal", "StopSignal")),
        ("healthcheck", health(compared, other_image)),
    ]
}

/// Keys that are on or off.
fn switches(compared: Compared<'_>) -> [(&'static str, bool); 5] {
    let is_on = |value: &Value| value.as_bool().unwrap_or_default();
    let other = |key: &str, found: &Value| is_on(&compared.declared()[key]) != is_on(found);
    [
        ("tty", other("tty", &compared.config()["Tty"])),
        ("stdin_open", other("stdin_open", &compared.config()["OpenStdin"])),
        ("privileged", other("privileged", &compared.host()["Privileged"])),
        ("read_only", other("read_only", &compared.host()["ReadonlyRootfs"])),
        ("init", other("init", &compared.host()["Init"])),
    ]
}

/// Numbers for which 0, or no value, means no limit.
fn limits(compared: Compared<'_>) -> [(&'static str, bool); 6] {
    let declared = compared.declared();
    let (deploy, host) = (&declared["deploy"]["resources"]["limits"], compared.host());
    let number = |value: &Value| match value {
        Value::String(text) => text.parse::<f64>().unwrap_or_default(),
        other => other.as_f64().unwrap_or_default(),
    };
    let either = |key: &str, of_deploy: &str| {
        let own = number(&declared[key]);
        if own == 0.0 { number(&deploy[of_deploy]) } else { own }
    };
    let other = |declared: f64, found: &Value| (declared - number(found)).abs() >= 1.0;
    [
        ("mem_limit", other(either("mem_limit", "memory"), &host["Memory"])),
        ("cpus", other(either("cpus", "cpus") * 1e9, &host["NanoCpus"])),
        ("cpu_shares", other(number(&declared["cpu_shares"]), &host["CpuShares"])),
        // The engine has a default size of its own.
        (
            "shm_size",
            !declared["shm_size"].is_null() && other(number(&declared["shm_size"]), &host["ShmSize"]),
        ),
        ("oom_score_adj", other(number(&declared["oom_score_adj"]), &host["OomScoreAdj"])),
        ("stop_grace_period", grace(compared)),
    ]
}

fn grace(compared: Compared<'_>) -> bool {
    let declared = compared.declared()["stop_grace_period"].as_str().and_then(nanoseconds);
    let declared = declared.map(|ns| ns / 1_000_000_000);
    declared != compared.config()["StopTimeout"].as_i64()
}

/// Lists whose order does not matter.
fn lists(compared: Compared<'_>) -> [(&'static str, bool); 8] {
    let (declared, host) = (compared.declared(), compared.host());
    let other = |key: &str, at: &str| {
        let of = |value: &Value| texts(value).into_iter().map(normal).collect::<BTreeSet<_>>();
        of(&declared[key]) != of(&host[at])
    };
    let tmpfs: BTreeSet<&str> =
        texts(&declared["tmpfs"]).into_iter().map(|entry| entry.split(':').next().unwrap_or(entry)).collect();
    let found: BTreeSet<&str> =
        host["Tmpfs"].as_object().into_iter().flatten().map(|(path, _)| path.as_str()).collect();
    [
        ("cap_add", other("cap_add", "CapAdd")),
        ("cap_drop", other("cap_drop", "CapDrop")),
        ("dns", other("dns", "Dns")),
        ("dns_search", other("dns_search", "DnsSearch")),
        ("extra_hosts", other("extra_hosts", "ExtraHosts")),
        ("security_opt", other("security_opt", "SecurityOpt")),
        ("group_add", other("group_add", "GroupAdd")),
        ("tmpfs", tmpfs != found),
    ]
}

/// One spelling: capabilities with and without `CAP_`, hosts with `=` and `:`.
fn normal(entry: &str) -> String {
    entry.strip_prefix("CAP_").unwrap_or(entry).replacen('=', ":", 1)
}

fn others(compared: Compared<'_>) -> [(&'static str, bool); 6] {
    let (declared, config, host) = (compared.declared(), compared.config(), compared.host());
    // Declared, or the engine's choice.
    let chosen =
        |key: &str, found: &Value| declared[key].as_str().is_some_and(|text| Some(text) != found.as_str());
    let sysctls = |value: &Value| {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let entries = value.as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.clone(), text(value))).collect::<BTreeSet<_>>()
    };
    let driver = &declared["logging"]["driver"];
    let name = |found: &Value| found.as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    [
        ("hostname", chosen("hostname", &config["Hostname"])),
        ("domainname", chosen("domainname", &config["Domainname"])),
        ("container_name", chosen("container_name", &Value::from(name(&compared.container["Name"])))),
        ("restart", restart(compared)),
        ("sysctls", sysctls(&declared["sysctls"]) != sysctls(&host["Sysctls"])),
        (
            "logging",
            driver.as_str().is_some_and(|driver| Some(driver) != host["LogConfig"]["Type"].as_str())
                || (!declared["logging"].is_null()
                    && sysctls(&declared["logging"]["options"]) != sysctls(&host["LogConfig"]["Config"])),
        ),
    ]
}

/// The engine has `on-failure:3` as a name and a number. Compose translates the restart settings of `deploy`.
fn restart(compared: Compared<'_>) -> bool {
    let declared = compared.declared();
    if !declared["deploy"]["restart_policy"].is_null() {
        return false;
    }
    let policy = &compared.host()["RestartPolicy"];
    let found = policy["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no");
    let retries = policy["MaximumRetryCount"].as_i64().unwrap_or_default();
    let (name, most) = match declared["restart"].as_str().filter(|text| !text.is_empty()).unwrap_or("no") {
        text if text.contains(':') => text.split_once(':').unwrap_or((text, "0")),
        text => (text, "0"),
    };
    name != found || most.parse() != Ok(retries)
}

/// Compares only the declared parts of a health check: the image's own fills in the rest.
fn health(compared: Compared<'_>, other_image: bool) -> bool {
    let (declared, found) = (&compared.declared()["healthcheck"], &compared.config()["Healthcheck"]);
    if declared.is_null() {
        let of_image = &compared.image["Healthcheck"];
        return !compared.image.is_null()
            && !other_image
            && texts(&of_image["Test"]) != texts(&found["Test"]);
    }
    if declared["disable"].as_bool() == Some(true) {
        return texts(&found["Test"]) != ["NONE"];
    }
    let time = |key: &str, at: &str| {
        declared[key].as_str().and_then(nanoseconds).is_some_and(|ns| Some(ns) != found[at].as_i64())
    };
    let retries =
        declared["retries"].as_i64().is_some_and(|retries| Some(retries) != found["Retries"].as_i64());
    let test = !declared["test"].is_null() && texts(&declared["test"]) != texts(&found["Test"]);
    test || retries
        || time("interval", "Interval")
        || time("timeout", "Timeout")
        || time("start_period", "StartPeriod")
}

/// A duration as Go prints it, `1m30s` or `1.5s`, in nanoseconds.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let scale = match &unit[..end] {
            "h" => 3600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = &unit[end..];
    }
    // Whole nanoseconds, far below what an i64 holds: 9e18 of them are 292 years.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    (!text.is_empty() && total < 9e18).then(|| total.round() as i64)
}
