//! Generated dashboards: files of `amber dashboards` and of `run`, and every query of theirs on a real PostgreSQL.

mod expand;
mod files;
mod queries;
