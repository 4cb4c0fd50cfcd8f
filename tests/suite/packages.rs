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
        text.contains("/libamber-").then(|| (file.metadata().unwrap().modified().unwrap(), text))
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
