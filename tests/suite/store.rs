//! Both stores, for real: what is stored, what is refused, and who may store at all.

mod adoption;
mod attach;
mod changes;
mod ddl;
mod duplicates;
mod others;
mod own;
mod reader;
mod refused;
mod rejects;
mod retention;
mod schema;
mod series;
mod subject;
mod timescale;
mod together;
mod upgrade;
mod values;
