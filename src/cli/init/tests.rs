//! What is written, without a broker.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn login() -> Login {
    Login {
        url: "mqtt://broker".into(),
        user: Some("ann \"x\" \\".into()),
        password: Some("se\tcret".into()),
        ..Login::default()
    }
}

#[test]
fn passwords_stand_in_files_of_their_own_and_the_configuration_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::new(folder.path()).unwrap();
    let store = Place { url: "postgres://amber@db/amber".into(), password: Some("word".into()) };
    write(&paths, &login(), &store, None).unwrap();
    for (path, text) in [(&paths.broker_password, "se\tcret\n"), (&paths.store_password, "word\n")] {
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let text = std::fs::read_to_string(&paths.config).unwrap();
    assert!(!text.contains("cret") && !text.contains("\"word"), "{text}");
    let loaded = config::load(Some(&paths.config), []);
    assert!(!loaded.is_faulty(), "{:?}", loaded.faults);
    let broker = loaded.config.unwrap().broker;
    assert_eq!(broker.username.as_deref(), Some("ann \"x\" \\"));
    assert_eq!(broker.password.unwrap().expose(), "se\tcret");
    // No mapping yet is a warning, and no fault.
    finish(&paths, false).unwrap();
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::new(folder.path()).unwrap();
    assert!(paths.taken().is_none());
    std::fs::write(&paths.broker_password, "mine").unwrap();
    let store = Place { url: "sqlite:amber.db".into(), password: None };
    let error = write(&paths, &login(), &store, None).unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
    assert_eq!(std::fs::read_to_string(&paths.broker_password).unwrap(), "mine");
    assert!(!paths.config.exists(), "the main file comes last");
    std::fs::write(&paths.config, "").unwrap();
    assert!(paths.taken().unwrap().to_string().contains("config.toml` is there already"));
    assert!(Paths::new(&folder.path().join("absent")).is_err());
}

#[test]
fn a_time_or_no_is_what_discover_takes() {
    assert_eq!(listening("no"), Ok(Listening::No));
    assert_eq!(listening("5s"), Ok(Listening::For(Duration::from_secs(5))));
    assert!(listening("yes").unwrap_err().ends_with("or `no`"));
}
