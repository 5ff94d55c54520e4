//! `cargo xtask test`: what must hold before a change lands, stage by stage.

mod slowest;
pub(crate) mod window;

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{
    checkout::{self, cargo, linting_cargo, target, top},
    demo::{self, Story},
    machine,
    stage::{Stages, must, output},
};

/// The feature behind which tests wait for what `test` installs.
const USUAL: &str = "flash/umockdev,simulators/umockdev,station-daemon/umockdev";

/// The features behind which tests wait for programs written by others.
const DEEP: &str = "flash/guest,flash/umockdev,flash/qemu,simulators/qemu,simulators/stm32flash,\
                    simulators/esptool,simulators/umockdev,station-daemon/deep,station-daemon/guest,\
                    station-daemon/umockdev,tests/deep";

/// Workspaces of their own, which `--all` does not reach.
const OUTSIDE: [&str; 11] = [
    "activation/fuzz/Cargo.toml",
    "audit/fuzz/Cargo.toml",
    "delta/chip/Cargo.toml",
    "delta/fuzz/Cargo.toml",
    "device-sdk/chip/Cargo.toml",
    "device-sdk/demo/Cargo.toml",
    "device-sdk/staticlib/Cargo.toml",
    "flash/fuzz/Cargo.toml",
    "release/fuzz/Cargo.toml",
    "sync/fuzz/Cargo.toml",
    "src-tauri/Cargo.toml",
];

/// Everything in `test`; `deep` adds what is slow; `only` leaves all stages out whose name does not
/// hold it.
pub(crate) fn test(deep: bool, only: Option<String>) -> Result<()> {
    let mut stages = Stages::only(only);
    stages.run("prerequisites", || {
        machine::rust()?;
        machine::debian(machine::TO_BUILD)?;
        machine::debian(machine::TO_JUDGE)?;
        machine::debian(machine::TO_CUT_OFF)?;
        machine::debian(machine::TO_FLASH)?;
        machine::debian(machine::TO_SERVE_USB)?;
        machine::debian(machine::TO_BROWSE)?;
        machine::npm()
    });
    stages.run("format", format);
    stages.run("build and lint", || {
        must(
            linting_cargo()
                .args(["build", "--locked", "--workspace", "--features", USUAL])
                .args(["--all-targets", "--quiet"]),
        )
    });
    stages.run("Rust tests", || {
        must(machine::nextest(linting_cargo())?.args([
            "run",
            "--locked",
            "--workspace",
            "--features",
            USUAL,
        ]))
    });
    stages.run("the ten slowest Rust tests", slowest::print);
    stages.run("worked examples, in Python", worked_examples);
    stages.run("a release at our hub, judged by python-tuf", || {
        let python = machine::judges()?;
        let features = format!("{USUAL},tests/judges");
        tests_with(&features, "binary(judges)", &[("JUDGE_PYTHON", python.as_os_str())])
    });
    stages.run("front-end types", || npm_run("check"));
    stages.run("front-end types are those of the API", types_have_not_drifted);
    stages.run("front-end tests", || npm_run("test"));
    stages.run("front-end build", || npm_run("build"));
    stages.run("kiosk page in Chromium", || npm_run("e2e"));
    let demo = |story| {
        move || demo::tell(&checkout::programs_of_the_suite(), story, std::time::Instant::now())
    };
    stages.run("demo by itself", demo(Story::Headless));
    stages.run("demo watched in Chromium", demo(Story::WatchedInChromium));
    if deep {
        stages.run("stock probe-rs CLI", || {
            let probe_rs = machine::probe_rs_cli()?;
            deep_tests("binary(stock_cli)", &[("PROBE_RS_CLI", probe_rs.as_os_str())])
        });
        stages.run("esptool on simulated ESP32s", || {
            let esptool = machine::esptool()?;
            deep_tests("binary(esptool)", &[("ESPTOOL", esptool.as_os_str())])
        });
        stages.run("boards and firmware written by others", || {
            machine::debian(machine::TO_EMULATE)?;
            deep_tests(
                "binary(others) | binary(qemu) | binary(emulated_board) | binary(stm32flash)",
                &[],
            )
        });
        stages.run("real kernel, udev and users", || {
            machine::debian(machine::TO_BOOT)?;
            let kernel = machine::kernel()?;
            deep_tests("binary(guest)", &[("GUEST_KERNEL", kernel.as_os_str())])
        });
        stages.run("the station secret sealed by a TPM", || {
            machine::debian(machine::TO_BOOT)?;
            machine::debian(machine::TO_SEAL)?;
            let kernel = machine::kernel()?;
            deep_tests("binary(line) & test(/^tpm::/)", &[("GUEST_KERNEL", kernel.as_os_str())])
        });
        stages.run("power cut at every point of a visit", || {
            deep_tests("binary(line) & test(/^power::/)", &[])
        });
        stages.run("kiosk window", window::watched);
    }
    stages.finish()
}

/// The fast subset: warm, it is done in under two minutes.
pub(crate) fn check() -> Result<()> {
    let mut stages = Stages::default();
    stages.run("prerequisites", || {
        machine::rust()?;
        machine::npm()
    });
    stages.run("format", format);
    stages.run("build and lint", || {
        must(linting_cargo().args(["build", "--locked", "--workspace", "--all-targets", "--quiet"]))
    });
    if stages.all_passed() {
        stages.run("quick Rust tests", || {
            must(machine::nextest(linting_cargo())?.args([
                "run",
                "--locked",
                "--workspace",
                "--lib",
                "--bins",
                "--test",
                "house",
            ]))
        });
    }
    stages.run("front-end types", || npm_run("check"));
    stages.run("front-end tests", || npm_run("test"));
    stages.finish()
}

/// Writes `station-daemon/openapi.json` and the TypeScript types made from it.
pub(crate) fn types() -> Result<()> {
    machine::npm()?;
    // With a test target: what tests depend on decides the features of everything else.
    must(
        linting_cargo()
            .args(["build", "--locked", "--quiet", "--workspace", "--features", USUAL])
            .args(["--bin", "station-daemon", "--test", "house"]),
    )?;
    let document = output(Command::new(target().join("debug/station-daemon")).arg("openapi"))?;
    machine::replace(&top().join("station-daemon/openapi.json"), document.as_bytes())?;
    npm_run("types")
}

fn format() -> Result<()> {
    must(cargo().args(["fmt", "--all", "--check"]))?;
    for manifest in OUTSIDE {
        must(cargo().args(["fmt", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

/// The worked examples of `FORMAT.md`, by programs that share no code with ours.
fn worked_examples() -> Result<()> {
    for room in ["activation", "audit"] {
        must(
            Command::new("/usr/bin/python3").arg(top().join(room).join("tests/worked_example.py")),
        )?;
    }
    must(Command::new(machine::judges()?).arg(top().join("release/tests/worked_example.py")))
}

fn npm_run(script: &str) -> Result<()> {
    must(machine::npm_command(&top().join("ui")).args(["run", "--silent", script]))
}

/// The committed types are what the committed API document gives; that document is compared with
/// the Rust types by a Rust test.
fn types_have_not_drifted() -> Result<()> {
    let path = top().join("ui/kiosk/src/api.d.ts");
    let read = || std::fs::read_to_string(&path).context("reading ui/kiosk/src/api.d.ts");
    let committed = read()?;
    npm_run("types")?;
    ensure!(
        committed == read()?,
        "ui/kiosk/src/api.d.ts was not what the API document gives; it has been written anew"
    );
    Ok(())
}

/// Tests that `test` leaves out, chosen by a nextest filter.
fn deep_tests(filter: &str, environment: &[(&str, &std::ffi::OsStr)]) -> Result<()> {
    tests_with(DEEP, filter, environment)
}

fn tests_with(
    features: &str,
    filter: &str,
    environment: &[(&str, &std::ffi::OsStr)],
) -> Result<()> {
    let mut nextest = machine::nextest(linting_cargo())?;
    nextest.args(["run", "--locked", "--workspace", "--features", features, "-E", filter]);
    nextest.envs(environment.iter().copied());
    must(&mut nextest)
}
