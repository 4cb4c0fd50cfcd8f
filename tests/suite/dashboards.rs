//! Generated dashboards: files of `amber dashboards` and of `run`, and every query of theirs on a real PostgreSQL. (As the
//! role that Grafana has, and by the rules for those written by hand: `crate::stack`.)

mod files;
mod queries;
mod values;
