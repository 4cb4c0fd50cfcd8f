//! TLS to PostgreSQL: a server elsewhere must prove who it is, and what is wrong is said with the remedy.

use super::Line;
use crate::support::binary::Amber;
use crate::support::certificates::{Authority, Signed};
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::postgres::Postgres;
use crate::support::{eventually, numbers};

fn offer(server: &Postgres, signed: &Signed) {
    server.offer_tls(&signed.certificate, &signed.key);
}

/// Amber does not start with the store `url`, and says why.
#[track_caller]
fn refuses(amber: &mut Amber, url: &str, words: &[&str]) {
    amber.configure(&numbers::config("mqtt://127.0.0.1:1", url, ""));
    amber.start();
    eventually(&format!("amber says {words:?} of {url}"), || match amber.get("/ready")? {
        (503, reason) if words.iter().all(|word| reason.contains(word)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(amber.metric("amber_store_condition{condition=\"standing\"}"), Ok(1.0));
    amber.kill();
}

#[test]
fn a_server_that_does_not_prove_who_it_is_is_refused_with_the_remedy() {
    let server = Postgres::start();
    let name = server.database().name;
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let ca = folder.write("ca.pem", &ours.pem);
    let mut amber = Amber::new("");
    // No loopback address to Amber, and to the kernel this machine: as far away as a test can go.
    let elsewhere = format!("postgres://postgres@0.0.0.0:{}/{name}", server.port);
    let here = format!("postgres://postgres@localhost:{}/{name}?sslmode=verify-full", server.port);
    let trusting = |url: &str| format!("{url}&sslrootcert={}", ca.display());

    refuses(&mut amber, &elsewhere, &["does not support TLS", "ssl = on", "?sslmode=disable"]);
    offer(&server, &theirs.sign(&["localhost"]));
    refuses(&mut amber, &elsewhere, &["UnknownIssuer", "?sslrootcert="]);
    refuses(&mut amber, &trusting(&here), &["UnknownIssuer", "?sslrootcert="]);
    offer(&server, &ours.sign(&["localhost"]));
    refuses(&mut amber, &trusting(&here.replace("localhost", "127.0.0.1")), &["not valid for name", "write the host"]);
    refuses(&mut amber, &format!("{here}&sslrootcert=nowhere.pem"), &["nowhere.pem", "cannot be read"]);
    offer(&server, &ours.expired());
    refuses(&mut amber, &trusting(&here), &["expired", "renew the server's certificate"]);
}

#[test]
fn a_certificate_that_goes_wrong_and_is_renewed_costs_no_message() {
    let server = Postgres::start();
    let database = server.database();
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let ca = folder.write("ca.pem", &ours.pem);
    let url = format!(
        "postgres://postgres@localhost:{}/{}?sslmode=verify-full&sslrootcert={}",
        server.port,
        database.name,
        ca.display()
    );
    let right = ours.sign(&["localhost"]);
    offer(&server, &right);
    let mut line = Line::loaded(Home::Postgres(database), &url);
    let connections = |how: &str| {
        let of = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'amber'";
        server.sql().number(&format!("{of} and {how}")).unwrap()
    };
    assert!(connections("ssl") > 0, "amber is not there");
    assert_eq!(connections("not ssl"), 0, "amber writes in the clear");
    offer(&server, &theirs.sign(&["localhost"]));
    line.database().terminate();
    line.is_down("standing", &["UnknownIssuer", "?sslrootcert="]);
    offer(&server, &right);
    line.end();
}
