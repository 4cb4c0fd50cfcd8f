//! What somebody does to the file of SQLite.

use std::io::{Seek as _, SeekFrom, Write as _};

use super::Line;
use crate::support::home::Home;

#[test]
fn a_file_that_is_moved_away_or_replaced_takes_no_batch_and_costs_no_message() {
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { panic!("it was made so") };
    let (path, away) = (folder.join("store.db"), folder.join("away.db"));
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    std::fs::rename(&path, &away).unwrap();
    line.is_down("standing", &["was deleted, moved or replaced", "restart Amber"]);
    std::fs::write(&path, "").unwrap();
    std::fs::rename(&away, &path).unwrap();
    line.end();
}

#[test]
fn a_damaged_file_is_said_with_the_remedy_and_gone_on_with_once_it_is_restored() {
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { panic!("it was made so") };
    let path = folder.join("store.db");
    let url = home.url();
    let mut line = Line::loaded(home, &url);
    line.is_up();
    assert!(line.amber.terminate().success());
    let sound = std::fs::read(&path).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xa5; sound.len() - 4096]).unwrap();
    line.amber.start();
    line.is_down("standing", &["malformed", ".recover"]);
    // The file was restored in place: it is the same one to whoever has it open.
    std::fs::write(&path, &sound).unwrap();
    line.end();
}
