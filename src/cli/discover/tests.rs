//! Arguments and files.
