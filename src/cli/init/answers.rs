//! Broker and store: asked for or given, and tried at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::ask;
use crate::config::{self, Config};
use crate::fault::Severity;
use crate::mapping::Mapping;
use crate::session;
use crate::status::told;
use crate::store::{Store, WriteError};

pub(super) const BROKER: &str = "mqtt://localhost:1883";
/// How long the store may take to open.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is answered where something is to be written down though it cannot be reached now.
const KEEP: &str = "keep";

/// How to reach the broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Login {
    pub url: String,
    pub user: Option<String>,
    /// Typed, and not in a file yet.
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    /// Whether the broker let us in.
    pub works: bool,
}

impl Login {
    /// The settings, as Amber would have them.
    ///
    /// # Errors
    /// What is wrong with them, a line each.
    pub fn settings(&self) -> Result<config::Broker, String> {
        let file = self.password_file.as_ref().map(|file| file.display().to_string());
        let given = [
            ("URL", Some(&self.url)),
            ("USERNAME", self.user.as_ref()),
            ("PASSWORD", self.password.as_ref()),
            ("PASSWORD_FILE", file.as_ref()),
        ];
        Ok(settings("broker", &given)?.broker)
    }
}

/// The store's URL without its password, which is given apart.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub url: String,
    pub password: Option<String>,
}

/// A configuration of these settings of one section.
fn settings(section: &str, given: &[(&str, Option<&String>)]) -> Result<Config, String> {
    let variable = |(key, value): &(&str, Option<&String>)| {
        Some((format!("AMBER__{}__{key}", section.to_uppercase()), (*value)?.clone()))
    };
    let loaded = config::load_text("arguments", "", given.iter().filter_map(variable));
    let ours = |fault: &&crate::fault::Fault| fault.severity == Severity::Fault && fault.path.starts_with(section);
    let faults: Vec<String> = loaded
        .faults
        .iter()
        .filter(ours)
        .map(
            |fault| {
                if fault.remedy.is_empty() { fault.what.clone() } else { format!("{}; {}", fault.what, fault.remedy) }
            },
        )
        .collect();
    match loaded.config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults.join("\n")),
    }
}

/// It is written all the same.
const UNTRIED: &str = "untried, and written all the same: `--discover no` asks for no more";

/// Which broker, until it lets us in. Without `asks` it is as it is given.
///
/// # Errors
/// Nobody is there to ask, and it does not let us in (unless it `may_be_away`), or its URL is none; why.
pub(super) async fn broker(mut login: Login, asks: bool, may_be_away: bool) -> anyhow::Result<Login> {
    let mut is_given = !login.url.is_empty();
    if login.url.is_empty() {
        BROKER.clone_into(&mut login.url);
    }
    loop {
        if asks && !is_given {
            let answer = ask::question("Broker", &login.url)?;
            if answer == KEEP {
                return Ok(login);
            }
            login.url = answer;
        }
        is_given = false;
        let tried = match login.settings() {
            Ok(settings) => session::probe(&settings).await,
            Err(why) if !asks => bail!("broker: `{}`: {why}", login.url),
            Err(why) => Err(why),
        };
        let why = match tried {
            Ok(answer) => {
                ask::say(&format!("  {answer}"))?;
                return Ok(Login { works: true, ..login });
            }
            Err(why) if may_be_away => {
                ask::say(&format!("  {why}\n  {UNTRIED}"))?;
                return Ok(login);
            }
            Err(why) if !asks => bail!("broker: `{}`: {why}", login.url),
            Err(why) => why,
        };
        ask::say(&format!("  {why}"))?;
        if wants_login(&why) {
            login.user = Some(ask::question("User name", login.user.as_deref().unwrap_or_default())?);
            login.password = Some(ask::secret("Password (it goes into a file of its own)")?);
            login.password_file = None;
            // Tried as it is now.
            is_given = true;
        } else {
            ask::say(&format!("  Enter tries again; or another URL; or `{KEEP}` to go on with this one unheard"))?;
        }
    }
}

/// Whether the broker asks who we are.
fn wants_login(why: &str) -> bool {
    why.contains("refuses user name or password") || why.contains("does not authorize")
}

/// Which store, until it opens.
///
/// # Errors
/// Nobody is there to ask, and it does not open (unless it `may_be_away`); why.
pub(super) async fn store(
    given: Option<String>,
    default: &str,
    asks: bool,
    may_be_away: bool,
) -> anyhow::Result<Place> {
    let mut url = given.clone().unwrap_or_else(|| default.to_owned());
    let mut is_given = given.is_some();
    loop {
        if asks && !is_given {
            let answer = ask::question("Store: a SQLite file, or postgres://user:password@host/database", &url)?;
            if answer == KEEP {
                return Ok(apart(&url));
            }
            url = answer;
        }
        is_given = false;
        match opens(&url).await {
            Ok(()) => {
                ask::say("  it opens")?;
                return Ok(apart(&url));
            }
            Err(why) if may_be_away && settings("store", &[("URL", Some(&url))]).is_ok() => {
                ask::say(&format!("  {why}\n  {UNTRIED}"))?;
                return Ok(apart(&url));
            }
            Err(why) if !asks => bail!("store: {why}"),
            Err(why) => ask::say(&format!(
                "  {why}\n  Enter tries again; or another URL; or `{KEEP}` to go on with this one untried"
            ))?,
        }
    }
}

/// Whether it can be read, or made. A SQLite file that is not there is not made yet.
async fn opens(url: &str) -> Result<(), String> {
    let config = settings("store", &[("URL", Some(&url.to_owned()))])?;
    if let config::StoreUrl::Sqlite(path) = &config.store.url.value {
        writable(path).map_err(|error| told(&error))?;
    }
    let (mapping, _) = Mapping::new(&[]);
    let mapping = mapping.ok_or("no mapping is a mapping")?;
    let mut store = Store::new(&config.store, &config.broker.client_id, 0);
    let planned = tokio::time::timeout(PATIENCE, store.plan(mapping.schema())).await;
    store.close().await;
    match planned {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(told(&WriteError::into_source(error))),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Tries whether a file can be made beside the database.
fn writable(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = folder.join(format!(".amber-init.{}", std::process::id()));
    std::fs::File::create(&tried)
        .and_then(|_| std::fs::remove_file(&tried))
        .with_context(|| format!("a database cannot be made in `{}`", folder.display()))
}

/// Takes the password out of the URL, as text.
fn apart(url: &str) -> Place {
    let whole = || Place { url: url.to_owned(), password: None };
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("postgres")) else {
        return whole();
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let Some((login, _)) = authority.rsplit_once('@') else { return whole() };
    let Some((user, password)) = login.split_once(':').filter(|(_, password)| !password.is_empty()) else {
        return whole();
    };
    let encoded = format!("p={}", password.replace('+', "%2B").replace('&', "%26"));
    let decoded = url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, password)| password.into_owned());
    Place { url: format!("{scheme}://{user}{}", &rest[login.len()..]), password: decoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_store_is_taken_out_of_its_url() {
        for (url, without, password) in [
            ("sqlite:amber.db", "sqlite:amber.db", None),
            ("postgres://amber@db/amber", "postgres://amber@db/amber", None),
            ("postgres://amber:secret@db:5432/amber", "postgres://amber@db:5432/amber", Some("secret")),
            ("postgresql://u:p%40+x@a,b/d?sslmode=require", "postgresql://u@a,b/d?sslmode=require", Some("p@+x")),
            ("postgres://db/amber?x=a:b@c", "postgres://db/amber?x=a:b@c", None),
        ] {
            let place = apart(url);
            assert_eq!((place.url.as_str(), place.password.as_deref()), (without, password), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_setting_is_said_with_its_remedy() {
        let why = Login { url: "localhost".into(), ..Login::default() }.settings().unwrap_err();
        assert!(why.starts_with("has no scheme; "), "{why}");
        assert!(
            Login { url: BROKER.into(), user: Some("u".into()), password: Some("p".into()), ..Login::default() }
                .settings()
                .is_ok()
        );
    }
}
