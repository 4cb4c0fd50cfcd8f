//! A real Chromium without a screen, driven by chromedriver: one for all tests of the page, since its start costs seconds.
//!
//! WebDriver is JSON over HTTP on loopback, a few lines of it are enough here. Chromium hangs on the driver by a pipe: it
//! ends with the driver, and the driver with the test binary, even if that is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value as Json, json};

use super::folder::Folder;
use super::process::{self, Process, Program, Signal};
use super::{eventually, ports, tail};

/// How long one command may take; Chromium may be slow on a machine with other work to do.
const COMMAND: Duration = Duration::from_secs(60);
/// How WebDriver calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A name that a foreign site would have, and that leads here: what a site does that wants to read a server behind a
/// browser's back (DNS rebinding).
pub const FOREIGN: &str = "evil.example";

/// What keeps Chromium from asking anybody but the page: updates, translations, its own services.
const QUIET: &[&str] = &[
    "--headless=new",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
];

/// A window of Chromium.
pub struct Browser {
    port: u16,
    session: String,
    folder: Folder,
    driver: Process,
}

/// The browser that all tests share, one after the other: an empty page of the usual size, and nothing said yet.
pub fn browser() -> MutexGuard<'static, Browser> {
    static SHARED: OnceLock<Mutex<Browser>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Mutex::new(Browser::start()));
    // What another test has left is cleared; that it failed is no fault of this one.
    let browser = shared.lock().unwrap_or_else(PoisonError::into_inner);
    browser.clear();
    browser
}

impl Browser {
    fn start() -> Self {
        let install = "install Debian's chromium and chromium-driver (elsewhere chromium, or chromium-chromedriver)";
        let driver =
            process::find("AMBER_TEST_CHROMEDRIVER", &["chromedriver", "/usr/lib/chromium/chromedriver"], install);
        let names = ["chromium", "chromium-browser", "google-chrome", "/usr/lib/chromium/chromium"];
        let chromium = process::find("AMBER_TEST_CHROMIUM", &names, install);
        let (folder, port) = (Folder::new(), ports::free());
        let home = folder.path().display().to_string();
        let driver = Process::start(Program {
            path: driver,
            args: vec![format!("--port={port}")],
            envs: vec![("HOME".to_owned(), home.clone()), ("XDG_CONFIG_HOME".to_owned(), home.clone())],
            folder: folder.path().to_owned(),
            log: folder.join("driver.log"),
            user: None,
            at_death: Signal::Kill,
        });
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        let args: Vec<&str> = QUIET.iter().copied().chain([profile.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": chromium, "args": args },
        }}});
        let mut browser = Self { port, session: String::new(), folder, driver };
        eventually("chromedriver listens", || browser.send("GET", "/status", None).map(drop));
        let session = browser.send("POST", "/session", Some(&wanted)).unwrap_or_else(|error| {
            panic!("Chromium does not start: {error}\n{}", tail(&browser.log(), 40));
        });
        browser.session = format!("/session/{}", session["sessionId"].as_str().expect("a session has a name"));
        browser
    }

    /// Back to an empty page of 1280 x 900, light, with nothing in the logs.
    fn clear(&self) {
        if let Ok(Json::String(_)) = self.ask("GET", "/alert/text", None) {
            drop(self.ask("POST", "/alert/dismiss", Some(&json!({}))));
        }
        self.go("about:blank");
        self.size(1280, 900);
        self.scheme("light");
        self.console();
        self.requests();
    }

    /// Goes to an address, and waits until the page and what it names is loaded.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.must("POST", "/url", &json!({ "url": url }));
    }

    #[track_caller]
    pub fn reload(&self) {
        self.must("POST", "/refresh", &json!({}));
    }

    /// Where it is, after whatever redirects.
    #[track_caller]
    pub fn address(&self) -> String {
        self.get("/url").as_str().expect("an address").to_owned()
    }

    /// What a function body of JavaScript returns, on the page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Json {
        self.must("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that `css` selects, as it is seen.
    ///
    /// # Errors
    /// If there is none.
    #[track_caller]
    pub fn text(&self, css: &str) -> Result<String, String> {
        let found = self.run(&format!("return document.querySelector({})?.innerText ?? null", json!(css)));
        found.as_str().map(str::to_owned).ok_or_else(|| format!("no `{css}` in: {}", self.shown()))
    }

    /// Waits until the text of an element holds `part`.
    #[track_caller]
    pub fn wait_for(&self, css: &str, part: &str) {
        eventually(&format!("`{css}` shows `{part}`"), || {
            let text = self.text(css)?;
            if text.contains(part) { Ok(()) } else { Err(text) }
        });
    }

    /// How many elements `css` selects.
    #[track_caller]
    pub fn count(&self, css: &str) -> i64 {
        let count = self.run(&format!("return document.querySelectorAll({}).length", json!(css)));
        count.as_i64().expect("a length")
    }

    /// All that is seen of the page.
    #[track_caller]
    pub fn shown(&self) -> String {
        self.run("return document.body?.innerText ?? ''").as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on an element as a mouse does: what is covered or out of sight cannot be clicked on.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        self.must("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element, after what is there.
    #[track_caller]
    pub fn write(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.must("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys one after the other, wherever the focus is.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        let strokes: Vec<Json> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|stroke| json!({ "type": stroke, "value": key })))
            .collect();
        self.must("POST", "/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }));
    }

    /// Width and height of the window in CSS pixels; a narrow one is a telephone's.
    #[track_caller]
    pub fn size(&self, width: u32, height: u32) {
        let (is_narrow, scale) = (width < 600, if width < 600 { 2 } else { 1 });
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_narrow });
        self.develop("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// `light` or `dark`.
    #[track_caller]
    pub fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.develop("Emulation.setEmulatedMedia", &features);
    }

    /// What the page has said on the console since this was last asked, and what the browser has said of it.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        self.take_log("browser").iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// The addresses that were asked for since this was last asked.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let event = |entry: &Json| serde_json::from_str::<Json>(entry["message"].as_str()?).ok();
        let entries = self.take_log("performance");
        let events = entries.iter().filter_map(event).map(|mut event| event["message"].take());
        let sent = events.filter(|event| {
            ["Network.requestWillBeSent", "Network.webSocketCreated"].map(Json::from).contains(&event["method"])
        });
        let url = |event: Json| {
            let params = &event["params"];
            params["request"]["url"].as_str().or_else(|| params["url"].as_str()).map(str::to_owned)
        };
        sent.filter_map(url).collect()
    }

    /// Whether a dialog of JavaScript is open.
    #[track_caller]
    pub fn has_dialog(&self) -> bool {
        self.ask("GET", "/alert/text", None).is_ok()
    }

    /// A picture of the window.
    #[track_caller]
    pub fn picture(&self, file: &Path) {
        let picture = self.get("/screenshot");
        let bytes = BASE64.decode(picture.as_str().expect("base64").as_bytes()).expect("base64");
        std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// A command of Chromium's own protocol.
    #[track_caller]
    fn develop(&self, command: &str, params: &Json) {
        self.must("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params }));
    }

    fn take_log(&self, kind: &str) -> Vec<Json> {
        let entries = self.must("POST", "/se/log", &json!({ "type": kind }));
        entries.as_array().cloned().unwrap_or_default()
    }

    #[track_caller]
    fn element(&self, css: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = eventually(&format!("there is a `{css}`"), || self.ask("POST", "/element", Some(&wanted)));
        found[ELEMENT].as_str().expect("an element has a name").to_owned()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Json {
        self.ask("GET", path, None).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    #[track_caller]
    fn must(&self, method: &str, path: &str, body: &Json) -> Json {
        self.ask(method, path, Some(body)).unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, String> {
        self.send(method, &format!("{}{path}", self.session), body)
    }

    /// A command of WebDriver: its value, or its error and message.
    fn send(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, String> {
        let body = body.map_or_else(String::new, Json::to_string);
        let exchange = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(COMMAND))?;
            let (port, length) = (self.port, body.len());
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json; charset=utf-8\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            stream.write_all((head + &body).as_bytes())?;
            // It keeps the connection, whatever is asked of it: the head says how long the answer is.
            let (mut stream, mut line, mut length) = (BufReader::new(stream), String::new(), 0);
            while stream.read_line(&mut line)? > 2 {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| format!("chromedriver: {error}; {:?}", self.driver.exit_status()))?;
        let body = String::from_utf8_lossy(&answer);
        let mut answer: Json = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("driver.log")).unwrap_or_default()
    }
}
