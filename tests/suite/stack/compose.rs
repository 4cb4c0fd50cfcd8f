//! What holds of the compose file as a whole, as far as it can be seen without an engine.

use super::text;

#[test]
fn every_variable_of_the_compose_file_stands_in_the_environment_file_with_its_default() {
    let (compose, environment) = (text("docker-compose.yml"), text(".env"));
    let mut variables = 0;
    for part in compose.split("${").skip(1) {
        let end = part.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let line =
            environment.lines().find_map(|line| line.trim_start_matches('#').strip_prefix(name)?.strip_prefix('='));
        // How to give a file rather than a password is told in a comment.
        let documented = line.is_some() || environment.contains(&format!("{name}="));
        assert!(documented, "{name} does not stand in .env");
        if let (Some(line), Some(default)) = (line, rest.strip_prefix(":-").or(rest.strip_prefix('-'))) {
            let default = default.split('}').next().unwrap_or_default();
            assert!(
                line == default || default.is_empty() || default.contains("${"),
                "{name}: `{line}` or `{default}`?"
            );
        }
        variables += 1;
    }
    assert!(variables > 15, "{variables}");
}

#[test]
fn what_services_depend_on_and_mount_is_there() {
    let compose = text("docker-compose.yml");
    let services = super::services();
    let names: Vec<&str> = services.iter().map(|(name, _)| name.as_str()).collect();
    let (_, volumes) = compose.split_once("\nvolumes:\n").unwrap();
    let volumes: Vec<&str> = volumes.lines().map(|line| line.trim().trim_end_matches(':')).collect();
    let mut used = Vec::new();
    for (service, lines) in &services {
        let mut section = "";
        for line in lines.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if !line.starts_with("     ") {
                section = line.trim();
            } else if section == "depends_on:" {
                let other = line.trim().split(':').next().unwrap();
                assert!(names.contains(&other), "{service} depends on {other}");
            } else if section == "volumes:" {
                let mount = line.trim().trim_start_matches("- ");
                if !mount.starts_with(['.', '$']) {
                    let volume = mount.split(':').next().unwrap();
                    assert!(volumes.contains(&volume), "{service} mounts {volume}");
                    used.push(volume);
                }
            }
        }
    }
    assert!(volumes.iter().all(|volume| used.contains(volume)), "{volumes:?} {used:?}");
}

#[test]
fn the_documents_name_variables_that_there_are() {
    let known = text(".env") + &text("docs/publish.py");
    let document = text("docs/stack.md");
    let mut seen = 0;
    for block in document.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
        for word in block.split_whitespace().filter_map(|word| word.trim_start_matches('\'').split_once('=')) {
            if word.0.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                assert!(known.contains(word.0), "{} is nowhere read", word.0);
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "{seen}");
}
