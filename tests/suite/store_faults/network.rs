//! A network, or a server, that accepts and never answers, or stops in the middle of an answer.

use super::{Line, WRITER};
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::proxy::{Cut, Mode, Proxy};

/// A line through a proxy.
#[track_caller]
fn through_a_proxy(mode: Mode) -> (Proxy, Line) {
    let home = Home::postgres();
    let Home::Postgres(database) = &home else { panic!("it was made so") };
    let proxy = Proxy::to(database.port);
    proxy.set(mode);
    let url = database.url_through(proxy.port);
    let line = Line::starting(home, &url);
    (proxy, line)
}

#[test]
fn a_server_that_accepts_and_never_answers_costs_no_message() {
    let (proxy, mut line) = through_a_proxy(Mode::BlackHole);
    line.says("away", &["no answer"]);
    proxy.set(Mode::Pass);
    line.amber.wait_ready();
    line.load();
    // In the middle of things, nobody closes anything.
    proxy.set(Mode::BlackHole);
    line.is_down("away", &["no answer for 5 s"]);
    let before = line.failures("in_doubt") + line.failures("away");
    proxy.set(Mode::Pass);
    proxy.cut(Cut::Reset);
    line.is_up();
    let after = line.failures("in_doubt") + line.failures("away");
    assert!(after > before, "it was still waited for until then, and the answer never came");
    line.end();
}

#[test]
fn an_answer_to_a_commit_that_is_cut_in_the_middle_loses_and_doubles_nothing() {
    let (proxy, mut line) = through_a_proxy(Mode::Pass);
    line.amber.wait_ready();
    line.load();
    for bytes in [1, 5, 11, 20, 40] {
        proxy.cut_answer_to(WRITER, bytes);
        eventually("messages gather behind the batch in doubt", || {
            let in_hand = line.amber.metric("amber_in_hand_messages")?;
            if in_hand > 50.0 { Ok(()) } else { Err(format!("{in_hand} in hand")) }
        });
        line.breaks(|_| {
            proxy.set(Mode::Pass);
            proxy.cut(Cut::Reset);
        });
    }
    assert!(line.failures("in_doubt") >= 3.0, "{} were in doubt", line.failures("in_doubt"));
    line.end();
}
