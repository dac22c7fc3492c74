//! From the bytes of `POST /imports` to rows that are ready to be stored.
//!
//! Everything that costs time and needs no database happens here, before the writer is asked:
//! reading, checking against the model, merging rows of equal identity, hashing.

mod cell;
mod parse;
mod row;
mod rules;

pub(crate) use parse::{Parsed, check_header, parse, raw_hash};
pub(crate) use rules::Rules;
