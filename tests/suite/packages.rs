//! What is given to people who do not build from the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::support::binary;
use crate::support::folder::Folder;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the library was last built from, by the compiler's own word: sources, and what they embed by `include_str!` and
/// its like; nothing that only tests use.
fn built_from() -> BTreeSet<String> {
    let tests = std::env::current_exe().unwrap();
    let rules = fs::read_dir(tests.parent().unwrap()).unwrap().map(|file| file.unwrap()).filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        if !name.starts_with("amber-") || !name.ends_with(".d") {
            return None;
        }
        let text = fs::read_to_string(file.path()).ok()?;
        // A library that is linked: what clippy looks at has rules as well, those of the tests among them.
        (text.contains("/libamber-") && text.contains(".rlib:"))
            .then(|| (file.metadata().unwrap().modified().unwrap(), text))
    });
    let (_, newest) = rules.max().expect("the library was built");
    // After the rules each file stands once more, as a rule with nothing behind it.
    let files = newest.lines().filter_map(|line| line.strip_suffix(':'));
    files.filter(|file| !file.contains("/libamber-") && !file.ends_with(".d")).map(plain).collect()
}

/// A path from the root of the project, without `..`.
fn plain(path: &str) -> String {
    let mut plain = PathBuf::new();
    for part in Path::new(path).strip_prefix(root()).unwrap_or(Path::new(path)).components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{path} is outside of the project"),
            Component::Normal(name) => plain.push(name),
            _ => panic!("{path} is outside of the project"),
        }
    }
    plain.to_str().expect("our names are ASCII").to_owned()
}

#[test]
fn the_package_for_cargo_holds_every_file_that_the_binary_is_built_from() {
    let built = built_from();
    for name in ["src/lib.rs", "src/demo/demo.toml", "migrations/sqlite/0001_fixed_tables.sql"] {
        assert!(built.contains(name), "{name} is not known to be built from; {built:?}");
    }
    let list = ["package", "--list", "--offline", "--locked", "--allow-dirty", "--quiet"];
    let output = Command::new(env!("CARGO")).args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let list = String::from_utf8(output.stdout).unwrap();
    let packed: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let missing: Vec<_> = built.difference(&packed).collect();
    assert!(missing.is_empty(), "`include` in Cargo.toml lacks what is built from: {missing:?}");
    for name in ["src/main.rs", "Cargo.lock", "LICENSE", "README.md", "config.example.toml", "docs/operation.md"] {
        assert!(packed.contains(name), "`include` in Cargo.toml lacks {name}");
    }
}

/// The commands that `amber --help` lists.
fn commands() -> Vec<String> {
    let help = text(&["--help"]);
    let (_, list) = help.split_once("\nCommands:\n").expect("there are commands");
    let (list, _) = list.split_once("\n\n").expect("options follow");
    // A description may go on in a line that is set in deeper.
    let lines = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(names.len() > 9 && names.iter().any(|name| name == "run"), "{help}");
    names
}

/// What the binary prints, without a configuration.
fn text(args: &[&str]) -> String {
    let folder = Folder::new();
    let output = binary::command(folder.path(), args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash proposes after `amber`.
fn proposed_by_bash() -> Vec<String> {
    let ask = "COMP_WORDS=(amber ''); COMP_CWORD=1; _amber amber '' amber; echo ${COMPREPLY[@]}";
    let script = format!("{}\n{ask}", text(&["completions", "bash"]));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_command_that_the_help_lists_can_be_completed_and_has_a_page() {
    let folder = Folder::new();
    let written = binary::command(folder.path(), &["man", "pages"]);
    assert!(written.status.success(), "{written:?}");
    // In roff a hyphen is written with a backslash.
    let page = |name: &str| fs::read_to_string(folder.join(&format!("pages/{name}.1"))).unwrap().replace("\\-", "-");
    let (bash, zsh, fish) = (proposed_by_bash(), text(&["completions", "zsh"]), text(&["completions", "fish"]));
    let amber = page("amber");
    for name in commands() {
        assert!(bash.contains(&name), "{name}: {bash:?}");
        assert!(zsh.contains(&format!("\n'{name}:")), "{name}: {zsh}");
        assert!(fish.contains(&format!(" -a \"{name}\"")), "{name}: {fish}");
        assert!(amber.contains(&format!("\namber-{name}(1)\n")), "{name}: {amber}");
        assert!(page(&format!("amber-{name}")).contains(&format!("\namber-{name} - ")), "{name}");
    }
    assert!(page("amber-check").contains("--connect"));
    assert_eq!(amber, text(&["man"]).replace("\\-", "-"), "printed is the same page");
}

fn project(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the package for Debian installs: where, and from which file of the project.
fn installed() -> Vec<(String, String)> {
    let manifest: toml::Value = project("Cargo.toml").parse::<toml::Table>().unwrap().into();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let place = |asset: &toml::Value| {
        let (from, to) = (text(&asset[0]), format!("/{}", text(&asset[1])));
        let to = if to.ends_with('/') { to + from.rsplit('/').next().unwrap() } else { to };
        (to, from)
    };
    let mut installed: Vec<_> = assets.iter().map(place).collect();
    // By `systemd-units`.
    installed.push(("/usr/lib/systemd/system/amber.service".to_owned(), "packaging/amber.service".to_owned()));
    installed
}

/// The value of a setting of the unit.
fn unit(setting: &str) -> String {
    let text = project("packaging/amber.service");
    let value = text.lines().find_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {setting}")).to_owned()
}

#[test]
fn the_service_uses_the_paths_that_the_package_installs() {
    let installed = installed();
    let is_there = |path: &str| installed.iter().any(|(to, _)| to == path);
    for (to, from) in &installed {
        let (folder, name) = from.rsplit_once('/').unwrap_or(("", from));
        let made = from.starts_with("target/");
        assert!(
            made || name.starts_with('*') && root().join(folder).is_dir() || root().join(from).is_file(),
            "{from} for {to}"
        );
    }
    let start = unit("ExecStart");
    let [program, "run", "--config", config] = start.split(' ').collect::<Vec<_>>()[..] else { panic!("{start}") };
    assert!(is_there(program) && is_there(config), "{start}; {installed:?}");
    let state = format!("/var/lib/{}", unit("StateDirectory"));
    assert_eq!(unit("WorkingDirectory"), state);
    let example = project("packaging/config.toml");
    assert!(example.contains(&format!("\nurl = \"sqlite:{state}/amber.db\"")), "{example}");
    let postinst = project("packaging/debian/postinst");
    assert!(
        postinst.contains(&format!("--home {state} --no-create-home --gecos \"Amber\" {}\n", unit("User"))),
        "{postinst}"
    );
    assert!(postinst.contains(&format!("chgrp {} {config}\n", unit("Group"))), "{postinst}");
    assert!(project("packaging/debian/postrm").contains(&format!("rm -rf {state}\n")));
    let grace = amber::pipeline::GRACE.as_secs() + 1;
    assert!(unit("TimeoutStopSec").parse::<u64>().unwrap() > grace, "it must be able to end in its own time");
    // What the texts send people to: folders, and files in them.
    for name in ["amber.service", "config.toml", "mappings.README", "debian/README.Debian"] {
        let text = project(&format!("packaging/{name}"));
        for (_, rest) in text.match_indices("/usr/share/").map(|(at, _)| text.split_at(at)) {
            let end = |c: char| c.is_whitespace() || ";,:'`".contains(c);
            let path = rest.split(end).next().unwrap().trim_end_matches('.');
            let holds = |(to, from): &(String, String)| {
                let folder = to.trim_end_matches("/*.toml").trim_end_matches("/*.md");
                let within = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
                path == folder || within.is_some_and(|name| root().join(from).with_file_name(name).is_file())
            };
            assert!(installed.iter().any(holds), "packaging/{name}: {path} is not installed");
        }
    }
}

#[test]
fn the_configuration_of_the_package_is_right_and_takes_the_mappings_beside_it() {
    let folder = Folder::new();
    folder.write("config.toml", &project("packaging/config.toml"));
    let none = binary::command(folder.path(), &["check"]);
    assert!(none.status.success(), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("no mapping"), "{none:?}");
    fs::create_dir(folder.join("mappings")).unwrap();
    folder.write("mappings/tasmota.toml", &project("mappings/tasmota.toml"));
    let tasmota = binary::command(folder.path(), &["check"]);
    assert!(tasmota.status.success(), "{tasmota:?}");
    assert!(String::from_utf8_lossy(&tasmota.stdout).contains("tasmota_energy"), "{tasmota:?}");
}
