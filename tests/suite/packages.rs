//! What is given to people who do not build from the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

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
