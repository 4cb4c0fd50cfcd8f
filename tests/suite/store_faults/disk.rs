//! No room: a disk that is full, a limit of file size, a disk that nobody may write.

use std::process::Command;

use super::Line;
use crate::support::disk::{self, Disk};
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::postgres::{self, Postgres};

#[test]
fn a_full_disk_under_postgresql_costs_no_message() {
    let mut disk = Disk::new(48, postgres::USER);
    let server = Postgres::start();
    let mut sql = server.sql();
    let place = disk.folder("tablespace");
    sql.run(&format!("create tablespace small location '{}'", place.display()));
    let database = server.database();
    sql.run(&format!("alter database {} set tablespace small", database.name));
    let home = Home::Postgres(database);
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    disk.fill();
    line.is_down("away", &["No space left on device", "53100", "free some space"]);
    disk.free();
    line.end();
}

#[test]
fn a_full_disk_under_sqlite_costs_no_message() {
    disk::alone("store_faults::disk::a_full_disk_under_sqlite_costs_no_message", 96, full_under_sqlite);
}

fn full_under_sqlite(mut disk: Disk) {
    let home = Home::Sqlite(Folder::within(&disk.path()));
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    for _ in 0..2 {
        disk.fill();
        line.is_down("away", &["full", "free some space"]);
        disk.free();
        line.is_up();
    }
    line.end();
}

/// Beyond the limit the kernel sends a signal that ends a process that does not expect it.
#[test]
fn a_limit_of_file_size_is_met_like_a_full_disk() {
    let home = Home::sqlite();
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    let limit = |line: &Line, bytes: &str| {
        let pid = line.amber.pid().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
        assert!(status.expect("prlimit of util-linux is there").success());
    };
    limit(&line, "4096");
    line.is_down("away", &["ulimit -f"]);
    limit(&line, "unlimited");
    line.end();
}

#[test]
fn a_disk_that_is_read_only_is_said_with_the_remedy_and_gone_on_with_once_it_is_not() {
    let name = "store_faults::disk::a_disk_that_is_read_only_is_said_with_the_remedy_and_gone_on_with_once_it_is_not";
    disk::alone(name, 96, read_only);
}

fn read_only(mut disk: Disk) {
    let home = Home::Sqlite(Folder::within(&disk.path()));
    let url = home.url();
    disk.make_read_only();
    let mut line = Line::starting(home, &url);
    // No file yet.
    line.is_down("away", &["unable to open", "may Amber write in it?"]);
    disk.make_writable();
    line.starts_away();
    line.amber.wait_ready();
    line.load();
    line.is_up();
    line.amber.kill();
    disk.make_read_only();
    line.amber.start();
    line.is_down("standing", &["readonly", "Amber must be able to write the file and its folder"]);
    disk.make_writable();
    line.end();
}
